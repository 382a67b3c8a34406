using System.Collections.Concurrent;
using System.Numerics;
using System.Threading.Channels;
using Gongzhi.Core.Storage;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Records.Keys;

/// <summary>
/// Keeps the runs of each dataset few, in the background: keys of small contributions become a run, and runs of like size become one. The file comes
/// first, then one transaction swaps; a crash in between leaves a file that the next start sweeps. One per world.
/// </summary>
public sealed class KeyMerge : IAsyncDisposable
{
    /// <summary>So many keys of small contributions make a run; below, SQL is the better place.</summary>
    public const int TailKeysMin = 16_384;

    /// <summary>So many runs of one size become one. A size is four times the one before, so a dataset of 10 million keys has some fifteen runs at most.</summary>
    public const int RunsMin = 4;

    private readonly Channel<long> _due = Channel.CreateUnbounded<long>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentDictionary<long, bool> _asked = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _alone = new(1);
    private readonly World _world;
    private readonly KeyIndex _index;
    private readonly NodeWriter _writer;
    private readonly ILogger<KeyMerge> _log;
    private readonly Task _loop;

    public KeyMerge(World world, KeyIndex index, NodeWriter writer, ILogger<KeyMerge> log)
    {
        (_world, _index, _writer, _log) = (world, index, writer, log);
        index.Listed += Look;
        _loop = Task.Run(RunAsync);
    }

    /// <summary>Does everything that is due for a dataset now; answers how many runs it wrote.</summary>
    public async Task<int> MergeAsync(long dataset, CancellationToken cancel = default)
    {
        await _alone.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            var written = 0;
            while (await FoldTailAsync(dataset, cancel).ConfigureAwait(false) || await MergeOnceAsync(dataset, cancel).ConfigureAwait(false))
                written++;
            return written;
        }
        finally
        {
            _alone.Release();
        }
    }

    /// <summary>Ends the work in the background; what is asked for by <see cref="MergeAsync"/> goes on.</summary>
    internal async Task StopAsync()
    {
        _index.Listed -= Look;
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        _stop.Dispose();
        _alone.Dispose();
    }

    private void Look(long dataset)
    {
        if (_index.KeepsUp && _asked.TryAdd(dataset, true))
            _due.Writer.TryWrite(dataset);
    }

    private async Task RunAsync()
    {
        await foreach (var dataset in _due.Reader.ReadAllAsync(_stop.Token).ConfigureAwait(false))
        {
            _asked.TryRemove(dataset, out _);
            try
            {
                await MergeAsync(dataset, _stop.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                _log.LogError(e, "The key runs of dataset {Dataset} could not be merged; it is tried again with the next contribution", dataset);
            }
        }
    }

    private async Task<bool> FoldTailAsync(long dataset, CancellationToken cancel)
    {
        var entries = new List<(UInt128 Hash, ulong Position)>();
        var (batches, numbers) = (new List<Guid>(), new Dictionary<Guid, ulong>());
        long last = 0;
        using (var connection = NodeDatabase.OpenReader(_world))
        {
            using var count = connection.CreateCommand();
            count.CommandText = "SELECT count(*) FROM (SELECT 1 FROM key_tail WHERE dataset = @dataset LIMIT @min) AS few";
            count.Set("@dataset", dataset);
            count.Set("@min", TailKeysMin);
            if ((long)count.ExecuteScalar()! < TailKeysMin)
                return false;
            using var command = connection.CreateCommand();
            command.CommandText = "SELECT hash, batch, ordinal, sequence FROM key_tail WHERE dataset = @dataset ORDER BY hash";
            command.Set("@dataset", dataset);
            using var reader = command.ExecuteReader();
            while (reader.Read())
            {
                var batch = RecordId.FromBytes((byte[])reader[1]);
                if (!numbers.TryGetValue(batch, out var number))
                {
                    numbers[batch] = number = (ulong)batches.Count;
                    batches.Add(batch);
                }
                entries.Add((System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian((byte[])reader[0]), number << 32 | (uint)reader.GetInt64(2)));
                last = Math.Max(last, reader.GetInt64(3));
            }
        }
        var path = KeyRun.Write(_world, entries.Count, batches, entries);
        await SwapAsync(path, scope =>
        {
            // Keys that came while the file was written have a higher number and stay.
            using var delete = scope.Command("DELETE FROM key_tail WHERE dataset = @dataset AND sequence <= @last");
            delete.Set("@dataset", dataset);
            delete.Set("@last", last);
            if (delete.ExecuteNonQuery() != entries.Count)
                throw new InvalidOperationException("The keys changed while they were folded; they are folded again later.");
            _index.InsertRun(scope, dataset, path, entries.Count);
        }, cancel).ConfigureAwait(false);
        return true;
    }

    private async Task<bool> MergeOnceAsync(long dataset, CancellationToken cancel)
    {
        var list = await _index.UseAsync(dataset, cancel).ConfigureAwait(false);
        try
        {
            var due = list.Runs.GroupBy(r => BitOperations.Log2((uint)Math.Max(1, r.Count / TailKeysMin)) / 2).Where(g => g.Count() >= RunsMin).MinBy(g => g.Key)?.ToList();
            if (due is null || due.Sum(r => (long)r.Count) is var total && total > int.MaxValue)
                return false;
            var path = Write(due, total, cancel);
            await SwapAsync(path, scope => _index.InsertRun(scope, dataset, path, total, due), cancel).ConfigureAwait(false);
            return true;
        }
        finally
        {
            foreach (var run in list.Runs)
                run.Dispose();
        }
    }

    private async Task SwapAsync(string path, Action<WriteScope> swap, CancellationToken cancel)
    {
        try
        {
            await _index.PublishAsync(path, cancel).ConfigureAwait(false);
            await _writer.RunAsync(swap, cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not WriterStoppedException)
        {
            // The swap was not kept, so nothing names the file; after a stopped writer only the next start knows.
            File.Delete(path);
            throw;
        }
    }

    private string Write(List<KeyRun> runs, long total, CancellationToken cancel)
    {
        // Batches first: the file names them by number.
        var (batches, numbers) = (new List<Guid>(), new Dictionary<Guid, ulong>());
        foreach (var batch in runs.SelectMany(r => r.Batches))
        {
            if (numbers.TryAdd(batch, (ulong)batches.Count))
                batches.Add(batch);
        }
        return KeyRun.Write(_world, total, batches, Merged());

        IEnumerable<(UInt128, ulong)> Merged()
        {
            var next = new PriorityQueue<(KeyRun Run, int At), UInt128>();
            foreach (var run in runs)
                next.Enqueue((run, 0), run[0].Hash);
            for (long n = 0; next.TryDequeue(out var one, out _); n++)
            {
                if (n % TailKeysMin == 0)
                    cancel.ThrowIfCancellationRequested();
                var entry = one.Run[one.At];
                yield return (entry.Hash, numbers[entry.Batch] << 32 | entry.Ordinal);
                if (one.At + 1 < one.Run.Count)
                    next.Enqueue((one.Run, one.At + 1), one.Run[one.At + 1].Hash);
            }
        }
    }
}
