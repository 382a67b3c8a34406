using System.Collections.Concurrent;
using System.Threading.Channels;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Records;

/// <summary>
/// The world's log in this process. While <see cref="RunAsync"/> runs it takes the entries that have no index yet (never "id greater than n": commit order and
/// numbers disagree) and appends them; where another process does that, <see cref="FollowAsync"/> takes up what it has published. Either way it tells who waits.
/// </summary>
/// <remarks>One should append at a time; two that do lose steps to each other by the compare-and-set, and make one log.</remarks>
public sealed class Sequencer : IAsyncDisposable
{
    /// <summary>Between two steps: lets entries gather, so that a busy node signs a few checkpoints a second and not thousands.</summary>
    public static readonly TimeSpan StepInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>Entries taken into one step.</summary>
    public const int StepEntriesMax = 8_192;

    private readonly World _world;
    private readonly NodeWriter _writer;
    private readonly TimeProvider _clock;
    private readonly ILogger<Sequencer> _log;
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly ConcurrentDictionary<Guid, TaskCompletionSource<long>> _waiting = new();
    private readonly ConcurrentQueue<Guid> _sought = new();
    private int _seeking;
    private int _waiters;
    private readonly CancellationTokenSource _stop = new();
    private NoteSigner? _signer;
    private TileLog? _tiles;
    private RetainedCheckpoint? _retained;
    private readonly SemaphoreSlim _answering = new(1, 1);
    // Under _answering: whoever waits for an entry below has been told.
    private long _answered;
    private long _followed;
    private int _disposed;
    private Task _loop = Task.CompletedTask;

    public Sequencer(World world, NodeWriter writer, TimeProvider clock, ILogger<Sequencer> log)
    {
        (_world, _writer, _clock, _log) = (world, writer, clock, log);
        writer.Committed += Wake;
    }

    /// <summary>Set by tests alone, to fail the writing of tiles; otherwise where the world keeps them.</summary>
    internal ITileStore? Tiles { get; init; }

    public bool IsOpen => _tiles is not null;

    /// <summary>The log; open after <see cref="OpenAsync"/>.</summary>
    public TileLog Log => _tiles ?? throw new InvalidOperationException("The log is not open.");

    /// <summary>
    /// Opens the log as it is published, making its key at the first start. Appends nothing. Where what is stored does not continue what this machine or somebody else has kept, changes are refused from
    /// then on (<see cref="NodeWriter.Gate"/>), and the log is served as it is.
    /// </summary>
    /// <exception cref="LedgerCorruptException">What is stored is not what was signed; names the file.</exception>
    public async Task OpenAsync(CancellationToken cancel = default)
    {
        if (IsOpen)
            return;
        var successions = LedgerEvents.Successions(_world);
        _signer = LedgerKeys.Load(_world, successions.Count);
        await LedgerKeys.TakeOverAsync(_world, _signer, successions, cancel).ConfigureAwait(false);
        _tiles = await TileLog.OpenFollowingAsync(_signer, new SqlTreeState(_world, _writer), Tiles ?? LedgerFiles.Open(_world), cancel: cancel).ConfigureAwait(false);
        _answered = _tiles.Head.Size;
        _retained = new RetainedCheckpoint(_world, _signer.Verifier, [.. successions.Select(s => s.Old)], successions.Count > 0 ? successions[^1].Size : 0, _clock);
        try
        {
            if (_tiles.Ahead is { } ahead)
                throw ahead;
            await _retained.DemandContinuedAsync(_tiles, cancel).ConfigureAwait(false);
        }
        catch (LedgerDivergedException e)
        {
            Diverged(e);
        }
    }

    /// <summary>How many entries the checkpoint has that the operator gave by hand, which the log was compared with when it was opened; -1 when none was given.</summary>
    public Task<long> RetainedSizeAsync(CancellationToken cancel) => _world.RetainedCheckpoint is { } path ? RetainedCheckpoint.SizeAsync(path, cancel) : Task.FromResult(-1L);

    /// <summary>Refuses every change from now on: what is stored does not continue what is known of the log. Nothing is signed on it.</summary>
    public void Diverged(LedgerDivergedException e)
    {
        if (_writer.Gate.Shut is not null)
            return;
        _writer.Gate.Close(e.Message);
        _log.LogCritical(e, "What is stored does not continue what is known of the ledger: {Reason} The node is read-only until that is mended; see docs/guide/operator.md, \"An older state\"", e.Message);
        Refuse(e);
    }

