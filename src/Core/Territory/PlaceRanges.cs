using System.Collections;

namespace Gongzhi.Core.Territory;

/// <summary>
/// One run of codes, for a predicate such as <c>place &gt;= lower AND place &lt; upper</c> on the stripped form. Both ends are
/// digits alone, or <c>A</c> above the last province, so that the order holds in binary and in language collations alike.
/// </summary>
/// <param name="From">First code inside, stripped.</param>
/// <param name="To">Ordinally above every code inside and not above any later code.</param>
public readonly record struct PlaceRange(string From, string To);

/// <summary>
/// A set of codes as sorted ranges that neither touch nor overlap; the fewest that describe the set. Immutable.
/// </summary>
public sealed class PlaceRanges : IReadOnlyList<PlaceRange>
{
    // [start, end) pairs of padded codes, ascending.
    private readonly (ulong Start, ulong End)[] _runs;
    private readonly PlaceRange[] _texts;

    internal PlaceRanges((ulong Start, ulong End)[] runs)
    {
        _runs = runs;
        _texts = Array.ConvertAll(runs, run => new PlaceRange(Text(run.Start), Text(run.End)));
    }

    /// <summary>The set without members.</summary>
    public static PlaceRanges Empty { get; } = new([]);

    public int Count => _texts.Length;

    public PlaceRange this[int index] => _texts[index];

    /// <summary>Whether the code lies in the set; none never does.</summary>
    public bool Contains(PlaceCode code)
    {
        int low = 0, high = _runs.Length - 1;
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            if (code.Packed < _runs[middle].Start) high = middle - 1;
            else if (code.Packed >= _runs[middle].End) low = middle + 1;
            else return true;
        }

        return false;
    }

    /// <summary>Everything in either set, for a grant over several scopes.</summary>
    public PlaceRanges Union(PlaceRanges other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return new PlaceRanges(Normalise([.. _runs, .. other._runs]));
    }

    /// <summary>What lies in both sets, for a filter under a grant.</summary>
    public PlaceRanges Intersect(PlaceRanges other)
    {
        ArgumentNullException.ThrowIfNull(other);
        var both = new List<(ulong, ulong)>();
        for (int i = 0, j = 0; i < _runs.Length && j < other._runs.Length;)
        {
            var start = Math.Max(_runs[i].Start, other._runs[j].Start);
            var end = Math.Min(_runs[i].End, other._runs[j].End);
            if (start < end) both.Add((start, end));
            if (_runs[i].End < other._runs[j].End) i++;
            else j++;
        }

        return new PlaceRanges([.. both]);
    }

    /// <summary>All codes with this one as prefix, whatever any table says.</summary>
    public static PlaceRanges Prefix(PlaceCode scope) => scope.IsNone ? Empty : new PlaceRanges([(scope.Packed, scope.PackedEnd)]);

    public IEnumerator<PlaceRange> GetEnumerator() => ((IEnumerable<PlaceRange>)_texts).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>
    /// Paints coloured intervals one over the other, later over earlier, and returns what ends up inside. Intervals are nested or
    /// apart, as prefixes are, and come in ascending order of start, the wider first.
    /// </summary>
    internal static PlaceRanges Paint(IEnumerable<(PlaceCode Prefix, bool Inside)> strokes)
    {
        var runs = new List<(ulong Start, ulong End)>();
        var open = new Stack<(ulong End, bool Inside)>();
        ulong cursor = 0;
        var inside = false;

        void AdvanceTo(ulong target)
        {
            if (inside && cursor < target)
            {
                if (runs.Count > 0 && runs[^1].End == cursor) runs[^1] = (runs[^1].Start, target);
                else runs.Add((cursor, target));
            }

            cursor = target;
        }

        foreach (var (prefix, colour) in strokes)
        {
            while (open.Count > 0 && open.Peek().End <= prefix.Packed)
            {
                AdvanceTo(open.Peek().End);
                open.Pop();
                inside = open.Count > 0 && open.Peek().Inside;
            }

            AdvanceTo(prefix.Packed);
            open.Push((prefix.PackedEnd, colour));
            inside = colour;
        }

        while (open.Count > 0)
        {
            AdvanceTo(open.Pop().End);
            inside = open.Count > 0 && open.Peek().Inside;
        }

        return runs.Count == 0 ? Empty : new PlaceRanges([.. runs]);
    }

    private static (ulong Start, ulong End)[] Normalise((ulong Start, ulong End)[] runs)
    {
        Array.Sort(runs);
        var merged = new List<(ulong Start, ulong End)>(runs.Length);
        foreach (var run in runs)
        {
            if (merged.Count > 0 && run.Start <= merged[^1].End) merged[^1] = (merged[^1].Start, Math.Max(merged[^1].End, run.End));
            else merged.Add(run);
        }

        return [.. merged];
    }

    // An end carried past the last region has sixteen digits and no code: 'A' sorts after every digit.
    private static string Text(ulong padded) => padded > 999_999_999_999_999ul ? "A" : PlaceCode.FromPacked(padded).ToString();
}
