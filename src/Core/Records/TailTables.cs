using System.Collections.Concurrent;
using System.Globalization;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Query;

namespace Gongzhi.Core.Records;

/// <summary>
/// Keeps a copy of each dataset's tail and of its list of replaced rows in DuckDB, so that a query sees segments and tail as one and current rows
/// only. What is committed is added when the next query opens; each row carries the number of its commit, and a snapshot looks at those up to
/// its own, so that it stays one moment's view while later ones add to the same tables.
/// </summary>
public sealed class TailTables
{
    /// <summary>Tail rows held for a table nobody has asked for; beyond, they are forgotten and read from SQL when asked.</summary>
    private const int WaitingMax = 20_000;

    /// <summary>Replaced rows held likewise: 20 bytes each.</summary>
    private const int ReplacedWaitingMax = 1_000_000;

    private readonly DuckEngine _engine;
    private readonly RecordStore _store;
    private readonly Catalog.Catalog _catalog;
    private readonly ConcurrentDictionary<long, State> _states = new();
    private long _names;

    public TailTables(DuckEngine engine, RecordStore store, Catalog.Catalog catalog)
    {
        (_engine, _store, _catalog) = (engine, store, catalog);
        store.Changing += Append;
    }

    /// <summary>What the dataset holds now. Dispose it after the query: until then its files stay.</summary>
    public RecordSnapshot Open(Dataset dataset, long ledgerIndex)
    {
        while (true)
        {
            var snapshot = Look(dataset, ledgerIndex);
            if (_store.Uses.TryHold(snapshot.Segments) is { } files)
            {
                snapshot.Hold(files);
                return snapshot;
            }
            // A compaction took one of them between the look and the hold; by now the list tells.
            snapshot.Dispose();
        }
    }

    private RecordSnapshot Look(Dataset dataset, long ledgerIndex)
    {
        var state = _states.GetOrAdd(dataset.Number, _ => new State());
        lock (state)
        {
            while (true)
            {
                // What the manifest tells of has been queued before: after the queue is drained, the tables hold at least that.
                var manifest = _store.Manifest(dataset.Number);
                if (state.Lost)
                    Forget(state);
                if (state.Tail is { } old && (old.Version != dataset.Version || old.LoadedAt < manifest.Reshaped))
                {
                    Retire(old);
                    state.Tail = null;
                }
                var needsTail = manifest.TailRows > 0 && state.Tail is null;
                var needsReplaced = manifest.Replaced > 0 && state.Replaced is null;
                try
                {
                    if (needsTail || needsReplaced)
                    {
                        Load(state, dataset, needsTail, needsReplaced);
                        continue;
                    }
                    if (Drain(state, dataset))
                        return Snapshot(state, dataset, manifest, ledgerIndex);
                }
                catch
                {
                    // What was taken out of the queue, or half loaded, is nowhere now: the next who asks reads everything.
                    state.Lost = true;
                    throw;
                }
                // Rows that another machine added have gone on into a segment: read anew.
                state.Lost = true;
            }
        }
    }

    /// <summary>Completes when no snapshot older than the commit is open, and nothing of what it took away is in memory any more.</summary>
    public async Task ForgetAsync(long dataset, long sequence, CancellationToken cancel)
    {
        if (!_states.TryGetValue(dataset, out var state))
            return;
        Task wait;
        lock (state)
        {
            Forget(state);
            if (!state.Live.Keys.Any(s => s < sequence))
                return;
            var waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            state.Waiters.Add((sequence, waiter));
            wait = waiter.Task;
        }
        await wait.WaitAsync(cancel).ConfigureAwait(false);
    }

    private RecordSnapshot Snapshot(State state, Dataset dataset, DatasetManifest manifest, long ledgerIndex)
    {
        var tail = manifest.TailRows > 0 ? state.Tail : null;
        var replaced = manifest.Replaced > 0 ? state.Replaced : null;
        if (tail is not null)
            tail.Readers++;
        if (replaced is not null)
            replaced.Readers++;
        state.Live[manifest.Sequence] = state.Live.GetValueOrDefault(manifest.Sequence) + 1;
        return new RecordSnapshot(dataset, manifest.Segments, tail?.Name, replaced?.Name, ledgerIndex, () => Release(state, manifest.Sequence, tail, replaced))
        {
            Sequence = manifest.Sequence,
        };
    }

    private void Append(long dataset, RecordsChange change)
    {
        // On the writer's thread: only queue. Tables nobody has opened yet are read whole when they are.
        if (!_states.TryGetValue(dataset, out var state) || state.Lost)
            return;
        if (!change.Unread)
        {
            state.Waiting.Enqueue(change);
            if (Interlocked.Add(ref state.TailWaiting, RowsOf(change)) <= WaitingMax && Interlocked.Add(ref state.ReplacedWaiting, change.Replaced.Count) <= ReplacedWaitingMax)
                return;
        }
        // What is queued stays: a reader that has just looked at a manifest that tells of it is about to take it. The next one reads everything from SQL.
        state.Lost = true;
    }

    /// <summary>Makes tables anew from SQL. What is queued meanwhile and was read already is told apart by the number of its commit.</summary>
    private void Load(State state, Dataset dataset, bool tail, bool replaced)
    {
        var content = _store.ReadContent(dataset.Number, tail, replaced);
        // SQL may be a commit ahead of what is told of it; a snapshot must not be older than the rows it is made of.
        _store.Await(dataset.Number, content.Sequence);
        if (tail)
        {
            state.Tail = New("tail", dataset, content.Sequence);
            _engine.Execute(TailRows.CreateTable(state.Tail.Name, dataset));
            Add(state.Tail, dataset, [(content.Tail, content.Sequence)]);
        }
        if (replaced)
        {
            state.Replaced = New("replaced", dataset, content.Sequence);
            _engine.Execute($"CREATE TABLE {state.Replaced.Name} (_batch BLOB, _ordinal INTEGER, _seq BIGINT)");
            Add(state.Replaced, content.Replaced, content.Sequence);
        }
    }

