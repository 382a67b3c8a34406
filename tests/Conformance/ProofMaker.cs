using System.Buffers.Binary;
using System.Formats.Cbor;
using System.Text;
using System.Text.Json.Nodes;
using Gongzhi.Ledger;

namespace Gongzhi.Tests.Conformance;

/// <summary>Makes true row proofs and receipts the long way round, so that tests can then break them one piece at a time.</summary>
internal sealed class ProofMaker : IAsyncDisposable
{
    public static readonly Guid Batch = Guid.Parse("01939e6b-0000-7000-8000-abcd00000000");
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-proof-");
    private readonly FileTreeState _state;

    public ProofMaker() => _state = new FileTreeState(Path.Combine(_root.FullName, "state"));

    public NoteSigner Signer { get; } = NoteSigner.Generate("city.example/ledger");
    public string LogDirectory => Path.Combine(_root.FullName, "log");
    public string FileOf(string name) => Path.Combine(_root.FullName, name);

    public string Write(string name, string text)
    {
        File.WriteAllText(FileOf(name), text);
        return FileOf(name);
    }

    /// <summary>The proof of one row of a batch of <paramref name="rows"/>, in a log that holds other entries too.</summary>
    public async Task<(JsonNode Proof, JsonNode Receipt)> MakeAsync(int rows, int index, bool salted = true, Func<int, byte[]>? rowBytes = null, Func<byte[], byte[]>? entryBytes = null)
    {
        var bytes = Enumerable.Range(0, rows).Select(rowBytes ?? (i => Row(i))).ToArray();
        var salts = Enumerable.Range(0, rows).Select(i => salted ? Enumerable.Repeat((byte)i, 16).ToArray() : []).ToArray();
        var leaves = Enumerable.Range(0, rows).SelectMany(i => MerkleTree.LeafHash([.. bytes[i], .. salts[i]])).ToArray();
        var root = MerkleRoot.Compute(leaves);
        var entry = Entry("reports", 3, Batch, rows, root);
        if (entryBytes is not null) entry = entryBytes(entry);
        await using var log = await TileLog.OpenAsync(Signer, _state, new FileTileStore(LogDirectory));
        await log.AppendAsync([.. Enumerable.Range(0, 300).Select(i => new PendingEntry(Guid.CreateVersion7(), BitConverter.GetBytes(i)))]);
        var at = (await log.AppendAsync([new PendingEntry(Guid.CreateVersion7(), entry)]))[0].Index;
        await log.AppendAsync([new PendingEntry(Guid.CreateVersion7(), new byte[9])]);
        var tlog = Encoding.UTF8.GetString((await log.ProveEntryAsync(at)).Encode());
        var proof = new JsonObject
        {
            ["row"] = new JsonObject { ["format"] = 1, ["bytes"] = Convert.ToBase64String(bytes[index]), ["salt"] = salted ? Convert.ToBase64String(salts[index]) : null },
            ["index"] = index,
            ["count"] = rows,
            ["path"] = new JsonArray([.. MerkleTree.InclusionProof(leaves, index).Select(hash => (JsonNode)Convert.ToBase64String(hash))]),
            ["root"] = Convert.ToBase64String(root),
            ["entry"] = Convert.ToBase64String(entry),
            ["tlogProof"] = tlog,
        };
        var receipt = new JsonObject
        {
            ["receipt"] = "r-1", ["dataset"] = "reports", ["batch"] = Batch.ToString(), ["accepted"] = rows, ["rejected"] = 2,
            ["root"] = Convert.ToBase64String(root),
            ["entry"] = new JsonObject
            {
                ["index"] = at, ["checkpoint"] = Encoding.UTF8.GetString(log.CurrentCheckpoint.Span),
                ["entry"] = Convert.ToBase64String(entry), ["tlogProof"] = tlog,
            },
        };
        return (proof, receipt);
    }

    public static byte[] Row(int ordinal, string dataset = "reports", int version = 3, int recordOffset = 1, Action<CborWriter>? fields = null, Guid? batch = null)
    {
        var id = (batch ?? Batch).ToByteArray(bigEndian: true);
        BinaryPrimitives.WriteUInt32BigEndian(id.AsSpan(12), (uint)(ordinal + recordOffset));
        var writer = new CborWriter(CborConformanceMode.Lax);
        writer.WriteStartArray(fields is null ? 13 : 11);
        writer.WriteTextString("gongzhi/row");
        writer.WriteInt32(1);
        writer.WriteTextString(dataset);
        writer.WriteInt32(version);
        writer.WriteByteString(id);
        writer.WriteInt32(ordinal);
        writer.WriteInt64(1_794_000_000_000_000 + ordinal);
        writer.WriteTextString("110101");
        writer.WriteByteString(new byte[32]);
        writer.WriteNull();
        if (fields is null)
        {
            writer.WriteTextString("路灯损坏");
            writer.WriteInt32(-ordinal);
            writer.WriteBoolean(true);
        }
        else
        {
            fields(writer);
        }
        writer.WriteEndArray();
        return writer.Encode();
    }

    public static byte[] Entry(string dataset, int version, Guid batch, long rows, byte[] root, string kind = "batch")
    {
        var writer = new CborWriter(CborConformanceMode.Canonical);
        writer.WriteStartArray(9);
        writer.WriteTextString("gongzhi/entry");
        writer.WriteInt32(1);
        writer.WriteTextString(kind);
        writer.WriteByteString(Guid.CreateVersion7().ToByteArray(bigEndian: true));
        writer.WriteTextString(dataset);
        writer.WriteInt32(version);
        writer.WriteByteString(batch.ToByteArray(bigEndian: true));
        writer.WriteInt64(rows);
        writer.WriteByteString(root);
        writer.WriteEndArray();
        return writer.Encode();
    }

    public ValueTask DisposeAsync()
    {
        _state.Dispose();
        Signer.Dispose();
        _root.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }
}
