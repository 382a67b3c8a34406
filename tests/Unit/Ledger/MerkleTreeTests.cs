using System.Security.Cryptography;
using CsCheck;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Unit.Ledger;

public sealed class MerkleTreeTests
{
    private static readonly Gen<byte[][]> Leaves = Gen.Int[0, 700].Select(Gen.Int, (count, seed) => Make(count, seed));

    [Fact]
    public void Root_is_the_recursive_definition() => Leaves.Sample(leaves => Assert.Equal(Recursive(leaves), MerkleRoot.Compute(Flat(leaves))), iter: 60);

    [Fact]
    public void Inclusion_proofs_hold_and_nothing_near_them_does() =>
        Leaves.Where(leaves => leaves.Length > 0).Select(Gen.Int[0, int.MaxValue], Gen.Int[0, 255]).Sample((leaves, pick, flip) =>
        {
            var index = pick % leaves.Length;
            var root = MerkleRoot.Compute(Flat(leaves));
            var proof = MerkleTree.InclusionProof(Flat(leaves), index);
            Assert.True(MerkleTree.VerifyInclusion(leaves[index], index, leaves.Length, proof, root));
            Assert.False(MerkleTree.VerifyInclusion(Flip(leaves[index], flip), index, leaves.Length, proof, root));
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, leaves.Length, proof, Flip(root, flip)));
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], index ^ 1, leaves.Length, proof, root));
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, leaves.Length, [.. proof, root], root));
            if (proof.Length == 0) return;
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, leaves.Length, proof[1..], root));
            proof[flip % proof.Length] = Flip(proof[flip % proof.Length], flip);
            Assert.False(MerkleTree.VerifyInclusion(leaves[index], index, leaves.Length, proof, root));
        }, iter: 100);

    [Fact]
    public void Consistency_proofs_hold_and_nothing_near_them_does() =>
        Leaves.Where(leaves => leaves.Length > 0).Select(Gen.Int[0, int.MaxValue], Gen.Int[0, 255]).Sample((leaves, pick, flip) =>
        {
            var from = 1 + (pick % leaves.Length);
            var oldRoot = MerkleRoot.Compute(Flat(leaves[..from]));
            var newRoot = MerkleRoot.Compute(Flat(leaves));
            var proof = MerkleTree.ConsistencyProof(Flat(leaves), from);
            Assert.True(MerkleTree.VerifyConsistency(from, leaves.Length, oldRoot, newRoot, proof));
            Assert.False(MerkleTree.VerifyConsistency(from, leaves.Length, Flip(oldRoot, flip), newRoot, proof));
            Assert.False(MerkleTree.VerifyConsistency(from, leaves.Length, oldRoot, Flip(newRoot, flip), proof));
            Assert.False(MerkleTree.VerifyConsistency(from, leaves.Length, oldRoot, newRoot, [.. proof, newRoot]));
            if (proof.Length > 0) Assert.False(MerkleTree.VerifyConsistency(from, leaves.Length, oldRoot, newRoot, proof[1..]));
        }, iter: 100);

    [Fact]
    public void Verification_answers_no_to_nonsense_and_never_throws() =>
        Gen.Long.Select(Gen.Long, Gen.Byte.Array[0, 40].Array[0, 70], Gen.Byte.Array[0, 40]).Sample((a, b, proof, hash) =>
        {
            Assert.False(MerkleTree.VerifyInclusion(hash, a, b, proof, hash) && hash.Length != 32);
            Assert.False(MerkleTree.VerifyConsistency(a, b, hash, hash, proof) && a != b);
            Assert.False(MerkleTree.VerifyInclusion(hash, a, b, null, hash));
            Assert.False(MerkleTree.VerifyInclusion(new byte[32], 0, 2, [null!], new byte[32]));
        });

    private static byte[][] Make(int count, int seed) =>
        [.. Enumerable.Range(0, count).Select(i => MerkleTree.LeafHash([.. BitConverter.GetBytes(seed), .. BitConverter.GetBytes(i)]))];

    private static byte[] Flat(byte[][] hashes) => [.. hashes.SelectMany(hash => hash)];

    private static byte[] Flip(byte[] hash, int bit)
    {
        var flipped = (byte[])hash.Clone();
        flipped[bit / 8] ^= (byte)(1 << (bit % 8));
        return flipped;
    }

    private static byte[] Recursive(byte[][] leaves)
    {
        if (leaves.Length == 0) return SHA256.HashData([]);
        if (leaves.Length == 1) return leaves[0];
        var split = 1;
        while (split * 2 < leaves.Length) split *= 2;
        return SHA256.HashData([0x01, .. Recursive(leaves[..split]), .. Recursive(leaves[split..])]);
    }
}
