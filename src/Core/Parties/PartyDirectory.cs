using System.Collections.Frozen;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Parties;

/// <summary>Who there is, what they hold now, and the changes of both. Reading is from memory.</summary>
public sealed class PartyDirectory
{
    /// <summary>Units above a unit; a longer chain is refused.</summary>
    public const int UnitDepthMax = 16;

    /// <summary>The author of what is done on a stopped node: whoever holds the data directory.</summary>
    public const string Operator = "operator";

    private readonly NodeWriter _writer;
    private readonly TimeProvider _time;
    private readonly Snapshot<Everyone> _snapshot;

    public PartyDirectory(NodeWriter writer, Func<NodeDb> open, PolicyEpoch epoch, TimeProvider time)
    {
        (_writer, _time) = (writer, time);
        _snapshot = new(open, Read, epoch);
    }

    private sealed record Everyone(FrozenDictionary<string, Unit> Units, FrozenDictionary<string, Party> Parties, FrozenDictionary<string, RoleHolding[]> Holdings);

    public Unit? Unit(string id) => _snapshot.Value.Units.GetValueOrDefault(id);
    public Party? Party(string id) => _snapshot.Value.Parties.GetValueOrDefault(id);
    public IReadOnlyCollection<Unit> Units => _snapshot.Value.Units.Values;
    public IReadOnlyCollection<Party> Parties => _snapshot.Value.Parties.Values;

    /// <summary>The roles a party holds at a moment. A party whose roles break the separation (tampered tables) holds none.</summary>
    public IReadOnlyList<RoleHolding> Holdings(string party, DateTimeOffset now)
    {
        var all = _snapshot.Value;
        if (!all.Holdings.TryGetValue(party, out var every) || !all.Parties.TryGetValue(party, out var who) || who.Disabled || who.Suspended)
            return [];
        var held = every.Where(h => h.At(now)).ToList();
        return who is not { Bootstrap: true, Kind: PartyKind.Client } && held.Any(a => held.Any(b => Separation.Excludes(a.Role, b.Role))) ? [] : held;
    }

    /// <summary>The roles a party holds or will hold, used or not, disabled or not: what a gift to a role or a unit would reach it by.</summary>
    internal IReadOnlyList<RoleHolding> Standing(string party, DateTimeOffset now) =>
        [.. (_snapshot.Value.Holdings.GetValueOrDefault(party) ?? []).Where(h => h.Until is null || now < h.Until)];

    /// <summary>What the party held at a moment that is past, whatever has become of it since; for telling history, not for deciding.</summary>
    public IReadOnlyList<RoleHolding> HeldAt(string party, DateTimeOffset moment) =>
        [.. (_snapshot.Value.Holdings.GetValueOrDefault(party) ?? []).Where(h => h.At(moment))];

    /// <summary>The moments at which roles of the party began or ended, ascending.</summary>
    public IReadOnlyList<DateTimeOffset> Changes(string party) =>
        [.. (_snapshot.Value.Holdings.GetValueOrDefault(party) ?? []).SelectMany(h => h.Until is { } until ? (DateTimeOffset[])[h.Since, until] : [h.Since]).Distinct().Order()];

    /// <summary>When the party's roles next begin or end after <paramref name="now"/>.</summary>
    internal DateTimeOffset NextBoundary(string party, DateTimeOffset now) =>
        (_snapshot.Value.Holdings.GetValueOrDefault(party) ?? [])
            .SelectMany(h => (DateTimeOffset[])[h.Since, h.Until ?? DateTimeOffset.MaxValue]).Where(t => t > now).DefaultIfEmpty(DateTimeOffset.MaxValue).Min();

    /// <summary>Whether there is such a party and it may act.</summary>
    public bool Acts(string party) => Party(party) is { Disabled: false, Suspended: false };

    /// <summary>Which of the three administrators no person holds now; the bootstrap client does not count.</summary>
    public IReadOnlyList<string> MissingAdministrators()
    {
        var now = _time.GetUtcNow();
        var held = Parties.Where(p => !p.Bootstrap).SelectMany(p => Holdings(p.Id, now)).Select(h => h.Role).ToHashSet();
        return [.. Separation.Three.Where(role => !held.Contains(role))];
    }

