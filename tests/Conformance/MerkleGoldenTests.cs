using System.Text.Json;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Conformance;

public sealed class MerkleGoldenTests
{
    [Fact]
    public void All_98_inclusion_cases_agree() => Check("inclusion", vector => MerkleTree.VerifyInclusion(
        Bytes(vector, "leafHash"), Number(vector, "leafIdx"), Number(vector, "treeSize"), Proof(vector), Bytes(vector, "root")));

    [Fact]
    public void All_98_consistency_cases_agree() => Check("consistency", vector => MerkleTree.VerifyConsistency(
        Number(vector, "size1"), Number(vector, "size2"), Bytes(vector, "root1"), Bytes(vector, "root2"), Proof(vector)));

    private static void Check(string kind, Func<JsonElement, bool> verify)
    {
        var files = Directory.GetFiles(Path.Combine(VectorFiles.Shipped("merkle_golden"), kind), "*.json", SearchOption.AllDirectories);
        Assert.Equal(98, files.Length);
        var wrong = files.Where(file => VectorFiles.Json(file) is var vector && verify(vector) == vector.GetProperty("wantErr").GetBoolean());
        Assert.Empty(wrong);
    }

    // Sizes beyond 2^63 appear as negative numbers here, which are refused as they must be.
    private static long Number(JsonElement vector, string name) => unchecked((long)vector.GetProperty(name).GetUInt64());

    private static byte[] Bytes(JsonElement vector, string name) =>
        vector.GetProperty(name) is { ValueKind: JsonValueKind.String } text ? text.GetBytesFromBase64() : [];

    private static byte[][] Proof(JsonElement vector) => vector.GetProperty("proof") is { ValueKind: JsonValueKind.Array } hashes
        ? [.. hashes.EnumerateArray().Select(hash => hash.GetBytesFromBase64())]
        : [];
}