    /// <summary>Appends from now on until disposed: for a process that is alone.</summary>
    public void Start() => _loop = Task.Run(() => RunAsync(_stop.Token), CancellationToken.None);

    /// <summary>Takes up what other machines publish, with each look at what they change.</summary>
    public void Follow(ChangeFeed feed) => feed.Alongside(async (connection, cancel) =>
    {
        long size;
        using (var command = connection.Command(SqlTileStore.PublishedSize))
            size = command.ExecuteScalar() as long? ?? 0;
        try
        {
            await FollowAsync(size, cancel).ConfigureAwait(false);
        }
        catch (LedgerDivergedException e)
        {
            Diverged(e);
        }
        catch (LedgerCorruptException e)
        {
            // Said once; whoever waits for an entry is refused, and all else goes on.
            if (Interlocked.Exchange(ref _told, 1) == 0)
                _log.LogCritical(e, "The ledger is not what was signed; this machine does not follow it any more");
        }
    });

    private int _told;

    /// <summary>The size of the published checkpoint, as the store has it; see <see cref="SqlTileStore.PublishedSize"/> to ask it together with other things.</summary>
    public async Task<long> PublishedSizeAsync(CancellationToken cancel) => await LedgerFiles.PublishedSizeAsync(_world, cancel).ConfigureAwait(false) ?? Log.Head.Size;

    /// <summary>Brings the tree in memory up to what is published, and answers who waits for an entry in it. Asks nothing when the size is known already.</summary>
    /// <param name="publishedSize">Entries under the published checkpoint, as last read.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="LedgerCorruptException">What is published does not continue what was; the log has stopped.</exception>
    public async Task FollowAsync(long publishedSize, CancellationToken cancel)
    {
        // Smaller than at the last time: an older state is in the place of what was published. The log looks, and stops.
        if (publishedSize > Log.Head.Size || publishedSize < Volatile.Read(ref _followed))
        {
            try
            {
                await Log.FollowAsync(cancel).ConfigureAwait(false);
            }
            catch (LedgerCorruptException e)
            {
                Refuse(e);
                throw;
            }
        }
        await AnswerAsync(cancel).ConfigureAwait(false);
        Volatile.Write(ref _followed, Log.Head.Size);
    }

    /// <summary>Whether anybody waits for an entry.</summary>
    public bool IsAwaited => Volatile.Read(ref _waiters) > 0;

