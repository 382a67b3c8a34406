using System.Security.Claims;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Gongzhi.Ui.Views;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Node.Identity;

/// <summary>Signing in and out by forms, the second factor, the password, and the first administrator.</summary>
internal static class AccountEndpoints
{
    private const long FormBytesMax = 16 * 1_024;

    public static void MapAccountEndpoints(this IEndpointRouteBuilder routes)
    {
        var account = routes.MapGroup("/account").ExcludeFromDescription();
        account.MapGet("/sign-in", (HttpContext http, string? returnUrl) => AccountPages.SignIn(http, Local(returnUrl))).WithName("sign-in").AllowAnonymous();
        account.MapGet("/totp", (HttpContext http, string? returnUrl) => AccountPages.Totp(http, Local(returnUrl))).WithName("totp").AllowAnonymous();
        account.MapGet("/setup", (HttpContext http, FirstAdministrator first, UserManager<Account> users, string? token) =>
            first.IsOpen(token) && !users.Users.Any() ? AccountPages.Setup(http, token!) : SetupClosed(http)).WithName("setup").AllowAnonymous();
        account.MapGet("/security", SecurityAsync).WithName("security").RequireCaller();
        // Where a reload or a change of language leads after one of its forms.
        foreach (var form in new[] { "/password", "/totp/enrol", "/totp/confirm" })
            account.MapGet(form, () => Results.LocalRedirect("/account/security")).WithName("security" + form.Replace('/', '-')).RequireCaller();

        account.MapGet("/invitation", (HttpContext http, string? name, string? token) =>
            name is { Length: > 0 and <= 128 } && token is { Length: > 0 and <= 2_048 } ? AccountPages.Invitation(http, name, token) : SetupClosed(http)).WithName("invitation").AllowAnonymous();

        var open = account.MapGroup("").AllowAnonymous().AcceptsBody(FormBytesMax).AddEndpointFilter(RequireFormToken);
        open.MapPost("/sign-in", SignInAsync).WithName("sign-in-form");
        open.MapPost("/totp", TotpAsync).WithName("totp-form");
        open.MapPost("/setup", SetupAsync).WithName("setup-form");
        open.MapPost("/invitation", InvitationAsync).WithName("invitation-form");

        var own = account.MapGroup("").RequireCaller().AcceptsBody(FormBytesMax).AddEndpointFilter(RequireFormToken);
        own.MapPost("/sign-out", SignOutAsync).WithName("sign-out");
        own.MapPost("/password", PasswordAsync).WithName("password");
        own.MapPost("/totp/enrol", EnrolAsync).WithName("totp-enrol");
        own.MapPost("/totp/confirm", ConfirmAsync).WithName("totp-confirm");
        routes.MapGet("/account/form-token", FormToken).WithName("form-token").AllowAnonymous().ExcludeFromDescription();
        routes.MapGet("/connect/verify/done", (HttpContext http) => AccountPages.DeviceDone(http)).WithName("verify-done").AllowAnonymous().ExcludeFromDescription();
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
        HttpContext http, UserManager<Account> users, SignInManager<Account> signIn, IPasswordHasher<Account> hasher)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var (name, password, back) = (form["name"].ToString(), form["password"].ToString(), Local(form["returnUrl"]));
        var account = name.Length is > 0 and <= 128 ? await users.FindByNameAsync(name).ConfigureAwait(false) : null;
        if (account is null || password.Length > PasswordRules.LengthMax)
        {
            // As much work as a wrong password takes, so that time does not tell which names exist.
            hasher.HashPassword(new Account(), "no such account");
            return Failed(http, back, HostProblems.SignInFailed, name);
        }
        var result = await signIn.PasswordSignInAsync(account, password, isPersistent: false, lockoutOnFailure: true).ConfigureAwait(false);
        if (result.Succeeded)
            return Results.LocalRedirect(back);
        if (result.RequiresTwoFactor)
            return Results.LocalRedirect("/account/totp" + QueryString.Create("returnUrl", back));
        return Failed(http, back, result.IsLockedOut ? HostProblems.Locked : HostProblems.SignInFailed, name);
    }

    internal static IResult Failed(HttpContext http, string back, Core.Problem problem, string? name = null) =>
        ProblemWriting.IsMachine(http.Request) ? problem.ToResult() : AccountPages.SignIn(http, back, name is { Length: <= 128 } ? name : null, problem);

    private static async Task<IResult> TotpAsync(HttpContext http, SignInManager<Account> signIn)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var back = Local(form["returnUrl"]);
        var code = form["code"].ToString().Replace(" ", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal);
        if (await signIn.GetTwoFactorAuthenticationUserAsync().ConfigureAwait(false) is null)
            return Failed(http, back, HostProblems.SignInFailed);
        // Six digits come from the authenticator; anything else may be a recovery code, which locks out in the same way by rate.
        var result = code.Length == 6 && code.All(char.IsAsciiDigit)
            ? await signIn.TwoFactorAuthenticatorSignInAsync(code, isPersistent: false, rememberClient: false).ConfigureAwait(false)
            : await signIn.TwoFactorRecoveryCodeSignInAsync(form["code"].ToString().Trim()).ConfigureAwait(false);
        if (result.Succeeded)
            return Results.LocalRedirect(back);
        var problem = result.IsLockedOut ? HostProblems.Locked : HostProblems.CodeWrong;
        return ProblemWriting.IsMachine(http.Request) ? problem.ToResult() : AccountPages.Totp(http, back, problem);
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
            return await WrongAsync(http, users, account, "current", check.IsLockedOut ? HostProblems.Locked : HostProblems.PasswordWrong).ConfigureAwait(false);
        var result = await users.ChangePasswordAsync(account, form["current"].ToString(), form["new"].ToString()).ConfigureAwait(false);
        if (!result.Succeeded)
        {
            return ProblemWriting.IsMachine(http.Request)
                ? Refused(result).ToResult()
                : await AccountPages.SecurityAsync(http, users, account, errors: AccountPages.Refusals(result, "new"), status: 422).ConfigureAwait(false);
        }
        await signIn.RefreshSignInAsync(account).ConfigureAwait(false);
        return ProblemWriting.IsMachine(http.Request) ? Results.NoContent() : await AccountPages.SecurityAsync(http, users, account, changed: true).ConfigureAwait(false);
    }

    private static async Task<IResult> SecurityAsync(HttpContext http, UserManager<Account> users) =>
        await users.GetUserAsync(http.User).ConfigureAwait(false) is { } account
            ? await AccountPages.SecurityAsync(http, users, account).ConfigureAwait(false)
            // Signed in by a token that belongs to no account, such as a client's.
            : HostProblems.Unknown.ToResult();

    private static async Task<IResult> WrongAsync(
        HttpContext http, UserManager<Account> users, Account account, string field, Core.Problem problem, EnrolmentModel? enrolment = null) =>
        ProblemWriting.IsMachine(http.Request)
            ? problem.ToResult()
            : await AccountPages.SecurityAsync(http, users, account, enrolment, errors: AccountPages.Errors(field, problem), status: problem.Status).ConfigureAwait(false);

    private static async Task<IResult> EnrolAsync(HttpContext http, UserManager<Account> users, Core.World world)
    {
        if (await users.GetUserAsync(http.User).ConfigureAwait(false) is not { } account)
            return HostProblems.SignInNeeded.ToResult();
        if (await users.GetTwoFactorEnabledAsync(account).ConfigureAwait(false))
            return HostProblems.Denied.ToResult();
        await users.ResetAuthenticatorKeyAsync(account).ConfigureAwait(false);
        var enrolment = await EnrolmentAsync(users, account, world).ConfigureAwait(false);
        return ProblemWriting.IsMachine(http.Request)
            ? Results.Ok(new { key = enrolment.Key, uri = enrolment.Uri })
            : await AccountPages.SecurityAsync(http, users, account, enrolment).ConfigureAwait(false);
    }

    private static async Task<EnrolmentModel> EnrolmentAsync(UserManager<Account> users, Account account, Core.World world)
    {
        var key = await users.GetAuthenticatorKeyAsync(account).ConfigureAwait(false) ?? "";
        var issuer = Uri.EscapeDataString("Gongzhi " + world.Name);
        return new EnrolmentModel(key, $"otpauth://totp/{issuer}:{Uri.EscapeDataString(account.UserName!)}?secret={key}&issuer={issuer}&digits=6");
    }

    private static async Task<IResult> ConfirmAsync(HttpContext http, UserManager<Account> users, SignInManager<Account> signIn, Core.World world)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        if (await users.GetUserAsync(http.User).ConfigureAwait(false) is not { } account)
            return HostProblems.SignInNeeded.ToResult();
        var valid = await users.VerifyTwoFactorTokenAsync(
            account, users.Options.Tokens.AuthenticatorTokenProvider, form["code"].ToString().Replace(" ", "", StringComparison.Ordinal)).ConfigureAwait(false);
        if (!valid)
        {
            return await WrongAsync(
                http, users, account, "code", HostProblems.CodeWrong, await EnrolmentAsync(users, account, world).ConfigureAwait(false)).ConfigureAwait(false);
        }
        await users.SetTwoFactorEnabledAsync(account, true).ConfigureAwait(false);
        var codes = (await users.GenerateNewTwoFactorRecoveryCodesAsync(account, 10).ConfigureAwait(false) ?? []).ToList();
        await signIn.RefreshSignInAsync(account).ConfigureAwait(false);
        return ProblemWriting.IsMachine(http.Request)
            ? Results.Ok(new { recoveryCodes = codes })
            : await AccountPages.SecurityAsync(http, users, account, recovery: codes).ConfigureAwait(false);
    }

    internal static IResult SetupClosed(HttpContext http) =>
        ProblemWriting.IsMachine(http.Request) ? HostProblems.SetupClosed.ToResult() : AccountPages.SetupClosed(http);

    private static async Task<IResult> SetupAsync(
        HttpContext http, FirstAdministrator first, UserManager<Account> users, SignInManager<Account> signIn, IServiceProvider services)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var token = form["token"].ToString();
        var (name, password) = (form["name"].ToString().Trim(), form["password"].ToString());
        var account = new Account { UserName = name };
        // Checked before the party is made, so that a refused password leaves no party behind.
        var check = name.Length is < 1 or > 128
            ? IdentityResult.Failed(users.ErrorDescriber.InvalidUserName(name))
            : await CheckPasswordAsync(users, account, password).ConfigureAwait(false);
        // Each machine of a cluster offers a link of its own; of all of them one is used.
        if (!first.IsOpen(token) || await users.Users.AnyAsync(http.RequestAborted).ConfigureAwait(false))
            return SetupClosed(http);
        if (!check.Succeeded)
            return SetupRefused(http, token, name, check);
        if (!first.Take(token))
            return SetupClosed(http);
        var provision = services.GetService<PartyProvision>();
        account.PartyId = provision is null ? "person:" + account.Id
            : await provision(new NewParty(name, "person", [Roles.SystemAdministrator]), http.RequestAborted).ConfigureAwait(false);
        var created = await users.CreateAsync(account, password).ConfigureAwait(false);
        if (!created.Succeeded)
        {
            first.GiveBack(token);
            return SetupRefused(http, token, name, created);
        }
        if (provision is null)
            await users.AddClaimAsync(account, new Claim(PartyClaims.Role, Roles.SystemAdministrator)).ConfigureAwait(false);
        await signIn.SignInAsync(account, isPersistent: false).ConfigureAwait(false);
        return Results.LocalRedirect("/");
    }

    /// <summary>Sets the password of an account by the link its owner was given. The link is good once: setting a password changes what it was made from.</summary>
    private static async Task<IResult> InvitationAsync(HttpContext http, UserManager<Account> users)
    {
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var (name, token, password) = (form["name"].ToString(), form["token"].ToString(), form["password"].ToString());
        var account = name.Length is > 0 and <= 128 ? await users.FindByNameAsync(name).ConfigureAwait(false) : null;
        var good = account is not null && await users.VerifyUserTokenAsync(
            account, users.Options.Tokens.PasswordResetTokenProvider, UserManager<Account>.ResetPasswordTokenPurpose, token).ConfigureAwait(false);
        if (!good)
            return SetupClosed(http);
        var result = await users.ResetPasswordAsync(account!, token, password).ConfigureAwait(false);
        if (!result.Succeeded)
        {
            return ProblemWriting.IsMachine(http.Request) ? Refused(result).ToResult()
                : AccountPages.Invitation(http, name, token, AccountPages.Refusals(result, "password"));
        }
        if (!account!.TwoFactorEnabled)
        {
            // Whoever had a session for a moment may have left one.
            foreach (var passkey in await users.GetPasskeysAsync(account).ConfigureAwait(false))
                await users.RemovePasskeyAsync(account, passkey.CredentialId).ConfigureAwait(false);
        }
        await users.SetLockoutEndDateAsync(account, null).ConfigureAwait(false);
        await users.ResetAccessFailedCountAsync(account).ConfigureAwait(false);
        return Results.LocalRedirect("/account/sign-in");
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

    private static IResult SetupRefused(HttpContext http, string token, string name, IdentityResult result) =>
        ProblemWriting.IsMachine(http.Request)
            ? Refused(result).ToResult()
            : AccountPages.Setup(http, token, name.Length <= 128 ? name : null, AccountPages.Refusals(result, "password"));

    private static Core.Problem Refused(IdentityResult result) => HostProblems.PasswordRefused with
    {
        Extensions = new Dictionary<string, object?>
        {
            ["why"] = result.Errors.Select(e => e.Code).ToArray(),
            ["messages"] = result.Errors.Select(e => e.Description).ToArray(),
        },
    };
}