    private Table New(string kind, Dataset dataset, long sequence) =>
        new(string.Create(CultureInfo.InvariantCulture, $"{kind}_{dataset.Number}_{Interlocked.Increment(ref _names)}"), dataset.Version, sequence);

    /// <summary>False when rows that were to be read from SQL are not in the tail any more.</summary>
    private bool Drain(State state, Dataset dataset)
    {
        var tail = new List<(IReadOnlyList<TailRow> Rows, long Sequence)>();
        var added = new Dictionary<Guid, (long Rows, long Sequence)>();
        while (state.Waiting.TryDequeue(out var change))
        {
            Interlocked.Add(ref state.TailWaiting, -RowsOf(change));
            Interlocked.Add(ref state.ReplacedWaiting, -change.Replaced.Count);
            // Without a table the rows are read from SQL when they are asked for.
            if (state.Tail is { } table && change.Sequence > table.LoadedAt)
            {
                if (change.Added is { } elsewhere)
                    added[elsewhere.Batch] = (elsewhere.Rows, change.Sequence);
                else
                    tail.Add((change.Tail, change.Sequence));
            }
            if (state.Replaced is { } replaced && change.Sequence > replaced.LoadedAt)
                Add(replaced, change.Replaced, change.Sequence);
        }
        if (added.Count > 0)
        {
            var found = _store.ReadTail(dataset.Number, added.Keys).GroupBy(r => r.Batch).ToDictionary(b => b.Key, b => b.ToList());
            foreach (var (batch, (rows, sequence)) in added)
            {
                if (!found.TryGetValue(batch, out var read) || read.Count != rows)
                    return false;
                tail.Add((read, sequence));
            }
        }
        if (state.Tail is { } all)
            Add(all, dataset, tail);
        return true;
    }

    private static int RowsOf(RecordsChange change) => change.Tail.Count + (int)(change.Added?.Rows ?? 0);

    private void Add(Table table, Dataset dataset, IReadOnlyList<(IReadOnlyList<TailRow> Rows, long Sequence)> changes)
    {
        if (changes.All(c => c.Rows.Count == 0))
            return;
        using var appender = _engine.OpenAppender(table.Name);
        foreach (var (rows, sequence) in changes)
        {
            foreach (var version in rows.GroupBy(r => RowDecoder.SchemaVersion(r.Row)))
            {
                var written = _catalog.Find(dataset.Id, version.Key) ?? throw new InvalidDataException($"Version {version.Key} of {dataset.Id} is not known.");
                TailRows.Write(appender, dataset, RowDecoder.Decode(written, [.. version]), sequence);
            }
        }
    }

    private void Add(Table table, IReadOnlyList<ReplacedRow> rows, long sequence)
    {
        if (rows.Count == 0)
            return;
        using var appender = _engine.OpenAppender(table.Name);
        foreach (var row in rows)
            appender.Rows.CreateRow().AppendValue(RecordId.Bytes(row.Batch)).AppendValue((int?)(int)row.Ordinal).AppendValue((long?)sequence).EndRow();
    }

    private void Forget(State state)
    {
        state.Lost = false;
        state.Waiting.Clear();
        (state.TailWaiting, state.ReplacedWaiting) = (0, 0);
        Retire(state.Tail);
        Retire(state.Replaced);
        (state.Tail, state.Replaced) = (null, null);
    }

    private void Release(State state, long sequence, Table? tail, Table? replaced)
    {
        lock (state)
        {
            if (--state.Live[sequence] == 0)
                state.Live.Remove(sequence);
            foreach (var table in (Table?[])[tail, replaced])
            {
                if (table is not null && --table.Readers == 0 && table.Retired)
                    _engine.Execute($"DROP TABLE IF EXISTS {table.Name}");
            }
            foreach (var waiter in state.Waiters.Where(w => !state.Live.Keys.Any(s => s < w.Sequence)).ToList())
            {
                state.Waiters.Remove(waiter);
                waiter.Done.TrySetResult();
            }
        }
    }

    private void Retire(Table? table)
    {
        if (table is null)
            return;
        table.Retired = true;
        if (table.Readers == 0)
            _engine.Execute($"DROP TABLE IF EXISTS {table.Name}");
    }

    /// <summary>One dataset's tables. Guarded by its own lock, but for the queue, which the writer's thread fills.</summary>
    private sealed class State
    {
        public Table? Tail { get; set; }
        public Table? Replaced { get; set; }
        public ConcurrentQueue<RecordsChange> Waiting { get; } = new();
        public int TailWaiting;
        public int ReplacedWaiting;

        /// <summary>Open snapshots by their sequence.</summary>
        public Dictionary<long, int> Live { get; } = [];
        public List<(long Sequence, TaskCompletionSource Done)> Waiters { get; } = [];

        /// <summary>Rows were forgotten; the tables must be read from SQL again.</summary>
        public volatile bool Lost;
    }

    /// <param name="LoadedAt">The commit up to which the table was read from SQL.</param>
    private sealed record Table(string Name, int Version, long LoadedAt)
    {
        public int Readers { get; set; }
        public bool Retired { get; set; }
    }
}
