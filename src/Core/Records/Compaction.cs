using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Numerics;
using System.Threading.Channels;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Records;

/// <summary>
/// Merges small segments of a dataset into larger ones in the background: the new file first, then one transaction that lists it in the
/// place of the old ones, which are deleted with their last reader. Rows keep their order, batch by batch, so that a proof reads few pages. One per world.
/// </summary>
public sealed class Compaction : IAsyncDisposable
{
    /// <summary>So many segments of like size become one; a size is four times the one before.</summary>
    public const int SegmentsMin = 8;

    /// <summary>Segments of this many rows are large enough to be left alone.</summary>
    public const long RowsEnough = 1_048_576;

    /// <summary>Rows and bytes merged in one step: bounds the time it takes and the disk it needs.</summary>
    public const long RowsMax = 4_194_304;
    public const long BytesMax = 1L << 30;

    private int _disposed;
    private readonly Channel<long> _due = Channel.CreateUnbounded<long>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentDictionary<long, bool> _asked = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly World _world;
    private readonly RecordStore _store;
    private readonly Catalog.Catalog _catalog;
    private readonly NodeWriter _writer;
    private readonly ILogger<Compaction> _log;
    private readonly Task _loop;

    public Compaction(World world, RecordStore store, Catalog.Catalog catalog, NodeWriter writer, ILogger<Compaction> log)
    {
        (_world, _store, _catalog, _writer, _log) = (world, store, catalog, writer, log);
        store.SegmentsListed += Look;
        _loop = Task.Run(RunAsync);
    }

    /// <summary>Does the steps that are due for a dataset; answers how many. Safe beside contributions, folds and queries.</summary>
    public async Task<int> CompactAsync(Dataset dataset, CancellationToken cancel = default)
    {
        using var alone = await _store.ReshapeAsync(cancel).ConfigureAwait(false);
        var steps = 0;
        while (Due(_store.Manifest(dataset.Number).Segments) is { Count: > 1 } due)
        {
            await StepAsync(dataset, due, cancel).ConfigureAwait(false);
            steps++;
        }
        return steps;
    }

    /// <summary>Merges nothing more. More than once is harmless: who measures segments stops it before the node does.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _store.SegmentsListed -= Look;
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    /// <summary>The segments to merge next, in order of number: the smallest size of which there are enough, one schema version, within the limits of a step.</summary>
    internal static List<Segment> Due(IEnumerable<Segment> segments)
    {
        var enough = segments.Where(s => s.Rows < RowsEnough)
            .GroupBy(s => (s.SchemaVersion, Size: BitOperations.Log2((ulong)Math.Max(1, s.Rows / Fold.RowsMin)) / 2))
            .Where(g => g.Count() >= SegmentsMin)
            .OrderBy(g => g.Key.Size).FirstOrDefault();
        var due = new List<Segment>();
        if (enough is null)
            return due;
        long rows = 0, bytes = 0;
        foreach (var segment in enough.OrderBy(s => s.Number))
        {
            rows += segment.Rows;
            bytes += segment.Bytes;
            if (due.Count > 1 && (rows > RowsMax || bytes > BytesMax))
                break;
            due.Add(segment);
        }
        return due;
    }