    /// <summary>The caller for an authenticated party, or null when nobody of that id is known or it was disabled.</summary>
    public Caller? Resolve(string party)
    {
        if (!Acts(party))
            return null;
        var held = Holdings(party, _time.GetUtcNow());
        return new Caller
        {
            Party = party,
            Units = [.. held.OrderBy(h => h.Since).ThenBy(h => h.Id, StringComparer.Ordinal).Select(h => h.Unit).Distinct()],
            Roles = held.Select(h => h.Role).ToHashSet(),
        };
    }

    /// <summary>
    /// The caller for a token or session. A client's token tells for which of its renewals the secret was made: one of another is worth nothing, however long it would still last,
    /// and neither is one that tells none.
    /// </summary>
    public Caller? Resolve(string party, int? renewal) => Party(party) is { Kind: PartyKind.Client } client && client.Renewals != renewal ? null : Resolve(party);

    /// <summary>A suspended client that shows its last secret, without any role or unit: to take a secret of its own, and for nothing else.</summary>
    public Caller? Suspended(string party, int? renewal) =>
        Party(party) is { Kind: PartyKind.Client, Suspended: true, Disabled: false } client && client.Renewals == renewal ? new Caller { Party = party, Units = [], Roles = new HashSet<string>() } : null;

    /// <summary>What of the directory's holdings the caller uses: a caller can narrow what its party holds, never widen it.</summary>
    public IReadOnlyList<RoleHolding> Holdings(Caller caller, DateTimeOffset now) =>
        [.. Holdings(caller.Party, now).Where(h => caller.Roles.Contains(h.Role) && caller.Units.Contains(h.Unit))];

    public bool IsBootstrap(string party) => Party(party) is { Bootstrap: true, Kind: PartyKind.Client };

    /// <summary>Whether the caller holds the role in this very unit now.</summary>
    public bool Holds(Caller caller, string role, string unit) =>
        Holdings(caller, _time.GetUtcNow()).Any(h => h.Role == role && h.Unit == unit);

    /// <summary>Whether the caller holds the role in this unit or in one above it, or is the bootstrap client.</summary>
    public bool Governs(Caller caller, string role, string? unit)
    {
        if (IsBootstrap(caller.Party))
            return true;
        var held = Holdings(caller, _time.GetUtcNow()).Where(h => h.Role == role).Select(h => h.Unit).ToHashSet();
        for (var depth = 0; unit is not null && depth <= UnitDepthMax; depth++)
        {
            if (held.Contains(unit))
                return true;
            unit = Unit(unit)?.Parent;
        }
        return false;
    }

    /// <summary>At the node's start: the client that sets everything up, and the first unit if it is missing. Not reachable from any API.</summary>
    public Task EnsureBootstrapAsync(string client, Unit unit, CancellationToken cancel = default) => ChangeAsync<string>("node", "bootstrap", db =>
    {
        if (db.Set<Unit>().Find(unit.Id) is null)
            db.Add(unit);
        if (db.Set<Party>().Find(client) is not { } party)
            db.Add(new Party { Id = client, Kind = PartyKind.Client, DisplayName = client, Bootstrap = true });
        else if (!party.Bootstrap)
            throw new InvalidOperationException($"The party {client} exists and is not a bootstrap client.");
        var held = db.Set<RoleHolding>().Where(h => h.Party == client && h.Unit == unit.Id && h.Until == null).Select(h => h.Role).ToHashSet();
        foreach (var role in (string[])[Roles.SystemAdministrator, Roles.SecurityAdministrator, Roles.AuditAdministrator, Roles.Steward, Roles.Contributor, Roles.Reader, Roles.DutyOfficer])
        {
            if (!held.Contains(role))
                db.Add(Holding(client, role, unit.Id, _time.GetUtcNow(), null));
        }
        return client;
    }, cancel);

    /// <summary>At the node's first start: the person who creates everyone else, a system administrator of the first unit. Not reachable from any API.</summary>
    public Task EnsureFirstAdministratorAsync(string id, string displayName, Unit unit, CancellationToken cancel = default) => ChangeAsync<string>("node", "first administrator", db =>
    {
        if (db.Set<Unit>().Find(unit.Id) is null)
            db.Add(unit);
        db.Add(new Party { Id = id, Kind = PartyKind.Person, DisplayName = displayName });
        db.Add(Holding(id, Roles.SystemAdministrator, unit.Id, _time.GetUtcNow(), null));
        return id;
    }, cancel);

