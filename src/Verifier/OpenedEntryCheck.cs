using System.Text;
using Gongzhi.Ledger;

namespace Gongzhi.Verifier;

/// <summary>
/// Checks one entry of the ledger with its proof, and, where its content is given, that the content is what the entry commits to: an access, a change of
/// state or an erasure as the node opens it to those entitled.
/// </summary>
public static class OpenedEntryCheck
{
    private const int SaltBytesMax = 64;

    public static Verdict Check(ReadOnlySpan<byte> json, NoteVerifier key)
    {
        if (ProofJsonContext.Read(json, ProofJsonContext.Default.EntryProofJson) is not { } given)
            return Verdict.Unusable("This is not an entry with its proof.", "这不是附有证明的条目文件。");
        if (given.Entry is not { } bytes || given.TlogProof is not { } tlog)
        {
            return Verdict.Not("entry.pending", "The file holds no ledger entry yet, so nothing can be proven; ask the node for it again.",
                "文件中尚无存证日志条目，因此无法证明任何内容；请稍后向节点重新索取。");
        }
        if (Described(bytes) is not var (what, english, chinese))
            return Verdict.Not("entry.bytes", "The entry's bytes are not the canonical spelling of an entry.", "条目的字节不是规范编码。");
        if (Opened(given, bytes) is { } wrong) return wrong;
        if (EntryCheck.InLog(bytes, tlog, key, out var proof, out var checkpoint) is { } notInLog) return notInLog;
        if (given.Index is { } index && index != proof.Index)
            return Verdict.Not("entry.index", $"The file says entry {index}, the proof is of entry {proof.Index}.", $"文件写的是条目 {index}，而证明的是条目 {proof.Index}。");
        var opened = given.Content is null ? ("", "") : (", and its content is the one given here", "，其内容即文件所附内容");
        return new Verdict(Outcome.Proven, "entry.proven",
            $"Proven: entry {proof.Index} of log {checkpoint.Origin}, signed at size {checkpoint.Size}, is {english}{opened.Item1}.",
            $"已证明：存证日志 {checkpoint.Origin}（在大小为 {checkpoint.Size} 时签名）的条目 {proof.Index} 是{chinese}{opened.Item2}。")
        {
            Facts = new Dictionary<string, object?>
            {
                ["kind"] = what, ["entryIndex"] = proof.Index, ["origin"] = checkpoint.Origin, ["treeSize"] = checkpoint.Size, ["entry"] = Convert.ToBase64String(bytes),
                ["content"] = given.Content,
            },
        };
    }

    private static Verdict? Opened(EntryProofJson given, byte[] bytes)
    {
        if (given.Content is null && given.Salt is null) return null;
        if (given.Content is null || given.Salt is not { Length: > 0 and <= SaltBytesMax } salt || Commitment(bytes) is not var (_, commitment))
            return Verdict.Not("entry.content", "Content and salt do not go with this entry.", "所附内容和盐值不属于该条目。");
        return MerkleTree.LeafHash([.. Encoding.UTF8.GetBytes(given.Content), .. salt]).AsSpan().SequenceEqual(commitment) ? null
            : Verdict.Not("entry.content", "The content is not what the entry commits to: it or its salt was changed.", "内容与条目的承诺不符：内容或盐值已被改动。");
    }

    private static (string Kind, string English, string Chinese)? Described(byte[] bytes)
    {
        if (BatchEntry.Decode(bytes) is { } batch)
        {
            return ("batch", $"the commitment to batch {batch.Batch} of {batch.RowCount} rows in dataset {batch.Dataset} (schema {batch.SchemaVersion})",
                $"对数据集 {batch.Dataset}（结构版本 {batch.SchemaVersion}）批次 {batch.Batch} 共 {batch.RowCount} 行的承诺");
        }
        return Commitment(bytes) is var (kind, _) ? kind switch
        {
            "access" => (kind, "the commitment to a reading", "对一次调阅的承诺"),
            "state" => (kind, "the commitment to a change of audited state", "对一次受审计变更的承诺"),
            "signal" => (kind, "the commitment to a signal of an analysis", "对一项分析信号的承诺"),
            "erasure" => (kind, "the commitment to an erasure", "对一次删除的承诺"),
            _ => (kind, $"a commitment of kind {kind}", $"类型为 {kind} 的承诺"),
        } : null;
    }

    /// <summary>Kind and commitment of an entry that holds one (docs/contracts/canonical.md).</summary>
    private static (string Kind, byte[] Commitment)? Commitment(byte[] bytes) =>
        StrictCbor.ReadArray(bytes) is { Count: 5 } items && items[0] is "gongzhi/entry" && items[1] is 1L && items[2] is string kind and not "batch"
        && items[3] is byte[] { Length: 16 } && items[4] is byte[] { Length: 32 } commitment ? (kind, commitment) : null;
}
