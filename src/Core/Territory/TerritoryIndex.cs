using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Diagnostics.CodeAnalysis;

namespace Gongzhi.Core.Territory;

/// <summary>
/// Every known place, as one immutable snapshot for one day. Safe for any number of threads; a change of the tree, or a new day
/// on which a reform takes effect, means building another and swapping it in.
/// </summary>
/// <remarks>
/// "Administratively" below means: a retired place belongs to its successors, a place under a development zone to the zone,
/// any other place to the nearest known place above it by its digits.
/// </remarks>
public sealed class TerritoryIndex
{
    /// <summary>Most places one index holds: the whole country has some 45,000 streets and 620,000 communities; cells come on top.</summary>
    public const int PlacesMax = 2_000_000;

    // A tree is six deep; a chain of reforms adds a step each. Beyond this something is wrong with the data.
    private const int StepsMax = 64;

    private readonly FrozenDictionary<ulong, Place> _byCode;
    private readonly Place[] _sorted;
    private readonly FrozenDictionary<ulong, PlaceCode[]> _administered;

    // Places whose digits do not say who they belong to today: retired with successors, or run by a zone. Sorted.
    private readonly Place[] _irregular;

    // Places that are not for ever, themselves or by a place above them: what has dates, from the top. Empty where nothing has.
    private readonly FrozenDictionary<ulong, Place[]> _dated;

    private readonly PlaceSearch _search;

    private readonly PlaceGroups?[] _groups = new PlaceGroups?[(int)PlaceLevel.Cell + 1];

    // Only known codes are cached, so the cache cannot outgrow the index.
    private readonly ConcurrentDictionary<ulong, PlaceRanges> _within = new();

    private TerritoryIndex(Place[] sorted, DateOnly asOf)
    {
        AsOf = asOf;
        _sorted = sorted;
        _byCode = sorted.ToFrozenDictionary(place => place.Code.Packed);
        _irregular = [.. sorted.Where(IsIrregular)];
        _administered = _irregular.Where(place => !IsReplaced(place))
            .GroupBy(place => place.AdministeredBy.Packed)
            .ToFrozenDictionary(group => group.Key, group => group.Select(place => place.Code).ToArray());
        _dated = Dated(sorted);
        _search = new PlaceSearch(sorted, asOf);
    }

    /// <summary>The day "today" means in this snapshot.</summary>
    public DateOnly AsOf { get; }

    /// <summary>An index that knows no place.</summary>
    public static TerritoryIndex Empty { get; } = new([], DateOnly.MinValue);

    /// <summary>Every place, in order of code: a place before what is inside it.</summary>
    public IReadOnlyList<Place> Places => _sorted;

    /// <summary>Builds a snapshot.</summary>
    /// <param name="places">In any order, each code once.</param>
    /// <param name="asOf">Today: decides which places are retired.</param>
    /// <exception cref="ArgumentException">A code occurs twice or is none, or there are more than <see cref="PlacesMax"/>.</exception>
    public static TerritoryIndex Build(IEnumerable<Place> places, DateOnly asOf)
    {
        ArgumentNullException.ThrowIfNull(places);
        Place[] sorted = [.. places];
        if (sorted.Length > PlacesMax) throw new ArgumentException($"More than {PlacesMax} places.", nameof(places));
        Array.Sort(sorted, static (left, right) => left.Code.CompareTo(right.Code));
        for (var i = 0; i < sorted.Length; i++)
        {
            if (sorted[i].Code.IsNone || (i > 0 && sorted[i].Code == sorted[i - 1].Code))
                throw new ArgumentException($"The code {sorted[i].Code.Display12} is empty or occurs twice.", nameof(places));
        }

        return new TerritoryIndex(sorted, asOf);
    }

    public bool TryGet(PlaceCode code, [NotNullWhen(true)] out Place? place) =>
        _byCode.TryGetValue(code.Packed, out place);

