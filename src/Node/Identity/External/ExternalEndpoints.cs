using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Identity.External;

/// <summary>
/// Signing in at an organisation's provider, in three steps: a form of ours leads there, the provider leads back (the handler of <see cref="ExternalSetup"/> checks its answer), and here it is
/// decided what that identity opens. Deny by default: one that is linked to no account opens nothing, and no account is made for it.
/// </summary>
internal static class ExternalEndpoints
{
    private const long FormBytesMax = 16 * 1_024;

    /// <summary>Of the path to go back to, which travels to the provider and back as part of an address.</summary>
    private const int BackLengthMax = 2_048;

    private const string Back = "back", Name = "name", Token = "token";

    public static void MapExternalSignIn(this IEndpointRouteBuilder routes)
    {
        var external = routes.MapGroup("/account/external").AllowAnonymous().ExcludeFromDescription();
        external.MapPost("", StartAsync).WithName("external").AcceptsBody(FormBytesMax).AddEndpointFilter(AccountEndpoints.RequireFormToken);
        external.MapGet("/done", DoneAsync).WithName("external-done");
        // Where a reload or a change of language leads.
        external.MapGet("", () => Results.LocalRedirect("/account/sign-in")).WithName("external-page");
    }

    private static async Task<IResult> StartAsync(HttpContext http, UserManager<Account> users)
    {
        if (http.RequestServices.GetService<ExternalProvider>() is null)
            return HostProblems.Unknown.ToResult();
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var back = AccountEndpoints.Local(form["returnUrl"]);
        var state = new AuthenticationProperties { RedirectUri = ExternalSetup.DonePath, Items = { [Back] = back.Length <= BackLengthMax ? back : "/" } };
        var (name, token) = (form[Name].ToString(), form[Token].ToString());
        if (token.Length > 0)
        {
            if (await InvitedAsync(users, name, token).ConfigureAwait(false) is null)
                return AccountEndpoints.SetupClosed(http);
            (state.Items[Name], state.Items[Token]) = (name, token);
        }
        try
        {
            await http.ChallengeAsync(ExternalSetup.Scheme, state).ConfigureAwait(false);
            return Results.Empty;
        }
        catch (Exception e) when (ExternalSetup.IsUnreachable(e) && !http.RequestAborted.IsCancellationRequested)
        {
            ExternalSetup.Log(http, e, HostProblems.ProviderUnavailable);
            return AccountEndpoints.Failed(http, back, HostProblems.ProviderUnavailable);
        }
    }

    private static async Task<IResult> DoneAsync(HttpContext http, AccountSignIn signIn, UserManager<Account> users, ExternalIdentities identities, PartyDirectory parties)
    {
        var shown = await http.AuthenticateAsync(IdentityConstants.ExternalScheme).ConfigureAwait(false);
        if (ExternalSetup.Whom(shown.Principal) is not { } whom)
            return Results.LocalRedirect("/account/sign-in");
        // Good for one decision, whatever it is.
        await http.SignOutAsync(IdentityConstants.ExternalScheme).ConfigureAwait(false);
        var state = shown.Properties!;
        var back = AccountEndpoints.Local(state.GetString(Back));
        Account? account;
        if (state.GetString(Token) is { } token)
        {
            account = await InvitedAsync(users, state.GetString(Name) ?? "", token).ConfigureAwait(false);
            if (account is null)
                return AccountEndpoints.SetupClosed(http);
            var accepted = await identities.AcceptAsync(account, whom, http.RequestAborted).ConfigureAwait(false);
            if (!accepted.Ok)
                return accepted.Problem.ToResult();
            if (parties.Party(account.PartyId) is { Suspended: true })
                return ProblemWriting.IsMachine(http.Request) ? HostProblems.Suspended.ToResult() : AccountPages.Linked(http, whom);
            // Read again as it is now.
            account = await users.FindByIdAsync(account.Id).ConfigureAwait(false);
        }
        else
        {
            if (await identities.FindAsync(whom, http.RequestAborted).ConfigureAwait(false) is not { } found)
                return Unlinked(http, whom);
            account = await users.FindByIdAsync(found.Account).ConfigureAwait(false);
            // On an administrator's word alone nobody comes in: the owner's second factor is asked for besides, or who confirmed it knew of the identity.
            if (!found.Confirmed && account is not { TwoFactorEnabled: true })
                return HostProblems.Suspended.ToResult();
        }
        return await EnterAsync(http, signIn, parties, account, whom, back).ConfigureAwait(false);
    }

    private static async Task<IResult> EnterAsync(HttpContext http, AccountSignIn signIn, PartyDirectory parties, Account? account, ProviderSubject whom, string back)
    {
        if (account is null)
            return Unlinked(http, whom);
        // A session would be worth nothing; whoever is told so at the door need not find out page by page.
        if (parties.Party(account.PartyId) is not { } party || party.Disabled)
            return HostProblems.Disabled.ToResult();
        if (party.Suspended)
            return HostProblems.Suspended.ToResult();
        var result = await signIn.ByProviderAsync(account).ConfigureAwait(false);
        return result.Succeeded ? Results.LocalRedirect(back)
            : result.RequiresTwoFactor ? Results.LocalRedirect("/account/totp" + QueryString.Create("returnUrl", back))
            : AccountEndpoints.Failed(http, back, result.IsLockedOut ? HostProblems.Locked : HostProblems.SignInFailed);
    }

    private static IResult Unlinked(HttpContext http, ProviderSubject whom) => ProblemWriting.IsMachine(http.Request)
        ? (HostProblems.IdentityUnlinked with { Extensions = new Dictionary<string, object?> { ["issuer"] = whom.Issuer, ["subject"] = whom.Subject } }).ToResult()
        : AccountPages.Unlinked(http, whom);

    private static async Task<Account?> InvitedAsync(UserManager<Account> users, string name, string token)
    {
        if (name.Length is < 1 or > 128 || token.Length is < 1 or > 2_048 || await users.FindByNameAsync(name).ConfigureAwait(false) is not { } account)
            return null;
        return await users.VerifyUserTokenAsync(
            account, users.Options.Tokens.PasswordResetTokenProvider, UserManager<Account>.ResetPasswordTokenPurpose, token).ConfigureAwait(false) ? account : null;
    }
}
