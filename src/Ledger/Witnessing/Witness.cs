using System.Collections.Frozen;

namespace Gongzhi.Ledger;

/// <summary>What a witness answers.</summary>
public enum WitnessOutcome
{
    /// <summary>The checkpoint continues what was seen and is cosigned.</summary>
    Cosigned,

    /// <summary>The body is not what the protocol asks for.</summary>
    Malformed,

    /// <summary>The log is not one that this witness follows.</summary>
    UnknownLog,

    /// <summary>No signature by the log's key.</summary>
    NotSigned,

    /// <summary>The newest cosigned checkpoint is another than the sender took it for; its size is in the answer.</summary>
    Conflict,

    /// <summary>The proof does not show that the checkpoint continues the newest cosigned one.</summary>
    NotContinued,
}

/// <summary>A witness's answer.</summary>
/// <param name="Outcome">What it is.</param>
/// <param name="Body">The text that goes with it: signature lines, or the size.</param>
public readonly record struct WitnessAnswer(WitnessOutcome Outcome, string Body = "");

/// <summary>Where a witness keeps, for each origin, the newest checkpoint that it has cosigned.</summary>
public interface IWitnessState
{
    /// <summary>The signed note as it was cosigned; null when there is none.</summary>
    ValueTask<ReadOnlyMemory<byte>?> FindAsync(string origin, CancellationToken cancel = default);

    /// <summary>In one atomic and durable action: replaces the newest checkpoint, if it still has the size given (0 for none).</summary>
    ValueTask<bool> TryReplaceAsync(string origin, long sizeBefore, long size, ReadOnlyMemory<byte> note, CancellationToken cancel = default);
}

/// <summary>
/// A witness after C2SP tlog-witness: cosigns a checkpoint of a log it follows only if that continues the newest one it has cosigned, and remembers it before it answers. Whoever shows two
/// histories, or an older one, is found out.
/// </summary>
/// <param name="signer">A cosignature key (<see cref="NoteKeyType.CosignatureV1"/>).</param>
/// <param name="logs">The keys of the logs that are followed; of several with one name any may sign.</param>
/// <param name="state">What has been cosigned.</param>
/// <param name="clock">For the time in the cosignature.</param>
public sealed class Witness(NoteSigner signer, IEnumerable<NoteVerifier> logs, IWitnessState state, TimeProvider clock)
{
    private readonly FrozenDictionary<string, NoteVerifier[]> _logs =
        logs.GroupBy(log => log.Name, StringComparer.Ordinal).ToFrozenDictionary(g => g.Key, g => g.ToArray(), StringComparer.Ordinal);

    /// <summary>How long the same answer is given to the same checkpoint.</summary>
    private static readonly TimeSpan AnswerKept = TimeSpan.FromMinutes(1);

    /// <summary>The key that cosignatures are verified with.</summary>
    public NoteVerifier Verifier => signer.Verifier;

    /// <summary>The origins of the logs that are followed.</summary>
    public IEnumerable<string> Origins => _logs.Keys;

    /// <summary>The <c>add-checkpoint</c> call.</summary>
    public async Task<WitnessAnswer> AddCheckpointAsync(ReadOnlyMemory<byte> body, CancellationToken cancel = default)
    {
        if (!WitnessRequest.TryParse(body, out var request) || !SignedNote.TryParse(request.Checkpoint.Span, out var note)
            || !Checkpoint.TryParse(note.Text.Span, out var checkpoint))
            return new(WitnessOutcome.Malformed);
        if (!_logs.TryGetValue(checkpoint.Origin, out var keys)) return new(WitnessOutcome.UnknownLog);
        if (Array.Find(keys, note.IsSignedBy) is not { } key) return new(WitnessOutcome.NotSigned);
        if (request.OldSize > checkpoint.Size || (request.OldSize == 0 && request.Proof.Count > 0)) return new(WitnessOutcome.Malformed);

        var (size, root, last) = (0L, MerkleTree.EmptyRoot.ToArray(), (SignedNote?)null);
        if (await state.FindAsync(checkpoint.Origin, cancel).ConfigureAwait(false) is { } kept
            && SignedNote.TryParse(kept.Span, out var newest) && Checkpoint.TryParse(newest.Text.Span, out var seen))
            (size, root, last) = (seen.Size, seen.Root.ToArray(), newest);
        if (request.OldSize != size) return Conflict(size);
        if (checkpoint.Size == size && size > 0 && !checkpoint.Root.Span.SequenceEqual(root)) return Conflict(size);
        if (!MerkleTree.VerifyConsistency(size, checkpoint.Size, root, checkpoint.Root.Span, request.Proof)) return new(WitnessOutcome.NotContinued);

        var now = clock.GetUtcNow();
        // Anybody may show again what is public; a fresh answer to it is given again and costs no commit.
        if (checkpoint.Size == size && size > 0 && last?.Signatures.LastOrDefault(line => line.Name == Verifier.Name && line.KeyId == Verifier.KeyId) is { } given
            && Cosignature.TryReadTime(given, out var time) && now - time < AnswerKept && last.Text.Span.SequenceEqual(note.Text.Span))
            return new(WitnessOutcome.Cosigned, given.ToString());
        // Only the log's own line is kept, once; whatever else stood below the text is nobody's word.
        var cosignature = signer.Cosign(note.Text.Span, now);
        var cosigned = SignedNote.Create(note.Text.Span, [note.Signatures.First(line => line.Name == key.Name && line.KeyId == key.KeyId), cosignature]).Encode();
        if (!await state.TryReplaceAsync(checkpoint.Origin, size, checkpoint.Size, cosigned, cancel).ConfigureAwait(false))
        {
            // Another was faster, and is newer.
            return await state.FindAsync(checkpoint.Origin, cancel).ConfigureAwait(false) is { } other
                && SignedNote.TryParse(other.Span, out var theirs) && Checkpoint.TryParse(theirs.Text.Span, out var faster) ? Conflict(faster.Size) : Conflict(0);
        }
        return new(WitnessOutcome.Cosigned, cosignature.ToString());
    }

    private static WitnessAnswer Conflict(long size) => new(WitnessOutcome.Conflict, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{size}\n"));
}
