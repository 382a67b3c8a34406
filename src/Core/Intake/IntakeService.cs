using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Threading.Channels;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Records;
using Gongzhi.Core.Records.Keys;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Intake;

/// <summary>All rows or none, or the good ones with a list of the rest.</summary>
public enum IntakeMode { All, Partial }

/// <summary>One act of contributing: a source of cells for one dataset.</summary>
public sealed record Contribution
{
    public required Dataset Dataset { get; init; }

    /// <summary>The contributing party's id.</summary>
    public required string Contributor { get; init; }
    public required ICellSource Source { get; init; }
    public IntakeMode Mode { get; init; }

    /// <summary>Chosen by the contributor; the same key again answers the first receipt. 1–128 characters.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>SHA-256 of the whole body, read to its end if need be: tells a repeat from another file under the same key. Null when the caller has no body.</summary>
    public Func<CancellationToken, Task<byte[]>>? BodyDigest { get; init; }

    /// <summary>How it came, for the record: <c>http text/csv</c>.</summary>
    public required string Origin { get; init; }

    /// <summary>Told after each run of rows what has been found so far, in order, from one thread at a time.</summary>
    public IProgress<IntakeProgress>? Progress { get; init; }

    /// <summary>
    /// Why the contributor may not supersede records that came with a batch, or null when he may; asked once for each such batch. Without it no
    /// record can be superseded.
    /// </summary>
    public Func<Batch, Problem?>? MaySupersede { get; init; }
}

/// <summary>What has been found in a contribution that is still being read.</summary>
/// <param name="Rows">Rows read and checked.</param>
/// <param name="Rejected">Of these.</param>
/// <param name="Faults">Errors found; one row may have several.</param>
/// <param name="First">The first of them, at most <see cref="FirstMax"/>; a copy of its own.</param>
public sealed record IntakeProgress(long Rows, long Rejected, long Faults, IReadOnlyList<RowError> First)
{
    public const int FirstMax = 10;
}

/// <summary>What the contributor gets at once.</summary>
/// <param name="Errors">The first errors, in row order; empty when nothing was rejected.</param>
public sealed record IntakeReceipt(Batch Batch, IReadOnlyList<RowError> Errors, long ErrorCount, bool Repeated);

/// <summary>
/// The one way in. Cells are parsed, checked, made canonical, hashed and written while they stream; three stages overlap so that both
/// parsing and writing keep a core busy. Nothing is kept until one transaction lists it.
/// </summary>
public sealed class IntakeService(RecordStore store, World world, IntakeRules rules, KeyIndex keys, TimeProvider clock)
{
    private readonly RecordVersions _versions = new(world, store);
    /// <summary>A contribution of at most this many rows goes to the tail in SQL; a larger one makes its own segment.</summary>
    public const int TailRowsMax = 2_048;

    /// <summary>Rows in one segment file; a larger contribution makes several.</summary>
    public const long SegmentRowsMax = 4_194_304;

    /// <summary>Errors listed in the answer; all of them are in the rejects file.</summary>
    public const int ErrorsListedMax = 1_000;

    /// <summary>The turns of all doors that take workbooks.</summary>
    public WorkbookTurns Workbooks { get; } = new(FormatLimits.WorkbooksAtOnce, TimeSpan.FromSeconds(20));

    private const int ChunksAhead = 4;

    /// <summary>Rows that are checked and hashed sooner than another thread is asked to.</summary>
    private const int AloneRowsMax = 256;
    private readonly RecordStore _store = store;
    private readonly World _world = world;
    private readonly TimeProvider _clock = clock;
    private readonly ConcurrentBag<EncodedRows> _buffers = [];

    public async Task<Result<IntakeReceipt>> ContributeAsync(Contribution contribution, CancellationToken cancel)
    {
        if (contribution.IdempotencyKey is { } key)
        {
            if (key.Length is 0 or > 128)
                return Problem.BadRequest("request.idempotencyKey", "The idempotency key must have 1 to 128 characters.");
            if (_store.FindRequest(RequestKey(contribution)) is { } earlier)
                return await RepeatAsync(contribution, earlier, cancel).ConfigureAwait(false);
        }
        var outcome = await TryAsync(contribution, cancel).ConfigureAwait(false);
        // The first request under this key may have been kept while this one was read; then what stands in the way of this one (its keys, the
        // record it supersedes) is its own first coming, and "nothing was kept" would be false.
        return !outcome.Ok && contribution.IdempotencyKey is not null && _store.FindRequest(RequestKey(contribution)) is { } first
            ? await RepeatAsync(contribution, first, cancel).ConfigureAwait(false)
            : outcome;
    }

