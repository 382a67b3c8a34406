using System.Runtime.CompilerServices;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Records;

/// <summary>The rows of one batch, wherever they lie now, in pieces of bounded size.</summary>
internal sealed class BatchRows(RecordStore store)
{
    private const int TailRowsMax = 4_096;

    /// <summary>The rows that are not erased, superseded ones too. Answers pieces as they are read, and fails at the end when rows moved meanwhile: what was made of them is then to be made anew.</summary>
    /// <param name="dataset">The definition under which the batch came.</param>
    /// <param name="batch">Its id.</param>
    /// <param name="rows">How many it had.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="IOException">Rows moved, or a segment cannot be had; trying again is right.</exception>
    public async IAsyncEnumerable<RowColumns> ReadAsync(Dataset dataset, Guid batch, long rows, [EnumeratorCancellation] CancellationToken cancel)
    {
        var found = 0L;
        using (Hold(batch, out var segments))
        {
            foreach (var segment in segments)
            {
                using var file = await store.Segments.FetchAsync([segment.Name], cancel).ConfigureAwait(false);
                using var reader = new SegmentReader(dataset, segment);
                for (var g = 0; g < reader.RowGroups; g++)
                {
                    if (reader.Read(g, (b, _) => b == batch) is not { } piece)
                        continue;
                    found += piece.Rows;
                    yield return piece;
                }
            }
        }
        for (var next = 0L; found < rows;)
        {
            var tail = store.ReadTail(dataset.Number, batch, next, TailRowsMax);
            if (tail.Count == 0)
                break;
            next = tail[^1].Ordinal + 1L;
            found += tail.Count;
            yield return RowDecoder.Decode(dataset, tail);
        }
        if (found < rows && found + store.ErasedLeaves(dataset.Number, batch, 0, rows).Count != rows)
            throw new IOException($"Rows of batch {batch} in {dataset.Id} moved while they were read: {found} of {rows} were found.");
    }

    private IDisposable Hold(Guid batch, out List<Segment> segments)
    {
        while (true)
        {
            segments = [.. store.SegmentsOf(batch).Select(s => s.Segment).DistinctBy(s => s.Number)];
            if (store.Uses.TryHold(segments) is { } held)
                return held;
        }
    }
}
