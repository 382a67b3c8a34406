using System.Text;
using Gongzhi.Ledger;

namespace Gongzhi.Verifier;

/// <summary>Checks a contribution's receipt: that what it says was accepted is what the ledger committed to.</summary>
public static class ReceiptCheck
{
    public static Verdict Check(ReadOnlySpan<byte> json, NoteVerifier key)
    {
        if (ProofJsonContext.Read(json, ProofJsonContext.Default.ReceiptJson) is not { } receipt)
            return Verdict.Unusable("This is not a receipt.", "这不是一份回执文件。");
        if (!Guid.TryParse(receipt.Batch, out var batch) || receipt.Root.Length != MerkleTree.HashBytes || receipt.Accepted < 0 || receipt.Rejected < 0)
            return Verdict.Unusable("The receipt's batch, root or counts cannot be read.", "回执中的批次、根或计数无法读取。");
        if (receipt.Entry is not { } committed)
        {
            return Verdict.Not("receipt.pending", "The receipt names no ledger entry yet, so nothing can be proven; ask the node for it again.",
                "回执尚未写明存证日志条目，因此无法证明任何内容；请稍后向节点重新索取。");
        }
        if (committed.Entry is not { } bytes || BatchEntry.Decode(bytes) is not { } entry)
            return Verdict.Not("receipt.entry", "The receipt does not carry a canonical batch entry.", "回执未附规范编码的批次条目。");
        if (entry.Dataset != receipt.Dataset || entry.Batch != batch)
            return Verdict.Not("receipt.batch", "The receipt and the entry name different datasets or batches.", "回执与存证日志条目的数据集或批次不同。");
        if (entry.RowCount != receipt.Accepted)
            return Verdict.Not("receipt.count", $"The receipt says {receipt.Accepted} rows were accepted, the entry commits to {entry.RowCount}.", $"回执称接收 {receipt.Accepted} 行，而存证日志条目承诺 {entry.RowCount} 行。");
        if (!entry.Root.AsSpan().SequenceEqual(receipt.Root))
            return Verdict.Not("receipt.root", "The receipt's root is not the one the entry commits to.", "回执中的根与存证日志条目承诺的根不同。");
        if (committed.Checkpoint is { } note && !Checkpoint.TryOpen(Encoding.UTF8.GetBytes(note), key, out _))
            return Verdict.Not("log.signature", $"The checkpoint is not signed by the key of {key.Name}.", $"检查点没有 {key.Name} 的密钥的有效签名。");
        if (committed.TlogProof is null)
        {
            return Verdict.Not("receipt.unproven",
                "The receipt agrees with its entry, but without a tlog-proof it cannot be proven that the entry is in the signed log.",
                "回执与其条目一致，但缺少 tlog-proof，无法证明该条目已在签名的存证日志中。");
        }
        if (EntryCheck.InLog(bytes, committed.TlogProof, key, out var proof, out var checkpoint) is { } notInLog) return notInLog;
        if (proof.Index != committed.Index)
            return Verdict.Not("receipt.index", $"The receipt says entry {committed.Index}, the proof is of entry {proof.Index}.", $"回执写的是条目 {committed.Index}，而证明的是条目 {proof.Index}。");
        return new Verdict(Outcome.Proven, "receipt.proven",
            $"Proven: batch {entry.Batch} of {entry.RowCount} rows in dataset {entry.Dataset} is committed as entry {proof.Index} of log {checkpoint.Origin}, signed at size {checkpoint.Size}; the {receipt.Rejected} rejected rows are the node's word only.",
            $"已证明：数据集 {entry.Dataset} 的批次 {entry.Batch}（{entry.RowCount} 行）已作为条目 {proof.Index} 写入存证日志 {checkpoint.Origin}，并在大小为 {checkpoint.Size} 时签名；被拒的 {receipt.Rejected} 行仅为节点自述。")
        {
            Facts = new Dictionary<string, object?>
            {
                ["dataset"] = entry.Dataset, ["schemaVersion"] = entry.SchemaVersion, ["batch"] = entry.Batch.ToString(), ["rows"] = entry.RowCount,
                ["entryIndex"] = proof.Index, ["origin"] = checkpoint.Origin, ["treeSize"] = checkpoint.Size,
            },
        };
    }
}
