using System.Collections.Concurrent;
using System.Threading.Channels;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Records;

/// <summary>
/// Takes the entries that have no index yet (never "id greater than n": commit order and numbers disagree), appends them to the log
/// and tells who waits. One per world.
/// </summary>
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
    private readonly CancellationTokenSource _stop = new();
    private NoteSigner? _signer;
    private TileLog? _tiles;
    private Task _loop = Task.CompletedTask;

    public Sequencer(World world, NodeWriter writer, TimeProvider clock, ILogger<Sequencer> log)
    {
        (_world, _writer, _clock, _log) = (world, writer, clock, log);
        writer.Committed += Wake;
    }

    /// <summary>Set by tests alone, to fail the writing of tiles; otherwise the world's directory.</summary>
    internal ITileStore? Tiles { get; init; }

    public bool IsOpen => _tiles is not null;

    /// <summary>The log; open after <see cref="OpenAsync"/>.</summary>
    public TileLog Log => _tiles ?? throw new InvalidOperationException("The log is not open.");

    /// <summary>Opens the log (making its key at the first start), completes an interrupted step, and begins to sequence.</summary>
    /// <exception cref="LedgerCorruptException">What is stored is not what was signed; names the file.</exception>
    public async Task OpenAsync(CancellationToken cancel = default)
    {
        _signer = LoadKey();
        _tiles = await TileLog.OpenAsync(_signer, new SqlTreeState(_world, _writer), Tiles ?? new FileTileStore(_world.LedgerDirectory), cancel: cancel).ConfigureAwait(false);
        _loop = Task.Run(RunAsync, CancellationToken.None);
        Wake();
    }

    /// <summary>Waits until the entry is in a signed checkpoint; answers its index.</summary>
    public async Task<long> WaitAsync(Guid entry, CancellationToken cancel)
    {
        var done = _waiting.GetOrAdd(entry, _ => new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously));
        // It may have been included just before we began to wait.
        var found = await new SqlTreeState(_world, _writer).FindAsync([entry], cancel).ConfigureAwait(false);
        if (found.TryGetValue(entry, out var index) && index < Log.Head.Size)
        {
            _waiting.TryRemove(entry, out _);
            return index;
        }
        Wake();
        return await done.Task.WaitAsync(cancel).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        _writer.Committed -= Wake;
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_tiles is not null)
            await _tiles.DisposeAsync().ConfigureAwait(false);
        _signer?.Dispose();
        _stop.Dispose();
    }

    private void Wake() => _wake.Writer.TryWrite(true);

    private async Task RunAsync()
    {
        List<PendingEntry>? unfinished = null;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await _wake.Reader.ReadAsync(_stop.Token).ConfigureAwait(false);
                while ((unfinished ?? ReadWaiting()) is { Count: > 0 } entries)
                {
                    // A step that fails after its compare-and-set leaves entries with an index and no checkpoint, which nobody would find waiting. The
                    // same ids again complete it, and answer whoever waits for them.
                    unfinished = entries;
                    var results = await Log.AppendAsync(entries, _stop.Token).ConfigureAwait(false);
                    unfinished = null;
                    for (var i = 0; i < results.Count; i++)
                    {
                        if (_waiting.TryRemove(entries[i].Id, out var waiter))
                            waiter.TrySetResult(results[i].Index);
                    }
                    if (entries.Count < StepEntriesMax)
                        await Task.Delay(StepInterval, _clock, _stop.Token).ConfigureAwait(false);
                }
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (LedgerCorruptException e)
            {
                _log.LogCritical(e, "The ledger is not what was signed; the sequencer has stopped");
                foreach (var waiter in _waiting.Values)
                    waiter.TrySetException(e);
                return;
            }
            catch (Exception e)
            {
                // A full disk or a locked database passes; entries stay pending and lose nothing but time.
                _log.LogError(e, "The sequencer could not append; it tries again");
                await Task.Delay(TimeSpan.FromSeconds(1), _clock, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                Wake();
            }
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

    private NoteSigner LoadKey()
    {
        Directory.CreateDirectory(_world.KeyDirectory);
        var path = Path.Combine(_world.KeyDirectory, "ledger.skey");
        if (!File.Exists(path))
        {
            using var made = NoteSigner.Generate(_world.LedgerOrigin);
            var temporary = path + ".tmp";
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows())
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            using (var file = new FileStream(temporary, options))
            {
                file.Write(System.Text.Encoding.UTF8.GetBytes(made.ExportPrivateKey() + "\n"));
                _world.Durably("flush key", () => file.Flush(flushToDisk: true));
            }
            Core.Storage.DurableFile.Publish(_world, temporary, path);
        }
        return NoteSigner.TryParse(File.ReadAllText(path).Trim(), out var signer)
            ? signer
            : throw new LedgerCorruptException(path, "The ledger's key cannot be read. Restore it from a backup: without it this log cannot go on.");
    }
}