    private async Task<Result<IntakeReceipt>> TryAsync(Contribution contribution, CancellationToken cancel)
    {
        if (StorageFull.Reached(_world))
            return StorageFull.Problem;
        var reader = RowReader.For(contribution.Dataset, contribution.Source.Header, rules);
        if (!reader.Ok)
            return reader.Problem;
        using var check = await keys.BeginAsync(contribution.Dataset, cancel).ConfigureAwait(false);
        using var run = new Run(this, contribution, reader.Value, check);
        try
        {
            var done = await run.ExecuteAsync(cancel).ConfigureAwait(false);
            Measures.Contributed(done.Ok, done.Value?.Batch.Rows ?? 0, done.Value?.Batch.Rejected ?? 0);
            return done;
        }
        catch (SourceFormatException e)
        {
            return e.ToProblem();
        }
        catch (DuplicateKeyException e)
        {
            return Problem.Invalid("records.duplicateKey", $"Another contribution brought one of the keys at the same moment, so nothing was kept; send the file again to see which rows are concerned. The record {e.Record} has the key now.") with
            {
                Extensions = new Dictionary<string, object?> { ["record"] = e.Record },
            };
        }
        catch (NotCurrentException e)
        {
            // Another correction came between our look and the commit.
            return Corrections.NotCurrent(contribution.Dataset, e.Record, _versions);
        }
        catch (SegmentStoreException)
        {
            return SegmentStoreException.Problem;
        }
        catch (Exception e) when (StorageFull.Is(e) && e is not WriterStoppedException)
        {
            return StorageFull.Problem;
        }
        catch (DuplicateRequestException)
        {
            // Two of the same key at once: the other came first.
            return await RepeatAsync(contribution, _store.FindRequest(RequestKey(contribution))!, cancel).ConfigureAwait(false);
        }
    }

    private static string RequestKey(Contribution c) => $"{c.Contributor}\n{c.IdempotencyKey}";

    private static async Task<byte[]> RequestDigestAsync(Contribution c, CancellationToken cancel)
    {
        var body = c.BodyDigest is null ? [] : await c.BodyDigest(cancel).ConfigureAwait(false);
        return SHA256.HashData([.. System.Text.Encoding.UTF8.GetBytes($"{c.Dataset.Id}\n{c.Mode}\n"), .. body]);
    }

    private static async Task<Result<IntakeReceipt>> RepeatAsync(Contribution contribution, Batch earlier, CancellationToken cancel)
    {
        var digest = await RequestDigestAsync(contribution, cancel).ConfigureAwait(false);
        return digest.AsSpan().SequenceEqual(earlier.RequestDigest)
            ? new IntakeReceipt(earlier, [], 0, Repeated: true)
            : Problem.Conflict("request.idempotencyKeyReused", "This idempotency key was used for another request.");
    }

    /// <summary>The state of one contribution while it runs.</summary>
    private sealed class Run(IntakeService intake, Contribution contribution, RowReader reader, KeyCheck? keys) : IDisposable
    {
        private readonly Dataset _dataset = contribution.Dataset;
        private readonly Guid _batch = RecordId.NewBatch(intake._clock);
        private readonly DateTimeOffset _received = intake._clock.GetUtcNow();
        private readonly byte[] _subjectSalt = RandomNumberGenerator.GetBytes(16);
        private readonly BatchTreeBuilder _tree = new();
        private readonly List<RowError> _errors = [];
        private readonly List<Segment> _segments = [];
        private readonly Queue<Task<byte[]>> _leaves = new();
        private readonly Corrections _corrections = new(contribution, intake._store, intake._versions);
        private SegmentWriter? _writer;
        private RejectsFile? _rejects;
        private long _writerRows, _rows, _rowsRead, _rejectedRows, _errorCount, _duplicates;
        private bool _refused;
        // Files that a commit may have listed are the next start's to judge.
        private bool _mayBeListed;

