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
        app.MapPost("/api/v1/clients/{id}/secret", RenewAsync).WithName("renewClientSecret").RequireCaller().AcceptsBody(BodyMax)
            .Produces<ClientSecret>().ProducesProblem(403).ProducesProblem(404);
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
        if (!party.Ok && await parties.RenewAsync(callers.Required, id, "create client", cancel: cancel).ConfigureAwait(false) is { Ok: false } refused)
            return refused.Problem.ToResult();
        var secret = body.Public ? null : NewSecret();
        await clients.CreateAsync(ClientRegistration.Describe(body.Id, name, secret, redirectUris), cancel).ConfigureAwait(false);
        return Results.Created($"/api/v1/clients/{body.Id}", new ClientSecret(body.Id, id, secret, parties.Party(id) is { Suspended: true }));
    }

    /// <summary>
    /// A new secret in place of the old one, which ends at once. By the client itself: nobody else knows it then. By a system administrator, who sees it: the party is suspended first,
    /// its tokens with it, until a security administrator confirms it.
    /// </summary>
    private static async Task<IResult> RenewAsync(string id, IOpenIddictApplicationManager clients, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel)
    {
        var caller = callers.Required;
        if (!caller.Has(Roles.SystemAdministrator) && caller.Party != "client:" + id)
            return HostProblems.Denied.ToResult();
        if (await clients.FindByClientIdAsync(id, cancel).ConfigureAwait(false) is not { } client
            || await PartyOfAsync(clients, client, cancel).ConfigureAwait(false) is not { } party || parties.IsBootstrap(party))
            return Problem.NotFound("clients.unknown", "There is no client of this id whose secret could be renewed.").ToResult();
        if (await parties.RenewAsync(caller, party, "renew client secret", cancel: cancel).ConfigureAwait(false) is { Ok: false } refused)
            return refused.Problem.ToResult();
        var secret = NewSecret();
        await clients.UpdateAsync(client, secret, cancel).ConfigureAwait(false);
        return Results.Ok(new ClientSecret(id, party, secret, parties.Party(party) is { Suspended: true }));
    }

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
