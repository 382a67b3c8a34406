using System.Text;
using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Records;
using Gongzhi.Ledger;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>
/// From text through the very reader and encoder that contributions take, to the bytes that vectors/canonical/rows.json pins. The auditor's own
/// decoder is held to the same file by the conformance tests, so that the two cannot drift together.
/// </summary>
public sealed class CanonicalVectorTests
{
    [Fact]
    public async Task Rows_have_the_canonical_bytes_of_the_vectors()
    {
        using var vectors = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(Repository.Root, "vectors/canonical/rows.json"), TestContext.Current.CancellationToken));
        await using var core = await CoreFixture.OpenAsync();
        var types = new HashSet<FieldType>();
        var number = 0;
        foreach (var vector in vectors.RootElement.GetProperty("cases").EnumerateArray())
        {
            var name = vector.GetProperty("name").GetString()!;
            // Its own dataset, under the vector's id and version.
            var defined = await core.DefineAsync($"v{number++}", vector.GetProperty("definition").GetRawText());
            var dataset = defined with { Id = vector.GetProperty("dataset").GetString()!, Version = vector.GetProperty("version").GetInt32() };
            types.UnionWith(dataset.Fields.Select(f => f.Type));

            var row = new Dictionary<string, string?>();
            foreach (var field in vector.GetProperty("row").EnumerateObject())
                row[field.Name] = field.Value.GetString();
            if (vector.GetProperty("supersedes").GetString() is { } superseded)
                row[RowReader.SupersedesColumn] = superseded;
            await using var source = new NdjsonSource(new MemoryStream(JsonSerializer.SerializeToUtf8Bytes(row)), RowReader.ColumnsOf(dataset));
            using var chunk = await source.ReadAsync(TestContext.Current.CancellationToken);
            var reader = RowReader.For(dataset, source.Header, new IntakeRules { Places = KnownPlace }).Value!;
            var errors = new List<RowError>();
            var rows = reader.Read(chunk!, vector.GetProperty("received").GetInt64(), errors);
            Assert.True(errors.Count == 0, $"{name}: {errors.FirstOrDefault()}");

            var salt = vector.GetProperty("salt").GetString();
            Assert.True(dataset.Salted == salt is not null, name);
            rows.Batch = vector.GetProperty("batch").GetGuid();
            rows.FirstOrdinal = vector.GetProperty("ordinal").GetInt64();
            rows.Salts = salt is null ? [] : Convert.FromHexString(salt);
            var encoder = new RowEncoder(dataset, rows.Batch, Convert.FromHexString(vector.GetProperty("subjectSalt").GetString()!));
            var one = encoder.EncodeOne(rows, 0);
            Assert.True("00" + vector.GetProperty("canonical").GetString() + salt == Convert.ToHexStringLower(one), $"{name}: {Convert.ToHexStringLower(one)}");
            var many = encoder.Encode(rows);
            Assert.Equal(one, many.Bytes.AsSpan(many.Starts[0], many.Lengths[0]).ToArray());
            Assert.Equal(vector.GetProperty("leaf").GetString(), Convert.ToHexStringLower(MerkleTree.LeafHash(one.AsSpan(1))));
        }
        Assert.Equal(Enum.GetValues<FieldType>().Order(), types.Order());
    }

    private static bool KnownPlace(ReadOnlySpan<byte> code, Span<byte> stripped, out int length, out IReadOnlyList<Core.Territory.Place> dated)
    {
        (length, dated) = (0, []);
        return Core.Territory.PlaceCode.TryParse(code, out var place) && place.TryFormat(stripped, out length);
    }
}
