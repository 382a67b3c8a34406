using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Witnessing;
using Gongzhi.Ledger;
using Gongzhi.Node.Cluster;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Witnessing;

/// <summary>
/// The witnesses of this node's own log: asked at the start whether they have seen more than is stored, and shown the newest checkpoint from time to time. Cosignatures are kept beside the log
/// and hold nothing up.
/// </summary>
internal sealed partial class Witnesses(NodeOptions options, World world, Sequencer sequencer, CosignedCheckpoint cosigned, WriteGate gate, TimeProvider clock, ILogger<Witnesses> log) : ISeatWork, IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, ConnectTimeout = Patience }) { Timeout = Patience };
    private List<WitnessClient>? _clients;

    private List<WitnessClient> Clients => _clients ??= [.. options.WitnessPlaces().Where(w => world.MayReachOut || w.Address.IsLoopback).Select(w => new WitnessClient(_http, w.Address, w.Key))];

    public string Kind => "witnesses";

    /// <summary>Before anything is changed: has a witness seen more of this log than is stored? Then changes are refused.</summary>
    public async Task AskAsync(CancellationToken cancel)
    {
        if (gate.Shut is not null)
            return;
        // Whoever brought a backup back cannot tell from the disk whether anything newer was signed.
        var restored = RestoredWorld.KnownSize(world);
        // Only who has seen as much as was restored can say that nothing newer was signed; a witness that is asked for the first time, or has lost what it knew, cosigns whatever it is shown.
        var vouched = restored is { } known && await sequencer.RetainedSizeAsync(cancel).ConfigureAwait(false) >= known;
        var needed = Math.Max(options.WitnessesNeeded, restored is not null && !vouched ? 1 : 0);
        var answers = await Task.WhenAll(Clients.Select(client => SubmitAsync(client, default, cancel))).ConfigureAwait(false);
        foreach (var (client, word) in Clients.Zip(answers))
        {
            if (word is { Diverged: true })
                await DivergedAsync(client, word, believed: true, cancel).ConfigureAwait(false);
        }
        var answered = answers.Count(word => word is { Cosignature: not null } && (vouched || word.Before >= (restored ?? 0)));
        if (gate.Shut is not null)
            return;
        var size = sequencer.Log.Head.Size;
        if (restored > size)
            // Whatever else is shown now: the restore was shown more, signed by this log's key.
            sequencer.Diverged(new LedgerDivergedException(TilePath.Checkpoint, $"of size {size} came back from a backup, and a checkpoint of size {restored} was known then.", restored.Value));
        else if (answered < needed)
            sequencer.Diverged(new LedgerDivergedException(TilePath.Checkpoint, restored is not null
                ? $"of size {size} came back from a backup, and neither a witness nor RetainedCheckpoint that has seen as much says that nothing newer was signed."
                : $"of size {size} was to be shown to {needed} witnesses before anything is built on it, and {answered} have cosigned it.", size));
        else if (restored is not null)
            RestoredWorld.Forget(world);
    }

    public async Task RunAsync(CancellationToken cancel)
    {
        gate.Demand();
        var shown = -1L;
        while (Clients.Count > 0)
        {
            var note = sequencer.Log.CurrentCheckpoint;
            if (Checkpoint.TryOpen(note.Span, sequencer.Log.Verifier, out var checkpoint) && checkpoint.Size != shown)
            {
                var answers = await Task.WhenAll(Clients.Select(client => SubmitAsync(client, note, cancel))).ConfigureAwait(false);
                foreach (var (client, word) in Clients.Zip(answers))
                {
                    if (word is { Diverged: true })
                        await DivergedAsync(client, word, believed: false, cancel).ConfigureAwait(false);
                }
                List<NoteSignature> lines = [.. answers.Select(word => word?.Cosignature).OfType<NoteSignature>()];
                if (lines.Count > 0 && SignedNote.TryParse(note.Span, out var signed))
                {
                    await cosigned.KeepAsync(checkpoint.Size, SignedNote.Create(signed.Text.Span, [.. signed.Signatures, .. lines]).Encode(), cancel).ConfigureAwait(false);
                    shown = lines.Count == Clients.Count ? checkpoint.Size : -1;
                }
            }
            await Task.Delay(TimeSpan.FromSeconds(options.WitnessSeconds), clock, cancel).ConfigureAwait(false);
        }
        await Task.Delay(Timeout.InfiniteTimeSpan, clock, cancel).ConfigureAwait(false);
    }

    public void Dispose() => _http.Dispose();

    private async Task<WitnessWord?> SubmitAsync(WitnessClient client, ReadOnlyMemory<byte> note, CancellationToken cancel)
    {
        try
        {
            var word = await client.SubmitAsync(sequencer.Log, note, cancel).ConfigureAwait(false);
            if (word is { Reason: { } reason, Diverged: false } && note.IsEmpty)
                Refused(client.Key.Name, reason);
            return word;
        }
        catch (LedgerDivergedException e)
        {
            sequencer.Diverged(e);
            return null;
        }
        catch (Exception e) when (e is HttpRequestException or LedgerCorruptException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            Silent(client.Key.Name, e.Message);
            return null;
        }
    }

    /// <summary>
    /// What a witness says counts at the start, where this process knows nothing better. Later its word alone would be a way to stop a node; then it must show what this log's own key has signed.
    /// </summary>
    private async Task DivergedAsync(WitnessClient client, WitnessWord word, bool believed, CancellationToken cancel)
    {
        var shown = await ShownAsync(client, cancel).ConfigureAwait(false);
        if (believed || shown)
            sequencer.Diverged(new LedgerDivergedException(TilePath.Checkpoint, $"was shown to the witness {client.Key.Name}: {word.Reason}.", word.Size));
        else
            Claims(client.Key.Name, word.Reason ?? "");
    }

    private async Task<bool> ShownAsync(WitnessClient client, CancellationToken cancel)
    {
        try
        {
            if (await client.NewestAsync(sequencer.Log.Verifier.Name, cancel).ConfigureAwait(false) is not { } note || !Checkpoint.TryOpen(note.Span, sequencer.Log.Verifier, out var newest))
                return false;
            // After it was shown: what we have published meanwhile anybody can show us.
            await sequencer.Log.FollowAsync(cancel).ConfigureAwait(false);
            var head = sequencer.Log.Head;
            if (newest.Size > head.Size)
                return true;
            var proof = await sequencer.Log.ProveConsistencyAsync(newest.Size, head.Size, cancel).ConfigureAwait(false);
            return !MerkleTree.VerifyConsistency(newest.Size, head.Size, newest.Root.Span, head.Root.Span, proof);
        }
        catch (LedgerDivergedException)
        {
            return true;
        }
        catch (Exception e) when (e is HttpRequestException or LedgerCorruptException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The witness {Name} could not be asked: {Reason}")]
    private partial void Silent(string name, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The witness {Name} does not cosign this log: {Reason}")]
    private partial void Refused(string name, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "The witness {Name} says that this log does not continue what it has seen, and shows nothing for it: {Reason}")]
    private partial void Claims(string name, string reason);
}