    /// <summary>Waits until the entry is in a signed checkpoint; answers its index.</summary>
    public async Task<long> WaitAsync(Guid entry, CancellationToken cancel)
    {
        var done = _waiting.GetOrAdd(entry, _ => new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously));
        Interlocked.Increment(ref _waiters);
        try
        {
            // It may have been included just before we began to wait.
            _sought.Enqueue(entry);
            Seek();
            Wake();
            return await done.Task.WaitAsync(cancel).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _waiters);
        }
    }

    /// <summary>Looks for entries that were included before anybody waited for them: one reading for all who came while the one before went on.</summary>
    private void Seek()
    {
        if (_sought.IsEmpty || Interlocked.Exchange(ref _seeking, 1) == 1)
            return;
        _ = Task.Run(async () =>
        {
            // Two may wait for one.
            var ids = new HashSet<Guid>();
            while (ids.Count < StepEntriesMax && _sought.TryDequeue(out var id))
                ids.Add(id);
            try
            {
                foreach (var (id, index) in await new SqlTreeState(_world, _writer).FindAsync(ids, _stop.Token).ConfigureAwait(false))
                {
                    if (index < Log.Head.Size && _waiting.TryRemove(id, out var waiter))
                        waiter.TrySetResult(index);
                }
            }
            catch (Exception e)
            {
                foreach (var id in ids)
                {
                    if (_waiting.TryRemove(id, out var waiter))
                        waiter.TrySetException(e);
                }
            }
            // A full fence: who comes after this and finds it taken must be seen by the look at the queue.
            Interlocked.Exchange(ref _seeking, 0);
            Seek();
        }, CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 1)
            return;
        _writer.Committed -= Wake;
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_tiles is not null)
        {
            await _tiles.DisposeAsync().ConfigureAwait(false);
            Keep(last: true);
        }
        _signer?.Dispose();
        _answering.Dispose();
        _stop.Dispose();
    }

    private void Wake() => _wake.Writer.TryWrite(true);

    /// <summary>Appends while it is called. Begins by completing a step that somebody left between its commit and its publication.</summary>
    /// <returns>Once <paramref name="stop"/> says so, or the log is not what was signed.</returns>
    public async Task RunAsync(CancellationToken stop)
    {
        List<PendingEntry>? unfinished = null;
        var resumed = false;
        Wake();
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await _wake.Reader.ReadAsync(stop).ConfigureAwait(false);
                if (!resumed)
                {
                    await Log.ResumeAsync(stop).ConfigureAwait(false);
                    await AnswerAsync(stop).ConfigureAwait(false);
                    resumed = true;
                }
                while ((unfinished ?? ReadWaiting()) is { Count: > 0 } entries)
                {
                    // A step that fails after its compare-and-set leaves entries with an index and no checkpoint, which nobody would find waiting. The
                    // same ids again complete it, and answer whoever waits for them.
                    unfinished = entries;
                    var results = await Log.AppendAsync(entries, stop).ConfigureAwait(false);
                    unfinished = null;
                    for (var i = 0; i < results.Count; i++)
                    {
                        if (_waiting.TryRemove(entries[i].Id, out var waiter))
                            waiter.TrySetResult(results[i].Index);
                    }
                    // Who still waits may wait for what another has appended.
                    await AnswerAsync(stop).ConfigureAwait(false);
                    if (entries.Count < StepEntriesMax)
                        await Task.Delay(StepInterval, _clock, stop).ConfigureAwait(false);
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is LedgerDivergedException or LedgerStepException { InnerException: LedgerDivergedException })
            {
                Diverged(e as LedgerDivergedException ?? (LedgerDivergedException)e.InnerException!);
                return;
            }
            catch (Exception) when (_writer.Gate.Shut is not null)
            {
                return;
            }
            catch (LedgerCorruptException e)
            {
                _log.LogCritical(e, "The ledger is not what was signed; the sequencer has stopped");
                Refuse(e);
                return;
            }
            catch (Exception e)
            {
                // A full disk or a locked database passes; entries stay pending and lose nothing but time.
                _log.LogError(e, "The sequencer could not append; it tries again");
                await Task.Delay(TimeSpan.FromSeconds(1), _clock, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                Wake();
            }
        }
    }

    /// <summary>Never in the place of one that this log does not continue.</summary>
    private void Keep(bool last)
    {
        if (_writer.Gate.Shut is not null)
            return;
        try
        {
            _retained?.Keep(Log, last);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A full disk of this machine is no reason to answer nobody; the one that was kept before stays, and it is tried again.
            if (Interlocked.Exchange(ref _notKept, 1) == 0)
                _log.LogError(e, "The newest checkpoint could not be kept on this machine");
        }
    }

    private int _notKept;

    private void Refuse(LedgerCorruptException e)
    {
        foreach (var id in _waiting.Keys)
        {
            if (_waiting.TryRemove(id, out var waiter))
                waiter.TrySetException(e);
        }
    }

    /// <summary>Tells whoever waits for an entry that has come under the published checkpoint since the last time. One reading, and none when nobody waits.</summary>
    private async Task AnswerAsync(CancellationToken cancel)
    {
        await _answering.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            // Read before it is seen that nobody waits: who begins to wait after that finds the entry under this size by himself.
            var size = Log.Head.Size;
            if (size > _answered && !_waiting.IsEmpty)
            {
                var connection = NodeDatabase.OpenReader(_world);
                await using (connection.ConfigureAwait(false))
                {
                    using var command = connection.Command("SELECT id, log_index FROM ledger_pending WHERE log_index >= @from AND log_index < @to").Set("@from", _answered).Set("@to", size);
                    var reader = await command.ExecuteReaderAsync(cancel).ConfigureAwait(false);
                    await using (reader.ConfigureAwait(false))
                    {
                        while (await reader.ReadAsync(cancel).ConfigureAwait(false))
                        {
                            if (_waiting.TryRemove(RecordId.FromBytes((byte[])reader[0]), out var waiter))
                                waiter.TrySetResult(reader.GetInt64(1));
                        }
                    }
                }
            }
            _answered = Math.Max(_answered, size);
            Keep(last: false);
        }
        finally
        {
            _answering.Release();
        }
    }

    private List<PendingEntry> ReadWaiting()
    {
        using var connection = NodeDatabase.OpenReader(_world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT id, entry FROM ledger_pending WHERE log_index IS NULL LIMIT @max";
        command.Set("@max", StepEntriesMax);
        var entries = new List<PendingEntry>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            entries.Add(new PendingEntry(RecordId.FromBytes((byte[])reader[0]), (byte[])reader[1]));
        return entries;
    }
}
