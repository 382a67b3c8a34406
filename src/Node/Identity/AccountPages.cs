using System.Globalization;
using Gongzhi.Core;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity.External;
using Gongzhi.Node.Pages;
using Gongzhi.Capabilities.Http;
using Gongzhi.Ui;
using Gongzhi.Ui.Views;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Identity;

/// <summary>The pages of signing in, in the site's frame. Only passkeys need a script; everything else is plain forms.</summary>
internal static class AccountPages
{
    public static IResult SignIn(HttpContext http, string? returnUrl, string? name = null, Problem? problem = null) =>
        Portal.Page<SignInView>(http, Shown.Ready(new SignInModel("/account/sign-in", returnUrl, name, Errors("password", problem), Provider: Offer(http), Passkeys: true)), StatusOf(problem));

    public static IResult Totp(HttpContext http, string? returnUrl, Problem? problem = null) =>
        Portal.Page<CodeView>(http, new CodeModel("/account/totp", returnUrl, Errors("code", problem)), StatusOf(problem));

    public static IResult Setup(HttpContext http, string token, string? name = null, IReadOnlyList<FieldError>? errors = null) =>
        Portal.Page<SetupView>(http, new SetupModel("/account/setup", token, PasswordRules.LengthMin, name, errors), errors is null ? 200 : 422);

    public static IResult Invitation(HttpContext http, string name, string token, IReadOnlyList<FieldError>? errors = null) =>
        Portal.Page<InvitationView>(http, new SetupModel("/account/invitation", token, PasswordRules.LengthMin, name, errors, Offer(http)), errors is null ? 200 : 422);

    /// <summary>Signed in at the provider, and nobody here.</summary>
    public static IResult Unlinked(HttpContext http, ProviderSubject whom) =>
        Portal.Page<IdentityView>(http, new ProviderIdentityModel("Unlinked", whom.Issuer, whom.Subject), StatusCodes.Status403Forbidden);

    /// <summary>The link was used at the provider, and a security administrator must confirm the account before it acts.</summary>
    public static IResult Linked(HttpContext http, ProviderSubject whom) => Portal.Page<IdentityView>(http, new ProviderIdentityModel("Linked", whom.Issuer, whom.Subject));

    private static ProviderOffer? Offer(HttpContext http) =>
        http.RequestServices.GetService<ExternalProvider>() is { } provider ? new ProviderOffer("/account/external", provider.Name) : null;

    public static IResult SetupClosed(HttpContext http) => Portal.Page<MessageView>(http, new MessageModel("SetupClosed", Good: false), StatusCodes.Status404NotFound);

    public static IResult Device(HttpContext http, string? code, string? client, bool failed) =>
        Portal.Page<DeviceView>(
            http, new DeviceModel("/connect/verify", code, client, failed ? [new FieldError("user_code", PageText.Of("Device.Unknown"))] : null), failed ? 400 : 200);

    public static IResult DeviceDone(HttpContext http) => Portal.Page<MessageView>(http, new MessageModel("DeviceDone", Good: true));

    public static async Task<IResult> SecurityAsync(
        HttpContext http, UserManager<Account> users, Account account, EnrolmentModel? enrolment = null, IReadOnlyList<string>? recovery = null,
        bool changed = false, IReadOnlyList<FieldError>? errors = null, int status = 200) =>
        Portal.Page<SecurityView>(http, new SecurityModel(
            account.UserName!, PasswordRules.LengthMin, await users.GetTwoFactorEnabledAsync(account).ConfigureAwait(false),
            (await users.GetPasskeysAsync(account).ConfigureAwait(false)).Count, enrolment, recovery, changed, errors, account.PasswordHash is not null,
            (await http.RequestServices.GetRequiredService<ExternalIdentities>().OfAsync(account.Id, http.RequestAborted).ConfigureAwait(false))?.Subject), status);

    /// <summary>Why a name or a password was refused, in the reader's language, each beside its field.</summary>
    public static IReadOnlyList<FieldError> Refusals(IdentityResult result, string passwordField) =>
        [.. result.Errors.Select(e => new FieldError(
            e.Code.Contains("UserName", StringComparison.Ordinal) ? "name" : passwordField, PageText.Find("Refused." + e.Code) ?? e.Description))];

    public static IReadOnlyList<FieldError>? Errors(string field, Problem? problem) =>
        problem is null ? null : [new FieldError(field, ProblemWriting.Translate(problem, CultureInfo.CurrentUICulture).Detail)];

    private static int StatusOf(Problem? problem) => problem?.Status ?? 200;
}
