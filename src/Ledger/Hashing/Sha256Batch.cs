using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;

namespace Gongzhi.Ledger;

/// <summary>
/// SHA-256 (FIPS 180-4) of many independent messages at once: 16 lanes on AVX-512, 8 on AVX2, else one after another.
/// </summary>
/// <remarks>
/// A row or an interior node is one or two blocks long, where a call into the platform's library costs more than the hash itself;
/// running many messages in parallel lanes is what makes a Merkle root over a million rows a fraction of a second. The result is
/// byte-identical to <see cref="SHA256"/> (property-tested).
/// </remarks>
public static class Sha256Batch
{
    /// <summary>Bytes in a digest.</summary>
    public const int DigestBytes = 32;

    private const int BlockBytes = 64;

    /// <summary>Longer messages (256 KiB) go through the platform's library, which is quicker on one long stream.</summary>
    private const int BlocksInLanesMax = 4096;

    private static ReadOnlySpan<uint> InitialState =>
        [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

    private static ReadOnlySpan<uint> RoundConstants =>
    [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];

    /// <summary>How many messages this machine hashes side by side: 16, 8 or 1.</summary>
    public static int Lanes => Vector512.IsHardwareAccelerated ? 16 : Vector256.IsHardwareAccelerated ? 8 : 1;

    /// <summary>Hashes message i, <paramref name="lengths"/>[i] bytes at <paramref name="starts"/>[i] of <paramref name="buffer"/>, into
    /// bytes 32·i to 32·i+31 of <paramref name="digests32"/>.</summary>
    /// <exception cref="ArgumentException">The spans disagree in length or a message lies outside the buffer.</exception>
    public static void HashMany(
        ReadOnlySpan<byte> buffer, ReadOnlySpan<int> starts, ReadOnlySpan<int> lengths, Span<byte> digests32)
    {
        CheckRanges(buffer.Length, starts, lengths, digests32.Length);
        if (Vector512.IsHardwareAccelerated)
            HashGrouped<Sha256Lanes16, Vector512<uint>>(buffer, starts, lengths, digests32);
        else if (Vector256.IsHardwareAccelerated)
            HashGrouped<Sha256Lanes8, Vector256<uint>>(buffer, starts, lengths, digests32);
        else
            HashOneByOne(buffer, starts, lengths, digests32);
    }

    /// <summary>
    /// Interior nodes (RFC 6962, section 2.1): parent i is SHA-256(0x01 ‖ node 2i ‖ node 2i+1). <paramref name="parents32"/> may be
    /// the front of <paramref name="nodes32"/>: a parent is written only after its children have been read.
    /// </summary>
    /// <exception cref="ArgumentException">The nodes are not an even number of 32-byte hashes, or the parents do not fit.</exception>
    public static void HashPairs(ReadOnlySpan<byte> nodes32, Span<byte> parents32)
    {
        if (nodes32.Length % 64 != 0) throw new ArgumentException("Nodes must be whole pairs of 32-byte hashes.", nameof(nodes32));
        if (parents32.Length < nodes32.Length / 2) throw new ArgumentException("No room for the parents.", nameof(parents32));
        if (Vector512.IsHardwareAccelerated)
            PairsInLanes<Sha256Lanes16, Vector512<uint>>(nodes32, parents32);
        else if (Vector256.IsHardwareAccelerated)
            PairsInLanes<Sha256Lanes8, Vector256<uint>>(nodes32, parents32);
        else
            PairsOneByOne(nodes32, parents32, 0);
    }

    /// <summary>The same through a chosen width, so that tests reach every path on one machine.</summary>
    internal static void HashManyWith(
        int lanes, ReadOnlySpan<byte> buffer, ReadOnlySpan<int> starts, ReadOnlySpan<int> lengths, Span<byte> digests32)
    {
        CheckRanges(buffer.Length, starts, lengths, digests32.Length);
        if (lanes == 16) HashGrouped<Sha256Lanes16, Vector512<uint>>(buffer, starts, lengths, digests32);
        else if (lanes == 8) HashGrouped<Sha256Lanes8, Vector256<uint>>(buffer, starts, lengths, digests32);
        else HashOneByOne(buffer, starts, lengths, digests32);
    }

    private static void CheckRanges(int buffer, ReadOnlySpan<int> starts, ReadOnlySpan<int> lengths, int digests)
    {
        if (starts.Length != lengths.Length) throw new ArgumentException("One length per start.", nameof(lengths));
        if (digests / DigestBytes < starts.Length) throw new ArgumentException("No room for the digests.", nameof(digests));
        for (var i = 0; i < starts.Length; i++)
        {
            if (starts[i] < 0 || lengths[i] < 0 || (long)starts[i] + lengths[i] > buffer)
                throw new ArgumentException($"Message {i} lies outside the buffer.", nameof(starts));
        }
    }

    private static void HashOneByOne(
        ReadOnlySpan<byte> buffer, ReadOnlySpan<int> starts, ReadOnlySpan<int> lengths, Span<byte> digests)
    {
        for (var i = 0; i < starts.Length; i++)
            SHA256.HashData(buffer.Slice(starts[i], lengths[i]), digests.Slice(i * DigestBytes, DigestBytes));
    }

    private static int BlockCount(int length) => (int)(((long)length + 9 + 63) / BlockBytes);

    /// <summary>Lanes run in step, so messages are first sorted (by counting) into groups of equal block count.</summary>
    private static void HashGrouped<TL, TV>(
        ReadOnlySpan<byte> buffer, ReadOnlySpan<int> starts, ReadOnlySpan<int> lengths, Span<byte> digests)
        where TL : struct, ISha256Lanes<TV> where TV : unmanaged
    {
        var order = ArrayPool<int>.Shared.Rent(starts.Length);
        var ends = ArrayPool<int>.Shared.Rent(BlocksInLanesMax + 2);
        try
        {
            Array.Clear(ends, 0, BlocksInLanesMax + 2);
            var blocksMax = 0;
            for (var i = 0; i < lengths.Length; i++)
            {
                var blocks = Math.Min(BlockCount(lengths[i]), BlocksInLanesMax + 1);
                blocksMax = Math.Max(blocksMax, blocks);
                ends[blocks]++;
            }
            for (var b = 1; b <= blocksMax; b++) ends[b] += ends[b - 1];
            for (var i = lengths.Length - 1; i >= 0; i--)
                order[--ends[Math.Min(BlockCount(lengths[i]), BlocksInLanesMax + 1)]] = i;

            // After the backward pass ends[b] is where group b begins.
            for (var b = 1; b <= blocksMax; b++)
            {
                var group = order.AsSpan(ends[b]..(b == blocksMax ? lengths.Length : ends[b + 1]));
                while (b <= BlocksInLanesMax && group.Length >= TL.Count / 4)
                {
                    var taken = group[..Math.Min(TL.Count, group.Length)];
                    HashLanes<TL, TV>(buffer, starts, lengths, taken, b, digests);
                    group = group[taken.Length..];
                }
                foreach (var i in group)
                    SHA256.HashData(buffer.Slice(starts[i], lengths[i]), digests.Slice(i * DigestBytes, DigestBytes));
            }
        }
        finally
        {
            ArrayPool<int>.Shared.Return(order);
            ArrayPool<int>.Shared.Return(ends);
        }
    }

    /// <summary>One group of at most <c>TL.Count</c> messages, all <paramref name="blocks"/> blocks long once padded.</summary>
    private static void HashLanes<TL, TV>(
        ReadOnlySpan<byte> buffer, ReadOnlySpan<int> starts, ReadOnlySpan<int> lengths, ReadOnlySpan<int> group, int blocks, Span<byte> digests)
        where TL : struct, ISha256Lanes<TV> where TV : unmanaged
    {
        // The last one or two blocks of each message hold its tail and the padding; whole blocks are read where they lie.
        Span<byte> tails = stackalloc byte[TL.Count * 2 * BlockBytes];
        tails.Clear();
        Span<int> wholeBlocks = stackalloc int[TL.Count];
        for (var lane = 0; lane < group.Length; lane++)
        {
            var message = buffer.Slice(starts[group[lane]], lengths[group[lane]]);
            var whole = message.Length / BlockBytes;
            var tail = tails.Slice(lane * 2 * BlockBytes, (blocks - whole) * BlockBytes);
            message[(whole * BlockBytes)..].CopyTo(tail);
            tail[message.Length - (whole * BlockBytes)] = 0x80;
            System.Buffers.Binary.BinaryPrimitives.WriteUInt64BigEndian(tail[^8..], (ulong)message.Length * 8);
            wholeBlocks[lane] = whole;
        }

        Span<TV> state = stackalloc TV[8];
        for (var i = 0; i < 8; i++) state[i] = TL.Broadcast(InitialState[i]);
        Span<TV> schedule = stackalloc TV[16];
        Span<uint> words = stackalloc uint[16 * TL.Count];
        words.Clear();
        for (var b = 0; b < blocks; b++)
        {
            for (var lane = 0; lane < group.Length; lane++)
            {
                var block = b < wholeBlocks[lane]
                    ? buffer.Slice(starts[group[lane]] + (b * BlockBytes), BlockBytes)
                    : tails.Slice((lane * 2 + b - wholeBlocks[lane]) * BlockBytes, BlockBytes);
                ScatterWords(ref MemoryMarshal.GetReference(block), ref words[lane], TL.Count);
            }
            for (var t = 0; t < 16; t++) schedule[t] = TL.ReverseBytes(TL.Load(ref words[t * TL.Count]));
            Compress<TL, TV>(state, schedule);
        }
        for (var i = 0; i < 8; i++) TL.Store(TL.ReverseBytes(state[i]), ref words[i * TL.Count]);
        for (var lane = 0; lane < group.Length; lane++)
            GatherDigest(words, lane, TL.Count, digests.Slice(group[lane] * DigestBytes, DigestBytes));
    }

    private static void PairsInLanes<TL, TV>(ReadOnlySpan<byte> nodes, Span<byte> parents)
        where TL : struct, ISha256Lanes<TV> where TV : unmanaged
    {
        var pairs = nodes.Length / 64;
        Span<TV> state = stackalloc TV[8];
        Span<TV> schedule = stackalloc TV[16];
        Span<uint> words = stackalloc uint[16 * TL.Count];
        Span<uint> lasts = stackalloc uint[TL.Count];
        words.Clear();
        lasts.Clear();
        var done = 0;
        while (pairs - done >= TL.Count / 4)
        {
            var taken = Math.Min(TL.Count, pairs - done);
            for (var lane = 0; lane < taken; lane++)
            {
                // The message is 0x01 then the 64 bytes of the pair: word t starts at byte 4t-1 of the pair.
                ref var pair = ref Unsafe.Add(ref MemoryMarshal.GetReference(nodes), (nint)(done + lane) * 64);
                words[lane] = (Unsafe.ReadUnaligned<uint>(ref pair) << 8) | 0x01;
                for (var t = 1; t < 16; t++)
                    words[(t * TL.Count) + lane] = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref pair, (4 * t) - 1));
                lasts[lane] = ((uint)Unsafe.Add(ref pair, 63) << 24) | 0x0080_0000;
            }
            for (var i = 0; i < 8; i++) state[i] = TL.Broadcast(InitialState[i]);
            for (var t = 0; t < 16; t++) schedule[t] = TL.ReverseBytes(TL.Load(ref words[t * TL.Count]));
            Compress<TL, TV>(state, schedule);
            schedule.Clear();
            schedule[0] = TL.Load(ref lasts[0]);
            schedule[15] = TL.Broadcast(65 * 8);
            Compress<TL, TV>(state, schedule);
            for (var i = 0; i < 8; i++) TL.Store(TL.ReverseBytes(state[i]), ref words[i * TL.Count]);
            for (var lane = 0; lane < taken; lane++)
                GatherDigest(words, lane, TL.Count, parents.Slice((done + lane) * DigestBytes, DigestBytes));
            done += taken;
        }
        PairsOneByOne(nodes, parents, done);
    }

    private static void PairsOneByOne(ReadOnlySpan<byte> nodes, Span<byte> parents, int from)
    {
        Span<byte> message = stackalloc byte[65];
        message[0] = 0x01;
        for (var i = from; i < nodes.Length / 64; i++)
        {
            nodes.Slice(i * 64, 64).CopyTo(message[1..]);
            SHA256.HashData(message, parents.Slice(i * DigestBytes, DigestBytes));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ScatterWords(ref byte block, ref uint words, int stride)
    {
        for (var t = 0; t < 16; t++)
            Unsafe.Add(ref words, t * stride) = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref block, 4 * t));
    }

    private static void GatherDigest(ReadOnlySpan<uint> words, int lane, int stride, Span<byte> digest)
    {
        var target = MemoryMarshal.Cast<byte, uint>(digest);
        for (var i = 0; i < 8; i++) target[i] = words[(i * stride) + lane];
    }

    /// <summary>FIPS 180-4, section 6.2.2, on every lane. <paramref name="schedule"/> holds the block's 16 words and is used up.</summary>
    private static void Compress<TL, TV>(Span<TV> state, Span<TV> schedule)
        where TL : struct, ISha256Lanes<TV> where TV : unmanaged
    {
        ref var w = ref MemoryMarshal.GetReference(schedule);
        ref var k = ref MemoryMarshal.GetReference(RoundConstants);
        TV a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
        for (var t = 0; t < 64; t++)
        {
            ref var word = ref Unsafe.Add(ref w, t & 15);
            if (t >= 16)
            {
                word = TL.Add(
                    TL.Add(word, TL.SmallSigma0(Unsafe.Add(ref w, (t + 1) & 15))),
                    TL.Add(Unsafe.Add(ref w, (t + 9) & 15), TL.SmallSigma1(Unsafe.Add(ref w, (t + 14) & 15))));
            }
            var t1 = TL.Add(
                TL.Add(TL.Add(h, TL.BigSigma1(e)), TL.Choose(e, f, g)),
                TL.Add(TL.Broadcast(Unsafe.Add(ref k, t)), word));
            var t2 = TL.Add(TL.BigSigma0(a), TL.Majority(a, b, c));
            h = g;
            g = f;
            f = e;
            e = TL.Add(d, t1);
            d = c;
            c = b;
            b = a;
            a = TL.Add(t1, t2);
        }
        state[0] = TL.Add(state[0], a);
        state[1] = TL.Add(state[1], b);
        state[2] = TL.Add(state[2], c);
        state[3] = TL.Add(state[3], d);
        state[4] = TL.Add(state[4], e);
        state[5] = TL.Add(state[5], f);
        state[6] = TL.Add(state[6], g);
        state[7] = TL.Add(state[7], h);
    }
}
