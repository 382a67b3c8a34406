using System.Text;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>Everything needed to check one row with no account and no network (docs/contracts/ledger.md).</summary>
/// <param name="Row">Canonical bytes of the row.</param>
/// <param name="Salt">Its salt, or null where the dataset is not salted.</param>
/// <param name="Path">The row's inclusion path in its batch.</param>
/// <param name="Entry">The ledger entry that commits to the batch.</param>
/// <param name="TlogProof">A C2SP tlog-proof of the entry, with the checkpoint it was made under.</param>
public sealed record RowProof(byte[] Row, byte[]? Salt, long Index, long Count, IReadOnlyList<byte[]> Path, byte[] Root, byte[] Entry, string TlogProof);

/// <summary>The ledger's word on one batch.</summary>
public sealed record BatchProof(long Index, string Checkpoint, byte[] Entry, string TlogProof);

/// <summary>Makes proofs. Each is checked before it is given out: a store that has been tampered with is found here, and named.</summary>
public sealed class ProofService(Catalog.Catalog catalog, RecordStore store, Sequencer sequencer)
{
    /// <summary>How often rows that are moving are looked for.</summary>
    private const int ReadAgainMax = 3;

    /// <summary>The proof of one row; null detail codes: <c>record.unknown</c>, <c>record.erased</c>, <c>record.notYetSequenced</c>.</summary>
    public async Task<Result<RowProof>> ProveRowAsync(string dataset, Guid record, CancellationToken cancel)
    {
        if (!RecordId.TrySplit(record, out var batchId, out var ordinal) || store.FindBatch(batchId) is not { } batch
            || batch.Dataset != dataset || ordinal >= batch.Rows)
            return Problem.NotFound("record.unknown", "There is no record with this id in this dataset.");
        var ledger = await ProveBatchAsync(batch, cancel).ConfigureAwait(false);
        if (!ledger.Ok)
            return ledger.Problem;
        var definition = catalog.Find(dataset, batch.SchemaVersion) ?? throw new InvalidDataException($"Version {batch.SchemaVersion} of {dataset} is not known.");
        var first = ordinal / BatchTree.Span * BatchTree.Span;
        var count = (int)Math.Min(BatchTree.Span, batch.Rows - first);
        var erased = store.ErasedLeaves(definition.Number, batch.Id, first, count);
        if (erased.TryGetValue(ordinal, out var stays))
            return Erased(record, stays);
        (byte[] Row, byte[]? Salt)[] run;
        try
        {
            (run, erased) = await ReadRunAsItIsAsync(definition, batch, first, count, erased, cancel).ConfigureAwait(false);
        }
        catch (SegmentStoreException)
        {
            return SegmentStoreException.Problem;
        }
        if (erased.TryGetValue(ordinal, out stays))
            return Erased(record, stays);
        var leaves = new byte[count * 32];
        for (var i = 0; i < count; i++)
            (erased.TryGetValue(first + i, out var leaf) ? leaf : MerkleTree.LeafHash([.. run[i].Row, .. run[i].Salt ?? []])).CopyTo(leaves, i * 32);
        var kept = batch.Tree.AsSpan((int)(first / BatchTree.Span) * 32, 32);
        if (!MerkleRoot.Compute(leaves).AsSpan().SequenceEqual(kept))
            throw new RecordsCorruptException(batch.Id, $"Rows {first} to {first + count - 1} of batch {batch.Id} in {dataset}, which are kept in {Places(batch, first, count)}, are not the rows that were committed.");
        if (!BatchTree.Root(batch.Tree).AsSpan().SequenceEqual(batch.Root))
            throw new RecordsCorruptException(batch.Id, $"The tree kept for batch {batch.Id} in {dataset} does not lead to its root.");
        var row = run[(int)(ordinal - first)];
        return new RowProof(row.Row, row.Salt, ordinal, batch.Rows, BatchTree.Path(leaves, batch.Tree, ordinal), batch.Root, ledger.Value.Entry, ledger.Value.TlogProof);
    }

    /// <summary>The proof that the batch's entry is in the log.</summary>
    public async Task<Result<BatchProof>> ProveBatchAsync(Batch batch, CancellationToken cancel)
    {
        if (store.LedgerIndex(batch.Entry) is not { } index || index >= sequencer.Log.Head.Size)
            return new Problem("record.notYetSequenced", 409, "The contribution is kept but not yet in a signed checkpoint; ask again in a second.");
        var entry = await sequencer.Log.ReadEntryAsync(index, cancel).ConfigureAwait(false);
        var proof = await sequencer.Log.ProveEntryAsync(index, cancel).ConfigureAwait(false);
        return new BatchProof(index, Encoding.UTF8.GetString(proof.CheckpointNote.Span), entry.ToArray(), Encoding.UTF8.GetString(proof.Encode()));
    }

    private static Problem Erased(Guid record, byte[] leaf) => new("record.erased", 410, "The record was erased.")
    {
        Extensions = new Dictionary<string, object?> { ["record"] = record.ToString(), ["leaf"] = Convert.ToBase64String(leaf) },
    };