    /// <summary>Whether the code is known, in use today or not.</summary>
    public bool IsKnown(PlaceCode code) => _byCode.ContainsKey(code.Packed);

    /// <summary>Whether the text is a known code in any of its forms. Does not allocate.</summary>
    public bool IsKnown(ReadOnlySpan<char> text) => PlaceCode.TryParse(text, out var code) && _byCode.ContainsKey(code.Packed);

    /// <inheritdoc cref="IsKnown(ReadOnlySpan{char})"/>
    public bool IsKnown(ReadOnlySpan<byte> utf8Text) => PlaceCode.TryParse(utf8Text, out var code) && _byCode.ContainsKey(code.Packed);

    /// <summary>
    /// Whether a record of that day may carry the code: a record of 2019 under a district merged in 2020, or a street in it, may, one of 2021
    /// may not. Does not allocate.
    /// </summary>
    public bool ValidAt(PlaceCode code, DateOnly day) => IsKnown(code) && !DatesOf(code).Any(place => !place.IsValidOn(day));

    /// <summary>The place and those above it by its digits, as far as they have dates; from the top, most often none. Does not allocate.</summary>
    public IReadOnlyList<Place> DatesOf(PlaceCode code) =>
        _dated.Count > 0 && _dated.TryGetValue(code.Packed, out var dated) ? dated : [];

    /// <summary>How codes of records are grouped at a level as the territory is today; worked out once.</summary>
    public PlaceGroups Groups(PlaceLevel level) => _groups[(int)level] ??= ComputeGroups(level);

    /// <summary>
    /// The codes in use today that a code stands for: itself while in use or when unknown, else what its successors roll up to, in order.
    /// A retired place that names no successor, or whose chain of successors runs in a circle, stays itself.
    /// </summary>
    public IReadOnlyList<PlaceCode> RollUp(PlaceCode code)
    {
        if (!_byCode.TryGetValue(code.Packed, out var place) || !IsReplaced(place)) return [code];
        var ends = new SortedSet<PlaceCode>();
        var seen = new HashSet<PlaceCode> { code };
        var queue = new Queue<PlaceCode>(place.Successors);
        while (queue.TryDequeue(out var next))
        {
            if (!seen.Add(next)) continue;
            if (_byCode.TryGetValue(next.Packed, out var successor) && IsReplaced(successor))
            {
                foreach (var further in successor.Successors) queue.Enqueue(further);
            }
            else
            {
                ends.Add(next);
            }
        }

        return ends.Count == 0 ? [code] : [.. ends];
    }

    /// <summary>
    /// Everything administratively within a scope today, as code ranges over what records carry: the scope's own prefix, the
    /// prefixes of retired places that roll up into it, and of places it runs outside its prefix; without the places inside its
    /// prefix that are run by others or went elsewhere. A place split between the scope and others is left out: whoever holds a
    /// grant on half of a former district does not get the whole.
    /// </summary>
    /// <remarks>
    /// A scope that is itself retired keeps its whole prefix, so that its history can still be read. An unknown scope gives its
    /// prefix, put right in the same way. Where nothing is irregular the answer is one range.
    /// </remarks>
    public PlaceRanges Within(PlaceCode scope)
    {
        if (scope.IsNone) return PlaceRanges.Empty;
        if (_irregular.Length == 0) return PlaceRanges.Prefix(scope);
        if (!_byCode.ContainsKey(scope.Packed)) return ComputeWithin(scope);
        return _within.TryGetValue(scope.Packed, out var known)
            ? known
            : _within.GetOrAdd(scope.Packed, static (_, argument) => argument.Index.ComputeWithin(argument.Scope), (Index: this, Scope: scope));
    }

    /// <summary>Whether a code belongs to a scope today; the same answer as <see cref="Within"/>.</summary>
    public bool IsWithin(PlaceCode code, PlaceCode scope) => Within(scope).Contains(code);

