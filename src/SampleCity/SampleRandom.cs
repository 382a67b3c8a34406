namespace Gongzhi.SampleCity;

/// <summary>Names the independent random streams, so that changing one part of the city leaves the bytes of the others alone.</summary>
internal enum RandomStream : ulong
{
    Layout = 1,
    Shapes,
    PlaceNames,
    Residents,
    Firms,
    Population,
    ServiceRequests,
    AirQuality,
    CardPayments,
    Payments,
    Stations,
}

/// <summary>
/// xoshiro256** seeded by SplitMix64 (both published by Blackman and Vigna). The sequence of <see cref="Random"/> is not promised to stay
/// the same between versions; this one gives the same bytes on every machine. Not for secrets. One owner at a time: not thread-safe.
/// </summary>
internal sealed class SampleRandom
{
    private ulong s0, s1, s2, s3;

    public SampleRandom(ulong seed, RandomStream stream, int part = 0)
    {
        var state = Mix(Mix(seed) ^ ((ulong)stream << 32) ^ (uint)part);
        s0 = Mix(state += Golden);
        s1 = Mix(state += Golden);
        s2 = Mix(state += Golden);
        s3 = Mix(state + Golden);
    }

    private const ulong Golden = 0x9E3779B97F4A7C15;

    public ulong Next()
    {
        var result = ulong.RotateLeft(s1 * 5, 7) * 9;
        var t = s1 << 17;
        s2 ^= s0;
        s3 ^= s1;
        s1 ^= s2;
        s0 ^= s3;
        s2 ^= t;
        s3 = ulong.RotateLeft(s3, 45);
        return result;
    }

    /// <summary>0 to <paramref name="bound"/> − 1. The bias of the multiply-high method is below bound / 2^64.</summary>
    public int Below(int bound) => (int)Math.BigMul(Next(), (ulong)bound, out _);

    /// <summary>Both ends included.</summary>
    public int Between(int low, int high) => low + Below(high - low + 1);

    public bool Chance(int perMille) => Below(1000) < perMille;

    /// <summary>[0, 1), a multiple of 2^-53.</summary>
    public double Unit() => (Next() >> 11) * (1.0 / (1UL << 53));

    public T Pick<T>(IReadOnlyList<T> items) => items[Below(items.Count)];

    /// <summary>An index, drawn in proportion to the weights.</summary>
    public int Weighted(ReadOnlySpan<int> weights)
    {
        var total = 0;
        foreach (var weight in weights)
            total += weight;
        var draw = Below(total);
        var index = 0;
        while (draw >= weights[index])
            draw -= weights[index++];
        return index;
    }

    public void Shuffle<T>(T[] items)
    {
        for (var i = items.Length - 1; i > 0; i--)
        {
            var j = Below(i + 1);
            (items[i], items[j]) = (items[j], items[i]);
        }
    }

    /// <summary>
    /// Spread over ten doublings: 1 to 1,024, most often near the middle, so that leading digits follow Benford's law closely.
    /// 2^f comes from a polynomial (error below 0.02 %) because library powers differ in the last bit between machines.
    /// </summary>
    public double TenDoublings()
    {
        var exponent = (Unit() + Unit()) * 5;
        var whole = (int)exponent;
        var f = exponent - whole;
        return (1 << whole) * (1 + f * (0.6951786 + f * (0.2261749 + f * 0.0786465)));
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
