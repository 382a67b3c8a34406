using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Node.Web;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Identity;

/// <summary>Passkeys (WebAuthn): options and answers as the browser's own JSON. The challenge lives in a protected cookie between the two.</summary>
internal static class PasskeyEndpoints
{
    // An attestation with a certificate chain is a few kilobytes.
    private const long BodyBytesMax = 64 * 1_024;

    /// <summary>Passkeys one account may hold.</summary>
    private const int PerAccountMax = 20;

    public static void MapPasskeyEndpoints(this IEndpointRouteBuilder routes)
    {
        var passkey = routes.MapGroup("/account/passkey").ExcludeFromDescription().AcceptsBody(BodyBytesMax).AddEndpointFilter(AccountEndpoints.RequireFormToken);
        passkey.MapPost("/request-options", RequestOptionsAsync).WithName("passkey-request-options").AllowAnonymous();
        passkey.MapPost("/sign-in", SignInAsync).WithName("passkey-sign-in").AllowAnonymous();
        passkey.MapPost("/creation-options", CreationOptionsAsync).WithName("passkey-creation-options").RequireCaller();
        passkey.MapPost("/register", RegisterAsync).WithName("passkey-register").RequireCaller();
    }

    private static async Task<IResult> RequestOptionsAsync(SignInManager<Account> signIn) =>
        // No account is named: a discoverable credential says who it is, and nobody learns which names have passkeys.
        Results.Content(await signIn.MakePasskeyRequestOptionsAsync(null).ConfigureAwait(false), "application/json");

    private static async Task<IResult> SignInAsync(SignInManager<Account> signIn, JsonElement credential)
    {
        try
        {
            var result = await signIn.PasskeySignInAsync(credential.GetRawText()).ConfigureAwait(false);
            return result.Succeeded ? Results.NoContent()
                : (result.IsLockedOut ? HostProblems.Locked : HostProblems.PasskeyFailed).ToResult();
        }
        catch (InvalidOperationException)
        {
            // Thrown when no challenge was asked for in this browser.
            return HostProblems.PasskeyFailed.ToResult();
        }
    }

    private static async Task<IResult> CreationOptionsAsync(HttpContext http, UserManager<Account> users, SignInManager<Account> signIn)
    {
        if (await users.GetUserAsync(http.User).ConfigureAwait(false) is not { } account)
            return HostProblems.SignInNeeded.ToResult();
        return Results.Content(await signIn.MakePasskeyCreationOptionsAsync(new PasskeyUserEntity
        {
            Id = account.Id,
            Name = account.UserName!,
            DisplayName = account.UserName!,
        }).ConfigureAwait(false), "application/json");
    }

    private static async Task<IResult> RegisterAsync(
        HttpContext http, UserManager<Account> users, SignInManager<Account> signIn, JsonElement credential)
    {
        if (await users.GetUserAsync(http.User).ConfigureAwait(false) is not { } account)
            return HostProblems.SignInNeeded.ToResult();
        PasskeyAttestationResult result;
        try
        {
            result = await signIn.PerformPasskeyAttestationAsync(credential.GetRawText()).ConfigureAwait(false);
        }
        catch (InvalidOperationException)
        {
            return HostProblems.PasskeyFailed.ToResult();
        }
        if (!result.Succeeded || result.UserEntity.Id != account.Id)
            return HostProblems.PasskeyFailed.ToResult();
        if ((await users.GetPasskeysAsync(account).ConfigureAwait(false)).Count >= PerAccountMax)
            return HostProblems.PasskeyFailed.ToResult();
        var saved = await users.AddOrUpdatePasskeyAsync(account, result.Passkey).ConfigureAwait(false);
        return saved.Succeeded ? Results.NoContent() : HostProblems.PasskeyFailed.ToResult();
    }
}
