using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using Gongzhi.Node.Web;
using Microsoft.AspNetCore.Antiforgery;

namespace Gongzhi.Node.Identity;

/// <summary>The few forms of signing in, as plain HTML that works without scripts, in the reader's language.</summary>
internal static class AccountPages
{
    private static bool Chinese => CultureInfo.CurrentUICulture.Name.StartsWith("zh", StringComparison.Ordinal);

    public static IResult SignIn(HttpContext http, IAntiforgery forms, string? returnUrl, string? error = null, int status = 200) =>
        Page(http, forms, T("Sign in", "登录"), error, "/account/sign-in", status, form => form
            .Field("name", T("Name", "用户名"), "text", "username").Field("password", T("Password", "密码"), "password", "current-password")
            .Hidden("returnUrl", returnUrl).Button(T("Sign in", "登录")));

    public static IResult Totp(HttpContext http, IAntiforgery forms, string? returnUrl, string? error = null, int status = 200) =>
        Page(http, forms, T("One-time code", "动态验证码"), error, "/account/totp", status, form => form
            .Field("code", T("Code from your authenticator, or a recovery code", "验证器中的验证码或恢复码"), "text", "one-time-code")
            .Hidden("returnUrl", returnUrl).Button(T("Continue", "继续")));

    public static IResult Setup(HttpContext http, IAntiforgery forms, string token, string? error = null, int status = 200) =>
        Page(http, forms, T("First administrator", "首位管理员"), error, "/account/setup", status, form => form
            .Field("name", T("Name", "用户名"), "text", "username")
            .Field("password", T("Password, at least 12 characters", "密码（至少 12 个字符）"), "password", "new-password")
            .Hidden("token", token).Button(T("Create", "创建")));

    public static IResult Invitation(HttpContext http, IAntiforgery forms, string name, string token, string? error = null, int status = 200) =>
        Page(http, forms, T("Choose your password", "设置密码"), error, "/account/invitation", status, form => form
            .Text(T($"Account: {name}", $"账号：{name}"))
            .Field("password", T("Password, at least 12 characters", "密码（至少 12 个字符）"), "password", "new-password")
            .Hidden("name", name).Hidden("token", token).Button(T("Save", "保存")));

    public static IResult Device(HttpContext http, IAntiforgery forms, string? code, string? client, bool failed)
    {
        var error = failed ? T("The code is not known or has expired.", "验证码不存在或已过期。") : null;
        return Page(http, forms, T("Connect a device", "连接设备"), error, "/connect/verify", failed ? 400 : 200, form =>
        {
            if (client is null)
                form.AsQuery().Field("user_code", T("Code shown on the device", "设备上显示的代码"), "text", "off").Button(T("Continue", "继续"));
            else
                form.Text(T($"Let “{client}” act for you? Code: {code}", $"允许“{client}”代表您操作吗？代码：{code}"))
                    .Hidden("user_code", code).Button(T("Allow", "允许"), "allow").Button(T("Refuse", "拒绝"), "refuse");
        });
    }

    public static IResult Message(HttpContext http, string title, string text, int status = 200) =>
        Results.Content(Shell(title, $"<p>{E(text)}</p>"), "text/html; charset=utf-8", Encoding.UTF8, status);

    public static string T(string english, string chinese) => Chinese ? chinese : english;

    private static IResult Page(
        HttpContext http, IAntiforgery forms, string title, string? error, string action, int status, Action<FormText> fill)
    {
        var token = forms.GetAndStoreTokens(http);
        var form = new FormText(action, token.FormFieldName, token.RequestToken!);
        fill(form);
        var alert = error is null ? "" : $"<p role=\"alert\">{E(error)}</p>";
        http.Response.Headers.CacheControl = "no-store";
        return Results.Content(Shell(title, alert + form.Html()), "text/html; charset=utf-8", Encoding.UTF8, status);
    }

    private static string Shell(string title, string body) => $$"""
        <!doctype html>
        <html lang="{{CultureInfo.CurrentUICulture.Name}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{{E(title)}}</title><style>body{font:16px/1.6 system-ui,sans-serif;max-width:26rem;margin:4rem auto;padding:0 1rem}
        label{display:block;margin:1rem 0}input{display:block;width:100%;font:inherit;padding:.5rem;box-sizing:border-box}
        button{font:inherit;padding:.5rem 1.5rem;margin-right:1rem}[role=alert]{border-left:4px solid #b00020;padding-left:.75rem}</style></head>
        <body><main><h1>{{E(title)}}</h1>{{body}}</main></body></html>
        """;

    private static string E(string text) => HtmlEncoder.Default.Encode(text);

    private sealed class FormText(string action, string tokenName, string token)
    {
        private readonly StringBuilder _html = new();
        private bool _query;

        public FormText AsQuery()
        {
            _query = true;
            return this;
        }

        public FormText Text(string text) => Add($"<p>{E(text)}</p>");

        public FormText Field(string name, string label, string type, string autocomplete) =>
            Add($"<label>{E(label)}<input name=\"{name}\" type=\"{type}\" autocomplete=\"{autocomplete}\" maxlength=\"256\" required></label>");

        public FormText Hidden(string name, string? value) =>
            value is null ? this : Add($"<input type=\"hidden\" name=\"{name}\" value=\"{E(value)}\">");

        public FormText Button(string text, string? value = null) =>
            Add(value is null ? $"<button>{E(text)}</button>" : $"<button name=\"decision\" value=\"{value}\">{E(text)}</button>");

        public string Html() => _query
            ? $"<form method=\"get\" action=\"{action}\">{_html}</form>"
            : $"<form method=\"post\" action=\"{action}\"><input type=\"hidden\" name=\"{tokenName}\" value=\"{E(token)}\">{_html}</form>";

        private FormText Add(string html)
        {
            _html.Append(html);
            return this;
        }
    }
}
