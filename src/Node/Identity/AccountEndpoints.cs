using System.Security.Claims;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Identity;

/// <summary>Signing in and out by forms, the second factor, the password, and the first administrator.</summary>
internal static class AccountEndpoints
{
    private const long FormBytesMax = 16 * 1_024;

    public static void MapAccountEndpoints(this IEndpointRouteBuilder routes)
    {
        var account = routes.MapGroup("/account").ExcludeFromDescription();
        account.MapGet("/sign-in", (HttpContext http, IAntiforgery forms, string? returnUrl) =>
            AccountPages.SignIn(http, forms, Local(returnUrl))).WithName("sign-in").AllowAnonymous();
        account.MapGet("/totp", (HttpContext http, IAntiforgery forms, string? returnUrl) =>
            AccountPages.Totp(http, forms, Local(returnUrl))).WithName("totp").AllowAnonymous();
        account.MapGet("/setup", (HttpContext http, IAntiforgery forms, FirstAdministrator first, string? token) =>
            first.IsOpen(token) ? AccountPages.Setup(http, forms, token!) : SetupClosed(http)).WithName("setup").AllowAnonymous();

        var open = account.MapGroup("").AllowAnonymous().AcceptsBody(FormBytesMax).AddEndpointFilter(RequireFormToken);
        open.MapPost("/sign-in", SignInAsync).WithName("sign-in-form");
        open.MapPost("/totp", TotpAsync).WithName("totp-form");
        open.MapPost("/setup", SetupAsync).WithName("setup-form");

        var own = account.MapGroup("").RequireCaller().AcceptsBody(FormBytesMax).AddEndpointFilter(RequireFormToken);
        own.MapPost("/sign-out", SignOutAsync).WithName("sign-out");
        own.MapPost("/password", PasswordAsync).WithName("password");
        own.MapPost("/totp/enrol", EnrolAsync).WithName("totp-enrol");
        own.MapPost("/totp/confirm", ConfirmAsync).WithName("totp-confirm");
        routes.MapGet("/account/form-token", FormToken).WithName("form-token").AllowAnonymous().ExcludeFromDescription();
        routes.MapGet("/connect/verify/done", (HttpContext http) => AccountPages.Message(
            http, AccountPages.T("Done", "完成"), AccountPages.T("You may close this page.", "您可以关闭此页面。"))).WithName("verify-done").AllowAnonymous().ExcludeFromDescription();
    }

    /// <summary>Every change under /account carries the token of a form we served, in the form or in X-Form-Token.</summary>
    internal static async ValueTask<object?> RequireFormToken(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var forms = context.HttpContext.RequestServices.GetRequiredService<IAntiforgery>();
        return await forms.IsRequestValidAsync(context.HttpContext).ConfigureAwait(false)
            ? await next(context).ConfigureAwait(false)
            : HostProblems.Antiforgery.ToResult();
    }

    /// <summary>Only a path on this node; anything else (another site, a scheme, a backslash trick) becomes the start page.</summary>
    internal static string Local(string? url) =>
        url is { Length: > 0 and <= 4_096 } && url[0] == '/' && (url.Length == 1 || url[1] is not ('/' or '\\')) && !url.Any(char.IsControl)
            ? url : "/";

    private static Ok<Dictionary<string, string>> FormToken(HttpContext http, IAntiforgery forms)
    {
        var tokens = forms.GetAndStoreTokens(http);
        return TypedResults.Ok(new Dictionary<string, string> { ["header"] = tokens.HeaderName!, ["field"] = tokens.FormFieldName, ["token"] = tokens.RequestToken! });
    }

