using System.Text;
using Gongzhi.Ledger;

namespace Gongzhi.Verifier;

/// <summary>Checks a row proof: from the row's bytes up to a checkpoint signed by the log's key, with every binding in between.</summary>
public static class RowCheck
{
    private const int SaltBytesMax = 64;

    public static Verdict Check(ReadOnlySpan<byte> json, NoteVerifier key)
    {
        if (ProofJsonContext.Read(json, ProofJsonContext.Default.RowProofJson) is not { } proof)
            return Verdict.Unusable("This is not a row proof.", "这不是一份行证明文件。");
        if (proof.Row.Format != 1)
            return Verdict.Unusable($"Row format {proof.Row.Format} is unknown to this program.", $"本程序不认识行格式 {proof.Row.Format}。");
        if (CommittedRow.Decode(proof.Row.Bytes) is not { } row)
            return Verdict.Not("row.bytes", "The row's bytes are not canonical.", "该行的字节不是规范编码。");
        if (BatchEntry.Decode(proof.Entry) is not { } entry)
            return Verdict.Not("row.entry", "The ledger entry is not a canonical batch entry.", "存证日志条目不是规范编码的批次条目。");
        if (Binding(proof, row, entry) is { } mismatch) return mismatch;

        byte[] salt = proof.Row.Salt ?? [];
        var leaf = MerkleTree.LeafHash([.. proof.Row.Bytes, .. salt]);
        if (!MerkleTree.VerifyInclusion(leaf, proof.Index, proof.Count, proof.Path, proof.Root))
        {
            return Verdict.Not("row.inclusion", "The row does not lead to the batch's root: the row, its salt or the path was changed.",
                "该行无法推出批次的根：行内容、盐值或路径已被改动。");
        }
        if (EntryCheck.InLog(proof.Entry, proof.TlogProof, key, out var tlog, out var checkpoint) is { } notInLog) return notInLog;
        return new Verdict(Outcome.Proven, "row.proven",
            $"Proven: record {row.RecordId} is row {row.Ordinal} of the {entry.RowCount} rows of batch {entry.Batch} in dataset {row.Dataset} (schema {row.SchemaVersion}), committed as entry {tlog.Index} of log {checkpoint.Origin}, signed at size {checkpoint.Size}.",
            $"已证明：记录 {row.RecordId} 是数据集 {row.Dataset}（结构版本 {row.SchemaVersion}）批次 {entry.Batch} 共 {entry.RowCount} 行中的第 {row.Ordinal} 行（从 0 起），已作为条目 {tlog.Index} 写入存证日志 {checkpoint.Origin}，并在大小为 {checkpoint.Size} 时签名。")
        {
            Facts = new Dictionary<string, object?>
            {
                ["dataset"] = row.Dataset, ["schemaVersion"] = row.SchemaVersion, ["record"] = row.RecordId.ToString(),
                ["ordinal"] = row.Ordinal, ["batch"] = entry.Batch.ToString(), ["rows"] = entry.RowCount,
                ["fields"] = row.Fields, ["eventTimeMicroseconds"] = row.EventTimeMicroseconds, ["place"] = row.Place, ["supersedes"] = row.Supersedes?.ToString(),
                ["entryIndex"] = tlog.Index, ["origin"] = checkpoint.Origin, ["treeSize"] = checkpoint.Size,
            },
        };
    }

    /// <summary>The row, the batch tree and the entry must speak of the same thing, or a true proof of one could pass for another.</summary>
    private static Verdict? Binding(RowProofJson proof, CommittedRow row, BatchEntry entry)
    {
        if (proof.Row.Salt is { Length: 0 or > SaltBytesMax })
            return Verdict.Not("row.salt", "The salt's length is not one that rows have.", "盐值长度不符合要求。");
        if (row.Ordinal != proof.Index)
            return Verdict.Not("row.ordinal", $"The row says it is row {row.Ordinal}, the proof says {proof.Index}.", $"行内序号为 {row.Ordinal}，而证明写的是 {proof.Index}。");
        if (entry.RowCount != proof.Count)
            return Verdict.Not("row.count", $"The entry commits to {entry.RowCount} rows, the proof says {proof.Count}.", $"存证日志条目承诺 {entry.RowCount} 行，而证明写的是 {proof.Count} 行。");
        if (!entry.Root.AsSpan().SequenceEqual(proof.Root))
            return Verdict.Not("row.root", "The proof's root is not the one the entry commits to.", "证明中的根与存证日志条目承诺的根不同。");
        if (entry.Dataset != row.Dataset || entry.SchemaVersion != row.SchemaVersion)
            return Verdict.Not("row.dataset", "The row and the entry name different datasets or schema versions.", "行与存证日志条目的数据集或结构版本不同。");
        return entry.Batch != row.Batch
            ? Verdict.Not("row.batch", "The row's record id does not belong to the entry's batch.", "该行的记录编号不属于条目所指的批次。")
            : null;
    }
}

/// <summary>The step that rows and receipts share: the entry's bytes are in the log that the key signs for.</summary>
internal static class EntryCheck
{
    /// <summary>Null when the entry is in the log, else what is wrong.</summary>
    public static Verdict? InLog(byte[] entry, string tlogProof, NoteVerifier key, out TlogProof proof, out Checkpoint checkpoint)
    {
        (proof, checkpoint) = (null!, null!);
        if (!TlogProof.TryParse(Encoding.UTF8.GetBytes(tlogProof), out var parsed))
            return Verdict.Not("log.proof", "The tlog-proof is malformed.", "存证日志证明（tlog-proof）格式错误。");
        if (!Checkpoint.TryOpen(parsed.CheckpointNote.Span, key, out var opened))
            return Verdict.Not("log.signature", $"The checkpoint is not signed by the key of {key.Name}.", $"检查点没有 {key.Name} 的密钥的有效签名。");
        (proof, checkpoint) = (parsed, opened);
        return MerkleTree.VerifyInclusion(MerkleTree.LeafHash(entry), parsed.Index, opened.Size, parsed.Path, opened.Root.Span)
            ? null
            : Verdict.Not("log.inclusion", "The entry does not lead to the signed root of the log.", "该条目无法推出存证日志已签名的根。");
    }
}
