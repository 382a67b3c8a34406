using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Query;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>A row on its way out: the hash that will stand for it.</summary>
internal sealed record ErasedRow(ReplacedRow Row, byte[] Leaf, bool InTail);

/// <summary>A segment and what takes its place, or null when no row of it stays.</summary>
internal sealed record RewrittenSegment(Segment Old, Segment? Fresh);

/// <summary>Finds rows where they are kept, and writes segments anew without them. Changes nothing that is listed.</summary>
internal sealed class ErasureFiles(World world, RecordStore store, Catalog.Catalog catalog, DuckEngine engine)
{
    /// <summary>Every row about the subject, current or superseded.</summary>
    public async Task<List<ReplacedRow>> FindSubjectAsync(Dataset dataset, string subject, CancellationToken cancel)
    {
        var found = new List<ReplacedRow>();
        var wanted = Encoding.UTF8.GetBytes(subject);
        foreach (var version in store.ReadTail(dataset.Number).GroupBy(r => RowDecoder.SchemaVersion(r.Row)))
        {
            var rows = RowDecoder.Decode(Definition(dataset, version.Key), [.. version]);
            var column = rows.Fields[rows.SubjectIndex];
            for (var r = 0; r < rows.Rows; r++)
            {
                if (!column.Nulls[r] && rows.TextOf(column, r).SequenceEqual(wanted))
                    found.Add(new(rows.BatchOf(r), rows.OrdinalOf(r)));
            }
        }
        foreach (var segments in AtOnce(store.Manifest(dataset.Number).Segments))
        {
            using var files = await store.Segments.FetchAsync(segments.Select(s => s.Name), cancel).ConfigureAwait(false);
            FindSubject(dataset, subject, segments, found);
        }
        return found;
    }

    /// <summary>The segments in runs of as many bytes as are best fetched at one time; all at once where they lie here.</summary>
    private IEnumerable<List<Segment>> AtOnce(IEnumerable<Segment> segments)
    {
        var run = new List<Segment>();
        long bytes = 0;
        foreach (var segment in segments)
        {
            bytes += segment.Bytes;
            if (run.Count > 0 && bytes > store.Segments.FetchBytesMax)
            {
                yield return run;
                (run, bytes) = ([], segment.Bytes);
            }
            run.Add(segment);
        }
        if (run.Count > 0)
            yield return run;
    }

    private void FindSubject(Dataset dataset, string subject, List<Segment> segments, List<ReplacedRow> found)
    {
        var paths = string.Join(", ", segments.Select(s => "'" + s.Path.Replace("'", "''", StringComparison.Ordinal) + "'"));
        found.AddRange(engine.Read(
            $"SELECT lower(hex(_batch)), _ordinal FROM read_parquet([{paths}], union_by_name = true, hive_partitioning = false) WHERE {SqlName.Quote(dataset.SubjectField!)} = $1", subject,
            row => new ReplacedRow(RecordId.FromBytes(Convert.FromHexString(row.GetString(0))), (uint)row.GetInt32(1))));
    }

    /// <summary>Computes the leaf of each row and writes the segments that hold some of them anew; the new files are durable when this returns.</summary>
    public async Task<(List<ErasedRow> Rows, List<RewrittenSegment> Segments)> PrepareAsync(Dataset dataset, IReadOnlyCollection<ReplacedRow> gone, CancellationToken cancel)
    {
        var rows = new List<ErasedRow>(gone.Count);
        var rewritten = new List<RewrittenSegment>();
        try
        {
            var left = gone.ToHashSet();
            foreach (var batch in gone.GroupBy(r => r.Batch))
            {
                foreach (var ordinal in batch.Select(r => r.Ordinal))
                {
                    if (store.ReadTail(dataset.Number, batch.Key, ordinal, 1) is [var row] && row.Ordinal == ordinal && left.Remove(new(batch.Key, ordinal)))
                        rows.Add(new(new(batch.Key, ordinal), MerkleTree.LeafHash([.. row.Row, .. row.Salt ?? []]), InTail: true));
                }
            }
            var holding = left.Select(r => r.Batch).Distinct().SelectMany(b => store.SegmentsOf(b)
                .Where(s => left.Any(r => r.Batch == b && r.Ordinal >= s.FirstOrdinal && r.Ordinal < s.FirstOrdinal + s.Rows))).Select(s => s.Segment).DistinctBy(s => s.Number).ToList();
            foreach (var segment in holding)
            {
                cancel.ThrowIfCancellationRequested();
                using var file = await store.Segments.FetchAsync([segment.Name], cancel).ConfigureAwait(false);
                rewritten.Add(new(segment, await RewriteAsync(Definition(dataset, segment.SchemaVersion), segment, left, rows).ConfigureAwait(false)));
            }
            if (rows.Count != gone.Count)
                throw new RecordsCorruptException(gone.First().Batch, $"Of {gone.Count} rows to be erased in {dataset.Id}, {gone.Count - rows.Count} are missing.");
            return (rows, rewritten);
        }
        catch
        {
            Discard(rewritten);
            throw;
        }
    }

    /// <summary>Takes back new files that nothing names. A reader may hold an earlier file of the same name and rows.</summary>
    public void Discard(IEnumerable<RewrittenSegment> rewritten) => store.Uses.Discard(rewritten.Select(r => r.Fresh).OfType<Segment>());

    private async Task<Segment?> RewriteAsync(Dataset definition, Segment old, HashSet<ReplacedRow> gone, List<ErasedRow> rows)
    {
        using var reader = new SegmentReader(definition, old);
        using var writer = new SegmentWriter(definition, world, store.Segments);
        var encoders = new Dictionary<Guid, RowEncoder>();
        var kept = false;
        for (var g = 0; g < reader.RowGroups; g++)
        {
            if (reader.Read(g, (b, o) => gone.Contains(new(b, o))) is { } lost)
            {
                for (var r = 0; r < lost.Rows; r++)
                {
                    var id = lost.BatchOf(r);
                    if (!encoders.TryGetValue(id, out var encoder))
                        encoders[id] = encoder = new RowEncoder(definition, id, store.FindBatch(id)!.SubjectSalt);
                    rows.Add(new(new(id, lost.OrdinalOf(r)), SHA256.HashData(encoder.EncodeOne(lost, r)), InTail: false));
                }
            }
            if (reader.Read(g, (b, o) => !gone.Contains(new(b, o))) is { } stays)
            {
                writer.Add(stays);
                kept = true;
            }
        }
        return kept ? await writer.FinishAsync(store.Uses).ConfigureAwait(false) : null;
    }

    private Dataset Definition(Dataset dataset, int version) =>
        catalog.Find(dataset.Id, version) ?? throw new InvalidDataException($"Version {version} of {dataset.Id} is not known.");
}
