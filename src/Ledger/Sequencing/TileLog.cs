using System.Threading.Channels;

namespace Gongzhi.Ledger;

/// <summary>Where an entry stands.</summary>
/// <param name="Index">Its zero-based index in the log.</param>
/// <param name="AlreadyThere">True when an earlier append under the same id had put it there.</param>
public readonly record struct AppendResult(long Index, bool AlreadyThere);

/// <summary>
/// An append-only log in C2SP tlog-tiles: many callers append, one worker takes steps. A step stages its entries and makes the new
/// (size, root) current in one compare-and-set, then writes tiles, then signs and publishes the checkpoint. No signature exists
/// before the compare-and-set.
/// </summary>
/// <remarks>
/// After a failed step the worker reopens from what is stored before it takes the next. A <see cref="LedgerCorruptException"/> stops
/// it for good. Reading is safe from any thread and sees the last published tree. Where several processes have the log open, one of them
/// appends and the others follow; two that append at once lose steps to each other and no more. A tree that does not continue what
/// this process has seen published is never taken up.
/// </remarks>
public sealed class TileLog : IAsyncDisposable
{
    // A compare-and-set lost this often in a row means something other than a second sequencer is wrong.
    private const int LostRacesMax = 8;

    private readonly NoteSigner _signer;
    private readonly ITreeState _state;
    private readonly ITileStore _store;
    private readonly TileLogOptions _options;
    private readonly Channel<Request> _waiting;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _worker;
    // One at a time replaces the tree: the worker by a step, a follower by what another has published.
    private readonly SemaphoreSlim _turn = new(1, 1);
    // Replaced under _turn; readers take one reference and stay with it.
    private volatile TileTree _tree;
    private volatile LedgerCorruptException? _corrupt;
    // Under _turn: what is stored may be ahead of _tree.
    private bool _mustReopen;
    private int _disposed;

    private TileLog(NoteSigner signer, ITreeState state, ITileStore store, TileLogOptions options, TileTree tree)
    {
        (_signer, _state, _store, _options, _tree) = (signer, state, store, options, tree);
        _waiting = Channel.CreateBounded<Request>(new BoundedChannelOptions(options.WaitingMax) { SingleReader = true });
        _worker = Task.Run(WorkAsync);
    }

    /// <summary>The tree as last published.</summary>
    public TreeHead Head => _tree.Head;

    /// <summary>The signed checkpoint as last published, to be served as it is.</summary>
    public ReadOnlyMemory<byte> CurrentCheckpoint => _tree.Note;

    /// <summary>The key that readers verify with.</summary>
    public NoteVerifier Verifier => _signer.Verifier;

    /// <summary>Set where the checkpoint that was found at the opening is ahead of the state: the log is served, and cannot be appended to.</summary>
    public LedgerDivergedException? Ahead { get; private init; }

    /// <summary>The break that stopped this log, or null while it runs.</summary>
    public LedgerCorruptException? Corrupt => _corrupt;

    /// <summary>
    /// Opens the log whose origin is the signer's name, completing a step that a crash interrupted and re-verifying the stored edge
    /// against the committed root and the published checkpoint. The signer, state and store stay the caller's to dispose.
    /// </summary>
    /// <exception cref="LedgerCorruptException">They do not agree.</exception>
    public static async Task<TileLog> OpenAsync(
        NoteSigner signer, ITreeState state, ITileStore store, TileLogOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(signer);
        options ??= new TileLogOptions();
        options.Check();
        var tree = await TileTree.ReopenAsync(signer, state, store, complete: true, seen: null, cancel).ConfigureAwait(false);
        return new TileLog(signer, state, store, options, tree);
    }

