using System.Collections.Concurrent;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Policy;

/// <summary>One step of an explanation: a stable code and a sentence in both languages.</summary>
public sealed record Reason(string Code, string En, string Zh);

/// <summary>A permit or none, and why. Without a permit nothing can be read.</summary>
public sealed record Decision(ReadPermit? Permit, IReadOnlyList<Reason> Why)
{
    /// <summary>The refusal as a problem, <c>policy.refused</c> with <c>why</c>.</summary>
    public Problem Refusal()
    {
        Measures.Refused();
        return Problem.Denied("policy.refused", Why.Count > 0 ? Why[0].En : "No grant allows this.") with
        {
            Extensions = new Dictionary<string, object?> { ["why"] = Why },
        };
    }
}

/// <summary>
/// Decides who may read what. Everything is denied that no grant allows. Decisions are kept until the next moment at which one could change by
/// the clock alone, and for one policy epoch.
/// </summary>
public sealed partial class PolicyEngine(Grants grants, Postures postures, PartyDirectory directory, PolicyEpoch epoch, Func<string, IReadOnlyList<PlaceRange>>? placeRanges = null,
    Func<DateTimeOffset>? nextReform = null)
{
    /// <summary>Id of the implicit grant under which readers of the owner read.</summary>
    public const string OwnerGrant = "owner";

    /// <summary>Id and purpose of the implicit grant of open datasets.</summary>
    public const string OpenData = "open-data";

    /// <summary>Id of the implicit grant under which readers of any unit read what its owner shares unconditionally (无条件共享).</summary>
    public const string SharedGrant = "shared";

    /// <summary>Purpose noted when a reader of the owner states none; personal data always need one.</summary>
    public const string OwnWork = "own-work";

    /// <summary>Decisions kept at most; a caller who invents purposes only empties the cache.</summary>
    public const int CacheMax = 65_536;

    private readonly Func<string, IReadOnlyList<PlaceRange>> _placeRanges = placeRanges ?? PlaceScope.Prefix;
    private readonly Func<DateTimeOffset> _nextReform = nextReform ?? (static () => DateTimeOffset.MaxValue);
    private Cache _cache = new(-1);
    private long _compiled;

    /// <summary>Decisions that were worked out rather than remembered.</summary>
    internal long Compiled => Interlocked.Read(ref _compiled);

    private readonly record struct Key(string Party, string Dataset, int Version, string Purpose, string? Grant);

    private sealed record Kept(Decision Decision, Caller Caller, Dataset Dataset, DateTimeOffset From, DateTimeOffset Until);

    private sealed class Cache(long epoch)
    {
        public readonly long Epoch = epoch;
        public readonly ConcurrentDictionary<Key, Kept> Items = new();
        public int Count;
    }

    /// <summary>Decides, or remembers. A named grant is used or refused; without one the widest that matches is taken.</summary>
    /// <remarks>Pass the catalog's own <see cref="Dataset"/> instance: a decision is remembered for that instance only.</remarks>
    public Decision Decide(Caller caller, Dataset dataset, string purpose, DateTimeOffset now, string? grant = null)
    {
        if (purpose.Length > 64 || grant?.Length > 64)
            return Denied("purpose.form", "A purpose is at most 64 lower-case letters, digits and hyphens.", "用途应为不超过 64 个小写字母、数字或连字符。");
        // The epoch is read before anything it stands for, and published after it: a decision can be filed too early, never too late.
        var current = epoch.Current;
        var cache = Volatile.Read(ref _cache);
        if (cache.Epoch != current || Volatile.Read(ref cache.Count) >= CacheMax)
            Volatile.Write(ref _cache, cache = new Cache(current));
        var key = new Key(caller.Party, dataset.Id, dataset.Version, purpose, grant);
        if (cache.Items.TryGetValue(key, out var kept) && kept.From <= now && now < kept.Until && ReferenceEquals(kept.Dataset, dataset) && SameReach(kept.Caller, caller))
            return kept.Decision;
        var until = DateTimeOffset.MaxValue;
        Interlocked.Increment(ref _compiled);
        var decision = Compile(caller, dataset, purpose, grant, now, current, ref until);
        if (cache.Items.TryAdd(key, kept = new(decision, caller, dataset, now, until)))
            Interlocked.Increment(ref cache.Count);
        else
            cache.Items[key] = kept;
        return decision;
    }

    /// <summary>Open, and neither personal nor of a raised class: everybody may read all of it.</summary>
    public static bool IsOpen(Dataset dataset) => dataset.Opening == OpeningMode.Open && !dataset.Personal && dataset.Class == DataClass.General;

    /// <summary>Shared unconditionally, and neither personal nor of a raised class: readers of every unit may read all of it.</summary>
    public static bool IsShared(Dataset dataset) => dataset.Sharing == SharingMode.Unconditional && !dataset.Personal && dataset.Class == DataClass.General;

    private static bool SameReach(Caller one, Caller other) =>
        ReferenceEquals(one, other)
        || (one.Party == other.Party && one.Units.SequenceEqual(other.Units) && one.Roles.SetEquals(other.Roles));

    private Decision Compile(Caller caller, Dataset dataset, string purpose, string? named, DateTimeOffset now, long current, ref DateTimeOffset until)
    {
        var why = new List<Reason>();
        if (named is null or OpenData && purpose == OpenData)
        {
            if (IsOpen(dataset))
                return Allowed(Whole(dataset, OpenData, purpose, current), new("open-data", "The dataset is open to everybody.", "该数据集向公众开放。"));
            if (purpose == OpenData)
                why.Add(new("open-data.closed", "The dataset is not open data.", "该数据集不是开放数据。"));
        }
        Sooner(ref until, directory.NextBoundary(caller.Party, now));
        var held = directory.Holdings(caller, now);
        if (IsAdministrator(caller, now))
            return Denied("administrator", "Administrators do not read data (三员分立).", "管理员不得读取业务数据（三员分立）。");
        if (named is null or OwnerGrant && held.Any(h => h.Role == Roles.Reader && h.Unit == dataset.Owner))
        {
            if (purpose.Length > 0 ? GrantRequest.Purpose().IsMatch(purpose) : !dataset.Personal)
            {
                return Allowed(Whole(dataset, OwnerGrant, purpose.Length > 0 ? purpose : OwnWork, current),
                    new("owner", "You are a reader of the unit that owns the dataset.", "您是数据集所有单位的查询人员。"));
            }
            why.Add(new("purpose.missing", "Say for which purpose you read personal data.", "读取个人信息须说明用途。"));
        }
        if (named is null or SharedGrant && IsShared(dataset) && held.Any(h => h.Role == Roles.Reader))
        {
            if (purpose.Length > 0 && purpose != OpenData && GrantRequest.Purpose().IsMatch(purpose))
                return Allowed(Whole(dataset, SharedGrant, purpose, current), new("shared", "The dataset is shared unconditionally with readers of all units.", "该数据集为无条件共享，各单位查询人员均可读取。"));
            why.Add(new("purpose.needed", "Say for which purpose you read another unit's data.", "读取其他单位的数据须说明用途。"));
        }
        var met = 0;
        foreach (var candidate in !directory.Acts(caller.Party) ? [] : grants.ToRead(dataset.Id))
        {
            if (!Grants.IsFor(candidate.Grant, caller.Party, held) || (named is not null && candidate.Grant.Id != named))
                continue;
            met++;
            if (Obstacle(candidate, dataset, purpose, now, ref until, out var places) is { } obstacle)
                why.Add(obstacle);
            else
                return Allowed(Permit(candidate, dataset, purpose, places, current), new("grant", $"Grant {candidate.Grant.Id} allows it.", $"授权 {candidate.Grant.Id} 允许。"));
        }
        if (met == 0)
        {
            why.Insert(0, named is null
                ? new("grant.none", $"No grant of {dataset.Id} is for you or your units.", $"没有将 {dataset.Id} 授予您或您所在单位的授权。")
                : new("grant.unknown", "The grant you name is not for you or does not exist.", "您指定的授权不存在或未授予您。"));
        }
        return new(null, why);
    }

    /// <summary>Why this grant does not help now, or null; <paramref name="places"/> is then where it does.</summary>
    private Reason? Obstacle(CompiledGrant candidate, Dataset dataset, string purpose, DateTimeOffset now, ref DateTimeOffset until, out IReadOnlyList<PlaceRange>? places)
    {
        var grant = candidate.Grant;
        places = null;
        if (Ended(grant, now, ref until) is { } ended)
            return ended;
        if (dataset.Sharing == SharingMode.None && grant.GranteeUnit != dataset.Owner)
            return new("sharing.none", "The dataset is not shared with other units any more.", "该数据集已不予共享。");
        if (!candidate.Purposes.Contains(purpose))
        {
            var purposes = string.Join(", ", candidate.Purposes.Order(StringComparer.Ordinal));
            return new("grant.purpose", $"Grant {grant.Id} is for other purposes: {purposes}.", $"授权 {grant.Id} 限于其他用途：{purposes}。");
        }
        if (!candidate.Fields.Keys.Any(f => dataset.IndexOf(f) >= 0))
            return new("grant.fields", $"Grant {grant.Id} names no field that the dataset still has.", $"授权 {grant.Id} 的字段已不存在。");
        // Asked for before the ranges: a reform in between makes the decision end at once rather than outlive it.
        if (candidate.PlaceWithin is not null || grant.Posture is not null)
            Sooner(ref until, _nextReform());
        if (candidate.PlaceWithin is { } within)
            places = PlaceScope.Union(_placeRanges(within));
        if (grant.Posture is not { } level)
            return null;
        Sooner(ref until, postures.NextBoundary(now));
        var awake = PlaceScope.Union(postures.AreasAt(level, now).SelectMany(_placeRanges));
        places = places is null ? awake : PlaceScope.Intersect(places, awake);
        return places.Count > 0 ? null
            : new("grant.asleep", $"Grant {grant.Id} sleeps until an area is at {Postures.Name(level)} or above.", $"授权 {grant.Id} 休眠中：须有区域处于 {Postures.Name(level)} 或更高态势。");
    }

    /// <summary>Why the grant does not stand at this moment, or null.</summary>
    private static Reason? Ended(Grant grant, DateTimeOffset now, ref DateTimeOffset until)
    {
        if (grant.RevokedAt is not null)
            return new("grant.revoked", $"Grant {grant.Id} was revoked.", $"授权 {grant.Id} 已撤销。");
        if (now >= grant.ValidUntil)
            return new("grant.expired", $"Grant {grant.Id} has expired.", $"授权 {grant.Id} 已过期。");
        if (now < grant.ValidFrom)
        {
            Sooner(ref until, grant.ValidFrom);
            return new("grant.early", $"Grant {grant.Id} is not valid yet.", $"授权 {grant.Id} 尚未生效。");
        }
        Sooner(ref until, grant.ValidUntil);
        return null;
    }

    private static ReadPermit Permit(CompiledGrant granted, Dataset dataset, string purpose, IReadOnlyList<PlaceRange>? places, long current) => new()
    {
        Grant = granted.Grant.Id,
        Dataset = dataset.Id,
        Purpose = purpose,
        // A field whose type changed since is left out when its transform no longer fits, rather than shown in another way.
        Fields = granted.Fields.Where(f => dataset.IndexOf(f.Key) is >= 0 and var i && TransformJson.Fits(f.Value, dataset.Fields[i])).ToDictionary(f => f.Key, f => f.Value, StringComparer.Ordinal),
        Rows = new RowScope { Places = places, TimeFrom = granted.TimeFrom, TimeTo = granted.TimeTo, Filter = granted.Filter },
        MinimumGroup = granted.Grant.MinimumGroup,
        PseudonymKey = granted.Grant.PseudonymKey,
        Epoch = current,
    };

    private static ReadPermit Whole(Dataset dataset, string grant, string purpose, long current) => new()
    {
        Grant = grant,
        Dataset = dataset.Id,
        Purpose = purpose,
        Fields = dataset.Fields.ToDictionary(f => f.Name, _ => FieldTransform.Plain, StringComparer.Ordinal),
        Epoch = current,
    };

    private static void Sooner(ref DateTimeOffset until, DateTimeOffset time)
    {
        if (time < until)
            until = time;
    }

    private static Decision Allowed(ReadPermit permit, Reason why) => new(permit, [why]);

    private static Decision Denied(string code, string en, string zh) => new(null, [new(code, en, zh)]);
}