    /// <summary>System administrators create units below their own.</summary>
    public Task<Result<string>> CreateUnitAsync(Caller caller, Unit unit, CancellationToken cancel = default)
    {
        if (!Separation.Id().IsMatch(unit.Id) || !Text(unit.NameZh) || !Text(unit.NameEn) || !Text(unit.Kind) || unit.Level is < 0 or > 16
            || !PlaceCode.TryParse(unit.Place, out var place))
        {
            return Refused(Problem.Invalid("parties.invalid", "A unit needs an id, both names, a kind, a level from 0 to 16 and a place code."));
        }
        unit.Place = place.ToString();
        if (!Governs(caller, Roles.SystemAdministrator, unit.Parent))
            return Refused(Problem.Denied("parties.denied", "Only a system administrator of a unit above may create a unit."));
        return ChangeAsync<string>(caller.Party, "create unit", db =>
        {
            if (db.Set<Unit>().Find(unit.Id) is not null)
                return Problem.Conflict("parties.exists", "There is a unit with this id.");
            var depth = 0;
            for (var above = unit.Parent; above is not null; depth++)
            {
                if (depth >= UnitDepthMax || db.Set<Unit>().Find(above) is not { } parent)
                    return Problem.Invalid("parties.invalid", "The parent unit is unknown, or units would be nested too deep.");
                above = parent.Parent;
            }
            db.Add(unit);
            return unit.Id;
        }, cancel);
    }

    /// <summary>System administrators register parties. Nobody can make a bootstrap client this way.</summary>
    public Task<Result<string>> CreatePartyAsync(Caller caller, string id, PartyKind kind, string displayName, CancellationToken cancel = default)
    {
        if (!Separation.Id().IsMatch(id) || !Enum.IsDefined(kind) || !Text(displayName))
            return Refused(Problem.Invalid("parties.invalid", "A party needs an id, a kind and a name."));
        if (!IsBootstrap(caller.Party) && !Holdings(caller, _time.GetUtcNow()).Any(h => h.Role == Roles.SystemAdministrator))
            return Refused(Problem.Denied("parties.denied", "Only a system administrator may register a party."));
        return ChangeAsync<string>(caller.Party, "create party", db =>
        {
            if (db.Set<Party>().Find(id) is not null)
                return Problem.Conflict("parties.exists", "There is a party with this id.");
            db.Add(new Party { Id = id, Kind = kind, DisplayName = displayName });
            return id;
        }, cancel);
    }

    /// <summary>System administrators end and restore what a party may do as a whole, never their own. Its roles stay on record and count as held.</summary>
    public Task<Result<string>> DisableAsync(Caller caller, string party, bool disabled, CancellationToken cancel = default)
    {
        if (!IsBootstrap(caller.Party) && !Holdings(caller, _time.GetUtcNow()).Any(h => h.Role == Roles.SystemAdministrator))
            return Refused(Problem.Denied("parties.denied", "Only a system administrator may disable or enable a party."));
        if (party == caller.Party)
            return Refused(Problem.Denied("parties.self", "Nobody may disable himself."));
        return ChangeAsync<string>(caller.Party, disabled ? "disable party" : "enable party", db =>
        {
            if (db.Set<Party>().Find(party) is not { } who)
                return Problem.NotFound("parties.unknown", "The party is unknown.");
            who.Disabled = disabled;
            return who.Id;
        }, cancel);
    }

    /// <summary>
    /// Notes that the party's way to sign in is about to be made anew, and suspends the party where that would let the caller act as it. Call it, and wait for it, before
    /// the new secret exists. A party may renew its own; otherwise it is for system administrators. The bootstrap client, which confirms as well, suspends nobody.
    /// </summary>
    /// <param name="opens">Whether the new secret alone signs in; false where a second factor stands.</param>
    /// <param name="renewal">The renewal that the caller saw; when it is no longer the last, nothing is renewed.</param>
    public Task<Result<Renewal>> RenewAsync(Caller caller, string party, string what, bool opens = true, int? renewal = null, CancellationToken cancel = default)
    {
        var own = caller.Party == party;
        if (!own && !IsBootstrap(caller.Party) && !Holdings(caller, _time.GetUtcNow()).Any(h => h.Role == Roles.SystemAdministrator))
            return Task.FromResult<Result<Renewal>>(Problem.Denied("parties.denied", "Only a system administrator may renew how a party signs in."));
        var suspends = opens && !own && !IsBootstrap(caller.Party);
        return RenewAsync(caller.Party, party, what, who => who.Suspended || suspends, renewal, cancel);
    }

