using System.Globalization;
using System.Text.Json;
using Gongzhi.Ledger;
using Gongzhi.Verifier;
using Xunit;

namespace Gongzhi.Tests.Conformance;

/// <summary>The auditor's decoder over vectors/canonical/rows.json, which the node's encoder is held to as well (unit tests).</summary>
public sealed class CanonicalVectorTests
{
    private static readonly JsonElement Vectors = VectorFiles.Json(VectorFiles.Shipped("canonical/rows.json"));

    [Fact]
    public void Every_row_is_read_back_as_its_values()
    {
        var cases = Vectors.GetProperty("cases").EnumerateArray().ToList();
        Assert.True(cases.Count > 40);
        foreach (var vector in cases)
        {
            var name = vector.GetProperty("name").GetString()!;
            var bytes = Convert.FromHexString(vector.GetProperty("canonical").GetString()!);
            var row = CommittedRow.Decode(bytes);
            Assert.True(row is not null, name);
            Assert.Equal(vector.GetProperty("dataset").GetString(), row.Dataset);
            Assert.Equal(vector.GetProperty("version").GetInt64(), row.SchemaVersion);
            Assert.Equal(vector.GetProperty("batch").GetGuid(), row.Batch);
            Assert.Equal(vector.GetProperty("ordinal").GetInt64(), row.Ordinal);
            Assert.Equal(vector.GetProperty("eventTime").GetInt64(), row.EventTimeMicroseconds);
            Assert.Equal(vector.GetProperty("place").GetString(), row.Place);
            Assert.Equal(vector.GetProperty("subject").GetString(), row.Subject is null ? null : Convert.ToHexStringLower(row.Subject));
            Assert.Equal(vector.GetProperty("supersedes").GetString(), row.Supersedes?.ToString());
            Assert.Equal(vector.GetProperty("values").EnumerateArray().Select(Text), row.Fields.Select(Text));
            byte[] salt = vector.GetProperty("salt").GetString() is { } hex ? Convert.FromHexString(hex) : [];
            Assert.Equal(vector.GetProperty("leaf").GetString(), Convert.ToHexStringLower(MerkleTree.LeafHash([.. bytes, .. salt])));
        }
    }

    [Fact]
    public void Every_other_spelling_is_refused()
    {
        var refused = Vectors.GetProperty("refused").EnumerateArray().ToList();
        Assert.True(refused.Count >= 20);
        foreach (var vector in refused)
            Assert.True(CommittedRow.Decode(Convert.FromHexString(vector.GetProperty("bytes").GetString()!)) is null, vector.GetProperty("name").GetString());
        // One bit of a row changed anywhere gives no row, or another one.
        var bytes = Convert.FromHexString(Vectors.GetProperty("cases")[0].GetProperty("canonical").GetString()!);
        var leaf = MerkleTree.LeafHash(bytes);
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 1;
            if (CommittedRow.Decode(bytes) is not null) Assert.False(MerkleTree.LeafHash(bytes).AsSpan().SequenceEqual(leaf));
            bytes[i] ^= 1;
        }
        Assert.Null(CommittedRow.Decode(bytes.AsMemory(0, bytes.Length - 1)));
    }

    // A double is told from an integer by its type, and compared by its bits.
    private static string Text(object? value) => value switch
    {
        null => "null",
        double number => "double " + BitConverter.DoubleToInt64Bits(number).ToString("x16", CultureInfo.InvariantCulture),
        bool truth => truth ? "true" : "false",
        long number => number.ToString(CultureInfo.InvariantCulture),
        string text => "text " + text,
        _ => value.GetType().Name,
    };

    private static string Text(JsonElement value) => Text(value.ValueKind switch
    {
        JsonValueKind.Null => null,
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String => value.GetString(),
        _ => value.GetRawText().AsSpan().IndexOfAny(".eE") >= 0 ? value.GetDouble() : (object)value.GetInt64(),
    });
}