    /// <summary>
    /// Opens the log as it is published, for a process that may never append: verifies the same, and leaves a step that a crash interrupted
    /// to whoever appends (<see cref="ResumeAsync"/>). Signs nothing but the checkpoint of a log that has none. A state that is older than the log
    /// is told by <see cref="Ahead"/>.
    /// </summary>
    /// <exception cref="LedgerCorruptException">State, tiles and checkpoint do not agree.</exception>
    public static async Task<TileLog> OpenFollowingAsync(
        NoteSigner signer, ITreeState state, ITileStore store, TileLogOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(signer);
        options ??= new TileLogOptions();
        options.Check();
        try
        {
            var tree = await TileTree.ReopenAsync(signer, state, store, complete: false, seen: null, cancel).ConfigureAwait(false);
            return new TileLog(signer, state, store, options, tree) { _mustReopen = true };
        }
        catch (LedgerDivergedException ahead)
        {
            var tree = await TileTree.OfPublishedAsync(signer, store, cancel).ConfigureAwait(false);
            return new TileLog(signer, state, store, options, tree) { _mustReopen = true, Ahead = ahead };
        }
    }

    /// <summary>Completes a step that another process, or this one before, left between its commit and its publication.</summary>
    /// <exception cref="LedgerCorruptException">The log is broken and has stopped.</exception>
    public Task ResumeAsync(CancellationToken cancel = default) => InTurnAsync(async () =>
    {
        _mustReopen = true;
        await ReopenAsync().ConfigureAwait(false);
    }, cancel);

    /// <summary>Takes up what another process has published since; one reading of the checkpoint when nothing was.</summary>
    /// <exception cref="LedgerCorruptException">It does not continue what was published before; the log has stopped.</exception>
    public Task FollowAsync(CancellationToken cancel = default) => InTurnAsync(async () =>
    {
        if (await _tree.FollowAsync(cancel).ConfigureAwait(false) is { } published) _tree = published;
    }, cancel);

    /// <summary>
    /// Appends entries and returns once they are under a published checkpoint, results in the order given. An id that is already in
    /// the log (or twice in the call) is not doubled. Entries of one call beyond the step's limits may fall into several steps.
    /// </summary>
    /// <exception cref="ArgumentException">An entry is longer than <see cref="EntryBundle.EntryBytesMax"/>.</exception>
    /// <exception cref="LedgerStepException">The step failed part way: append the same ids again.</exception>
    /// <exception cref="LedgerCorruptException">The log is broken and has stopped.</exception>
    /// <exception cref="OperationCanceledException">Stopped waiting; the entries may be appended all the same.</exception>
    public async Task<IReadOnlyList<AppendResult>> AppendAsync(IReadOnlyList<PendingEntry> entries, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(entries);
        if (entries.Any(entry => entry.Entry.Length > EntryBundle.EntryBytesMax))
            throw new ArgumentException($"An entry is at most {EntryBundle.EntryBytesMax} bytes.", nameof(entries));
        var requests = new List<Request>();
        var from = 0;
        while (from < entries.Count)
        {
            long bytes = entries[from].Entry.Length;
            var count = 1;
            while (from + count < entries.Count && count < _options.StepEntriesMax && bytes + entries[from + count].Entry.Length <= _options.StepBytesMax)
                bytes += entries[from + count++].Entry.Length;
            var request = new Request([.. entries.Skip(from).Take(count)], bytes);
            requests.Add(request);
            if (_corrupt is { } corrupt) throw corrupt;
            try
            {
                await _waiting.Writer.WriteAsync(request, cancel).ConfigureAwait(false);
            }
            catch (ChannelClosedException)
            {
                throw _corrupt ?? (Exception)new ObjectDisposedException(nameof(TileLog));
            }
            from += count;
        }
        var results = new List<AppendResult>(entries.Count);
        foreach (var request in requests) results.AddRange(await request.Done.Task.WaitAsync(cancel).ConfigureAwait(false));
        return results;
    }

    /// <summary>The inclusion proof of an entry in the published tree, or in its first <paramref name="size"/> entries.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No such entry or size.</exception>
    /// <exception cref="LedgerCorruptException">The stored tiles give a proof that does not hold.</exception>
    public async Task<IReadOnlyList<byte[]>> ProveInclusionAsync(long index, long? size = null, CancellationToken cancel = default) =>
        await ProveInclusionAsync(_tree.Head, index, size, cancel).ConfigureAwait(false);

