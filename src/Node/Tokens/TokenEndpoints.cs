using System.Collections.Immutable;
using System.Security.Claims;
using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Identity;
using Gongzhi.Node.Web;
using Microsoft.AspNetCore;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Identity;
using OpenIddict.Abstractions;
using OpenIddict.Server.AspNetCore;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Node.Tokens;

/// <summary>The parts of OAuth 2.1 and OpenID Connect that need to know our accounts; OpenIddict does the rest.</summary>
internal static class TokenEndpoints
{
    private const string Server = OpenIddictServerAspNetCoreDefaults.AuthenticationScheme;

    // OAuth's own forms are small; this is far above the longest assertion a client sends.
    private const long FormBytesMax = 64 * 1_024;

    public static void MapTokenEndpoints(this IEndpointRouteBuilder routes)
    {
        routes.MapPost("/connect/token", ExchangeAsync).WithName("token").AllowAnonymous().AcceptsBody(FormBytesMax).ExcludeFromDescription();
        routes.MapGet("/connect/authorize", AuthorizeAsync).WithName("authorize").AllowAnonymous().ExcludeFromDescription();
        routes.MapPost("/connect/authorize", AuthorizeAsync).WithName("authorize-form").AllowAnonymous().AcceptsBody(FormBytesMax).ExcludeFromDescription();
        routes.MapGet("/connect/verify", (Delegate)VerifyPageAsync).WithName("verify").AllowAnonymous().ExcludeFromDescription();
        routes.MapPost("/connect/verify", VerifyAsync).WithName("verify-form").AllowAnonymous().AcceptsBody(FormBytesMax).ExcludeFromDescription();
        routes.MapGet("/connect/userinfo", UserInfoAsync).WithName("userinfo").AllowAnonymous().ExcludeFromDescription();
    }

    private static async Task<IResult> ExchangeAsync(
        HttpContext http, IOpenIddictApplicationManager clients, UserManager<Account> users, SignInManager<Account> signIn, PartyDirectory parties, World world)
    {
        var request = http.GetOpenIddictServerRequest() ?? throw new InvalidOperationException("Not a token request.");
        if (request.IsClientCredentialsGrantType())
        {
            var client = await clients.FindByClientIdAsync(request.ClientId!, http.RequestAborted).ConfigureAwait(false)
                ?? throw new InvalidOperationException("The client disappeared during the request.");
            return Issue(await ForClientAsync(clients, client, request, world, http.RequestAborted).ConfigureAwait(false));
        }

        if (Closed(parties, request))
            return Refuse("This client may no longer be used.");
        // A code, a device code or a refresh token: OpenIddict checked it; the account may have changed since.
        var ticket = await http.AuthenticateAsync(Server).ConfigureAwait(false);
        var subject = ticket.Principal?.GetClaim(Claims.Subject);
        var account = subject is null ? null : await users.FindByIdAsync(subject).ConfigureAwait(false);
        if (account is null || !await signIn.CanSignInAsync(account).ConfigureAwait(false)
            || await users.IsLockedOutAsync(account).ConfigureAwait(false)
            || ticket.Principal!.GetClaim(StampClaim) != await StampAsync(users, account).ConfigureAwait(false))
            return Refuse("The account may no longer sign in, or its credentials changed.");
        if (Suspended(parties, account))
            return Refuse(SuspendedText);
        var fresh = await ForAccountAsync(users, account, ticket.Principal!.GetScopes(), world).ConfigureAwait(false);
        fresh.SetAuthorizationId(ticket.Principal!.GetAuthorizationId());
        return Issue(fresh);
    }

