using System.Security.Cryptography;
using Gongzhi.Core;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Storage;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Node.Identity.External;

/// <summary>
/// Which account signs in by which identity at the provider. A change of it and what it does to the account (its sessions, links, password) are one transaction with its audit entry.
/// </summary>
internal sealed class ExternalIdentities(NodeWriter writer, IDbContextFactory<NodeDb> contexts, TimeProvider time)
{
    public static readonly Problem Taken = Problem.Conflict(
        "accounts.identityTaken", "This identity already signs in to another account. One identity signs in to one account.", "该身份已用于登录另一个账号。一个身份只能登录一个账号。");

    public static readonly Problem Bound = Problem.Conflict(
        "accounts.identityBound", "The account already signs in by another identity. An administrator must remove that one first.", "该账号已绑定另一个身份，须先由管理员解除绑定。");

    public static readonly Problem Unnamed = Problem.Conflict(
        "accounts.identityUnnamed", "An administrator linked an identity to this account. Name its subject as the owner told you; if it is not his, have the link removed.",
        "管理员为该账号绑定了外部身份。请填写本人告知的标识（subject）；若不是本人的身份，请先解除绑定。");

    public static readonly Problem Unknown = Problem.NotFound("accounts.identityUnknown", "No identity at the provider is linked to this account.") with { Chinese = "该账号未绑定外部身份。" };

    /// <summary>The account that an identity signs in to, or null: then it opens nothing.</summary>
    public async Task<(string Account, bool Confirmed)?> FindAsync(ProviderSubject whom, CancellationToken cancel)
    {
        var db = await contexts.CreateDbContextAsync(cancel).ConfigureAwait(false);
        await using var _ = db.ConfigureAwait(false);
        return await db.Set<ExternalIdentity>().AsNoTracking().FirstOrDefaultAsync(i => i.Issuer == whom.Issuer && i.Subject == whom.Subject, cancel).ConfigureAwait(false) is { } found
            ? (found.Account, found.Confirmed) : null;
    }

    /// <summary>The identity of an account, or null.</summary>
    public async Task<ExternalIdentity?> OfAsync(string account, CancellationToken cancel) => (await AllAsync(cancel, account).ConfigureAwait(false)).GetValueOrDefault(account);

    /// <summary>All identities, or that of one account, by the account's id.</summary>
    public async Task<IReadOnlyDictionary<string, ExternalIdentity>> AllAsync(CancellationToken cancel, string? account = null)
    {
        var db = await contexts.CreateDbContextAsync(cancel).ConfigureAwait(false);
        await using var _ = db.ConfigureAwait(false);
        return await db.Set<ExternalIdentity>().AsNoTracking().Where(i => account == null || i.Account == account).ToDictionaryAsync(i => i.Account, cancel).ConfigureAwait(false);
    }

    /// <summary>
    /// The owner uses his link by signing in at the provider. The link, sessions, an older password and, unless a second factor stands, passkeys of the account end with it: from then on it opens by what its owner has just shown.
    /// </summary>
    /// <param name="account">As it was when its link was found to be good; changed since, nothing is done.</param>
    /// <param name="whom">As the provider says.</param>
    /// <param name="cancel">Before it is kept.</param>
    public Task<Result<ExternalIdentity>> AcceptAsync(Account account, ProviderSubject whom, CancellationToken cancel) => ChangeAsync<ExternalIdentity>(account.PartyId, "accept invitation by provider", db =>
    {
        if (Clash(db, account.Id, whom) is { } clash)
            return clash;
        if (db.Set<Account>().Find(account.Id) is not { } own || own.SecurityStamp != account.SecurityStamp)
            return PartyDirectory.Renewed;
        var bound = db.Set<ExternalIdentity>().Find(account.Id);
        if (bound is not null && bound.Whom != whom)
            return Bound;
        if (bound is null)
            db.Add(bound = new ExternalIdentity { Account = account.Id, Issuer = whom.Issuer, Subject = whom.Subject });
        bound.Confirmed = true;
        own.PasswordHash = null;
        if (!own.TwoFactorEnabled)
            db.RemoveRange(db.Set<IdentityUserPasskey<string>>().Where(p => p.UserId == own.Id));
        own.LockoutEnd = null;
        own.AccessFailedCount = 0;
        Restamp(own);
        return bound;
    }, cancel);

