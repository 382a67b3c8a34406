using System.Collections.Immutable;
using System.Threading.Channels;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Records;

/// <summary>
/// Writes tails into segments in the background: the file first, then one transaction that lists it and takes its rows out of the
/// tail. A crash in between leaves an orphan file that is swept at the start. One per world.
/// </summary>
public sealed class Fold : IAsyncDisposable
{
    /// <summary>A tail of this many rows is folded; below, SQL is the better place for them.</summary>
    public const long RowsMin = 16_384;

    /// <summary>Rows folded in one step, so that memory stays bounded.</summary>
    public const long RowsMax = 262_144;

    private readonly Channel<long> _due = Channel.CreateUnbounded<long>(new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _stop = new();
    private readonly World _world;
    private readonly RecordStore _store;
    private readonly Catalog.Catalog _catalog;
    private readonly NodeWriter _writer;
    private readonly ILogger<Fold> _log;
    private readonly Task _loop;

    public Fold(World world, RecordStore store, Catalog.Catalog catalog, NodeWriter writer, ILogger<Fold> log)
    {
        (_world, _store, _catalog, _writer, _log) = (world, store, catalog, writer, log);
        store.TailGrown += Look;
        // What was left by an earlier run; a store that is still to be opened tells of it then.
        foreach (var dataset in store.Datasets)
            Look(dataset);
        _loop = Task.Run(RunAsync);
    }

    /// <summary>Folds the tail of a dataset as it is now; answers how many rows moved. Safe beside contributions and queries.</summary>
    public async Task<long> FoldAsync(Dataset dataset, CancellationToken cancel = default)
    {
        using var alone = await _store.ReshapeAsync(cancel).ConfigureAwait(false);
        return await FoldAloneAsync(dataset, cancel).ConfigureAwait(false);
    }

    private async Task<long> FoldAloneAsync(Dataset dataset, CancellationToken cancel)
    {
        var tail = _store.ReadTail(dataset.Number, count: RowsMax);
        if (tail.Count == 0)
            return 0;
        var segments = new List<(Segment Segment, List<TailRow> Rows)>();
        try
        {
            foreach (var version in tail.GroupBy(r => RowDecoder.SchemaVersion(r.Row)))
            {
                var written = _catalog.Find(dataset.Id, version.Key) ?? throw new InvalidDataException($"Version {version.Key} of {dataset.Id} is not known.");
                List<TailRow> rows = [.. version];
                using var writer = new SegmentWriter(written, _world, _store.Segments);
                writer.Add(RowDecoder.Decode(written, rows));
                segments.Add((await writer.FinishAsync().ConfigureAwait(false), rows));
            }
            await _writer.RunAsync(scope => Swap(scope, dataset.Number, segments), cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not WriterStoppedException)
        {
            // The swap was not kept, so nothing names these files; after a stopped writer only the next start knows.
            _store.Uses.Discard(segments.Select(s => s.Segment));
            throw;
        }
        return tail.Count;
    }

    public async ValueTask DisposeAsync()
    {
        _store.TailGrown -= Look;
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private void Swap(WriteScope scope, long dataset, List<(Segment Segment, List<TailRow> Rows)> segments)
    {
        var kept = ImmutableArray.CreateBuilder<Segment>(segments.Count);
        long moved = 0;
        foreach (var (segment, rows) in segments)
        {
            var runs = Runs(rows).ToList();
            // A correction may have come while the file was written, so this is looked up here.
            var listed = segment with { HasReplaced = RowRuns.AnyReplaced(scope, dataset, runs) };
            var number = RecordStore.InsertSegment(scope, dataset, listed);
            if (RowRuns.TakeFromTail(scope, dataset, runs) != rows.Count)
                throw new InvalidOperationException("The tail changed while it was folded; it is folded again later.");
            RowRuns.Link(scope, number, runs);
            moved += rows.Count;
            kept.Add(listed with { Number = number });
        }
        long sequence = 0;
        sequence = _store.Publish(scope, dataset, [], Replacements.None, more: true, m => m with
        {
            Segments = m.Segments.AddRange(kept),
            TailRows = m.TailRows - moved,
            Reshaped = sequence,
        });
    }

    /// <summary>Runs of consecutive ordinals of one batch; rows come ordered by batch and ordinal.</summary>
    private static IEnumerable<RowRun> Runs(List<TailRow> rows)
    {
        var start = 0;
        for (var i = 1; i <= rows.Count; i++)
        {
            if (i < rows.Count && rows[i].Batch == rows[start].Batch && rows[i].Ordinal == rows[start].Ordinal + (i - start))
                continue;
            yield return new(rows[start].Batch, rows[start].Ordinal, i - start);
            start = i;
        }
    }

    private void Look(long dataset)
    {
        if (_store.KeepsUp && _store.Manifest(dataset).TailRows >= RowsMin)
            _due.Writer.TryWrite(dataset);
    }

    private async Task RunAsync()
    {
        await foreach (var number in _due.Reader.ReadAllAsync(_stop.Token).ConfigureAwait(false))
        {
            try
            {
                // Several contributions may have asked for the same fold; and one fold may leave enough for another.
                while (_store.KeepsUp && _store.Manifest(number).TailRows >= RowsMin && _catalog.Find(number) is { } dataset && await FoldAsync(dataset, _stop.Token).ConfigureAwait(false) > 0)
                {
                }
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                _log.LogError(e, "The tail of dataset {Dataset} could not be folded; it stays in SQL and is tried again with the next contribution or start", number);
            }
        }
    }
}
