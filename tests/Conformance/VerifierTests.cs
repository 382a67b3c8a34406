using System.Formats.Cbor;
using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using Gongzhi.Ledger;
using Gongzhi.Verifier;
using Xunit;

namespace Gongzhi.Tests.Conformance;

public sealed class VerifierTests
{
    [Theory]
    [InlineData(1, 0, true)]
    [InlineData(2, 1, false)]
    [InlineData(1000, 5, true)]
    [InlineData(1000, 999, false)]
    public async Task A_true_row_proof_and_receipt_are_proven(int rows, int index, bool salted)
    {
        await using var maker = new ProofMaker();
        var (proof, receipt) = await maker.MakeAsync(rows, index, salted);
        var row = Row(proof, maker);
        Assert.Equal((Outcome.Proven, "row.proven"), (row.Outcome, row.Code));
        Assert.Equal("city.example/ledger", row.Facts["origin"]);
        Assert.Equal((Outcome.Proven, "receipt.proven"), Receipt(receipt, maker));
    }

    [Fact]
    public async Task Any_changed_byte_of_a_proof_is_noticed()
    {
        await using var maker = new ProofMaker();
        var (proof, _) = await maker.MakeAsync(100, 42);
        var places = new (string Name, Func<JsonNode, JsonNode> At)[]
        {
            ("bytes", p => p["row"]!["bytes"]!), ("salt", p => p["row"]!["salt"]!), ("root", p => p["root"]!), ("entry", p => p["entry"]!), ("path", p => p["path"]![3]!),
        };
        Gen.Int[0, places.Length - 1].Select(Gen.Int[0, int.MaxValue], Gen.Int[0, 7]).Sample((place, at, bit) =>
        {
            var changed = proof.DeepClone();
            var node = places[place].At(changed);
            var bytes = Convert.FromBase64String(node.GetValue<string>());
            bytes[at % bytes.Length] ^= (byte)(1 << bit);
            node.ReplaceWith(Convert.ToBase64String(bytes));
            Assert.Equal(Outcome.NotProven, Row(changed, maker).Outcome);
        }, iter: 500);
    }

    [Fact]
    public async Task Each_broken_binding_has_its_own_answer()
    {
        await using var maker = new ProofMaker();
        var (proof, receipt) = await maker.MakeAsync(10, 4);
        Assert.Equal("row.ordinal", Row(With(proof, p => p["index"] = 5), maker).Code);
        Assert.Equal("row.count", Row(With(proof, p => p["count"] = 11), maker).Code);
        Assert.Equal("row.root", Row(With(proof, p => p["root"] = Convert.ToBase64String(new byte[32])), maker).Code);
        Assert.Equal("row.salt", Row(With(proof, p => p["row"]!["salt"] = ""), maker).Code);
        Assert.Equal("row.inclusion", Row(With(proof, p => p["row"]!["salt"] = null), maker).Code);
        Assert.Equal("row.inclusion", Row(With(proof, p => p["path"]!.AsArray().RemoveAt(0)), maker).Code);
        Assert.Equal("log.proof", Row(With(proof, p => p["tlogProof"] = "nothing"), maker).Code);
        Assert.Equal("log.signature", Row(With(proof, p => p["tlogProof"] = ((string)p["tlogProof"]!).Replace("\n302\n", "\n303\n", StringComparison.Ordinal)), maker).Code);
        Assert.Equal("log.inclusion", Row(With(proof, p => p["tlogProof"] = ((string)p["tlogProof"]!).Replace("index 300", "index 299", StringComparison.Ordinal)), maker).Code);

        Assert.Equal("receipt.count", Receipt(With(receipt, r => r["accepted"] = 9), maker).Code);
        Assert.Equal("receipt.root", Receipt(With(receipt, r => r["root"] = Convert.ToBase64String(new byte[32])), maker).Code);
        Assert.Equal("receipt.batch", Receipt(With(receipt, r => r["dataset"] = "other"), maker).Code);
        Assert.Equal("receipt.index", Receipt(With(receipt, r => r["entry"]!["index"] = 7), maker).Code);
        Assert.Equal("receipt.unproven", Receipt(With(receipt, r => r["entry"]!["tlogProof"] = null), maker).Code);
        Assert.Equal("receipt.pending", Receipt(With(receipt, r => r["entry"] = null), maker).Code);
        Assert.Equal(Outcome.Unusable, Receipt(With(receipt, r => r.AsObject().Remove("root")), maker).Outcome);
    }

