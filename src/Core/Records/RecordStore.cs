using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Data.Common;
using System.Runtime.InteropServices;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Records;

/// <summary>One row of the tail: a small contribution's record, kept in SQL as its canonical bytes until a fold.</summary>
public sealed record TailRow(Guid Batch, uint Ordinal, byte[] Row, byte[]? Salt);

/// <summary>The request key is already used by another batch.</summary>
public sealed class DuplicateRequestException() : Exception("The idempotency key is already used.");

/// <summary>
/// Keeps records: lists segments and tail rows in SQL in one transaction with the batch and its pending ledger entry, and
/// holds the current list of each dataset in memory for readers.
/// </summary>
public sealed class RecordStore(World world, NodeWriter writer, ISegmentStore segments, ISegmentPeers peers)
{
    private readonly ConcurrentDictionary<long, DatasetManifest> _manifests = new();

    /// <summary>Raised after a commit added rows to a dataset's tail, on the writer's thread, and at the start where there is one; with the dataset's number.</summary>
    public event Action<long>? TailGrown;

    /// <summary>Raised when a dataset got another segment, with the dataset's number; on the writer's thread.</summary>
    public event Action<long>? SegmentsListed;

    /// <summary>Where the segments are.</summary>
    public ISegmentStore Segments { get; } = segments;

    /// <summary>Who is reading which segment file.</summary>
    public SegmentUses Uses { get; } = new(segments, peers);

    /// <summary>
    /// Raised on the writer's thread after each commit that changed a dataset's records, before the manifest tells of it: who has read a manifest
    /// has been given everything up to its <see cref="DatasetManifest.Sequence"/>.
    /// </summary>
    public event Action<long, RecordsChange>? Changing;

    private SemaphoreSlim ReshapingHere { get; } = new(1);

