using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Identity.External;

/// <summary>
/// <c>/api/v1/accounts/{name}/identity</c>: which identity at the provider an account signs in by. A link that the system administrator makes could let him act as the account's owner, so
/// the party is suspended with it, as by a new link for a password.
/// </summary>
internal static class IdentityAdministration
{
    private const long BodyMax = 64L << 10;

    public static void MapIdentityAdministration(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/accounts/{name}/identity", ShowAsync).WithName("showIdentity").RequireCaller([.. Separation.Three])
            .Produces<ShownIdentity>().ProducesProblem(404);
        app.MapPut("/api/v1/accounts/{name}/identity", LinkAsync).WithName("linkIdentity").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax)
            .Produces<LinkedIdentity>().ProducesProblem(404).ProducesProblem(409).ProducesProblem(422);
        app.MapDelete("/api/v1/accounts/{name}/identity", RemoveAsync).WithName("unlinkIdentity").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax)
            .Produces<ShownIdentity>().ProducesProblem(404).ProducesProblem(409);
    }

    private static async Task<IResult> ShowAsync(string name, UserManager<Account> users, ExternalIdentities identities, CancellationToken cancel)
    {
        if (await users.FindByNameAsync(name).ConfigureAwait(false) is not { } account)
            return AccountAdministration.Unknown.ToResult();
        return await identities.OfAsync(account.Id, cancel).ConfigureAwait(false) is { } identity
            ? Results.Ok(ShownIdentity.Of(name, account, identity)) : ExternalIdentities.Unknown.ToResult();
    }

    private static async Task<IResult> LinkAsync(
        string name, NamedIdentity body, HttpContext http, UserManager<Account> users, ExternalIdentities identities, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel)
    {
        if (await users.FindByNameAsync(name).ConfigureAwait(false) is not { } account)
            return AccountAdministration.Unknown.ToResult();
        if (http.RequestServices.GetService<ExternalProvider>() is not { } provider)
            return NoProvider.ToResult();
        var whom = ProviderSubject.Of(provider.Authority.AbsoluteUri, body.Subject.Trim());
        if (!whom.IsWellFormed)
            return Problem.Invalid("accounts.identityInvalid", "A subject is a text of 1 to 255 characters.", "标识（subject）须为 1 至 255 个字符。").ToResult();
        // Before anybody is suspended for nothing.
        if (await identities.FindAsync(whom, cancel).ConfigureAwait(false) is { } found)
        {
            if (found.Account != account.Id)
                return ExternalIdentities.Taken.ToResult();
            return Results.Ok(new LinkedIdentity(name, account.PartyId, whom.Issuer, whom.Subject, found.Confirmed, parties.Party(account.PartyId) is { Suspended: true }));
        }
        // With a second factor nobody is suspended, and so nobody has confirmed that the identity is the owner's.
        var opens = !await users.GetTwoFactorEnabledAsync(account).ConfigureAwait(false);
        var renewed = await parties.RenewAsync(callers.Required, account.PartyId, "link identity", opens, cancel: cancel).ConfigureAwait(false);
        if (!renewed.Ok)
            return renewed.Problem.ToResult();
        return (await identities.LinkAsync(callers.Required, account, whom, renewed.Value, confirmed: opens && !renewed.Value.Suspended, cancel).ConfigureAwait(false)).ToResult(identity =>
            Results.Ok(new LinkedIdentity(name, account.PartyId, identity.Issuer, identity.Subject, identity.Confirmed, renewed.Value.Suspended)));
    }

    private static async Task<IResult> RemoveAsync(string name, UserManager<Account> users, ExternalIdentities identities, CallerAccessor callers, CancellationToken cancel)
    {
        if (await users.FindByNameAsync(name).ConfigureAwait(false) is not { } account)
            return AccountAdministration.Unknown.ToResult();
        return (await identities.RemoveAsync(callers.Required.Party, account, cancel).ConfigureAwait(false)).ToResult(identity => Results.Ok(ShownIdentity.Of(name, account, identity)));
    }

    private static readonly Problem NoProvider = Problem.Conflict(
        "accounts.noProvider", "This node has no provider to sign in at; its operator sets one.", "本节点未配置统一身份认证平台，须由运维人员设置。");

    /// <param name="Subject">What the provider calls the person (<c>sub</c>); the page that turned the person away shows it.</param>
    internal sealed record NamedIdentity(string Subject = "");

    /// <param name="Confirmed">Whether its owner or a security administrator has confirmed it; else nobody comes in by it without the account's second factor.</param>
    internal sealed record ShownIdentity(string Name, string Party, string Issuer, string Subject, bool Confirmed)
    {
        public static ShownIdentity Of(string name, Account account, ExternalIdentity identity) => new(name, account.PartyId, identity.Issuer, identity.Subject, identity.Confirmed);
    }

    /// <param name="Suspended">Whether a security administrator must confirm the party, naming the subject, before it acts.</param>
    internal sealed record LinkedIdentity(string Name, string Party, string Issuer, string Subject, bool Confirmed, bool Suspended);
}
