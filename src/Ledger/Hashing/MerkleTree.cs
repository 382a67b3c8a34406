using System.Buffers;
using System.Numerics;
using System.Security.Cryptography;

namespace Gongzhi.Ledger;

/// <summary>The Merkle tree of RFC 6962 section 2.1 (RFC 9162 section 2.1) over SHA-256: hashes, proofs and their verification.</summary>
/// <remarks>Hashes are 32 bytes. Nothing called <c>Verify…</c> throws, whatever it is given.</remarks>
public static class MerkleTree
{
    /// <summary>Bytes in a hash.</summary>
    public const int HashBytes = 32;

    /// <summary>The longest path any proof can have: trees hold fewer than 2^63 leaves.</summary>
    public const int ProofHashesMax = 64;

    private static readonly byte[] Empty = SHA256.HashData([]);

    /// <summary>The root of the tree without leaves: SHA-256 of nothing.</summary>
    public static ReadOnlySpan<byte> EmptyRoot => Empty;

    /// <summary>SHA-256(0x00 ‖ data).</summary>
    public static byte[] LeafHash(ReadOnlySpan<byte> data)
    {
        var rented = ArrayPool<byte>.Shared.Rent(data.Length + 1);
        try
        {
            rented[0] = 0x00;
            data.CopyTo(rented.AsSpan(1));
            return SHA256.HashData(rented.AsSpan(0, data.Length + 1));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <summary>The leaf hashes of many entries, one 32-byte hash after another.</summary>
    public static byte[] LeafHashes(IReadOnlyList<ReadOnlyMemory<byte>> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        var total = entries.Sum(entry => (long)entry.Length + 1);
        var hashes = new byte[entries.Count * HashBytes];
        if (total > Array.MaxLength)
        {
            for (var i = 0; i < entries.Count; i++) LeafHash(entries[i].Span).CopyTo(hashes, i * HashBytes);
            return hashes;
        }
        var buffer = ArrayPool<byte>.Shared.Rent((int)total);
        try
        {
            var starts = new int[entries.Count];
            var lengths = new int[entries.Count];
            var at = 0;
            for (var i = 0; i < entries.Count; i++)
            {
                starts[i] = at;
                lengths[i] = entries[i].Length + 1;
                buffer[at] = 0x00;
                entries[i].Span.CopyTo(buffer.AsSpan(at + 1));
                at += lengths[i];
            }
            Sha256Batch.HashMany(buffer.AsSpan(0, at), starts, lengths, hashes);
            return hashes;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>SHA-256(0x01 ‖ left ‖ right).</summary>
    /// <exception cref="ArgumentException">A child is not 32 bytes.</exception>
    public static byte[] NodeHash(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        var parent = new byte[HashBytes];
        HashNode(left, right, parent);
        return parent;
    }

    /// <summary>As <see cref="NodeHash"/>, into <paramref name="parent"/>, which may overlap either child.</summary>
    /// <exception cref="ArgumentException">A child is not 32 bytes.</exception>
    public static void HashNode(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> parent)
    {
        if (left.Length != HashBytes || right.Length != HashBytes) throw new ArgumentException("A node hash is 32 bytes.");
        Span<byte> message = stackalloc byte[1 + (2 * HashBytes)];
        message[0] = 0x01;
        left.CopyTo(message[1..]);
        right.CopyTo(message[(1 + HashBytes)..]);
        SHA256.HashData(message, parent);
    }

    /// <summary>The inclusion proof (PATH) of leaf <paramref name="index"/> among the leaf hashes given, leaf's sibling first.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such leaf.</exception>
    public static byte[][] InclusionProof(ReadOnlySpan<byte> leafHashes32, long index)
    {
        var count = MerkleRoot.CountOf(leafHashes32);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, count);
        var proof = new List<byte[]>();
        var nodes = ArrayPool<byte>.Shared.Rent(leafHashes32.Length);
        try
        {
            leafHashes32.CopyTo(nodes);
            var at = (int)index;
            while (count > 1)
            {
                var sibling = at ^ 1;
                if (sibling < count) proof.Add(nodes.AsSpan(sibling * HashBytes, HashBytes).ToArray());
                count = MerkleRoot.RaiseInPlace(nodes, count);
                at >>= 1;
            }
            return [.. proof];
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(nodes);
        }
    }

    /// <summary>The consistency proof (PROOF) from the first <paramref name="from"/> of these leaves to all of them.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="from"/> is negative or beyond the leaves.</exception>
    public static byte[][] ConsistencyProof(ReadOnlySpan<byte> leafHashes32, long from)
    {
        var count = MerkleRoot.CountOf(leafHashes32);
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from, count);
        var ranges = ProofRanges.Consistency(from, count);
        var proof = new byte[ranges.Count][];
        for (var i = 0; i < proof.Length; i++)
        {
            var (start, end) = ranges[i];
            proof[i] = MerkleRoot.Compute(leafHashes32[(int)(start * HashBytes)..(int)(end * HashBytes)]);
        }
        return proof;
    }

    /// <summary>Whether <paramref name="proof"/> shows that the leaf hash is at <paramref name="index"/> of the tree of
    /// <paramref name="size"/> leaves with <paramref name="root"/> (RFC 9162 section 2.1.3.2).</summary>
    public static bool VerifyInclusion(
        ReadOnlySpan<byte> leafHash, long index, long size, IReadOnlyList<byte[]>? proof, ReadOnlySpan<byte> root)
    {
        if (proof is null || leafHash.Length != HashBytes || root.Length != HashBytes) return false;
        if (index < 0 || index >= size || proof.Count > ProofHashesMax) return false;
        Span<byte> hash = stackalloc byte[HashBytes];
        leafHash.CopyTo(hash);
        long at = index, last = size - 1;
        foreach (var sibling in proof)
        {
            if (sibling is not { Length: HashBytes } || last == 0) return false;
            if ((at & 1) == 1 || at == last)
            {
                HashNode(sibling, hash, hash);
                // A right edge that is a left child was promoted unchanged: climb to where it has a left neighbour.
                while ((at & 1) == 0 && at != 0)
                {
                    at >>= 1;
                    last >>= 1;
                }
            }
            else
            {
                HashNode(hash, sibling, hash);
            }
            at >>= 1;
            last >>= 1;
        }
        return last == 0 && hash.SequenceEqual(root);
    }

    /// <summary>Whether <paramref name="proof"/> shows that the tree of <paramref name="from"/> leaves is a prefix of the one of
    /// <paramref name="to"/> leaves (RFC 9162 section 2.1.4.2). Equal sizes take an empty proof, and so does an empty first tree.</summary>
    public static bool VerifyConsistency(
        long from, long to, ReadOnlySpan<byte> fromRoot, ReadOnlySpan<byte> toRoot, IReadOnlyList<byte[]>? proof)
    {
        if (proof is null || from < 0 || to < from || proof.Count > ProofHashesMax) return false;
        // Equal trees need no hashing, so their roots need only be equal; the published vectors have roots that are no hashes here.
        if (from == to && from > 0) return proof.Count == 0 && fromRoot.SequenceEqual(toRoot);
        if (fromRoot.Length != HashBytes || toRoot.Length != HashBytes) return false;
        if (from == to) return proof.Count == 0 && fromRoot.SequenceEqual(Empty) && toRoot.SequenceEqual(Empty);
        if (from == 0) return proof.Count == 0 && fromRoot.SequenceEqual(Empty);
        if (proof.Count == 0) return false;

        Span<byte> oldHash = stackalloc byte[HashBytes];
        Span<byte> newHash = stackalloc byte[HashBytes];
        // When the old size is a power of two its root is itself the first node of the path.
        var next = BitOperations.IsPow2(from) ? 0 : 1;
        if (next == 1)
        {
            if (proof[0] is not { Length: HashBytes }) return false;
            proof[0].CopyTo(oldHash);
        }
        else
        {
            fromRoot.CopyTo(oldHash);
        }
        oldHash.CopyTo(newHash);

        long at = from - 1, last = to - 1;
        while ((at & 1) == 1)
        {
            at >>= 1;
            last >>= 1;
        }
        for (; next < proof.Count; next++)
        {
            var node = proof[next];
            if (node is not { Length: HashBytes } || last == 0) return false;
            if ((at & 1) == 1 || at == last)
            {
                HashNode(node, oldHash, oldHash);
                HashNode(node, newHash, newHash);
                while ((at & 1) == 0 && at != 0)
                {
                    at >>= 1;
                    last >>= 1;
                }
            }
            else
            {
                HashNode(newHash, node, newHash);
            }
            at >>= 1;
            last >>= 1;
        }
        return last == 0 && oldHash.SequenceEqual(fromRoot) && newHash.SequenceEqual(toRoot);
    }
}