    private static async Task<IResult> AuthorizeAsync(
        HttpContext http, IOpenIddictApplicationManager clients, UserManager<Account> users, PartyDirectory parties, World world)
    {
        var request = http.GetOpenIddictServerRequest() ?? throw new InvalidOperationException("Not an authorization request.");
        if (Closed(parties, request))
            return Results.Forbid(Error(Errors.UnauthorizedClient, "This client may no longer be used."), [Server]);
        var session = await http.AuthenticateAsync(IdentityConstants.ApplicationScheme).ConfigureAwait(false);
        var account = session.Succeeded ? await users.GetUserAsync(session.Principal).ConfigureAwait(false) : null;
        if (account is null)
        {
            if (request.HasPromptValue(PromptValues.None))
                return Results.Forbid(Error(Errors.LoginRequired, "Nobody is signed in."), [Server]);
            // OpenIddict keeps no state here: the whole request comes back after signing in.
            var parameters = http.Request.HasFormContentType
                ? (await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false)).ToList()
                : http.Request.Query.ToList();
            var back = http.Request.PathBase + http.Request.Path + QueryString.Create(parameters);
            return Results.Redirect("/account/sign-in" + QueryString.Create("returnUrl", back));
        }
        var client = await clients.FindByClientIdAsync(request.ClientId!, http.RequestAborted).ConfigureAwait(false)
            ?? throw new InvalidOperationException("The client disappeared during the request.");
        if (await clients.GetConsentTypeAsync(client, http.RequestAborted).ConfigureAwait(false) != ConsentTypes.Implicit)
            return Results.Forbid(Error(Errors.ConsentRequired, HostProblems.ConsentNeeded.Detail), [Server]);
        if (Suspended(parties, account))
            return Results.Forbid(Error(Errors.AccessDenied, SuspendedText), [Server]);
        return Issue(await ForAccountAsync(users, account, request.GetScopes(), world).ConfigureAwait(false));
    }

    /// <summary>Whether nobody signs in through a client: it is disabled, or somebody else may know its secret.</summary>
    private static bool Closed(PartyDirectory parties, OpenIddictRequest request) =>
        parties.Party(ClientRegistration.PartyOf(request.ClientId!)) is { Disabled: true } or { Suspended: true };

    /// <summary>A token given now would still be good after the confirmation, to whoever has it now.</summary>
    private static bool Suspended(PartyDirectory parties, Account account) => parties.Party(account.PartyId) is { Suspended: true };

    private const string SuspendedText = "The account is suspended until a security administrator confirms it.";

    private static async Task<IResult> VerifyPageAsync(HttpContext http)
    {
        var session = await http.AuthenticateAsync(IdentityConstants.ApplicationScheme).ConfigureAwait(false);
        if (!session.Succeeded)
        {
            var back = http.Request.Path + http.Request.QueryString;
            return Results.Redirect("/account/sign-in" + QueryString.Create("returnUrl", back));
        }
        // The route is open to all, so the session read here is what the frame and the form token must know of.
        http.User = session.Principal!;
        var code = http.Request.Query["user_code"].ToString();
        var ticket = await http.AuthenticateAsync(Server).ConfigureAwait(false);
        var client = ticket.Principal?.GetClaim(Claims.ClientId);
        return AccountPages.Device(http, code.Length is > 0 and <= 64 ? code : null, client, failed: code.Length > 0 && client is null);
    }

    private static async Task<IResult> VerifyAsync(HttpContext http, IAntiforgery forms, UserManager<Account> users, PartyDirectory parties, World world)
    {
        var session = await http.AuthenticateAsync(IdentityConstants.ApplicationScheme).ConfigureAwait(false);
        var account = session.Succeeded ? await users.GetUserAsync(session.Principal).ConfigureAwait(false) : null;
        if (account is null)
            return HostProblems.SignInNeeded.ToResult();
        http.User = session.Principal!;
        if (!await forms.IsRequestValidAsync(http).ConfigureAwait(false))
            return HostProblems.Antiforgery.ToResult();
        var ticket = await http.AuthenticateAsync(Server).ConfigureAwait(false);
        if (ticket.Principal?.GetClaim(Claims.ClientId) is null)
            return AccountPages.Device(http, null, null, failed: true);
        var form = await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        var home = new AuthenticationProperties { RedirectUri = "/connect/verify/done" };
        if (form["decision"] != "allow" || Suspended(parties, account))
            return Results.Forbid(home, [Server]);
        var principal = await ForAccountAsync(users, account, ticket.Principal.GetScopes(), world).ConfigureAwait(false);
        return Results.SignIn(principal, home, Server);
    }

    private static async Task<IResult> UserInfoAsync(HttpContext http, UserManager<Account> users)
    {
        var ticket = await http.AuthenticateAsync(Server).ConfigureAwait(false);
        var subject = ticket.Principal?.GetClaim(Claims.Subject);
        if (subject is null || await users.FindByIdAsync(subject).ConfigureAwait(false) is not { } account)
            return Results.Challenge(Error(Errors.InvalidToken, "The token names no account."), [Server]);
        var answer = new Dictionary<string, object?> { [Claims.Subject] = account.Id, [PartyClaims.Party] = account.PartyId };
        if (ticket.Principal!.HasScope(Scopes.Profile))
            answer[Claims.Name] = account.UserName;
        return Results.Json(answer);
    }

    private const string StampClaim = "gz_stamp";

    private static async Task<ClaimsPrincipal> ForClientAsync(
        IOpenIddictApplicationManager clients, object client, OpenIddictRequest request, World world, CancellationToken cancel)
    {
        var properties = await clients.GetPropertiesAsync(client, cancel).ConfigureAwait(false);
        var identity = NewIdentity();
        identity.SetClaim(Claims.Subject, request.ClientId);
        identity.SetClaim(Claims.Name, await clients.GetDisplayNameAsync(client, cancel).ConfigureAwait(false) ?? request.ClientId);
        var party = properties.TryGetValue(BootstrapClient.PartyProperty, out var p) && p.ValueKind == JsonValueKind.String
            ? p.GetString()! : "client:" + request.ClientId;
        identity.SetClaim(PartyClaims.Party, party);
        // Of the same row as the secret that was just checked, so never that of a later one.
        identity.SetClaim(PartyClaims.Renewal, ClientAdministration.RenewalOf(properties).ToString(System.Globalization.CultureInfo.InvariantCulture));
        if (properties.TryGetValue(BootstrapClient.RolesProperty, out var roles) && roles.ValueKind == JsonValueKind.Array)
            identity.SetClaims(PartyClaims.Role, [.. roles.EnumerateArray().Select(r => r.GetString()!)]);
        identity.SetScopes(request.GetScopes());
        return Finish(identity, world);
    }

    private static async Task<ClaimsPrincipal> ForAccountAsync(
        UserManager<Account> users, Account account, ImmutableArray<string> scopes, World world)
    {
        var identity = NewIdentity();
        identity.SetClaim(Claims.Subject, account.Id);
        identity.SetClaim(Claims.Name, account.UserName);
        identity.SetClaim(PartyClaims.Party, account.PartyId);
        identity.SetClaim(StampClaim, await StampAsync(users, account).ConfigureAwait(false));
        var claims = await users.GetClaimsAsync(account).ConfigureAwait(false);
        identity.SetClaims(PartyClaims.Role, [.. claims.Where(c => c.Type == PartyClaims.Role).Select(c => c.Value)]);
        identity.SetClaims(PartyClaims.Unit, [.. claims.Where(c => c.Type == PartyClaims.Unit).Select(c => c.Value)]);
        identity.SetScopes(scopes);
        return Finish(identity, world);
    }

    /// <summary>Ends refresh tokens when the password or second factor changes. A digest, since the stamp itself seeds one-time codes.</summary>
    private static async Task<string> StampAsync(UserManager<Account> users, Account account) =>
        Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(
            System.Text.Encoding.UTF8.GetBytes(await users.GetSecurityStampAsync(account).ConfigureAwait(false))))[..32];

    private static ClaimsIdentity NewIdentity() => new("OpenIddict", Claims.Name, PartyClaims.Role);

    private static ClaimsPrincipal Finish(ClaimsIdentity identity, World world)
    {
        identity.SetResources(TokenSetup.Audience(world));
        identity.SetDestinations(claim => claim.Type switch
        {
            StampClaim => [],
            Claims.Name when identity.HasScope(Scopes.Profile) => [Destinations.IdentityToken],
            Claims.Name => [],
            Claims.Subject => [Destinations.AccessToken, Destinations.IdentityToken],
            _ => [Destinations.AccessToken],
        });
        return new ClaimsPrincipal(identity);
    }

    private static IResult Issue(ClaimsPrincipal principal) => Results.SignIn(principal, null, Server);

    private static IResult Refuse(string description) => Results.Forbid(Error(Errors.InvalidGrant, description), [Server]);

    private static AuthenticationProperties Error(string error, string description) => new(new Dictionary<string, string?>
    {
        [OpenIddictServerAspNetCoreConstants.Properties.Error] = error,
        [OpenIddictServerAspNetCoreConstants.Properties.ErrorDescription] = description,
    });
}