    /// <summary>An administrator says which identity is the account's; its older one and its sessions end. <paramref name="renewal"/> must still be the party's last.</summary>
    public Task<Result<ExternalIdentity>> LinkAsync(Caller caller, Account account, ProviderSubject whom, Renewal renewal, bool confirmed, CancellationToken cancel) =>
        ChangeAsync<ExternalIdentity>(caller.Party, "link identity", db =>
        {
            if (Clash(db, account.Id, whom) is { } clash)
                return clash;
            // Looked at where it is written: a confirmation before this one was on the word of an owner who knew nothing of this identity.
            if (db.Set<Party>().Find(account.PartyId) is not { } party || party.Renewals != renewal.Number || party.Suspended != renewal.Suspended
                || db.Set<Account>().Find(account.Id) is not { } own)
                return PartyDirectory.Renewed;
            var bound = db.Set<ExternalIdentity>().Find(account.Id);
            if (bound is null)
                db.Add(bound = new ExternalIdentity { Account = account.Id, Issuer = whom.Issuer, Subject = whom.Subject });
            (bound.Issuer, bound.Subject, bound.Confirmed) = (whom.Issuer, whom.Subject, confirmed);
            Restamp(own);
            return bound;
        }, cancel);

    /// <summary>Ends the link, and the sessions of the account with it. It opens nothing, so nobody is suspended.</summary>
    public Task<Result<ExternalIdentity>> RemoveAsync(string author, Account account, CancellationToken cancel) => ChangeAsync<ExternalIdentity>(author, "unlink identity", db =>
    {
        if (db.Set<ExternalIdentity>().Find(account.Id) is not { } bound || db.Set<Account>().Find(account.Id) is not { } own)
            return Unknown;
        db.Remove(bound);
        Restamp(own);
        return bound;
    }, cancel);

    /// <summary>Why the party may not be confirmed yet, or null: an identity that only an administrator vouches for must be named by who confirms it.</summary>
    public async Task<Problem?> ConfirmAsync(Caller caller, string party, string? subject, CancellationToken cancel)
    {
        var confirmed = await ChangeAsync<bool>(caller.Party, "confirm identity", db =>
        {
            var accounts = db.Set<Account>().Where(a => a.PartyId == party).Select(a => a.Id).ToList();
            var unconfirmed = db.Set<ExternalIdentity>().Where(i => accounts.Contains(i.Account) && !i.Confirmed).ToList();
            if (unconfirmed.Any(i => i.Subject != subject))
                return Unnamed;
            foreach (var identity in unconfirmed)
                identity.Confirmed = true;
            return true;
        }, cancel).ConfigureAwait(false);
        return confirmed.Ok ? null : confirmed.Problem;
    }

    private static Problem? Clash(NodeDb db, string account, ProviderSubject whom) =>
        db.Set<ExternalIdentity>().Any(i => i.Issuer == whom.Issuer && i.Subject == whom.Subject && i.Account != account) ? Taken : null;

    /// <summary>What sessions, links and refresh tokens were made from is no more.</summary>
    private static void Restamp(Account account)
    {
        account.SecurityStamp = Convert.ToHexString(RandomNumberGenerator.GetBytes(20));
        account.ConcurrencyStamp = Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
    }

    private async Task<Result<T>> ChangeAsync<T>(string author, string reason, Func<NodeDb, Result<T>> change, CancellationToken cancel)
    {
        try
        {
            return await writer.ChangeAsync((db, _) =>
            {
                db.Audit = new AuditContext(author, time.GetUtcNow(), reason);
                return change(db);
            }, cancel).ConfigureAwait(false);
        }
        catch (DbUpdateException)
        {
            // Another machine was quicker with the same account or the same identity; the database keeps both to one.
            return PartyDirectory.Renewed;
        }
    }
}