    private static async Task<IResult> SignInAsync(
        HttpContext http, IAntiforgery forms, UserManager<Account> users, SignInManager<Account> signIn, IPasswordHasher<Account> hasher)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var (name, password, back) = (form["name"].ToString(), form["password"].ToString(), Local(form["returnUrl"]));
        var account = name.Length is > 0 and <= 128 ? await users.FindByNameAsync(name).ConfigureAwait(false) : null;
        if (account is null || password.Length > PasswordRules.LengthMax)
        {
            // As much work as a wrong password takes, so that time does not tell which names exist.
            hasher.HashPassword(new Account(), "no such account");
            return Failed(http, forms, back, HostProblems.SignInFailed);
        }
        var result = await signIn.PasswordSignInAsync(account, password, isPersistent: false, lockoutOnFailure: true).ConfigureAwait(false);
        if (result.Succeeded)
            return Results.LocalRedirect(back);
        if (result.RequiresTwoFactor)
            return Results.LocalRedirect("/account/totp" + QueryString.Create("returnUrl", back));
        return Failed(http, forms, back, result.IsLockedOut ? HostProblems.Locked : HostProblems.SignInFailed);
    }

    private static IResult Failed(HttpContext http, IAntiforgery forms, string back, Core.Problem problem) =>
        ProblemWriting.IsMachine(http.Request)
            ? problem.ToResult()
            : AccountPages.SignIn(http, forms, back, ProblemWriting.Translate(problem, System.Globalization.CultureInfo.CurrentUICulture).Detail, problem.Status);

    private static async Task<IResult> TotpAsync(HttpContext http, IAntiforgery forms, SignInManager<Account> signIn)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var back = Local(form["returnUrl"]);
        var code = form["code"].ToString().Replace(" ", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal);
        if (await signIn.GetTwoFactorAuthenticationUserAsync().ConfigureAwait(false) is null)
            return Failed(http, forms, back, HostProblems.SignInFailed);
        // Six digits come from the authenticator; anything else may be a recovery code, which locks out in the same way by rate.
        var result = code.Length == 6 && code.All(char.IsAsciiDigit)
            ? await signIn.TwoFactorAuthenticatorSignInAsync(code, isPersistent: false, rememberClient: false).ConfigureAwait(false)
            : await signIn.TwoFactorRecoveryCodeSignInAsync(form["code"].ToString().Trim()).ConfigureAwait(false);
        if (result.Succeeded)
            return Results.LocalRedirect(back);
        var problem = result.IsLockedOut ? HostProblems.Locked : HostProblems.CodeWrong;
        return ProblemWriting.IsMachine(http.Request)
            ? problem.ToResult()
            : AccountPages.Totp(http, forms, back, ProblemWriting.Translate(problem, System.Globalization.CultureInfo.CurrentUICulture).Detail, problem.Status);
    }

    private static async Task<IResult> SignOutAsync(SignInManager<Account> signIn)
    {
        await signIn.SignOutAsync().ConfigureAwait(false);
        return Results.LocalRedirect("/");
    }

    private static async Task<IResult> PasswordAsync(HttpContext http, UserManager<Account> users, SignInManager<Account> signIn)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (await users.GetUserAsync(http.User).ConfigureAwait(false) is not { } account)
            return HostProblems.SignInNeeded.ToResult();
        var check = await signIn.CheckPasswordSignInAsync(account, form["current"].ToString(), lockoutOnFailure: true).ConfigureAwait(false);
        if (!check.Succeeded)
            return (check.IsLockedOut ? HostProblems.Locked : HostProblems.SignInFailed).ToResult();
        var result = await users.ChangePasswordAsync(account, form["current"].ToString(), form["new"].ToString()).ConfigureAwait(false);
        if (!result.Succeeded)
            return Refused(result).ToResult();
        await signIn.RefreshSignInAsync(account).ConfigureAwait(false);
        return Results.NoContent();
    }

    private static async Task<IResult> EnrolAsync(HttpContext http, UserManager<Account> users, Core.World world)
    {
        if (await users.GetUserAsync(http.User).ConfigureAwait(false) is not { } account)
            return HostProblems.SignInNeeded.ToResult();
        if (await users.GetTwoFactorEnabledAsync(account).ConfigureAwait(false))
            return HostProblems.Denied.ToResult();
        await users.ResetAuthenticatorKeyAsync(account).ConfigureAwait(false);
        var key = await users.GetAuthenticatorKeyAsync(account).ConfigureAwait(false);
        var issuer = Uri.EscapeDataString("Gongzhi " + world.Name);
        return Results.Ok(new { key, uri = $"otpauth://totp/{issuer}:{Uri.EscapeDataString(account.UserName!)}?secret={key}&issuer={issuer}&digits=6" });
    }

    private static async Task<IResult> ConfirmAsync(HttpContext http, UserManager<Account> users, SignInManager<Account> signIn)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (await users.GetUserAsync(http.User).ConfigureAwait(false) is not { } account)
            return HostProblems.SignInNeeded.ToResult();
        var valid = await users.VerifyTwoFactorTokenAsync(
            account, users.Options.Tokens.AuthenticatorTokenProvider, form["code"].ToString()).ConfigureAwait(false);
        if (!valid)
            return HostProblems.CodeWrong.ToResult();
        await users.SetTwoFactorEnabledAsync(account, true).ConfigureAwait(false);
        var codes = await users.GenerateNewTwoFactorRecoveryCodesAsync(account, 10).ConfigureAwait(false);
        await signIn.RefreshSignInAsync(account).ConfigureAwait(false);
        return Results.Ok(new { recoveryCodes = codes });
    }

    private static IResult SetupClosed(HttpContext http) => ProblemWriting.IsMachine(http.Request)
        ? HostProblems.SetupClosed.ToResult()
        : AccountPages.Message(http, AccountPages.T("Closed", "已关闭"),
            ProblemWriting.Translate(HostProblems.SetupClosed, System.Globalization.CultureInfo.CurrentUICulture).Detail, 404);

    private static async Task<IResult> SetupAsync(
        HttpContext http, IAntiforgery forms, FirstAdministrator first, UserManager<Account> users, SignInManager<Account> signIn, IServiceProvider services)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var token = form["token"].ToString();
        var (name, password) = (form["name"].ToString().Trim(), form["password"].ToString());
        var account = new Account { UserName = name };
        // Checked before the party is made, so that a refused password leaves no party behind.
        var check = name.Length is < 1 or > 128
            ? IdentityResult.Failed(users.ErrorDescriber.InvalidUserName(name))
            : await CheckPasswordAsync(users, account, password).ConfigureAwait(false);
        if (!first.IsOpen(token))
            return SetupClosed(http);
        if (!check.Succeeded)
            return SetupRefused(http, forms, token, check);
        if (!first.Take(token))
            return SetupClosed(http);
        var provision = services.GetService<PartyProvision>();
        account.PartyId = provision is null ? "person:" + account.Id
            : await provision(new NewParty(name, "person", [Roles.SystemAdministrator]), http.RequestAborted).ConfigureAwait(false);
        var created = await users.CreateAsync(account, password).ConfigureAwait(false);
        if (!created.Succeeded)
        {
            first.GiveBack(token);
            return SetupRefused(http, forms, token, created);
        }
        if (provision is null)
            await users.AddClaimAsync(account, new Claim(PartyClaims.Role, Roles.SystemAdministrator)).ConfigureAwait(false);
        await signIn.SignInAsync(account, isPersistent: false).ConfigureAwait(false);
        return Results.LocalRedirect("/");
    }

    private static async Task<IdentityResult> CheckPasswordAsync(UserManager<Account> users, Account account, string password)
    {
        foreach (var validator in users.PasswordValidators)
        {
            var result = await validator.ValidateAsync(users, account, password).ConfigureAwait(false);
            if (!result.Succeeded)
                return result;
        }
        return IdentityResult.Success;
    }

    private static IResult SetupRefused(HttpContext http, IAntiforgery forms, string token, IdentityResult result) =>
        ProblemWriting.IsMachine(http.Request)
            ? Refused(result).ToResult()
            : AccountPages.Setup(http, forms, token, string.Join(" ", result.Errors.Select(e => e.Description)), 422);

    private static Core.Problem Refused(IdentityResult result) => HostProblems.PasswordRefused with
    {
        Extensions = new Dictionary<string, object?> { ["why"] = result.Errors.Select(e => e.Code).ToArray() },
    };
}
