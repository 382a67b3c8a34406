using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Posture;

/// <summary>The state of an area, from the calmest; emergencies count down, IV is the lowest (国家突发事件分级).</summary>
public enum PostureLevel { Ordinary, Watch, EmergencyIV, EmergencyIII, EmergencyII, EmergencyI }

/// <summary>One statement about one area; the latest about an area stands until it expires.</summary>
public sealed class PostureState
{
    public required string Id { get; init; }

    /// <summary>Counts the statements as they were committed; 0 in those of programs before it was kept.</summary>
    public long Number { get; set; }

    /// <summary>Stripped division code.</summary>
    public required string Area { get; init; }
    public required PostureLevel Level { get; init; }
    public required string Reason { get; init; }
    public required string Author { get; init; }
    public required DateTimeOffset Since { get; init; }

    /// <summary>Null only for <see cref="PostureLevel.Ordinary"/>.</summary>
    public DateTimeOffset? Expires { get; init; }

    public bool At(DateTimeOffset time) => Since <= time && (Expires is null || time < Expires);

    internal PostureState In(PlaceCode area) =>
        new() { Id = Id, Number = Number, Area = area.ToString(), Level = Level, Reason = Reason, Author = Author, Since = Since, Expires = Expires };
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
    /// <param name="area">A division code in any of its forms: one area has one state however it is written.</param>
    public async Task<Result<string>> SetAsync(Caller caller, string area, PostureLevel level, string reason, DateTimeOffset? expires, CancellationToken cancel = default)
    {
        var now = _time.GetUtcNow();
        if (!Enum.IsDefined(level) || string.IsNullOrWhiteSpace(reason) || reason.Length > 1_000)
            return Problem.Invalid("posture.invalid", "A posture needs a level and a reason of at most 1,000 characters.");
        if (!PlaceCode.TryParse(area, out var code) || !_placeKnown(code.ToString()))
            return Problem.Invalid("posture.invalid", "The area is not a known place.");
        if (level != PostureLevel.Ordinary && (expires is null || expires <= now || expires > now + ValidityMax))
            return Problem.Invalid("posture.invalid", "Anything but ordinary must expire, within 30 days.");
        var may = _directory.IsBootstrap(caller.Party) || _directory.Holdings(caller, now)
            .Any(h => h.Role == Roles.DutyOfficer && _directory.Unit(h.Unit) is { } unit && unit.Covers(code));
        if (!may)
            return Problem.Denied("posture.denied", "Only a duty officer of a unit of this area may set its posture.");
        var state = new PostureState
        {
            Id = Guid.CreateVersion7(now).ToString("N"), Area = code.ToString(), Level = level, Reason = reason, Author = caller.Party, Since = now,
            Expires = level == PostureLevel.Ordinary ? null : expires,
        };
        return await _writer.ChangeAsync((db, scope) =>
        {
            db.Audit = new AuditContext(caller.Party, now, reason);
            state.Number = (db.Set<PostureState>().Max(p => (long?)p.Number) ?? 0) + 1;
            db.Add(state);
            _snapshot.Changed(scope);
            return (Result<string>)state.Id;
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>The highest state among the place and the areas around it that has not expired.</summary>
    public PostureLevel At(string place, DateTimeOffset now) =>
        !PlaceCode.TryParse(place, out var code) ? PostureLevel.Ordinary
        : Standing(now).Where(s => PlaceCode.TryParse(s.Area, out var area) && code.IsWithin(area)).Select(s => s.Level).DefaultIfEmpty().Max();

    /// <summary>The areas whose own state is at this level or above; places inside them are too.</summary>
    public IReadOnlyList<string> AreasAt(PostureLevel level, DateTimeOffset now) =>
        [.. Standing(now).Where(s => s.Level >= level).Select(s => s.Area)];

    /// <summary>Every area's state that stands now.</summary>
    public IEnumerable<PostureState> Standing(DateTimeOffset now) => _snapshot.Value.Where(s => s.At(now));

    internal DateTimeOffset NextBoundary(DateTimeOffset now) =>
        _snapshot.Value.SelectMany(s => (DateTimeOffset[])[s.Since, s.Expires ?? DateTimeOffset.MaxValue]).Where(t => t > now).DefaultIfEmpty(DateTimeOffset.MaxValue).Min();

    /// <summary>
    /// The latest statement about each area. Earlier versions kept an area's code as it was written, and statements are never rewritten; so codes
    /// are stripped as they are read, and what was said of 120101000000 and of 120101 is about one area.
    /// </summary>
    private static PostureState[] Latest(NodeDb db) =>
    [
        .. db.Set<PostureState>().Where(s => !db.Set<PostureState>().Any(later => later.Area == s.Area && later.Number > s.Number))
            .OrderBy(s => s.Number).ThenBy(s => s.Since).ThenBy(s => s.Id).AsNoTracking().AsEnumerable()
            .Select(s => PlaceCode.TryParse(s.Area, out var area) && area.ToString() != s.Area ? s.In(area) : s)
            .GroupBy(s => s.Area, StringComparer.Ordinal).Select(g => g.Last()),
    ];
}
