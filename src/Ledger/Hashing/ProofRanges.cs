using System.Numerics;

namespace Gongzhi.Ledger;

/// <summary>Which runs of leaves a proof's hashes cover, in the proof's order; where the hashes come from is the caller's affair.</summary>
internal static class ProofRanges
{
    /// <summary>RFC 6962 section 2.1.1, PATH(index, D[size]).</summary>
    public static List<(long Start, long End)> Inclusion(long index, long size)
    {
        var ranges = new List<(long, long)>();
        long start = 0, end = size;
        while (end - start > 1)
        {
            var split = start + SplitOf(end - start);
            if (index < split)
            {
                ranges.Add((split, end));
                end = split;
            }
            else
            {
                ranges.Add((start, split));
                start = split;
            }
        }
        ranges.Reverse();
        return ranges;
    }

    /// <summary>RFC 6962 section 2.1.2, PROOF(from, D[to]); empty when from is 0 or equals to.</summary>
    public static List<(long Start, long End)> Consistency(long from, long to)
    {
        var ranges = new List<(long, long)>();
        if (from == 0 || from == to) return ranges;
        long start = 0, end = to;
        var oldRootKnown = true;
        while (from != end)
        {
            var split = start + SplitOf(end - start);
            if (from <= split)
            {
                ranges.Add((split, end));
                end = split;
            }
            else
            {
                ranges.Add((start, split));
                start = split;
                oldRootKnown = false;
            }
        }
        if (!oldRootKnown) ranges.Add((start, end));
        ranges.Reverse();
        return ranges;
    }

    /// <summary>The largest power of two smaller than <paramref name="count"/> (at least 2).</summary>
    public static long SplitOf(long count) => 1L << BitOperations.Log2((ulong)count - 1);
}
