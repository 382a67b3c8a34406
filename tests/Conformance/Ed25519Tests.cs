using System.Text;
using System.Text.Json;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Conformance;

public sealed class Ed25519Tests
{
    [Fact]
    public void All_914_edge_cases_are_answered_as_documented()
    {
        var vectors = VectorFiles.Json(VectorFiles.Shipped("cctv/ed25519vectors.json")).EnumerateArray().ToList();
        Assert.Equal(914, vectors.Count);
        // libsodium's rule: besides non_canonical_R and low_order_residue it refuses every key and every R of low order.
        string[] refused = ["non_canonical_R", "low_order_residue", "low_order_A", "low_order_R"];
        var accepted = 0;
        foreach (var vector in vectors)
        {
            var ok = Ed25519Signature.Verify(
                Convert.FromHexString(vector.GetProperty("key").GetString()!), Encoding.UTF8.GetBytes(vector.GetProperty("msg").GetString()!),
                Convert.FromHexString(vector.GetProperty("sig").GetString()!));
            Assert.True(ok == !Flags(vector).Intersect(refused).Any(), $"case {vector.GetProperty("number")}");
            if (ok) accepted++;
        }
        Assert.Equal(43, accepted);
    }

    private static string[] Flags(JsonElement vector) => vector.GetProperty("flags") is { ValueKind: JsonValueKind.Array } flags
        ? [.. flags.EnumerateArray().Select(flag => flag.GetString()!)]
        : [];

    [Fact]
    public void Wycheproof_agrees_in_every_case()
    {
        var file = VectorFiles.Json(VectorFiles.Shipped("wycheproof/ed25519_test.json"));
        var (run, wrong) = (0, new List<string>());
        foreach (var group in file.GetProperty("testGroups").EnumerateArray())
        {
            var key = Convert.FromHexString(group.GetProperty("publicKey").GetProperty("pk").GetString()!);
            foreach (var test in group.GetProperty("tests").EnumerateArray())
            {
                run++;
                var ok = Ed25519Signature.Verify(
                    key, Convert.FromHexString(test.GetProperty("msg").GetString()!), Convert.FromHexString(test.GetProperty("sig").GetString()!));
                if (ok != (test.GetProperty("result").GetString() == "valid")) wrong.Add($"{test.GetProperty("tcId")} {test.GetProperty("comment")}");
            }
        }
        Assert.Equal(file.GetProperty("numberOfTests").GetInt32(), run);
        Assert.Empty(wrong);
    }
}