    /// <summary>
    /// Held while files of a dataset are rewritten (fold, merge, erasure): one at a time in the world, so that none works on what another takes away. Should it be lost with a
    /// connection, the transaction that ends the work finds that something has changed, and keeps nothing.
    /// </summary>
    internal async Task<IDisposable> ReshapeAsync(CancellationToken cancel)
    {
        await ReshapingHere.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            var held = await NodeDatabase.AloneAsync(world, OnlyOne.Reshapes, cancel).ConfigureAwait(false);
            try
            {
                // What the one before did is to be seen.
                await writer.Feed.CurrentAsync(cancel).ConfigureAwait(false);
            }
            catch
            {
                held?.Dispose();
                throw;
            }
            return new Reshaping(ReshapingHere, held);
        }
        catch
        {
            ReshapingHere.Release();
            throw;
        }
    }

    private sealed class Reshaping(SemaphoreSlim here, IDisposable? everywhere) : IDisposable
    {
        public void Dispose()
        {
            everywhere?.Dispose();
            here.Release();
        }
    }

    /// <summary>Reads the lists from SQL and sweeps files that no list names (left by a crash before its commit).</summary>
    public async Task OpenAsync(CancellationToken cancel)
    {
        // Files that an older state does not name may be those of the newer one.
        var sweeps = writer.Gate.Shut is null;
        if (!sweeps)
            KeepsUp = false;
        writer.Feed.Follow(FeedTopic.Records, Follow);
        // Where others write at the same time, a merge may take a file away between the look at the list and the look at the files.
        for (var attempt = 1; ; attempt++)
        {
            var listed = Load();
            try
            {
                await Segments.OpenAsync(listed, sweeps, cancel).ConfigureAwait(false);
                break;
            }
            catch (InvalidDataException) when (Segments.Shared && attempt < OpenAttempts && !ListedNames().IsSupersetOf(listed))
            {
                // Read again.
            }
        }
        await writer.Feed.CurrentAsync(cancel).ConfigureAwait(false);
        if (!sweeps)
        {
            LookAgain();
            return;
        }
        await SweepAsync(cancel).ConfigureAwait(false);
        DurableFile.Sweep(world.RejectDirectory, name => Guid.TryParse(Path.GetFileNameWithoutExtension(name), out var batch) && name.EndsWith(".csv", StringComparison.Ordinal) && FindBatch(batch) is not null);
        foreach (var name in Segments.Files is { } files ? await files.ListAsync("rejects", UnlistedAge, cancel).ConfigureAwait(false) : [])
        {
            if (!Guid.TryParse(Path.GetFileNameWithoutExtension(name), out var batch) || FindBatch(batch) is null)
                await Segments.Files!.RemoveAsync("rejects/" + name, cancel).ConfigureAwait(false);
        }
        DurableFile.Sweep(world.SpoolDirectory, _ => false);
        DurableFile.Sweep(world.SpillDirectory, _ => false);
        // Only now, when nothing is swept any more, may anyone begin to write files.
        LookAgain();
    }

    private const int OpenAttempts = 5;

    /// <summary>A list of rejected rows without its batch belongs to a contribution that was not kept.</summary>
    private static readonly TimeSpan UnlistedAge = TimeSpan.FromHours(24);

    /// <summary>
    /// Whether this machine folds, merges and sweeps in the background: always where a world has one, and one at a time of several. That it is one saves work; what protects is
    /// that each of these ends in a transaction that finds what it replaces as it was, or keeps nothing.
    /// </summary>
    public bool KeepsUp
    {
        get => Volatile.Read(ref _keepsUp);
        set
        {
            Volatile.Write(ref _keepsUp, value);
            if (value)
                LookAgain();
        }
    }

    private bool _keepsUp = !world.Shared;

    /// <summary>Tells whoever folds and merges of everything there is, as if it had just come.</summary>
    private void LookAgain()
    {
        foreach (var (dataset, manifest) in _manifests)
        {
            SegmentsListed?.Invoke(dataset);
            if (manifest.TailRows > 0)
                TailGrown?.Invoke(dataset);
        }
    }

    /// <summary>Fills the lists from one moment of the database; answers the names of all segments.</summary>
    private HashSet<string> Load()
    {
        using var _ = writer.Feed.EnterOrder();
        using var connection = NodeDatabase.OpenReader(world);
        using var transaction = connection.BeginSnapshot();
        var listed = new HashSet<string>(StringComparer.Ordinal);
        _manifests.Clear();
        using (var command = connection.Command("SELECT DISTINCT dataset FROM segment UNION SELECT DISTINCT dataset FROM tail UNION SELECT dataset FROM record_state", transaction))
        {
            var datasets = new List<long>();
            using (var reader = command.ExecuteReader())
            {
                while (reader.Read())
                    datasets.Add(reader.GetInt64(0));
            }
            foreach (var dataset in datasets)
                _manifests[dataset] = DatasetManifest.Empty;
        }
        using (var command = connection.Command($"SELECT {SegmentColumns} FROM segment ORDER BY number", transaction))
        {
            var segments = new Dictionary<long, ImmutableArray<Segment>.Builder>();
            using var reader = command.ExecuteReader();
            while (reader.Read())
            {
                var segment = ReadSegment(reader);
                listed.Add(segment.Name);
                if (!segments.TryGetValue(reader.GetInt64(1), out var list))
                    segments[reader.GetInt64(1)] = list = ImmutableArray.CreateBuilder<Segment>();
                list.Add(segment);
            }
            foreach (var (dataset, list) in segments)
                _manifests[dataset] = Manifest(dataset) with { Segments = list.ToImmutable() };
        }
        foreach (var (dataset, count) in Numbers("SELECT dataset, count(*) FROM tail GROUP BY dataset"))
            _manifests[dataset] = Manifest(dataset) with { TailRows = count };
        foreach (var (dataset, count) in Numbers("SELECT dataset, count(*) FROM replaced WHERE leaf IS NULL GROUP BY dataset"))
            _manifests[dataset] = Manifest(dataset) with { Replaced = count };
        foreach (var (dataset, sequence) in Numbers("SELECT dataset, sequence FROM record_state"))
            _manifests[dataset] = Manifest(dataset) with { Sequence = sequence };
        return listed;

        List<(long, long)> Numbers(string sql)
        {
            using var command = connection.Command(sql, transaction);
            using var reader = command.ExecuteReader();
            var found = new List<(long, long)>();
            while (reader.Read())
                found.Add((reader.GetInt64(0), reader.GetInt64(1)));
            return found;
        }
    }

    /// <summary>
    /// What other machines committed: dataset, number of its commit, rows added to the tail, rows replaced, whether anything else changed, which is then read from SQL, and the two
    /// halves of the added rows' batch.
    /// </summary>
    private void Follow(IReadOnlyList<long[]> changes)
    {
        foreach (var dataset in changes.GroupBy(c => c[0]))
        {
            foreach (var change in dataset)
            {
                var (sequence, tail, replaced, more) = (change[1], change[2], change[3], change[4] != 0);
                var known = Manifest(dataset.Key);
                // SQL was further already when it was last read.
                if (sequence <= known.Sequence)
                    continue;
                if (more || sequence != known.Sequence + 1)
                {
                    Reload(dataset.Key);
                    continue;
                }
                // A machine of an earlier version does not say of which batch the rows are.
                Changing?.Invoke(dataset.Key, replaced > 0 || change.Length < 7 ? RecordsChange.Elsewhere(sequence)
                    : RecordsChange.Elsewhere(sequence, new Guid(MemoryMarshal.AsBytes(change.AsSpan(5, 2))), tail));
                Update(dataset.Key, m => m with { TailRows = m.TailRows + tail, Replaced = m.Replaced + replaced, Sequence = sequence });
            }
            if (Manifest(dataset.Key).TailRows > 0)
                TailGrown?.Invoke(dataset.Key);
        }
    }

    private void Reload(long dataset)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var transaction = connection.BeginSnapshot();
        var (segments, tail, replaced) = Count(connection, transaction, dataset);
        using var state = connection.Command("SELECT sequence FROM record_state WHERE dataset = @dataset", transaction).Set("@dataset", dataset);
        var sequence = state.ExecuteScalar() is long found ? found : 0;
        Changing?.Invoke(dataset, RecordsChange.Elsewhere(sequence));
        Update(dataset, _ => new DatasetManifest(segments, tail, sequence, sequence, replaced));
    }

    /// <summary>Waits until memory shows the dataset's commit of this number; for who has read SQL and finds it ahead.</summary>
    /// <exception cref="StoreUnavailableException">It does not: the writer has stopped in between, or the database cannot be asked.</exception>
    internal void Await(long dataset, long sequence)
    {
        if (world.Shared && Manifest(dataset).Sequence < sequence)
            writer.Feed.CurrentAsync().GetAwaiter().GetResult();
        // A commit of this machine tells of itself within microseconds.
        if (!SpinWait.SpinUntil(() => Manifest(dataset).Sequence >= sequence, PublishWait))
            throw new StoreUnavailableException(new TimeoutException("A commit has not been told of."));
    }

    private static readonly TimeSpan PublishWait = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Removes segments that no list names and that no machine is about to list; answers how many. What cannot be removed now is tried again with the next sweep.
    /// </summary>
    public async Task<int> SweepAsync(CancellationToken cancel)
    {
        var swept = 0;
        // What a database lists that was put back under us is an older list, and the files of the newer one are none of its.
        if (world.Shared)
            await writer.Feed.CurrentAsync(cancel).ConfigureAwait(false);
        foreach (var name in await Segments.OrphansAsync(ListedNames, atOnce: false, cancel).ConfigureAwait(false))
        {
            if (writer.Gate.Shut is not null || writer.Broken is not null)
                break;
            var going = Uses.Retire(name);
            await going.WaitAsync(cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancel.ThrowIfCancellationRequested();
            swept += going.IsCompletedSuccessfully ? 1 : 0;
        }
        return swept;
    }

    /// <summary>Before an erasure is finished: no file is left that was taken from the list earlier and could not be removed yet, or is just being removed.</summary>
    /// <exception cref="Exception">One could not be removed.</exception>
    internal async Task RemoveUnlistedAsync(CancellationToken cancel)
    {
        writer.Gate.Demand();
        await Uses.RemovedAsync().WaitAsync(cancel).ConfigureAwait(false);
        foreach (var name in await Segments.OrphansAsync(ListedNames, atOnce: true, cancel).ConfigureAwait(false))
            await Uses.Retire(name).WaitAsync(cancel).ConfigureAwait(false);
    }

    private HashSet<string> ListedNames()
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT name FROM segment";
        var names = new HashSet<string>(StringComparer.Ordinal);
        using var reader = command.ExecuteReader();
        while (reader.Read())
            names.Add(reader.GetString(0));
        return names;
    }

    /// <summary>Numbers of the datasets that hold records, or held some.</summary>
    public IEnumerable<long> Datasets => _manifests.Keys;

    /// <summary>The current list of a dataset's segments and the size of its tail.</summary>
    public DatasetManifest Manifest(long dataset) => _manifests.GetValueOrDefault(dataset, DatasetManifest.Empty);

    /// <param name="within">What else belongs to the contribution, in the same transaction, after the superseded rows are listed.</param>
    /// <exception cref="NotCurrentException">A record to be superseded is not current any more; nothing was kept.</exception>
    public Task CommitSegmentsAsync(
        Dataset dataset, Batch batch, IReadOnlyList<Segment> segments, IReadOnlyList<Supersession> superseded, Action<WriteScope>? within, CancellationToken cancel) =>
        writer.RunAsync(scope =>
        {
            InsertBatch(scope, dataset, batch);
            var replaced = ReplacedRows.Supersede(scope, dataset.Number, superseded);
            within?.Invoke(scope);
            var kept = ImmutableArray.CreateBuilder<Segment>(segments.Count);
            long first = 0;
            foreach (var segment in segments)
            {
                var number = InsertSegment(scope, dataset.Number, segment);
                using var link = scope.Command("INSERT INTO segment_batch(batch, first_ordinal, segment, rows) VALUES (@batch, @first, @segment, @rows)");
                link.Set("@batch", RecordId.Bytes(batch.Id));
                link.Set("@first", first);
                link.Set("@segment", number);
                link.Set("@rows", segment.Rows);
                link.ExecuteNonQuery();
                first += segment.Rows;
                kept.Add(segment with { Number = number });
            }
            Publish(scope, dataset.Number, [], replaced, more: true, m => m with { Segments = m.Segments.AddRange(kept) });
        }, cancel);

    /// <param name="within">What else belongs to the contribution, in the same transaction, after the superseded rows are listed.</param>
    /// <exception cref="NotCurrentException">A record to be superseded is not current any more; nothing was kept.</exception>
    public Task CommitTailAsync(
        Dataset dataset, Batch batch, IReadOnlyList<TailRow> rows, IReadOnlyList<Supersession> superseded, Action<WriteScope>? within, CancellationToken cancel) =>
        writer.RunAsync(scope =>
        {
            InsertBatch(scope, dataset, batch);
            var replaced = ReplacedRows.Supersede(scope, dataset.Number, superseded);
            within?.Invoke(scope);
            foreach (var r in rows)
            {
                scope.Later("INSERT INTO tail(dataset, batch, ordinal, row, salt) VALUES (@dataset, @batch, @ordinal, @row, @salt)",
                    ("@dataset", dataset.Number), ("@batch", RecordId.Bytes(batch.Id)), ("@ordinal", (long)r.Ordinal), ("@row", r.Row), ("@salt", r.Salt));
            }
            Publish(scope, dataset.Number, rows, replaced, more: false, m => m with { TailRows = m.TailRows + rows.Count });
        }, cancel);

    /// <summary>The batch that an earlier request with this key made, or null.</summary>
    public Batch? FindRequest(string request) => FindBatch("b.request = @key", request);

    public Batch? FindBatch(Guid id) => FindBatch("b.id = @key", RecordId.Bytes(id));

    /// <summary>The ledger index of an entry, or null while it waits for the sequencer.</summary>
    public long? LedgerIndex(Guid entry)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT log_index FROM ledger_pending WHERE id = @id";
        command.Set("@id", RecordId.Bytes(entry));
        return command.ExecuteScalar() is long index ? index : null;
    }

    /// <summary>The tail of a dataset in order of batch and ordinal, from one read transaction.</summary>
    public List<TailRow> ReadTail(long dataset, Guid? batch = null, long firstOrdinal = 0, long count = long.MaxValue)
    {
        using var connection = NodeDatabase.OpenReader(world);
        return ReadTail(connection, dataset, batch, firstOrdinal, count);
    }

    /// <summary>What the tail has of these batches, which other machines added.</summary>
    internal List<TailRow> ReadTail(long dataset, IEnumerable<Guid> batches)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("""
            SELECT t.batch, t.ordinal, t.row, t.salt FROM unnest(@batches) b(id) CROSS JOIN LATERAL (SELECT batch, ordinal, row, salt FROM tail WHERE dataset = @dataset AND batch = b.id OFFSET 0) t
            """);
        return ReadRows(command.Set("@dataset", dataset).Set("@batches", batches.Select(RecordId.Bytes).ToArray()));
    }

    private static List<TailRow> ReadTail(DbConnection connection, long dataset, Guid? batch, long firstOrdinal, long count)
    {
        using var command = connection.CreateCommand();
        command.CommandText = batch is null
            ? "SELECT batch, ordinal, row, salt FROM tail WHERE dataset = @dataset ORDER BY batch, ordinal LIMIT @count"
            : "SELECT batch, ordinal, row, salt FROM tail WHERE dataset = @dataset AND batch = @batch AND ordinal >= @first ORDER BY ordinal LIMIT @count";
        command.Set("@dataset", dataset);
        command.Set("@count", count);
        if (batch is { } id)
        {
            command.Set("@batch", RecordId.Bytes(id));
            command.Set("@first", firstOrdinal);
        }
        return ReadRows(command);
    }

    private static List<TailRow> ReadRows(DbCommand command)
    {
        var rows = new List<TailRow>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            rows.Add(new TailRow(RecordId.FromBytes((byte[])reader[0]), (uint)reader.GetInt64(1), (byte[])reader[2], reader.IsDBNull(3) ? null : (byte[])reader[3]));
        }
        return rows;
    }

    /// <summary>A dataset's tail and list of superseded rows with the number of the last commit, all of one moment.</summary>
    internal (long Sequence, List<TailRow> Tail, List<ReplacedRow> Replaced) ReadContent(long dataset, bool withTail, bool withReplaced)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var transaction = connection.BeginSnapshot();
        using var state = connection.CreateCommand();
        state.CommandText = "SELECT sequence FROM record_state WHERE dataset = @dataset";
        state.Set("@dataset", dataset);
        var sequence = state.ExecuteScalar() is long found ? found : 0;
        var replaced = new List<ReplacedRow>();
        if (withReplaced)
        {
            using var command = connection.CreateCommand();
            command.CommandText = "SELECT batch, ordinal FROM replaced WHERE dataset = @dataset AND leaf IS NULL";
            command.Set("@dataset", dataset);
            using var reader = command.ExecuteReader();
            while (reader.Read())
                replaced.Add(new(RecordId.FromBytes((byte[])reader[0]), (uint)reader.GetInt64(1)));
        }
        return (sequence, withTail ? ReadTail(connection, dataset, null, 0, long.MaxValue) : [], replaced);
    }

    /// <summary>Which segments hold rows of a batch: the segment, its first ordinal of that batch, and how many.</summary>
    public List<(Segment Segment, long FirstOrdinal, long Rows)> SegmentsOf(Guid batch)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = """
            SELECT s.number, s.dataset, s.name, s.schema_version, s.rows, s.bytes, s.time_min, s.time_max, s.place_min, s.place_max, s.has_replaced,
                   l.first_ordinal, l.rows
            FROM segment_batch l JOIN segment s ON s.number = l.segment WHERE l.batch = @batch ORDER BY l.first_ordinal
            """;
        command.Set("@batch", RecordId.Bytes(batch));
        var found = new List<(Segment, long, long)>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            found.Add((ReadSegment(reader), reader.GetInt64(11), reader.GetInt64(12)));
        return found;
    }

    /// <summary>Numbers this commit and, once it is durable, tells of it: first the rows, then the manifest. Answers the number.</summary>
    /// <param name="more">Whether it changes more than these rows: segments, or rows that left the tail.</param>
    internal long Publish(WriteScope scope, long dataset, IReadOnlyList<TailRow> tail, Replacements replaced, bool more, Func<DatasetManifest, DatasetManifest> change)
    {
        var sequence = Next(scope, dataset);
        scope.Later("INSERT INTO record_state(dataset, sequence) VALUES (@dataset, @sequence) ON CONFLICT(dataset) DO UPDATE SET sequence = excluded.sequence", ("@dataset", dataset), ("@sequence", sequence));
        Span<long> batch = stackalloc long[2];
        if (tail.Count > 0)
            tail[0].Batch.TryWriteBytes(MemoryMarshal.AsBytes(batch));
        scope.Tell(FeedTopic.Records, dataset, sequence, tail.Count, replaced.Rows.Count, more || replaced.Segments.Count > 0 ? 1 : 0, batch[0], batch[1]);
        scope.AfterCommit(() =>
        {
            Changing?.Invoke(dataset, new RecordsChange(sequence, tail, replaced.Rows));
            Update(dataset, m =>
            {
                var next = change(m);
                if (replaced.Segments.Count > 0)
                    next = next with { Segments = [.. next.Segments.Select(s => replaced.Segments.Contains(s.Number) ? s with { HasReplaced = true } : s)] };
                return next with { Sequence = sequence, Replaced = next.Replaced + replaced.Rows.Count };
            });
            if (tail.Count > 0)
                TailGrown?.Invoke(dataset);
        });
        return sequence;
    }

    /// <summary>The number of the next commit of a dataset: memory has the last one, since the one who writes has caught up, and this group's own are counted here.</summary>
    private long Next(WriteScope scope, long dataset)
    {
        if (_numbering != scope)
        {
            _numbering = scope;
            _numbers.Clear();
        }
        return _numbers[dataset] = Math.Max(Manifest(dataset).Sequence, _numbers.GetValueOrDefault(dataset)) + 1;
    }

    // The writer's thread alone.
    private readonly Dictionary<long, long> _numbers = [];
    private WriteScope? _numbering;

    /// <summary>Makes the manifest anew from what the transaction sees: after rows were taken away. Answers the number of the commit.</summary>
    internal long Resync(WriteScope scope, long dataset)
    {
        var (segments, tail, replaced) = Count(scope.Connection, scope.Transaction, dataset);
        long sequence = 0;
        return sequence = Publish(scope, dataset, [], Replacements.None, more: true, m => m with { Segments = segments, TailRows = tail, Replaced = replaced, Reshaped = sequence });
    }

    private (ImmutableArray<Segment> Segments, long Tail, long Replaced) Count(DbConnection connection, DbTransaction transaction, long dataset)
    {
        var segments = ImmutableArray.CreateBuilder<Segment>();
        using (var command = connection.Command($"SELECT {SegmentColumns} FROM segment WHERE dataset = @dataset ORDER BY number", transaction).Set("@dataset", dataset))
        {
            using var reader = command.ExecuteReader();
            while (reader.Read())
                segments.Add(ReadSegment(reader));
        }
        using var counts = connection.Command("""
            SELECT (SELECT count(*) FROM tail WHERE dataset = @dataset), (SELECT count(*) FROM replaced WHERE dataset = @dataset AND leaf IS NULL)
            """, transaction).Set("@dataset", dataset);
        using var counted = counts.ExecuteReader();
        counted.Read();
        return (segments.ToImmutable(), counted.GetInt64(0), counted.GetInt64(1));
    }

    private const string SegmentColumns = "number, dataset, name, schema_version, rows, bytes, time_min, time_max, place_min, place_max, has_replaced";

    /// <summary>The leaves that stay of erased rows among these, by ordinal.</summary>
    public Dictionary<long, byte[]> ErasedLeaves(long dataset, Guid batch, long first, long count)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT ordinal, leaf FROM replaced WHERE dataset = @dataset AND batch = @batch AND ordinal >= @first AND ordinal < @end AND leaf IS NOT NULL";
        command.Set("@dataset", dataset);
        command.Set("@batch", RecordId.Bytes(batch));
        command.Set("@first", first);
        command.Set("@end", first + count);
        var leaves = new Dictionary<long, byte[]>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            leaves[reader.GetInt64(0)] = (byte[])reader[1];
        return leaves;
    }

    /// <summary>Replaces a dataset's list in memory; called after commits, on the writer's thread alone.</summary>
    private void Update(long dataset, Func<DatasetManifest, DatasetManifest> change)
    {
        var before = Manifest(dataset);
        var after = change(before);
        if (after.Segments != before.Segments)
            Uses.Listed(after.Segments);
        _manifests[dataset] = after;
        if (after.Segments.Length > before.Segments.Length)
            SegmentsListed?.Invoke(dataset);
    }

    internal static long InsertSegment(WriteScope scope, long dataset, Segment segment)
    {
        if (segment.Promise is { } promise)
        {
            promise.Check();
            scope.AfterCommit(promise.Kept);
        }
        using var command = scope.Command("""
            INSERT INTO segment(dataset, name, schema_version, rows, bytes, time_min, time_max, place_min, place_max, has_replaced)
            VALUES (@dataset, @name, @version, @rows, @bytes, @timeMin, @timeMax, @placeMin, @placeMax, @replaced) RETURNING number
            """);
        command.Set("@dataset", dataset);
        command.Set("@name", segment.Name);
        command.Set("@version", segment.SchemaVersion);
        command.Set("@rows", segment.Rows);
        command.Set("@bytes", segment.Bytes);
        command.Set("@timeMin", segment.TimeMin);
        command.Set("@timeMax", segment.TimeMax);
        command.Set("@placeMin", (object?)segment.PlaceMin ?? DBNull.Value);
        command.Set("@placeMax", (object?)segment.PlaceMax ?? DBNull.Value);
        command.Set("@replaced", segment.HasReplaced);
        return (long)command.ExecuteScalar()!;
    }

    private static void InsertBatch(WriteScope scope, Dataset dataset, Batch batch)
    {
        try
        {
            scope.Later("""
                INSERT INTO batch(id, dataset, schema_version, contributor, received, rows, rejected, root, subject_salt, tree, entry, request, request_digest, source)
                VALUES (@id, @dataset, @version, @contributor, @received, @rows, @rejected, @root, @salt, @tree, @entry, @request, @digest, @source)
                """,
                ("@id", RecordId.Bytes(batch.Id)), ("@dataset", dataset.Number), ("@version", batch.SchemaVersion), ("@contributor", batch.Contributor), ("@received", Microseconds.From(batch.Received)),
                ("@rows", batch.Rows), ("@rejected", batch.Rejected), ("@root", batch.Root), ("@salt", batch.SubjectSalt), ("@tree", batch.Tree), ("@entry", RecordId.Bytes(batch.Entry)),
                ("@request", batch.Request), ("@digest", batch.RequestDigest), ("@source", batch.Source));
        }
        catch (DbException e) when (batch.Request is not null && SqlStore.Of(scope).IsDuplicate(e, "batch", "request"))
        {
            throw new DuplicateRequestException();
        }
        PendingEntries.AddBatch(scope, batch.Entry, EntryBytes.Batch(batch.Entry, batch.Dataset, batch.SchemaVersion, batch.Id, batch.Rows, batch.Root));
    }

    private Batch? FindBatch(string where, object key)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = $"""
            SELECT b.id, d.id, b.schema_version, b.contributor, b.received, b.rows, b.rejected, b.root, b.subject_salt, b.tree, b.entry, b.request, b.request_digest, b.source
            FROM batch b JOIN dataset d ON d.number = b.dataset WHERE {where}
            """;
        command.Set("@key", key);
        using var reader = command.ExecuteReader();
        if (!reader.Read())
            return null;
        return new Batch
        {
            Id = RecordId.FromBytes((byte[])reader[0]),
            Dataset = reader.GetString(1),
            SchemaVersion = reader.GetInt32(2),
            Contributor = reader.GetString(3),
            Received = Microseconds.ToTime(reader.GetInt64(4)),
            Rows = reader.GetInt64(5),
            Rejected = reader.GetInt64(6),
            Root = (byte[])reader[7],
            SubjectSalt = (byte[])reader[8],
            Tree = (byte[])reader[9],
            Entry = RecordId.FromBytes((byte[])reader[10]),
            Request = reader.IsDBNull(11) ? null : reader.GetString(11),
            RequestDigest = reader.IsDBNull(12) ? null : (byte[])reader[12],
            Source = reader.GetString(13),
        };
    }

    private Segment ReadSegment(DbDataReader reader) => new()
    {
        Number = reader.GetInt64(0),
        Path = Segments.PathOf(reader.GetString(2)),
        SchemaVersion = reader.GetInt32(3),
        Rows = reader.GetInt64(4),
        Bytes = reader.GetInt64(5),
        TimeMin = reader.GetInt64(6),
        TimeMax = reader.GetInt64(7),
        PlaceMin = reader.IsDBNull(8) ? null : reader.GetString(8),
        PlaceMax = reader.IsDBNull(9) ? null : reader.GetString(9),
        HasReplaced = reader.GetInt64(10) != 0,
    };
}

/// <summary>What a dataset consists of now. Immutable; replaced as a whole after each commit.</summary>
/// <param name="Sequence">Number of the commit that made it.</param>
/// <param name="Reshaped">Number of the last commit since the start that took rows out of the tail: a copy of the tail made before is out of date.</param>
/// <param name="Replaced">Rows that are kept and superseded.</param>
public sealed record DatasetManifest(ImmutableArray<Segment> Segments, long TailRows, long Sequence, long Reshaped, long Replaced)
{
    public static readonly DatasetManifest Empty = new([], 0, 0, 0, 0);

    public long Rows => Segments.Sum(s => s.Rows) + TailRows - Replaced;
}
