using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Posture;

/// <summary>The state of an area, from the calmest; emergencies count down, IV is the lowest (国家突发事件分级).</summary>
public enum PostureLevel { Ordinary, Watch, EmergencyIV, EmergencyIII, EmergencyII, EmergencyI }

/// <summary>One statement about one area; the latest about an area stands until it expires.</summary>
public sealed class PostureState
{
    public required string Id { get; init; }

    /// <summary>Stripped division code.</summary>
    public required string Area { get; init; }
    public required PostureLevel Level { get; init; }
    public required string Reason { get; init; }
    public required string Author { get; init; }
    public required DateTimeOffset Since { get; init; }

    /// <summary>Null only for <see cref="PostureLevel.Ordinary"/>.</summary>
    public DateTimeOffset? Expires { get; init; }

    public bool At(DateTimeOffset time) => Since <= time && (Expires is null || time < Expires);
}

public sealed class PostureModel : IModelPart
{
    public void Build(ModelBuilder model) => model.Entity<PostureState>(e =>
    {
        e.ToTable("posture_state").IsAudited().HasKey(p => p.Id);
        e.HasIndex(p => p.Area);
    });
}

/// <summary>Sets and tells the posture of areas. Nothing needs to run for one to expire: it is judged when read.</summary>
public sealed class Postures
{
    /// <summary>Longest validity of anything but ordinary; whoever needs longer must say so again.</summary>
    public static readonly TimeSpan ValidityMax = TimeSpan.FromDays(30);

    private readonly NodeWriter _writer;
    private readonly PartyDirectory _directory;
    private readonly TimeProvider _time;
    private readonly Func<string, bool> _placeKnown;
    private readonly Snapshot<PostureState[]> _snapshot;

    public Postures(NodeWriter writer, Func<NodeDb> open, PolicyEpoch epoch, PartyDirectory directory, TimeProvider time, Func<string, bool> placeKnown)
    {
        (_writer, _directory, _time, _placeKnown) = (writer, directory, time, placeKnown);
        _snapshot = new(open, Latest, epoch);
    }

    public static string Name(PostureLevel level) => level switch
    {
        PostureLevel.Ordinary => "ordinary",
        PostureLevel.Watch => "watch",
        PostureLevel.EmergencyIV => "emergency-IV",
        PostureLevel.EmergencyIII => "emergency-III",
        PostureLevel.EmergencyII => "emergency-II",
        _ => "emergency-I",
    };

    public static PostureLevel? Parse(string? name)
    {
        foreach (var level in Enum.GetValues<PostureLevel>())
        {
            if (Name(level) == name)
                return level;
        }
        return null;
    }

    /// <summary>Sets an area's state. A duty officer may, in the areas of its units.</summary>
    public async Task<Result<string>> SetAsync(Caller caller, string area, PostureLevel level, string reason, DateTimeOffset? expires, CancellationToken cancel = default)
    {
        var now = _time.GetUtcNow();
        if (!Enum.IsDefined(level) || string.IsNullOrWhiteSpace(reason) || reason.Length > 1_000)
            return Problem.Invalid("posture.invalid", "A posture needs a level and a reason of at most 1,000 characters.");
        if (string.IsNullOrEmpty(area) || !_placeKnown(area))
            return Problem.Invalid("posture.invalid", "The area is not a known place.");
        if (level != PostureLevel.Ordinary && (expires is null || expires <= now || expires > now + ValidityMax))
            return Problem.Invalid("posture.invalid", "Anything but ordinary must expire, within 30 days.");
        var may = _directory.IsBootstrap(caller.Party) || _directory.Holdings(caller, now)
            .Any(h => h.Role == Roles.DutyOfficer && _directory.Unit(h.Unit) is { } unit && area.StartsWith(unit.Place, StringComparison.Ordinal));
        if (!may)
            return Problem.Denied("posture.denied", "Only a duty officer of a unit of this area may set its posture.");
        var state = new PostureState
        {
            Id = Guid.CreateVersion7(now).ToString("N"), Area = area, Level = level, Reason = reason, Author = caller.Party, Since = now,
            Expires = level == PostureLevel.Ordinary ? null : expires,
        };
        return await _writer.ChangeAsync((db, scope) =>
        {
            db.Audit = new AuditContext(caller.Party, now, reason);
            db.Add(state);
            _snapshot.Changed(scope);
            return (Result<string>)state.Id;
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>The highest state among the place and the areas around it that has not expired.</summary>
    public PostureLevel At(string place, DateTimeOffset now) =>
        Standing(now).Where(s => place.StartsWith(s.Area, StringComparison.Ordinal)).Select(s => s.Level).DefaultIfEmpty().Max();

    /// <summary>The areas whose own state is at this level or above; places inside them are too.</summary>
    public IReadOnlyList<string> AreasAt(PostureLevel level, DateTimeOffset now) =>
        [.. Standing(now).Where(s => s.Level >= level).Select(s => s.Area)];

    /// <summary>Every area's state that stands now.</summary>
    public IEnumerable<PostureState> Standing(DateTimeOffset now) => _snapshot.Value.Where(s => s.At(now));

    internal DateTimeOffset NextBoundary(DateTimeOffset now) =>
        _snapshot.Value.SelectMany(s => (DateTimeOffset[])[s.Since, s.Expires ?? DateTimeOffset.MaxValue]).Where(t => t > now).DefaultIfEmpty(DateTimeOffset.MaxValue).Min();

    private static PostureState[] Latest(NodeDb db) =>
    [
        .. db.Set<PostureState>().FromSqlRaw("SELECT * FROM posture_state WHERE rowid IN (SELECT MAX(rowid) FROM posture_state GROUP BY Area)").AsNoTracking(),
    ];
}