    /// <summary>The consistency proof between two sizes, the later at most the published one.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The sizes are not in order or beyond the tree.</exception>
    public async Task<IReadOnlyList<byte[]>> ProveConsistencyAsync(long from, long to, CancellationToken cancel = default)
    {
        var head = _tree.Head;
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from, to);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(to, head.Size);
        var reader = new TileReader(_store, head.Size);
        return await reader.RangesAsync(ProofRanges.Consistency(from, to), cancel).ConfigureAwait(false);
    }

    /// <summary>The whole C2SP tlog-proof of an entry against the published checkpoint.</summary>
    public async Task<TlogProof> ProveEntryAsync(long index, CancellationToken cancel = default)
    {
        var tree = _tree;
        var path = await ProveInclusionAsync(tree.Head, index, null, cancel).ConfigureAwait(false);
        return new TlogProof(index, path, tree.Note);
    }

    /// <summary>One entry.</summary>
    public async Task<ReadOnlyMemory<byte>> ReadEntryAsync(long index, CancellationToken cancel = default) =>
        (await ReadEntriesAsync(index, 1, cancel).ConfigureAwait(false))[0];

    /// <summary>Entries <paramref name="start"/> to start + count − 1; the caller bounds count.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range goes beyond the published tree.</exception>
    public async Task<IReadOnlyList<ReadOnlyMemory<byte>>> ReadEntriesAsync(long start, int count, CancellationToken cancel = default)
    {
        var size = _tree.Head.Size;
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start, size - count);
        var reader = new TileReader(_store, size);
        var entries = new List<ReadOnlyMemory<byte>>(count);
        while (entries.Count < count)
        {
            var at = start + entries.Count;
            var bundle = await reader.EntriesAsync(at >> 8, cancel).ConfigureAwait(false);
            entries.AddRange(bundle.Skip((int)(at & 0xFF)).Take(count - entries.Count));
        }
        return entries;
    }

    /// <summary>Lets the step in hand finish, refuses what still waits, and ends the worker.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 1) return;
        _waiting.Writer.TryComplete();
        await _stop.CancelAsync().ConfigureAwait(false);
        await _worker.ConfigureAwait(false);
        _stop.Dispose();
        _turn.Dispose();
    }

    private async Task InTurnAsync(Func<Task> act, CancellationToken cancel)
    {
        if (_corrupt is { } before) throw before;
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            if (_corrupt is { } meanwhile) throw meanwhile;
            await act().ConfigureAwait(false);
        }
        catch (LedgerCorruptException corrupt)
        {
            _corrupt = corrupt;
            throw;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Under _turn. Not cancellable: stopping half way would only make work for the next.</summary>
    private async Task ReopenAsync()
    {
        _tree = await TileTree.ReopenAsync(_signer, _state, _store, complete: true, _tree.Head, CancellationToken.None).ConfigureAwait(false);
        _mustReopen = false;
    }

    private async Task<IReadOnlyList<byte[]>> ProveInclusionAsync(TreeHead head, long index, long? wanted, CancellationToken cancel)
    {
        var size = wanted ?? head.Size;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, head.Size, nameof(wanted));
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, size);
        var reader = new TileReader(_store, head.Size);
        var proof = await reader.RangesAsync(ProofRanges.Inclusion(index, size), cancel).ConfigureAwait(false);
        if (size != head.Size) return proof;
        var tile = await reader.TileAsync(0, index >> 8, cancel).ConfigureAwait(false);
        var leaf = tile.AsMemory((int)(index & 0xFF) * MerkleTree.HashBytes, MerkleTree.HashBytes);
        return MerkleTree.VerifyInclusion(leaf.Span, index, size, proof, head.Root.Span)
            ? proof
            : throw new LedgerCorruptException(TilePath.Tile(0, index >> 8, tile.Length / MerkleTree.HashBytes), "this tile or one above it does not lead to the committed root.");
    }

    private async Task WorkAsync()
    {
        var batch = new List<Request>();
        Request? held = null;
        try
        {
            while (held is not null || await _waiting.Reader.WaitToReadAsync(_stop.Token).ConfigureAwait(false))
            {
                batch.Clear();
                var (count, bytes) = (0, 0L);
                while (held is not null || _waiting.Reader.TryRead(out held))
                {
                    if (batch.Count > 0 && (count + held.Entries.Length > _options.StepEntriesMax || bytes + held.Bytes > _options.StepBytesMax)) break;
                    batch.Add(held);
                    (count, bytes) = (count + held.Entries.Length, bytes + held.Bytes);
                    held = null;
                }
                await ServeAsync(batch).ConfigureAwait(false);
                if (_corrupt is not null || _stop.IsCancellationRequested) break;
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed while waiting for work.
        }
        _waiting.Writer.TryComplete();
        var refusal = _corrupt ?? (Exception)new ObjectDisposedException(nameof(TileLog));
        held?.Done.TrySetException(refusal);
        while (_waiting.Reader.TryRead(out var left)) left.Done.TrySetException(refusal);
    }

    private async Task ServeAsync(List<Request> batch)
    {
        await _turn.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_corrupt is { } stopped) throw stopped;
            var indexes = await StepAsync([.. batch.SelectMany(request => request.Entries)]).ConfigureAwait(false);
            foreach (var request in batch) request.Done.TrySetResult([.. request.Entries.Select(entry => indexes[entry.Id])]);
        }
        catch (LedgerCorruptException corrupt)
        {
            _corrupt = corrupt;
            foreach (var request in batch) request.Done.TrySetException(corrupt);
        }
        catch (Exception failure) // Whatever the state or store threw: this batch fails, the next reopens.
        {
            _mustReopen = true;
            foreach (var request in batch) request.Done.TrySetException(new LedgerStepException(failure));
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>One step, not cancellable once begun: stopping half way would only make work for the reopening.</summary>
    private async Task<Dictionary<Guid, AppendResult>> StepAsync(List<PendingEntry> entries)
    {
        for (var attempt = 0; attempt < LostRacesMax; attempt++)
        {
            if (_mustReopen) await ReopenAsync().ConfigureAwait(false);
            var there = await _state.FindAsync([.. entries.Select(entry => entry.Id)], CancellationToken.None).ConfigureAwait(false);
            var results = new Dictionary<Guid, AppendResult>();
            var added = new List<PendingEntry>();
            foreach (var entry in entries)
            {
                if (results.ContainsKey(entry.Id)) continue;
                if (there.TryGetValue(entry.Id, out var index))
                {
                    results[entry.Id] = new AppendResult(index, AlreadyThere: true);
                    continue;
                }
                results[entry.Id] = new AppendResult(_tree.Head.Size + added.Count, AlreadyThere: false);
                added.Add(entry);
            }
            // An index found by another sequencer's step may not be under our published tree yet.
            if (results.Values.Any(result => result.AlreadyThere && result.Index >= _tree.Head.Size))
            {
                _mustReopen = true;
                continue;
            }
            if (added.Count == 0) return results;

            var (after, files, filled) = _tree.Plan(added);
            _mustReopen = true;
            if (!await _state.TryAdvanceAsync(new TreeStep(_tree.Head, after.Head, added), CancellationToken.None).ConfigureAwait(false)) continue;
            _tree = await after.CompleteAsync(files, filled, CancellationToken.None).ConfigureAwait(false);
            _mustReopen = false;
            return results;
        }
        throw new InvalidOperationException($"The tree moved under {LostRacesMax} steps in a row.");
    }

    private sealed record Request(PendingEntry[] Entries, long Bytes)
    {
        public TaskCompletionSource<AppendResult[]> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
