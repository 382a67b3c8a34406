using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Policy;

/// <summary>Sets of place codes as sorted, disjoint ranges.</summary>
public static class PlaceScope
{
    /// <summary>Everything whose code begins with this one: from the code to its successor of the same length.</summary>
    public static IReadOnlyList<PlaceRange> Prefix(string code) => [new(code, code[..^1] + (char)(code[^1] + 1))];

    /// <summary>Sorted and joined where they touch; empty ranges fall out.</summary>
    public static IReadOnlyList<PlaceRange> Union(IEnumerable<PlaceRange> ranges)
    {
        var result = new List<PlaceRange>();
        foreach (var range in ranges.Where(r => string.CompareOrdinal(r.From, r.To) < 0).OrderBy(r => r.From, StringComparer.Ordinal))
        {
            if (result.Count > 0 && string.CompareOrdinal(range.From, result[^1].To) <= 0)
            {
                if (string.CompareOrdinal(range.To, result[^1].To) > 0)
                    result[^1] = result[^1] with { To = range.To };
            }
            else
            {
                result.Add(range);
            }
        }
        return result;
    }

    /// <summary>What lies in both.</summary>
    public static IReadOnlyList<PlaceRange> Intersect(IReadOnlyList<PlaceRange> one, IReadOnlyList<PlaceRange> other) => Union(
        from a in one
        from b in other
        select new PlaceRange(string.CompareOrdinal(a.From, b.From) > 0 ? a.From : b.From, string.CompareOrdinal(a.To, b.To) < 0 ? a.To : b.To));
}