    /// <summary>On a stopped node: whoever holds its files renews a party's way to sign in, and ends a suspension that nobody is left to end. Not reachable from any API.</summary>
    public Task<Result<Renewal>> RenewStoppedAsync(string party, string what, CancellationToken cancel = default) => RenewAsync(Operator, party, what, _ => false, null, cancel);

    private Task<Result<Renewal>> RenewAsync(string author, string party, string what, Func<Party, bool> suspended, int? renewal, CancellationToken cancel) => ChangeAsync<Renewal>(author, what, db =>
    {
        if (db.Set<Party>().Find(party) is not { } who)
            return Problem.NotFound("parties.unknown", "The party is unknown.");
        if (renewal is not null && who.Renewals != renewal)
            return Renewed;
        who.Renewals++;
        who.Suspended = suspended(who);
        return new Renewal(who.Renewals, who.Suspended);
    }, cancel);

    /// <summary>
    /// Whether the secret that was made for a renewal may be handed out: no other renewal came after it, and nobody has confirmed the party meanwhile, which would be on the word of
    /// an owner who has not seen this secret.
    /// </summary>
    public bool Stands(string party, Renewal renewal) => Party(party) is { } who && who.Renewals == renewal.Number && who.Suspended == renewal.Suspended;

    /// <summary>How a party signs in was made anew while somebody relied on how it was.</summary>
    public static readonly Problem Renewed = Problem.Conflict("parties.renewed", "How the party signs in was made anew meanwhile, so nothing was done. Ask its owner how it stands, and try again.");

    /// <summary>Why the caller may not end the party's suspension, or null. For a security administrator of every unit in which the party holds a role, or of one above.</summary>
    public Problem? MayConfirm(Caller caller, string party)
    {
        var now = _time.GetUtcNow();
        if (Party(party) is null)
            return Problem.NotFound("parties.unknown", "The party is unknown.");
        return IsBootstrap(caller.Party)
            || (Holdings(caller, now).Any(h => h.Role == Roles.SecurityAdministrator) && Standing(party, now).All(h => Governs(caller, Roles.SecurityAdministrator, h.Unit)))
            ? null : Problem.Denied("parties.denied", "Only a security administrator of all units in which the party holds roles may confirm it.");
    }

    /// <summary>Ends a suspension, once the owner told the security administrator that he signs in again and nobody else can.</summary>
    /// <param name="caller">A security administrator.</param>
    /// <param name="party">Whom he confirms.</param>
    /// <param name="renewal">The party's last renewal, read before what older secrets opened was ended: one that came later left a secret that this would make good.</param>
    /// <param name="cancel">Before it is kept.</param>
    public Task<Result<string>> ConfirmAsync(Caller caller, string party, int renewal, CancellationToken cancel = default)
    {
        if (MayConfirm(caller, party) is { } denied)
            return Refused(denied);
        return ChangeAsync<string>(caller.Party, "confirm party", db =>
        {
            if (db.Set<Party>().Find(party) is not { } who)
                return Problem.NotFound("parties.unknown", "The party is unknown.");
            if (who.Renewals != renewal)
                return Renewed;
            who.Suspended = false;
            return who.Id;
        }, cancel);
    }