    /// <summary>
    /// The place above, administratively: the zone that runs it, else the nearest known place by the digits; none at the top.
    /// A retired place keeps the parent it had.
    /// </summary>
    public PlaceCode ParentOf(PlaceCode code)
    {
        if (_byCode.TryGetValue(code.Packed, out var place) && IsAdministered(place)) return place.AdministeredBy;
        return NearestAbove(code);
    }

    /// <summary>Places in use today directly below, in order of code; places run by others are under those.</summary>
    public IReadOnlyList<Place> Children(PlaceCode code)
    {
        var children = new List<Place>();
        var i = code.IsNone ? 0 : LowerBound(code.Packed + 1);
        var end = code.IsNone ? ulong.MaxValue : code.PackedEnd;
        while (i < _sorted.Length && _sorted[i].Code.Packed < end)
        {
            var place = _sorted[i];
            if (place.IsValidOn(AsOf) && !IsAdministered(place)) children.Add(place);
            i = LowerBound(place.Code.PackedEnd); // steps over what is inside it
        }

        if (_administered.TryGetValue(code.Packed, out var run))
        {
            children.AddRange(run.Select(child => _byCode[child.Packed]).Where(place => place.IsValidOn(AsOf)));
            children.Sort(static (left, right) => left.Code.CompareTo(right.Code));
        }

        return children;
    }

    /// <summary>The known places above, nearest first, without the place itself.</summary>
    public IReadOnlyList<Place> Ancestors(PlaceCode code)
    {
        var above = new List<Place>();
        var seen = new HashSet<PlaceCode> { code };
        for (var next = ParentOf(code); !next.IsNone && seen.Add(next) && above.Count < StepsMax; next = ParentOf(next))
        {
            if (_byCode.TryGetValue(next.Packed, out var place)) above.Add(place);
        }

        return above;
    }

    /// <summary>The places from the province down to the place, without the nodes that only fill the numbering, unless it is one itself.</summary>
    public IReadOnlyList<Place> Path(PlaceCode code)
    {
        var path = Ancestors(code).Where(place => !place.IsPseudo).Reverse().ToList();
        if (_byCode.TryGetValue(code.Packed, out var self)) path.Add(self);
        return path;
    }

    /// <summary>
    /// Finds places by Chinese name, part of a name, English name, pinyin initials or the beginning of a code; best first: exact,
    /// beginning, initials, part; then places in use before retired ones, higher levels before lower, then by code.
    /// </summary>
    /// <param name="text">What was typed; beyond <see cref="PlaceSearch.QueryLengthMax"/> characters nothing is found.</param>
    /// <param name="limit">1 to <see cref="PlaceSearch.HitsMax"/>; clamped.</param>
    /// <param name="within">Only places in these ranges, as <see cref="Within"/> gives them.</param>
    public IReadOnlyList<PlaceHit> Search(string text, int limit, PlaceRanges? within = null) => _search.Find(text, limit, within);

    private static FrozenDictionary<ulong, Place[]> Dated(Place[] sorted)
    {
        var dated = new Dictionary<ulong, Place[]>();
        if (!Array.Exists(sorted, HasDates)) return dated.ToFrozenDictionary();
        var known = new HashSet<ulong>(sorted.Select(place => place.Code.Packed));
        foreach (var place in sorted)
        {
            // What is above comes first in the order of codes.
            var above = place.Parent;
            while (!above.IsNone && !known.Contains(above.Packed)) above = above.Parent;
            var own = dated.GetValueOrDefault(above.Packed) ?? [];
            if (HasDates(place)) own = [.. own, place];
            if (own.Length > 0) dated[place.Code.Packed] = own;
        }

        return dated.ToFrozenDictionary();

        static bool HasDates(Place place) => place.ValidFrom is not null || place.ValidTo is not null;
    }

