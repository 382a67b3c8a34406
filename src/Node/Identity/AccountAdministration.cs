using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity.External;
using Gongzhi.Node.Tokens;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using OpenIddict.Abstractions;

namespace Gongzhi.Node.Identity;

/// <summary>
/// <c>/api/v1/accounts</c>: how people come to sign in. The system administrator makes an account and hands over a link with which its owner alone sets a password;
/// what the person may do is given by the security administrator.
/// </summary>
internal static class AccountAdministration
{
    private const long BodyMax = 64L << 10;

    public static void MapAccountAdministration(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/accounts", ListAsync).WithName("listAccounts").RequireCaller([.. Separation.Three]).Produces<AccountList>();
        app.MapPost("/api/v1/accounts", CreateAsync).WithName("createAccount").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax)
            .Produces<Invitation>(201).ProducesProblem(409).ProducesProblem(422);
        app.MapPost("/api/v1/accounts/{name}/invitation", InviteAsync).WithName("inviteAccount").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax)
            .Produces<Invitation>().ProducesProblem(404).ProducesProblem(409);
        app.MapPost("/api/v1/parties/{id}/confirm", ConfirmAsync).WithName("confirmParty").RequireCaller(Roles.SecurityAdministrator).AcceptsBody(BodyMax)
            .Produces<ConfirmedParty>().ProducesProblem(403).ProducesProblem(404).ProducesProblem(409);
    }

    private static async Task<IResult> ListAsync(UserManager<Account> users, ExternalIdentities identities, PartyDirectory parties, TimeProvider clock, CancellationToken cancel)
    {
        var now = clock.GetUtcNow();
        var all = await users.Users.AsNoTracking().OrderBy(a => a.NormalizedUserName).ToListAsync(cancel).ConfigureAwait(false);
        var bound = await identities.AllAsync(cancel).ConfigureAwait(false);
        return Results.Json(new AccountList([.. all.Select(a => new ListedAccount(
            a.UserName!, a.PartyId, parties.Party(a.PartyId)?.DisplayName, parties.Party(a.PartyId) is not { Disabled: false }, parties.Party(a.PartyId) is { Suspended: true }, a.PasswordHash is not null, a.TwoFactorEnabled,
            bound.TryGetValue(a.Id, out var identity) ? new AccountIdentity(identity.Issuer, identity.Subject, identity.Confirmed) : null,
            a.LockoutEnd > now ? a.LockoutEnd : null, [.. parties.Holdings(a.PartyId, now).Select(h => new AccountRole(h.Role, h.Unit, h.Until))]))]));
    }

    private static async Task<IResult> CreateAsync(
        NewAccount body, HttpContext http, UserManager<Account> users, PartyDirectory parties, NodeOptions options, CallerAccessor callers, TimeProvider clock, CancellationToken cancel)
    {
        var name = body.Name.Trim();
        if (name.Length is < 1 or > 128 || name.Any(char.IsControl))
            return Problem.Invalid("accounts.invalid", "An account needs a name of 1 to 128 characters.").ToResult();
        if (await users.FindByNameAsync(name).ConfigureAwait(false) is not null)
            return Exists.ToResult();
        var id = "person:" + Guid.CreateVersion7(clock.GetUtcNow()).ToString("N");
        var party = await parties.CreatePartyAsync(callers.Required, id, PartyKind.Person, body.DisplayName ?? name, cancel).ConfigureAwait(false);
        if (!party.Ok)
            return party.Problem.ToResult();
        var account = new Account { UserName = name, PartyId = id };
        var made = await users.CreateAsync(account).ConfigureAwait(false);
        // Lost a race for the name: the party stays without an account and without a role.
        return made.Succeeded
            ? Results.Created($"/api/v1/accounts/{Uri.EscapeDataString(name)}", await InvitationAsync(http, users, account, options, clock, suspended: false).ConfigureAwait(false))
            : Exists.ToResult();
    }

    /// <summary>
    /// A new link, for whoever lost the first or the password; older links and every session of the account end when it is used. The second factor stays; without one whoever has the
    /// link could act as the account's owner, so the party is suspended until a security administrator confirms it.
    /// </summary>
    private static async Task<IResult> InviteAsync(
        string name, HttpContext http, UserManager<Account> users, PartyDirectory parties, NodeOptions options, CallerAccessor callers, TimeProvider clock, CancellationToken cancel)
    {
        if (await users.FindByNameAsync(name).ConfigureAwait(false) is not { } account)
            return Unknown.ToResult();
        var opens = !await users.GetTwoFactorEnabledAsync(account).ConfigureAwait(false);
        var renewed = await parties.RenewAsync(callers.Required, account.PartyId, "invite account", opens, cancel: cancel).ConfigureAwait(false);
        if (!renewed.Ok)
            return renewed.Problem.ToResult();
        // By the stamp that was read before the renewal: a confirmation that saw no renewal has changed it by then, or refuses.
        var invitation = await InvitationAsync(http, users, account, options, clock, renewed.Value.Suspended).ConfigureAwait(false);
        return parties.Stands(account.PartyId, renewed.Value) ? Results.Ok(invitation) : PartyDirectory.Renewed.ToResult();
    }

    /// <summary>Ends a suspension. A link that is still unused ends too: it must not be good for somebody else afterwards.</summary>
    private static async Task<IResult> ConfirmAsync(
        string id, Confirmation? body, UserManager<Account> users, ExternalIdentities identities, IOpenIddictApplicationManager clients, PartyDirectory parties, CallerAccessor callers,
        CancellationToken cancel)
    {
        if (parties.MayConfirm(callers.Required, id) is { } denied)
            return denied.ToResult();
        // Read first: whatever is renewed from here on is not what is confirmed.
        var party = parties.Party(id)!;
        if (await ClientAdministration.NotOwnAsync(clients, party, cancel).ConfigureAwait(false) is { } notOwn)
            return notOwn.ToResult();
        if (await identities.ConfirmAsync(callers.Required, id, body?.Subject, cancel).ConfigureAwait(false) is { } unnamed)
            return unnamed.ToResult();
        if (!await EndLinksAsync(users, id, cancel).ConfigureAwait(false))
            return PartyDirectory.Renewed.ToResult();
        return (await parties.ConfirmAsync(callers.Required, id, party.Renewals, cancel).ConfigureAwait(false)).ToResult(confirmed => Results.Ok(new ConfirmedParty(confirmed, Suspended: false)));
    }

    /// <summary>Before the party acts again. False when an account was changed at the same time, even by a failed sign-in: then its links may still be good.</summary>
    internal static async Task<bool> EndLinksAsync(UserManager<Account> users, string party, CancellationToken cancel)
    {
        foreach (var account in await users.Users.Where(a => a.PartyId == party).ToListAsync(cancel).ConfigureAwait(false))
        {
            if (!(await users.UpdateSecurityStampAsync(account).ConfigureAwait(false)).Succeeded)
                return false;
        }
        return true;
    }

    private static async Task<Invitation> InvitationAsync(HttpContext http, UserManager<Account> users, Account account, NodeOptions options, TimeProvider clock, bool suspended)
    {
        var token = await users.GeneratePasswordResetTokenAsync(account).ConfigureAwait(false);
        var start = options.PublicUrl?.TrimEnd('/') ?? $"{http.Request.Scheme}://{http.Request.Host}";
        var query = QueryString.Create("name", account.UserName!).Add("token", token);
        return new Invitation(account.UserName!, account.PartyId, $"{start}/account/invitation{query}", clock.GetUtcNow() + InvitationLife, suspended);
    }

    /// <summary>What Identity's token provider keeps to; set in <see cref="IdentitySetup"/>.</summary>
    internal static readonly TimeSpan InvitationLife = TimeSpan.FromDays(1);

    internal static readonly Problem Unknown = Problem.NotFound("accounts.unknown", "There is no account of this name.");

    private static readonly Problem Exists = Problem.Conflict("accounts.exists", "There is an account of this name.");

    internal sealed record AccountList(IReadOnlyList<ListedAccount> Accounts);

    /// <param name="Subject">The identity that an administrator linked to the party's account, as its owner said it; needed only where there is one.</param>
    internal sealed record Confirmation(string? Subject = null);

    internal sealed record ConfirmedParty(string Id, bool Suspended);

    internal sealed record ListedAccount(
        string Name, string Party, string? DisplayName, bool Disabled, bool Suspended, bool HasPassword, bool TwoFactor, AccountIdentity? Identity, DateTimeOffset? LockedUntil, IReadOnlyList<AccountRole> Roles);

    /// <summary>Who signs in to it at the provider.</summary>
    internal sealed record AccountIdentity(string Issuer, string Subject, bool Confirmed);

    internal sealed record AccountRole(string Role, string Unit, DateTimeOffset? Until);

    internal sealed record NewAccount(string Name = "", string? DisplayName = null);

    /// <param name="Link">Sets the password, once; shown here and nowhere else.</param>
    /// <param name="Suspended">Whether a security administrator must confirm the party before it acts.</param>
    internal sealed record Invitation(string Name, string Party, string Link, DateTimeOffset Until, bool Suspended);
}