        public async Task<Result<IntakeReceipt>> ExecuteAsync(CancellationToken cancel)
        {
            var encoder = new RowEncoder(_dataset, _batch, _subjectSalt);
            // Most contributions over HTTP are a row or a few and end with the first chunk: they need no stages beside each other.
            if (await contribution.Source.ReadAsync(cancel).ConfigureAwait(false) is not { } begun)
                return Refusal();
            var ahead = new Queue<CellChunk>([begun]);
            if (begun.Rows <= AloneRowsMax)
            {
                if (await contribution.Source.ReadAsync(cancel).ConfigureAwait(false) is not { } more)
                    return await KeepAloneAsync(begun, encoder, cancel).ConfigureAwait(false);
                ahead.Enqueue(more);
            }
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            var checks = Channel.CreateBounded<Task<Checked>>(ChunksAhead);
            var producer = Task.Run(() => ProduceAsync(ahead, checks.Writer, stop.Token), CancellationToken.None);
            try
            {
                Checked? first = null;
                await foreach (var task in checks.Reader.ReadAllAsync(cancel).ConfigureAwait(false))
                {
                    var chunk = await task.ConfigureAwait(false);
                    RefuseRepeated(chunk);
                    Count(chunk);
                    if (_refused)
                    {
                        first?.Chunk.Dispose();
                        first = null;
                        chunk.Chunk.Dispose();
                        continue;
                    }
                    Number(chunk.Rows);
                    if (_rows <= TailRowsMax && first is null && _writer is null && chunk.Rows.Rows > 0)
                    {
                        first = chunk;
                        continue;
                    }
                    if (first is not null)
                    {
                        await WriteAsync(first, encoder).ConfigureAwait(false);
                        first = null;
                    }
                    await WriteAsync(chunk, encoder).ConfigureAwait(false);
                }
                await producer.ConfigureAwait(false);
                if (_refused || _rows == 0)
                {
                    first?.Chunk.Dispose();
                    return Refusal();
                }
                return first is not null
                    ? await KeepInTailAsync(first, encoder, cancel).ConfigureAwait(false)
                    : await KeepAsSegmentsAsync(cancel).ConfigureAwait(false);
            }
            finally
            {
                await stop.CancelAsync().ConfigureAwait(false);
                await producer.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                while (_leaves.TryDequeue(out var leaves))
                    await ((Task)leaves).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        public void Dispose()
        {
            _writer?.Dispose();
            _rejects?.Dispose();
            if (_mayBeListed)
                return;
            intake._store.Uses.Discard(_segments);
            _rejects?.Discard();
        }

        /// <param name="Keys">Hashes of the rows' keys and the rows' numbers in the file, where the dataset has keys.</param>
        private sealed record Checked(CellChunk Chunk, RowColumns Rows, List<RowError> Errors, (RowHashes Hashes, long[] Numbers)? Keys);

        private async Task ProduceAsync(Queue<CellChunk> ahead, ChannelWriter<Task<Checked>> to, CancellationToken cancel)
        {
            try
            {
                while ((ahead.TryDequeue(out var read) ? read : await contribution.Source.ReadAsync(cancel).ConfigureAwait(false)) is { } chunk)
                    await to.WriteAsync(Task.Run(() => Check(chunk), CancellationToken.None), cancel).ConfigureAwait(false);
                to.Complete();
            }
            catch (Exception e)
            {
                to.Complete(e);
            }
        }

        /// <summary>A contribution of one small chunk, from checking to the commit.</summary>
        private async Task<Result<IntakeReceipt>> KeepAloneAsync(CellChunk chunk, RowEncoder encoder, CancellationToken cancel)
        {
            var found = Check(chunk);
            RefuseRepeated(found);
            Count(found);
            if (_refused || found.Rows.Rows == 0)
            {
                chunk.Dispose();
                return Refusal();
            }
            Number(found.Rows);
            return await KeepInTailAsync(found, encoder, cancel).ConfigureAwait(false);
        }

        /// <summary>Applies the schema and the keys kept before. Any thread.</summary>
        private Checked Check(CellChunk chunk)
        {
            var errors = new List<RowError>();
            var rows = reader.Read(chunk, Microseconds.From(_received), errors);
            return new Checked(chunk, rows, errors, keys is null ? null : RefuseKept(keys, chunk, rows, errors));
        }

        /// <summary>Leaves out the rows whose key a record has that was kept before. Any thread.</summary>
        private static (RowHashes, long[]) RefuseKept(KeyCheck keys, CellChunk chunk, RowColumns rows, List<RowError> errors)
        {
            var invalid = errors.Count == 0 ? null : errors.Select(e => e.Row).ToHashSet();
            var numbers = new long[rows.Rows];
            for (int r = 0, to = 0; r < chunk.Rows; r++)
            {
                if (invalid?.Contains(chunk.FirstRow + r) != true)
                    numbers[to++] = chunk.FirstRow + r;
            }
            var hashes = keys.Hash(rows);
            if (keys.FindKept(rows, hashes, r => numbers[r], errors) is not { } refused)
                return (hashes, numbers);
            hashes.RemoveWhere(refused);
            rows.RemoveWhere(refused);
            return (hashes, [.. numbers.Where((_, r) => !refused[r])]);
        }

        /// <summary>Leaves out the rows that repeat a key of an earlier row. In the order of the file.</summary>
        private void RefuseRepeated(Checked chunk)
        {
            if (chunk.Keys is not { } known)
                return;
            if (keys!.Add(chunk.Rows, known.Hashes, _rows, r => known.Numbers[r], chunk.Errors) is { } refused)
                chunk.Rows.RemoveWhere(refused);
            keys.Spill(_batch);
            if (chunk.Errors.Exists(e => e.Code == KeyCheck.Code))
            {
                _duplicates += chunk.Errors.Count(e => e.Code == KeyCheck.Code);
                var inOrder = chunk.Errors.OrderBy(e => e.Row).ToList();
                chunk.Errors.Clear();
                chunk.Errors.AddRange(inOrder);
            }
        }

        private void Count(Checked chunk)
        {
            _errorCount += chunk.Errors.Count;
            _rowsRead += chunk.Chunk.Rows;
            _rejectedRows += chunk.Chunk.Rows - chunk.Rows.Rows;
            _errors.AddRange(chunk.Errors.Take(ErrorsListedMax - _errors.Count));
            contribution.Progress?.Report(new(_rowsRead, _rejectedRows, _errorCount, [.. _errors.Take(IntakeProgress.FirstMax)]));
            if (chunk.Errors.Count == 0)
                return;
            if (contribution.Mode == IntakeMode.All)
            {
                // Nothing will be kept, but the rest is still read: people mend a file faster when they see all its faults at once.
                _refused = true;
                return;
            }
            if (_errorCount > RejectsFile.ErrorsMax)
                throw new SourceFormatException("records.tooManyErrors", $"More than {RejectsFile.ErrorsMax} values are not valid; this file does not fit the dataset.");
            _rejects ??= RejectsFile.Create(intake._world, _batch);
            _rejects.Write(chunk.Errors);
        }

        private void Number(RowColumns rows)
        {
            rows.Batch = _batch;
            rows.FirstOrdinal = _rows;
            _corrections.Add(rows);
            _rows += rows.Rows;
            if (_rows > RecordId.RowsMax)
                throw new SourceFormatException("records.tooMany", "One contribution cannot hold so many rows; split the file.");
            if (_dataset.Salted)
                rows.Salts = RandomNumberGenerator.GetBytes(rows.Rows * RowColumns.SaltSize);
        }

        private async Task WriteAsync(Checked chunk, RowEncoder encoder)
        {
            _leaves.Enqueue(Task.Run(() => Hash(chunk.Rows, encoder)));
            if (_writer is not null && _writerRows >= SegmentRowsMax)
                await CloseSegmentAsync().ConfigureAwait(false);
            if (StorageFull.Reached(intake._world))
                throw StorageFull.Exception();
            _writer ??= new SegmentWriter(_dataset, intake._world, intake._store.Segments);
            _writerRows += chunk.Rows.Rows;
            // The writer gives the chunk's memory back when it flushes; hashing must have read it by then.
            if (_writer.WouldFlush(chunk.Rows))
                await TakeLeavesAsync().ConfigureAwait(false);
            _writer.Add(chunk.Rows, chunk.Chunk.Dispose);
        }

        private byte[] Hash(RowColumns rows, RowEncoder encoder)
        {
            if (!intake._buffers.TryTake(out var buffer))
                buffer = new EncodedRows();
            encoder.Encode(rows, buffer);
            var leaves = new byte[rows.Rows * 32];
            Sha256Batch.HashMany(buffer.Bytes, buffer.Starts.AsSpan(0, rows.Rows), buffer.Lengths.AsSpan(0, rows.Rows), leaves);
            intake._buffers.Add(buffer);
            return leaves;
        }

        private async Task TakeLeavesAsync()
        {
            while (_leaves.TryDequeue(out var task))
                _tree.Append(await task.ConfigureAwait(false));
        }

        private async Task CloseSegmentAsync()
        {
            await TakeLeavesAsync().ConfigureAwait(false);
            _segments.Add(await _writer!.FinishAsync().ConfigureAwait(false));
            _writer.Dispose();
            _writer = null;
            _writerRows = 0;
        }

        private async Task<Result<IntakeReceipt>> KeepAsSegmentsAsync(CancellationToken cancel)
        {
            // Two files to be sorted, compressed and flushed: side by side.
            var sealing = Task.Run(() => keys?.Seal(_batch), CancellationToken.None);
            try
            {
                await CloseSegmentAsync().ConfigureAwait(false);
            }
            finally
            {
                await sealing.ConfigureAwait(false);
            }
            return await CommitAsync(_tree.Finish(), batch => intake._store.CommitSegmentsAsync(_dataset, batch, _segments, _corrections.All, Within(), cancel), cancel).ConfigureAwait(false);
        }

        private async Task<Result<IntakeReceipt>> KeepInTailAsync(Checked chunk, RowEncoder encoder, CancellationToken cancel)
        {
            if (!intake._buffers.TryTake(out var encoded))
                encoded = new EncodedRows();
            encoder.Encode(chunk.Rows, encoded);
            var leaves = new byte[chunk.Rows.Rows * 32];
            Sha256Batch.HashMany(encoded.Bytes, encoded.Starts.AsSpan(0, chunk.Rows.Rows), encoded.Lengths.AsSpan(0, chunk.Rows.Rows), leaves);
            _tree.Append(leaves);
            var rows = new TailRow[chunk.Rows.Rows];
            for (var r = 0; r < rows.Length; r++)
            {
                var salt = chunk.Rows.Salt(r);
                rows[r] = new TailRow(_batch, (uint)r, encoded.Row(r, salt.Length).ToArray(), salt.IsEmpty ? null : salt.ToArray());
            }
            intake._buffers.Add(encoded);
            chunk.Chunk.Dispose();
            return await CommitAsync(_tree.Finish(), batch => intake._store.CommitTailAsync(_dataset, batch, rows, _corrections.All, Within(), cancel), cancel).ConfigureAwait(false);
        }

        private Action<WriteScope>? Within() => keys is null ? null : scope => keys.Commit(scope, _batch);

        private async Task<Result<IntakeReceipt>> CommitAsync(byte[] tree, Func<Batch, Task> commit, CancellationToken cancel)
        {
            if (_corrections.Check() is { } refusal)
                return refusal;
            _rejects?.Finish();
            if (_rejects is not null && intake._store.Segments.Files is { } files)
                await files.PutAsync(RejectsFile.KeyOf(_batch), RejectsFile.PathOf(intake._world, _batch), cancel).ConfigureAwait(false);
            if (keys is not null)
                await keys.PublishAsync(cancel).ConfigureAwait(false);
            var batch = new Batch
            {
                Id = _batch,
                Dataset = _dataset.Id,
                SchemaVersion = _dataset.Version,
                Contributor = contribution.Contributor,
                Received = _received,
                Rows = _rows,
                Rejected = _rejectedRows,
                Root = BatchTree.Root(tree),
                Entry = Guid.CreateVersion7(_received),
                SubjectSalt = _subjectSalt,
                Tree = tree,
                Request = contribution.IdempotencyKey is null ? null : RequestKey(contribution),
                RequestDigest = contribution.IdempotencyKey is null ? null : await RequestDigestAsync(contribution, cancel).ConfigureAwait(false),
                Source = contribution.Origin,
            };
            _mayBeListed = true;
            try
            {
                await commit(batch).ConfigureAwait(false);
            }
            catch (Exception e) when (e is not WriterStoppedException)
            {
                _mayBeListed = false;
                throw;
            }
            return new IntakeReceipt(batch, _errors, _errorCount, Repeated: false);
        }

        private Problem Refusal()
        {
            if (_errorCount == 0)
                return Problem.Invalid("records.empty", "The file holds no rows.");
            if (_errorCount == _duplicates)
            {
                return Problem.Invalid("records.duplicateKey", $"{_rejectedRows} rows have a key that another record or an earlier row has, so nothing was kept.") with
                {
                    Extensions = new Dictionary<string, object?> { ["errors"] = _errors, ["errorCount"] = _errorCount, ["rowCount"] = _rowsRead, ["rejectedCount"] = _rejectedRows },
                };
            }
            return Problem.Invalid("records.invalid",
                contribution.Mode == IntakeMode.All
                    ? $"{_rejectedRows} rows are not valid, so nothing was kept."
                    : "No row is valid, so nothing was kept.") with
            {
                Extensions = new Dictionary<string, object?> { ["errors"] = _errors, ["errorCount"] = _errorCount, ["rowCount"] = _rowsRead, ["rejectedCount"] = _rejectedRows },
            };
        }
    }

}