    private PlaceGroups ComputeGroups(PlaceLevel level)
    {
        var prefixes = new List<(PlaceCode Code, PlaceCode Group)>();
        var whole = new List<(PlaceCode Code, PlaceCode Group)>();
        foreach (var place in _irregular)
        {
            var group = GroupOf(place.Code, level, 0);
            // A district that was split between two is shown as what it was: nobody knows which of its records went where.
            if (group.IsNone) group = place.Code.At(level);
            if (place.Level >= level) prefixes.Add((place.Code, group));
            else if (group != place.Code) whole.Add((place.Code, group));
        }

        // An exception that says no more than the digits matters only inside another one.
        prefixes.RemoveAll(one => one.Group == one.Code.At(level) && !prefixes.Exists(wider => wider.Code != one.Code && one.Code.IsWithin(wider.Code)));
        return new PlaceGroups([.. prefixes.OrderByDescending(one => one.Code.Length).ThenBy(one => one.Code)], whole);
    }

    // Up from a code, administratively, until the level or above it; none where the ways of a split part.
    private PlaceCode GroupOf(PlaceCode code, PlaceLevel level, int depth)
    {
        if (depth > StepsMax) return default;
        if (_byCode.TryGetValue(code.Packed, out var place) && IsReplaced(place))
        {
            var groups = place.Successors.Select(successor => GroupOf(successor, level, depth + 1)).Distinct().Take(2).ToList();
            return groups.Count == 1 ? groups[0] : default;
        }

        if (code.Level <= level) return code;
        return GroupOf(place is not null && IsAdministered(place) ? place.AdministeredBy : code.Parent, level, depth + 1);
    }

    private bool IsReplaced(Place place) => place.Successors.Count > 0 && place.ValidTo is { } to && to <= AsOf;

    private bool IsIrregular(Place place) => IsReplaced(place) || IsAdministered(place);

    // A zone that is still to be founded runs nothing yet; one that was dissolved hands over to its successors.
    private bool IsAdministered(Place place) => !place.AdministeredBy.IsNone
        && !(_byCode.TryGetValue(place.AdministeredBy.Packed, out var zone) && zone.ValidFrom is { } from && from > AsOf);

    private PlaceCode NearestAbove(PlaceCode code)
    {
        var parent = code.Parent;
        while (!parent.IsNone && !_byCode.ContainsKey(parent.Packed)) parent = parent.Parent;
        return parent;
    }

    private PlaceRanges ComputeWithin(PlaceCode scope)
    {
        var verdicts = new Dictionary<PlaceCode, bool>();
        var scopeRetired = _byCode.TryGetValue(scope.Packed, out var own) && own.ValidTo is { } to && to <= AsOf;
        var strokes = new List<(PlaceCode, bool)>(_irregular.Length + 1);
        var scopeDone = false;
        foreach (var place in _irregular)
        {
            if (!scopeDone && scope <= place.Code)
            {
                strokes.Add((scope, true));
                scopeDone = true;
            }

            if (place.Code != scope) strokes.Add((place.Code, Belongs(place.Code, 0)));
        }

        if (!scopeDone) strokes.Add((scope, true));
        return PlaceRanges.Paint(strokes);

        // A code met again while it is being judged is on a circle and belongs nowhere: false is noted before going up.
        bool Belongs(PlaceCode code, int depth)
        {
            if (code == scope || (scopeRetired && code.IsWithin(scope))) return true;
            if (code.IsNone || depth > StepsMax) return false;
            if (verdicts.TryGetValue(code, out var verdict)) return verdict;
            verdicts[code] = false;
            if (!_byCode.TryGetValue(code.Packed, out var place)) verdict = Belongs(code.Parent, depth + 1);
            else if (IsReplaced(place)) verdict = place.Successors.All(successor => Belongs(successor, depth + 1));
            else if (IsAdministered(place)) verdict = Belongs(place.AdministeredBy, depth + 1);
            else verdict = Belongs(code.Parent, depth + 1);
            return verdicts[code] = verdict;
        }
    }

    private int LowerBound(ulong packed)
    {
        int low = 0, high = _sorted.Length;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            if (_sorted[middle].Code.Packed < packed) low = middle + 1;
            else high = middle;
        }

        return low;
    }
}
