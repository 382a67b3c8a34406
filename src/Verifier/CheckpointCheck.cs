using Gongzhi.Ledger;

namespace Gongzhi.Verifier;

/// <summary>Whether a checkpoint is signed by the log, and cosigned by enough of the witnesses that are trusted.</summary>
internal static class CheckpointCheck
{
    public static Verdict Check(byte[] bytes, NoteVerifier key, IReadOnlyList<NoteVerifier> witnesses, int quorum)
    {
        if (!Checkpoint.TryOpen(bytes, key, out var checkpoint) || !SignedNote.TryParse(bytes, out var note))
            return Verdict.Not("log.signature", "This is not a checkpoint that the log's key signed.", "这不是由存证日志密钥签名的检查点。");
        var cosigned = witnesses.Where(note.IsSignedBy).ToList();
        if (cosigned.Count < quorum)
        {
            return Verdict.Not("checkpoint.cosignatures", $"Of the trusted witnesses {cosigned.Count} have cosigned this checkpoint, and {quorum} are asked for.",
                $"受信任的见证方中有 {cosigned.Count} 个联署了该检查点，而要求为 {quorum} 个。");
        }
        return new Verdict(Outcome.Proven, "checkpoint.proven",
            $"The checkpoint over {checkpoint.Size} entries of {checkpoint.Origin} is signed by its key and cosigned by {cosigned.Count} of the trusted witnesses.",
            $"{checkpoint.Origin} 的检查点（{checkpoint.Size} 个条目）由其密钥签名，并有 {cosigned.Count} 个受信任的见证方联署。")
        {
            Facts = new Dictionary<string, object?> { ["size"] = checkpoint.Size, ["root"] = Convert.ToBase64String(checkpoint.Root.Span), ["witnesses"] = string.Join(", ", cosigned.Select(w => w.Name)) },
        };
    }
}