    /// <summary>
    /// Security administrators give roles in their units and below, never to themselves. As long as nobody is one, a system administrator appoints the first,
    /// another person; a disabled one still counts, so that disabling is no way to appoint.
    /// </summary>
    public Task<Result<string>> GiveRoleAsync(Caller caller, string party, string role, string unit, DateTimeOffset? until = null, CancellationToken cancel = default)
    {
        var now = _time.GetUtcNow();
        if (!Separation.Known(role) || until <= now)
            return Refused(Problem.Invalid("parties.invalid", "The role is unknown, or would end before it begins."));
        var appoints = !Governs(caller, Roles.SecurityAdministrator, unit);
        if (appoints && !(role == Roles.SecurityAdministrator && Governs(caller, Roles.SystemAdministrator, unit)))
            return Refused(Problem.Denied("parties.denied", "Only a security administrator of this unit or one above may give a role."));
        if (party == caller.Party && !IsBootstrap(party))
            return Refused(Problem.Denied("parties.self", "Nobody may give a role to himself."));
        return ChangeAsync<string>(caller.Party, appoints ? "appoint the first security administrator" : "give role", db =>
        {
            // Decided on what the transaction sees, not on the snapshot: two gifts in one group commit must see each other.
            if (db.Set<Party>().Find(party) is not { } who || db.Set<Unit>().Find(unit) is null)
                return Problem.NotFound("parties.unknown", "The party or the unit is unknown.");
            if (appoints && db.Set<RoleHolding>().Any(h => h.Role == Roles.SecurityAdministrator && (h.Until == null || h.Until > now)))
                return Problem.Denied("parties.denied", "There is a security administrator; only he gives roles.");
            var held = db.Set<RoleHolding>().Where(h => h.Party == party && (h.Until == null || h.Until > now)).ToList();
            if (!(who.Bootstrap && who.Kind == PartyKind.Client) && held.FirstOrDefault(h => Separation.Excludes(h.Role, role)) is { } other)
                return Problem.Conflict("parties.separation", $"The party holds {other.Role}, which excludes {role} (三员分立).");
            if (held.FirstOrDefault(h => h.Role == role && h.Unit == unit) is { } same)
                return same.Id;
            var holding = Holding(party, role, unit, now, until);
            db.Add(holding);
            return holding.Id;
        }, cancel);
    }

    /// <summary>Ends a role now.</summary>
    public Task<Result<string>> EndRoleAsync(Caller caller, string party, string role, string unit, CancellationToken cancel = default)
    {
        if (!Governs(caller, Roles.SecurityAdministrator, unit))
            return Refused(Problem.Denied("parties.denied", "Only a security administrator of this unit or one above may end a role."));
        var now = _time.GetUtcNow();
        return ChangeAsync<string>(caller.Party, "end role", db =>
        {
            var held = db.Set<RoleHolding>().Where(h => h.Party == party && h.Role == role && h.Unit == unit && (h.Until == null || h.Until > now)).ToList();
            if (held.Count == 0)
                return Problem.NotFound("parties.unknown", "The party does not hold this role there.");
            foreach (var holding in held)
                holding.Until = now;
            return held[0].Id;
        }, cancel);
    }

    private static bool Text(string text) => text is { Length: > 0 and <= 256 } && !text.Any(char.IsControl);

    private static Task<Result<string>> Refused(Problem problem) => Task.FromResult<Result<string>>(problem);

    private static RoleHolding Holding(string party, string role, string unit, DateTimeOffset since, DateTimeOffset? until) =>
        new() { Id = Guid.CreateVersion7(since).ToString("N"), Party = party, Role = role, Unit = unit, Since = since, Until = until };

    private Task<Result<T>> ChangeAsync<T>(string author, string reason, Func<NodeDb, Result<T>> change, CancellationToken cancel) =>
        _writer.ChangeAsync((db, scope) =>
        {
            db.Audit = new AuditContext(author, _time.GetUtcNow(), reason);
            var result = change(db);
            if (result.Ok)
                _snapshot.Changed(scope);
            return result;
        }, cancel);

    /// <summary>Earlier versions kept a unit's place as it was written; audited rows change only by an audited act, so it is stripped as it is read.</summary>
    private static Unit Stripped(Unit unit)
    {
        if (PlaceCode.TryParse(unit.Place, out var place))
            unit.Place = place.ToString();
        return unit;
    }

    private static Everyone Read(NodeDb db) => new(
        db.Set<Unit>().AsNoTracking().AsEnumerable().Select(Stripped).ToFrozenDictionary(u => u.Id),
        db.Set<Party>().AsNoTracking().ToList().ToFrozenDictionary(p => p.Id),
        db.Set<RoleHolding>().AsNoTracking().ToList().GroupBy(h => h.Party).ToFrozenDictionary(g => g.Key, g => g.ToArray()));
}
