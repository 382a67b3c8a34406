using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Gongzhi.Ledger;

/// <summary>The operations SHA-256 (FIPS 180-4, section 4.1.2) needs, on as many messages at once as a vector has 32-bit lanes.</summary>
internal interface ISha256Lanes<TV> where TV : unmanaged
{
    static abstract int Count { get; }
    static abstract TV Broadcast(uint value);
    static abstract TV Load(ref uint source);
    static abstract void Store(TV value, ref uint target);
    static abstract TV ReverseBytes(TV value);
    static abstract TV Add(TV a, TV b);
    static abstract TV BigSigma0(TV x);
    static abstract TV BigSigma1(TV x);
    static abstract TV SmallSigma0(TV x);
    static abstract TV SmallSigma1(TV x);
    static abstract TV Choose(TV x, TV y, TV z);
    static abstract TV Majority(TV x, TV y, TV z);
}

/// <summary>Sixteen lanes on AVX-512 (or whatever the runtime says is a fast 512-bit vector).</summary>
internal readonly struct Sha256Lanes16 : ISha256Lanes<Vector512<uint>>
{
    public static int Count => 16;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Broadcast(uint value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Load(ref uint source) => Vector512.LoadUnsafe(ref source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<uint> value, ref uint target) => value.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> ReverseBytes(Vector512<uint> value) => Vector512.Create(
        Sha256Lanes8.ReverseBytes(value.GetLower()), Sha256Lanes8.ReverseBytes(value.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Add(Vector512<uint> a, Vector512<uint> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> BigSigma0(Vector512<uint> x) => Avx512F.IsSupported
        ? Xor3(Avx512F.RotateRight(x, 2), Avx512F.RotateRight(x, 13), Avx512F.RotateRight(x, 22))
        : Xor3((x >>> 2) | (x << 30), (x >>> 13) | (x << 19), (x >>> 22) | (x << 10));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> BigSigma1(Vector512<uint> x) => Avx512F.IsSupported
        ? Xor3(Avx512F.RotateRight(x, 6), Avx512F.RotateRight(x, 11), Avx512F.RotateRight(x, 25))
        : Xor3((x >>> 6) | (x << 26), (x >>> 11) | (x << 21), (x >>> 25) | (x << 7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> SmallSigma0(Vector512<uint> x) => Avx512F.IsSupported
        ? Xor3(Avx512F.RotateRight(x, 7), Avx512F.RotateRight(x, 18), x >>> 3)
        : Xor3((x >>> 7) | (x << 25), (x >>> 18) | (x << 14), x >>> 3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> SmallSigma1(Vector512<uint> x) => Avx512F.IsSupported
        ? Xor3(Avx512F.RotateRight(x, 17), Avx512F.RotateRight(x, 19), x >>> 10)
        : Xor3((x >>> 17) | (x << 15), (x >>> 19) | (x << 13), x >>> 10);

    // The immediates are truth tables: bit (4a + 2b + c) is the result for those inputs.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Choose(Vector512<uint> x, Vector512<uint> y, Vector512<uint> z) => Avx512F.IsSupported
        ? Avx512F.TernaryLogic(x, y, z, 0xCA)
        : z ^ (x & (y ^ z));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Majority(Vector512<uint> x, Vector512<uint> y, Vector512<uint> z) => Avx512F.IsSupported
        ? Avx512F.TernaryLogic(x, y, z, 0xE8)
        : (x & y) | (z & (x | y));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Xor3(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) => Avx512F.IsSupported
        ? Avx512F.TernaryLogic(a, b, c, 0x96)
        : a ^ b ^ c;
}

/// <summary>Eight lanes on AVX2 (or whatever the runtime says is a fast 256-bit vector).</summary>
internal readonly struct Sha256Lanes8 : ISha256Lanes<Vector256<uint>>
{
    public static int Count => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Broadcast(uint value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Load(ref uint source) => Vector256.LoadUnsafe(ref source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<uint> value, ref uint target) => value.StoreUnsafe(ref target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> ReverseBytes(Vector256<uint> value) => Vector256.Shuffle(value.AsByte(), Vector256.Create(
        (byte)3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
        19, 18, 17, 16, 23, 22, 21, 20, 27, 26, 25, 24, 31, 30, 29, 28)).AsUInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Add(Vector256<uint> a, Vector256<uint> b) => a + b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> BigSigma0(Vector256<uint> x) =>
        ((x >>> 2) | (x << 30)) ^ ((x >>> 13) | (x << 19)) ^ ((x >>> 22) | (x << 10));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> BigSigma1(Vector256<uint> x) =>
        ((x >>> 6) | (x << 26)) ^ ((x >>> 11) | (x << 21)) ^ ((x >>> 25) | (x << 7));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> SmallSigma0(Vector256<uint> x) =>
        ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> SmallSigma1(Vector256<uint> x) =>
        ((x >>> 17) | (x << 15)) ^ ((x >>> 19) | (x << 13)) ^ (x >>> 10);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Choose(Vector256<uint> x, Vector256<uint> y, Vector256<uint> z) => z ^ (x & (y ^ z));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Majority(Vector256<uint> x, Vector256<uint> y, Vector256<uint> z) => (x & y) | (z & (x | y));
}