    /// <summary>The run, read again when rows moved to another file meanwhile (a fold, a compaction, an erasure).</summary>
    private async Task<((byte[] Row, byte[]? Salt)[] Run, Dictionary<long, byte[]> Erased)> ReadRunAsItIsAsync(
        Catalog.Dataset definition, Batch batch, long first, int count, Dictionary<long, byte[]> erased, CancellationToken cancel)
    {
        for (var attempt = 0; ; attempt++)
        {
            var sequence = store.Manifest(definition.Number).Sequence;
            try
            {
                return (await ReadRunAsync(definition, batch, first, count, erased, cancel).ConfigureAwait(false), erased);
            }
            catch (RecordsCorruptException) when (attempt < ReadAgainMax && (attempt == 0 || store.Manifest(definition.Number).Sequence != sequence))
            {
                // The first time in any case: a commit tells of itself a moment after SQL shows it.
                erased = store.ErasedLeaves(definition.Number, batch.Id, first, count);
            }
        }
    }

    private async Task<(byte[] Row, byte[]? Salt)[]> ReadRunAsync(Catalog.Dataset definition, Batch batch, long first, int count, Dictionary<long, byte[]> erased, CancellationToken cancel)
    {
        var run = new (byte[] Row, byte[]? Salt)[count];
        var found = 0;
        var encoder = new RowEncoder(definition, batch.Id, batch.SubjectSalt);
        using var files = Hold(batch, first, count, out var segments);
        foreach (var segment in segments)
        {
            try
            {
                using var file = await store.Segments.FetchAsync([segment.Name], cancel).ConfigureAwait(false);
                found += ReadSegment(definition, segment, batch.Id, encoder, first, run);
            }
            catch (Exception e) when (e is not (IOException or OperationCanceledException))
            {
                // Whatever a reader of Parquet trips over, the file is not the one that was written under its name.
                throw new RecordsCorruptException(batch.Id, $"The segment {Path.GetFileName(segment.Path)}, which holds rows of batch {batch.Id}, cannot be read: {e.Message}");
            }
        }
        var wanted = count - erased.Count;
        if (found < wanted)
        {
            foreach (var row in store.ReadTail(definition.Number, batch.Id, first, wanted - found))
            {
                if (row.Ordinal >= first + count)
                    break;
                run[row.Ordinal - first] = (row.Row, row.Salt);
                found++;
            }
        }
        return found == wanted
            ? run
            : throw new RecordsCorruptException(batch.Id, $"Of rows {first} to {first + count - 1} of batch {batch.Id}, which are listed in {Places(batch, first, count)}, {wanted - found} are missing.");
    }

    /// <summary>The segments that hold rows of a run, each once, kept from being merged away while they are read.</summary>
    private IDisposable Hold(Batch batch, long first, int count, out List<Segment> segments)
    {
        while (true)
        {
            segments = [.. store.SegmentsOf(batch.Id).Where(s => s.FirstOrdinal + s.Rows > first && s.FirstOrdinal < first + count).Select(s => s.Segment).DistinctBy(s => s.Number)];
            if (store.Uses.TryHold(segments) is { } held)
                return held;
        }
    }

    /// <summary>The segment files, or the tail, that hold rows of a run.</summary>
    private string Places(Batch batch, long first, int count)
    {
        var segments = store.SegmentsOf(batch.Id).Where(s => s.FirstOrdinal + s.Rows > first && s.FirstOrdinal < first + count).ToList();
        var names = segments.Select(s => Path.GetFileName(s.Segment.Path)).Distinct(StringComparer.Ordinal).ToList();
        var inSegments = segments.Sum(s => Math.Min(s.FirstOrdinal + s.Rows, first + count) - Math.Max(s.FirstOrdinal, first));
        return string.Join(" and ", inSegments < count ? names.Append("the tail") : names);
    }

    /// <summary>Fills what the segment holds of the run; answers how many rows that was.</summary>
    private static int ReadSegment(Catalog.Dataset definition, Segment segment, Guid batch, RowEncoder encoder, long first, (byte[] Row, byte[]? Salt)[] run)
    {
        var found = 0;
        using var reader = new SegmentReader(definition, segment);
        for (var g = 0; g < reader.RowGroups && found < run.Length; g++)
        {
            var columns = reader.Read(g, (b, o) => b == batch && o >= first && o < first + run.Length);
            if (columns is null)
                continue;
            var encoded = encoder.Encode(columns);
            for (var r = 0; r < columns.Rows; r++)
            {
                var salt = columns.Salt(r);
                run[columns.OrdinalOf(r) - first] = (encoded.Row(r, salt.Length).ToArray(), salt.IsEmpty ? null : salt.ToArray());
                found++;
            }
        }
        return found;
    }
}

/// <summary>Stored rows are not what was committed. The message names the batch and the rows.</summary>
public sealed class RecordsCorruptException(Guid batch, string message) : Exception(message)
{
    public Guid Batch { get; } = batch;
}
