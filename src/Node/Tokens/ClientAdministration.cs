using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Microsoft.AspNetCore.WebUtilities;
using OpenIddict.Abstractions;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Node.Tokens;

/// <summary><c>/api/v1/clients</c>: programs that act for themselves. Made by the system administrator; their roles are given by the security administrator, as to people.</summary>
internal static partial class ClientAdministration
{
    private const long BodyMax = 64L << 10;

    /// <summary>Clients are listed whole; a node has tens of them.</summary>
    private const int ListMax = 10_000;

    public static void MapClientAdministration(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/clients", ListAsync).WithName("listClients").RequireCaller([.. Separation.Three]).Produces<ClientList>();
        app.MapPost("/api/v1/clients", CreateAsync).WithName("createClient").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax)
            .Produces<ClientSecret>(201).ProducesProblem(409).ProducesProblem(422);
        app.MapPost("/api/v1/clients/{id}/secret", RenewAsync).WithName("renewClientSecret").RequireCallerOrSuspendedClient().AcceptsBody(BodyMax)
            .Produces<ClientSecret>().ProducesProblem(403).ProducesProblem(404).ProducesProblem(409);
    }

    private static async Task<IResult> ListAsync(IOpenIddictApplicationManager clients, PartyDirectory parties, TimeProvider clock, CancellationToken cancel)
    {
        var list = new List<ListedClient>();
        await foreach (var client in clients.ListAsync(ListMax, null, cancel).ConfigureAwait(false))
        {
            var redirectUris = await clients.GetRedirectUrisAsync(client, cancel).ConfigureAwait(false);
            var id = (await clients.GetClientIdAsync(client, cancel).ConfigureAwait(false))!;
            // Neither with a party nor with people to sign in: the node's own command line.
            if (await PartyOfAsync(clients, client, cancel).ConfigureAwait(false) is null && redirectUris.IsDefaultOrEmpty)
                continue;
            var party = await PartyOfAsync(clients, client, cancel).ConfigureAwait(false) ?? ClientRegistration.PartyOf(id);
            list.Add(new ListedClient(
                id, party, parties.Party(party)?.DisplayName, parties.Party(party) is not { Disabled: false }, parties.Party(party) is { Suspended: true }, await clients.HasClientTypeAsync(client, ClientTypes.Public, cancel).ConfigureAwait(false),
                redirectUris, [.. parties.Holdings(party, clock.GetUtcNow()).Select(h => new HeldRole(h.Role, h.Unit, h.Until))]));
        }
        return Results.Json(new ClientList(list));
    }

    private static async Task<IResult> CreateAsync(NewClient body, IOpenIddictApplicationManager clients, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel)
    {
        if (!Id().IsMatch(body.Id))
            return Problem.Invalid("clients.invalid", "A client's id has 1 to 64 lower-case letters, digits and hyphens, a letter first.").ToResult();
        var redirectUris = body.RedirectUris ?? [];
        if (ClientRegistration.Fault(redirectUris, body.Public) is var (english, chinese))
            return Problem.Invalid("clients.redirectUris", english, chinese).ToResult();
        if (await clients.FindByClientIdAsync(body.Id, cancel).ConfigureAwait(false) is not null)
            return Problem.Conflict("clients.exists", "There is a client of this id.").ToResult();
        var name = body.DisplayName ?? body.Id;
        var id = ClientRegistration.PartyOf(body.Id);
        var party = await parties.CreatePartyAsync(callers.Required, id, PartyKind.Client, name, cancel).ConfigureAwait(false);
        // A party without a client is what a request that broke off half way left. It is taken over, and suspended like one whose secret is renewed: it may hold roles by now.
        if (!party.Ok && !(party.Problem.Code == "parties.exists" && parties.Party(id) is { Kind: PartyKind.Client, Bootstrap: false, Disabled: false }))
            return party.Problem.ToResult();
        var renewal = new Renewal(0, Suspended: false);
        if (!party.Ok)
        {
            var renewed = await parties.RenewAsync(callers.Required, id, "create client", cancel: cancel).ConfigureAwait(false);
            if (!renewed.Ok)
                return renewed.Problem.ToResult();
            renewal = renewed.Value;
        }
        var secret = body.Public ? null : NewSecret();
        await clients.CreateAsync(ClientRegistration.Describe(body.Id, name, secret, redirectUris, renewal.Number), cancel).ConfigureAwait(false);
        return parties.Stands(id, renewal)
            ? Results.Created($"/api/v1/clients/{body.Id}", new ClientSecret(body.Id, id, secret, renewal.Suspended)) : PartyDirectory.Renewed.ToResult();
    }

    /// <summary>
    /// A new secret in place of the old one, which ends at once, with the tokens that were given for it. By the client itself, suspended or not: nobody else knows it then. By a system
    /// administrator, who sees it: the party is suspended first, until the client has taken one of its own and a security administrator confirms it.
    /// </summary>
    private static async Task<IResult> RenewAsync(string id, HttpContext http, IOpenIddictApplicationManager clients, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel)
    {
        // Suspended it is no caller: here it may do one thing, for itself.
        var caller = callers.Current ?? callers.Suspended;
        if (caller is null || (!caller.Has(Roles.SystemAdministrator) && caller.Party != ClientRegistration.PartyOf(id)))
            return HostProblems.Denied.ToResult();
        if (await clients.FindByClientIdAsync(id, cancel).ConfigureAwait(false) is not { } client
            || await PartyOfAsync(clients, client, cancel).ConfigureAwait(false) is not { } party || parties.IsBootstrap(party))
            return Problem.NotFound("clients.unknown", "There is no client of this id whose secret could be renewed.").ToResult();
        // A token of a secret that somebody renewed in this very moment takes no other.
        var own = caller.Party == party;
        var renewed = await parties.RenewAsync(caller, party, "renew client secret", renewal: own ? CallerAccessor.RenewalOf(http.User) : null, cancel: cancel).ConfigureAwait(false);
        if (!renewed.Ok)
            return renewed.Problem.ToResult();
        var renewal = renewed.Value;
        var secret = NewSecret();
        if (!await ReplaceAsync(clients, client, secret, renewal.Number, own, cancel).ConfigureAwait(false))
            return PartyDirectory.Renewed.ToResult();
        // Its own may be confirmed as soon as it is kept, before it is shown.
        return parties.Stands(party, renewal) || (own && parties.Party(party)?.Renewals == renewal.Number)
            ? Results.Ok(new ClientSecret(id, party, secret, parties.Party(party) is { Suspended: true })) : PartyDirectory.Renewed.ToResult();
    }

    /// <summary>Keeps a secret with the renewal it was made for; false when another one was kept since the client was read.</summary>
    internal static async Task<bool> ReplaceAsync(IOpenIddictApplicationManager clients, object client, string secret, int renewal, bool own, CancellationToken cancel)
    {
        var descriptor = new OpenIddictApplicationDescriptor();
        await clients.PopulateAsync(descriptor, client, cancel).ConfigureAwait(false);
        descriptor.ClientSecret = secret;
        descriptor.Properties[BootstrapClient.RenewalProperty] = JsonSerializer.SerializeToElement(renewal);
        descriptor.Properties[BootstrapClient.OwnProperty] = JsonSerializer.SerializeToElement(own);
        try
        {
            await clients.UpdateAsync(client, descriptor, cancel).ConfigureAwait(false);
            return true;
        }
        catch (OpenIddictExceptions.ConcurrencyException)
        {
            return false;
        }
    }

    /// <summary>The renewal a client's secret was made for. A secret that says none was made before there were renewals.</summary>
    internal static int RenewalOf(IReadOnlyDictionary<string, JsonElement> properties) =>
        properties.TryGetValue(BootstrapClient.RenewalProperty, out var renewal) && renewal.ValueKind == JsonValueKind.Number ? renewal.GetInt32() : 0;

    /// <summary>
    /// Why a suspended party may not be confirmed yet, or null: of a client with a secret, somebody besides its owner may know it, and could take its place once it acts. A client that
    /// is not there yet (its making broke off) would get such a secret later.
    /// </summary>
    internal static async Task<Problem?> NotOwnAsync(IOpenIddictApplicationManager clients, Party party, CancellationToken cancel)
    {
        if (party is not { Kind: PartyKind.Client, Suspended: true })
            return null;
        if (!party.Id.StartsWith(ClientRegistration.PartyOf(""), StringComparison.Ordinal)
            || await clients.FindByClientIdAsync(party.Id[ClientRegistration.PartyOf("").Length..], cancel).ConfigureAwait(false) is not { } client)
            return SecretNotOwn;
        if (await clients.HasClientTypeAsync(client, ClientTypes.Public, cancel).ConfigureAwait(false))
            return null;
        var properties = await clients.GetPropertiesAsync(client, cancel).ConfigureAwait(false);
        return properties.TryGetValue(BootstrapClient.OwnProperty, out var own) && own.ValueKind == JsonValueKind.True && RenewalOf(properties) == party.Renewals ? null : SecretNotOwn;
    }

    private static readonly Problem SecretNotOwn = Problem.Conflict("clients.secretNotOwn",
        "The client has taken no secret of its own since an administrator made it one. Its owner takes one first, with the secret he was given; that is possible while the client is suspended.");

    private static async Task<string?> PartyOfAsync(IOpenIddictApplicationManager clients, object client, CancellationToken cancel) =>
        (await clients.GetPropertiesAsync(client, cancel).ConfigureAwait(false)).TryGetValue(BootstrapClient.PartyProperty, out var party) ? party.GetString() : null;

    private static string NewSecret() => WebEncoders.Base64UrlEncode(RandomNumberGenerator.GetBytes(32));

    [GeneratedRegex(@"^[a-z][a-z0-9-]{0,63}\z")]
    private static partial Regex Id();

    /// <param name="RedirectUris">Where people come back to after signing in through this client; none for one that acts for itself alone.</param>
    /// <param name="Public">It cannot keep a secret (a program on people's machines), so it gets none and only signs people in.</param>
    internal sealed record NewClient(string Id = "", string? DisplayName = null, IReadOnlyList<string>? RedirectUris = null, bool Public = false);

    /// <param name="Secret">Shown here and nowhere else; the node keeps a hash. Null for a public client.</param>
    /// <param name="Suspended">Whether a security administrator must confirm the party before it acts.</param>
    internal sealed record ClientSecret(string Id, string Party, string? Secret, bool Suspended);

    internal sealed record ClientList(IReadOnlyList<ListedClient> Clients);

    internal sealed record ListedClient(
        string Id, string Party, string? DisplayName, bool Disabled, bool Suspended, bool Public, IReadOnlyList<string> RedirectUris, IReadOnlyList<HeldRole> Roles);

    internal sealed record HeldRole(string Role, string Unit, DateTimeOffset? Until);
}