    [Fact]
    public async Task A_row_committed_in_another_spelling_or_to_another_batch_proves_nothing()
    {
        await using var maker = new ProofMaker();
        async Task<string> CodeOf(Func<int, byte[]> row) => Row((await maker.MakeAsync(3, 1, rowBytes: row)).Proof, maker).Code;
        Assert.Equal("row.proven", await CodeOf(i => ProofMaker.Row(i, fields: w => w.WriteEncodedValue(Convert.FromHexString("FB3FF8000000000000")))));
        // Negative zero, NaN, a half-precision float, a head not the shortest, a text of indefinite length, a tag.
        foreach (var item in new[] { "FB8000000000000000", "FB7FF8000000000000", "F93C00", "1805", "7F6161FF", "C000" })
            Assert.Equal("row.bytes", await CodeOf(i => ProofMaker.Row(i, fields: w => w.WriteEncodedValue(Convert.FromHexString(item)))));
        Assert.Equal("row.bytes", await CodeOf(i => [.. ProofMaker.Row(i), 0xF6]));
        Assert.Equal("row.bytes", await CodeOf(i => ProofMaker.Row(i, recordOffset: 2)));
        Assert.Equal("row.dataset", await CodeOf(i => ProofMaker.Row(i, dataset: "other")));
        Assert.Equal("row.dataset", await CodeOf(i => ProofMaker.Row(i, version: 4)));
        Assert.Equal("row.batch", await CodeOf(i => ProofMaker.Row(i, batch: Guid.Parse("01939e6b-0000-7000-8000-abce00000000"))));
        var (proof, _) = await maker.MakeAsync(3, 1, entryBytes: entry => [.. entry, 0x00]);
        Assert.Equal("row.entry", Row(proof, maker).Code);
    }

    [Fact]
    public void Rubbish_is_unusable_and_never_an_exception()
    {
        var key = new NoteVerifier("a.example", new byte[32]);
        Gen.Byte.Array[0, 200].Sample(bytes =>
        {
            Assert.NotEqual(Outcome.Proven, RowCheck.Check(bytes, key).Outcome);
            Assert.NotEqual(Outcome.Proven, ReceiptCheck.Check(bytes, key).Outcome);
            Assert.NotEqual(Outcome.Proven, OpenedEntryCheck.Check(bytes, key).Outcome);
        });
        foreach (var text in new[] { "", "null", "[]", "{}", "{\"row\":null}", "{\"index\":1,\"index\":2}", new string('[', 100_000) })
        {
            Assert.Equal(Outcome.Unusable, RowCheck.Check(Encoding.UTF8.GetBytes(text), key).Outcome);
            Assert.Equal(Outcome.Unusable, ReceiptCheck.Check(Encoding.UTF8.GetBytes(text), key).Outcome);
        }
    }

