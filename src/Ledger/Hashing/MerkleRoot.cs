using System.Buffers;

namespace Gongzhi.Ledger;

/// <summary>The root over leaf hashes laid out one after another; made for batches of a million leaves.</summary>
public static class MerkleRoot
{
    /// <summary>
    /// The RFC 6962 root (MTH) over n leaf hashes of 32 bytes each. No allocation per node: about half the input is rented.
    /// </summary>
    /// <exception cref="ArgumentException">The input is not whole 32-byte hashes.</exception>
    public static byte[] Compute(ReadOnlySpan<byte> leafHashes32)
    {
        var count = CountOf(leafHashes32);
        if (count == 0) return MerkleTree.EmptyRoot.ToArray();
        if (count == 1) return leafHashes32.ToArray();
        var nodes = ArrayPool<byte>.Shared.Rent((count + 1) / 2 * MerkleTree.HashBytes);
        try
        {
            count = Raise(leafHashes32, count, nodes);
            while (count > 1) count = RaiseInPlace(nodes, count);
            return nodes.AsSpan(0, MerkleTree.HashBytes).ToArray();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(nodes);
        }
    }

    internal static int CountOf(ReadOnlySpan<byte> hashes32) => hashes32.Length % MerkleTree.HashBytes == 0
        ? hashes32.Length / MerkleTree.HashBytes
        : throw new ArgumentException("Hashes are 32 bytes each.", nameof(hashes32));

    /// <summary>Replaces the first <paramref name="count"/> nodes by their parents and returns how many those are.</summary>
    internal static int RaiseInPlace(Span<byte> nodes, int count) => Raise(nodes, count, nodes);

    // Pairing level by level and promoting an odd last node unchanged gives the same tree as RFC 6962's split at the largest power of two.
    private static int Raise(ReadOnlySpan<byte> nodes, int count, Span<byte> parents)
    {
        var pairs = count / 2;
        Sha256Batch.HashPairs(nodes[..(pairs * 2 * MerkleTree.HashBytes)], parents);
        if (count % 2 == 0) return pairs;
        nodes.Slice((count - 1) * MerkleTree.HashBytes, MerkleTree.HashBytes).CopyTo(parents[(pairs * MerkleTree.HashBytes)..]);
        return pairs + 1;
    }
}