    private async Task StepAsync(Dataset dataset, List<Segment> due, CancellationToken cancel)
    {
        var written = _catalog.Find(dataset.Id, due[0].SchemaVersion) ?? throw new InvalidDataException($"Version {due[0].SchemaVersion} of {dataset.Id} is not known.");
        Segment merged;
        using (_store.Uses.TryHold(due) ?? throw new InvalidOperationException("A segment went away before it was merged; what is due is looked up again later."))
        {
            using var writer = new SegmentWriter(written, _world, _store.Segments);
            foreach (var segment in due)
            {
                using var file = await _store.Segments.FetchAsync([segment.Name], cancel).ConfigureAwait(false);
                using var reader = new SegmentReader(written, segment);
                for (var g = 0; g < reader.RowGroups; g++)
                {
                    cancel.ThrowIfCancellationRequested();
                    if (reader.Read(g) is { } rows)
                        writer.Add(rows);
                }
            }
            merged = await writer.FinishAsync().ConfigureAwait(false);
        }
        try
        {
            if (merged.Rows != due.Sum(s => s.Rows))
                throw new InvalidDataException($"Segments listed with {due.Sum(s => s.Rows)} rows hold {merged.Rows}; they are left as they are. Run a check.");
            await _writer.RunAsync(scope => Swap(scope, dataset.Number, due, merged), cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not WriterStoppedException)
        {
            // The swap was not kept, so nothing names the file; after a stopped writer only the next start knows.
            _store.Uses.Discard([merged]);
            throw;
        }
    }

    private void Swap(WriteScope scope, long dataset, List<Segment> due, Segment merged)
    {
        // A row may have been superseded while the file was written, so this is looked up here.
        var number = RecordStore.InsertSegment(scope, dataset, merged);
        var links = new List<RowRun>();
        var replaced = false;
        foreach (var segment in due)
        {
            links.AddRange(TakeLinks(scope, segment.Number));
            using var delete = scope.Command("DELETE FROM segment WHERE number = @number AND name = @name RETURNING has_replaced");
            delete.Set("@number", segment.Number);
            delete.Set("@name", segment.Name);
            replaced |= (long)(delete.ExecuteScalar() ?? throw new InvalidOperationException("A segment changed while it was merged; what is due is looked up again later.")) != 0;
        }
        RowRuns.Link(scope, number, Joined(links));
        if (replaced)
        {
            using var mark = scope.Command("UPDATE segment SET has_replaced = 1 WHERE number = @number");
            mark.Set("@number", number);
            mark.ExecuteNonQuery();
        }
        var kept = merged with { Number = number, HasReplaced = replaced };
        var gone = due.Select(s => s.Number).ToHashSet();
        _store.Publish(scope, dataset, [], Replacements.None, more: true, m => m with { Segments = [.. m.Segments.Where(s => !gone.Contains(s.Number)), kept] });
        scope.AfterCommit(() => _store.Uses.Discard(due));
    }

    private static List<RowRun> TakeLinks(WriteScope scope, long segment)
    {
        var links = new List<RowRun>();
        using var command = scope.Command("DELETE FROM segment_batch WHERE segment = @segment RETURNING batch, first_ordinal, rows");
        command.Set("@segment", segment);
        using var reader = command.ExecuteReader();
        while (reader.Read())
            links.Add(new(RecordId.FromBytes((byte[])reader[0]), reader.GetInt64(1), reader.GetInt64(2)));
        return links;
    }

    /// <summary>Runs of one batch that now lie together become one.</summary>
    private static List<RowRun> Joined(List<RowRun> links)
    {
        var joined = new List<RowRun>(links.Count);
        foreach (var link in links.OrderBy(l => l.Batch).ThenBy(l => l.First))
        {
            if (joined.Count > 0 && joined[^1] is var before && before.Batch == link.Batch && before.First + before.Count == link.First)
                joined[^1] = before with { Count = before.Count + link.Count };
            else
                joined.Add(link);
        }
        return joined;
    }

    private void Look(long dataset)
    {
        if (_store.KeepsUp && _store.Manifest(dataset).Segments.Length >= SegmentsMin && _asked.TryAdd(dataset, true))
            _due.Writer.TryWrite(dataset);
    }

    private async Task RunAsync()
    {
        await foreach (var number in _due.Reader.ReadAllAsync(_stop.Token).ConfigureAwait(false))
        {
            _asked.TryRemove(number, out _);
            try
            {
                if (_catalog.Find(number) is { } dataset)
                    await CompactAsync(dataset, _stop.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                _log.LogError(e, "The segments of dataset {Dataset} could not be merged; they stay as they are and it is tried again with the next one", number);
            }
        }
    }
}