    [Fact]
    public async Task The_commands_print_one_sentence_and_exit_as_documented()
    {
        await using var maker = new ProofMaker();
        var (proof, receipt) = await maker.MakeAsync(10, 4);
        var key = maker.Write("key", maker.Signer.Verifier + "\n");
        var other = maker.Write("other-key", NoteSigner.Generate("city.example/ledger").Verifier.ToString());
        var good = maker.Write("good.json", proof.ToJsonString());
        var bad = maker.Write("bad.json", With(proof, p => p["count"] = 11).ToJsonString());
        var many = maker.Write("many.ndjson", $"{proof.ToJsonString()}\n\n{proof.ToJsonString()}\r\n");
        var checkpoint = maker.Write("older", File.ReadAllText(Path.Combine(maker.LogDirectory, "checkpoint")));

        Assert.Equal(0, await Run("row", good, many, "--vkey", key, "--lang", "en"));
        Assert.Equal(1, await Run("row", good, bad, "--vkey", key));
        Assert.Equal(1, await Run("row", good, "--vkey", other));
        Assert.Equal(2, await Run("row", maker.FileOf("absent.json"), "--vkey", key));
        Assert.Equal(2, await Run("row", good, "--vkey", good));
        Assert.Equal(2, await Run("row", good));
        Assert.Equal(2, await Run("frobnicate"));
        Assert.Equal(0, await Run("receipt", maker.Write("receipt.json", receipt.ToJsonString()), "--vkey", key));
        Assert.Equal(0, await Run("log", maker.LogDirectory, "--vkey", key, "--from", checkpoint));
        Assert.Equal(2, await Run("log", maker.FileOf("nowhere"), "--vkey", key));

        Assert.Contains("已证明", await Output("row", good, "--vkey", key, "--lang", "zh"), StringComparison.Ordinal);
        var json = JsonNode.Parse(await Output("row", bad, "--vkey", key, "--json"))!;
        Assert.Equal(("NotProven", "row.count"), ((string?)json["outcome"], (string?)json["code"]));

        // An entry with its proof, and what it opens to.
        var entry = new JsonObject { ["index"] = 300, ["entry"] = proof["entry"]!.DeepClone(), ["tlogProof"] = proof["tlogProof"]!.DeepClone() };
        Assert.Contains("batch " + ProofMaker.Batch, await Output("entry", maker.Write("entry.json", entry.ToJsonString()), "--vkey", key, "--lang", "en"), StringComparison.Ordinal);
        Assert.Equal(0, await Run("entry", maker.FileOf("entry.json"), "--vkey", key));
        Assert.Equal(1, await Run("entry", maker.FileOf("entry.json"), "--vkey", other));
        foreach (var (member, value, code) in new (string, JsonNode?, string)[]
                 {
                     ("index", 299, "entry.index"), ("tlogProof", null, "entry.pending"), ("entry", Convert.ToBase64String(new byte[9]), "entry.bytes"), ("tlogProof", "x", "log.proof"),
                     ("content", "{}", "entry.content"), ("salt", Convert.ToBase64String(new byte[16]), "entry.content"),
                     ("entry", Convert.ToBase64String(ProofMaker.Entry("reports", 3, ProofMaker.Batch, 11, new byte[32])), "log.inclusion"),
                 })
        {
            var said = JsonNode.Parse(await Output("entry", maker.Write("bent.json", With(entry, e => e[member] = value).ToJsonString()), "--vkey", key, "--json"))!;
            Assert.Equal(("NotProven", code), ((string?)said["outcome"], (string?)said["code"]));
        }
        Assert.Equal(2, await Run("entry", key, "--vkey", key));
        Assert.Equal(2, await Run("row", "http://127.0.0.1:9/proof", "--vkey", key));

        File.WriteAllBytes(Path.Combine(maker.LogDirectory, "tile/entries/000"), new byte[5]);
        Assert.Equal(1, await Run("log", maker.LogDirectory, "--vkey", key));
        Assert.Contains("tile/entries/000", await Output("log", maker.LogDirectory, "--vkey", key), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_growing_log_is_checked_between_two_checkpoints_that_were_kept()
    {
        await using var maker = new ProofMaker();
        var kept = new List<string>();
        for (var i = 0; i < 3; i++)
        {
            await maker.MakeAsync(3, 1);
            kept.Add(maker.Write($"kept-{i}", File.ReadAllText(Path.Combine(maker.LogDirectory, "checkpoint"))));
        }
        var key = maker.Write("key", maker.Signer.Verifier + "\n");
        Assert.Contains("the first 604 entries", await Output("log", maker.LogDirectory, "--vkey", key, "--from", kept[0], "--to", kept[1], "--lang", "en"), StringComparison.Ordinal);
        foreach (var to in kept)
            Assert.Equal(0, await Run("log", maker.LogDirectory, "--vkey", key, "--to", to));
        // Partial tiles may go once the full ones are there.
        foreach (var partial in Directory.GetDirectories(maker.LogDirectory, "*.p", SearchOption.AllDirectories))
        {
            if (File.Exists(partial[..^2]))
                Directory.Delete(partial, recursive: true);
        }
        Assert.Equal(0, await Run("log", maker.LogDirectory, "--vkey", key, "--from", kept[0], "--to", kept[1]));
        Assert.Contains("went back", await Output("log", maker.LogDirectory, "--vkey", key, "--from", kept[2], "--to", kept[1], "--lang", "en"), StringComparison.Ordinal);
        Assert.Equal(2, await Run("log", maker.LogDirectory, "--vkey", key, "--to", maker.FileOf("absent")));
        var forged = maker.Write("forged", (await File.ReadAllTextAsync(kept[1], TestContext.Current.CancellationToken)).Replace("\n604\n", "\n605\n", StringComparison.Ordinal));
        Assert.Contains("Broken at to", await Output("log", maker.LogDirectory, "--vkey", key, "--to", forged, "--lang", "en"), StringComparison.Ordinal);

        // What came after is no part of it; what is before is.
        var late = Path.Combine(maker.LogDirectory, "tile/entries/003.p");
        if (Directory.Exists(late))
            Directory.Delete(late, recursive: true);
        Assert.Equal(0, await Run("log", maker.LogDirectory, "--vkey", key, "--from", kept[0], "--to", kept[1]));
        var bytes = File.ReadAllBytes(Path.Combine(maker.LogDirectory, "tile/entries/001"));
        bytes[500] ^= 1;
        File.WriteAllBytes(Path.Combine(maker.LogDirectory, "tile/entries/001"), bytes);
        Assert.Contains("tile/entries/001", await Output("log", maker.LogDirectory, "--vkey", key, "--from", kept[0], "--to", kept[1], "--lang", "en"), StringComparison.Ordinal);
    }

    private static async Task<int> Run(params string[] args) => await Doors.RunAsync(args, TextWriter.Null, TextWriter.Null);

    private static async Task<string> Output(params string[] args)
    {
        var output = new StringWriter();
        await Doors.RunAsync(args, output, TextWriter.Null);
        return output.ToString();
    }

    private static Verdict Row(JsonNode proof, ProofMaker maker) => RowCheck.Check(Encoding.UTF8.GetBytes(proof.ToJsonString()), maker.Signer.Verifier);

    private static (Outcome Outcome, string Code) Receipt(JsonNode receipt, ProofMaker maker)
    {
        var verdict = ReceiptCheck.Check(Encoding.UTF8.GetBytes(receipt.ToJsonString()), maker.Signer.Verifier);
        return (verdict.Outcome, verdict.Code);
    }

    private static JsonNode With(JsonNode node, Action<JsonNode> change)
    {
        var copy = node.DeepClone();
        change(copy);
        return copy;
    }
}
