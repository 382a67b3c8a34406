using System.Data.Common;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records.Keys;

/// <summary>Another contribution brought one of the keys after this one had looked; nothing was kept.</summary>
public sealed class DuplicateKeyException(Guid record) : Exception($"The record {record} has one of the keys.")
{
    public Guid Record { get; } = record;
}

/// <summary>
/// The keys of one contribution. Rows are hashed and looked up in what was kept when it began (any thread), then among its own earlier rows (in order), and all
/// of them once more inside its transaction among what was kept since.
/// </summary>
internal sealed class KeyCheck(KeyIndex index, World world, Dataset dataset, KeyRules rules, KeyList seen) : IDisposable
{
    /// <summary>The code of a row's error.</summary>
    public const string Code = "duplicate";

    /// <summary>Keys of a contribution in memory; beyond, they go to a run of their own while it goes on.</summary>
    public const int KeysInMemoryMax = 8_388_608;

    /// <summary>Up to this many keys are asked of SQL one by one; for more, the dataset's whole list of small contributions is read once.</summary>
    private const int AskedOneByOneMax = 64;

    /// <summary>How far ahead memory is asked for: about as long as it takes to come.</summary>
    private const int PrefetchedRows = 16;

    private readonly KeyTable _table = new();
    private readonly List<(KeyRun Run, string Path)> _own = [];
    private readonly Lock _lock = new();
    private Dictionary<UInt128, List<KeyEntry>>? _tail;
    private bool _kept;

    public RowHashes Hash(RowColumns rows) => rules.Hash(rows);

    /// <summary>Looks the rows up among records kept before. Answers which rows have a key that a current record has; null when none has.</summary>
    public bool[]? FindKept(RowColumns rows, RowHashes hashes, Func<int, long> rowNumber, List<RowError> errors)
    {
        bool[]? rejected = null;
        bool? anyReplaced = null;
        DbConnection? connection = null;
        try
        {
            for (var k = 0; k < rules.Rules.Count; k++)
            {
                for (var r = 0; r < rows.Rows; r++)
                {
                    if (hashes.ByRule[k][r] is var hash && hash == UInt128.Zero)
                        continue;
                    foreach (var run in seen.Runs)
                    {
                        for (var at = run.Find(hash); run.Has(at, hash); at++)
                            Judge(run[at], k, r);
                    }
                }
            }
            Tail(rows.Rows, hashes, ref connection, (entry, k, r) => Judge(entry, k, r));
        }
        finally
        {
            connection?.Dispose();
        }
        return rejected;

        void Judge(KeyEntry entry, int k, int r)
        {
            if (rows.Supersedes?[r] == RecordId.Of(entry.Batch, entry.Ordinal))
                return;
            connection ??= NodeDatabase.OpenReader(world);
            // Asked once: who sends a whole file again has a hit in every row.
            anyReplaced ??= AnyReplaced(connection);
            if (rejected?[r] == true || (anyReplaced.Value && Replaced(connection, null, entry)))
                return;
            (rejected ??= new bool[rows.Rows])[r] = true;
            errors.Add(new RowError(rowNumber(r), rules.Rules[k].Name, Code,
                new Sentence($"The record {RecordId.Of(entry.Batch, entry.Ordinal)} already has this {(rules.Rules[k].Tag == 0 ? "key" : "value, which must be unique")}.",
                    $"记录 {RecordId.Of(entry.Batch, entry.Ordinal)} 已有此{(rules.Rules[k].Tag == 0 ? "主键" : "值，而该值不得重复")}。")));
        }
    }

    /// <summary>Takes the rows, in the order of the file, into the keys of this contribution; answers which rows repeat an earlier one.</summary>
    public bool[]? Add(RowColumns rows, RowHashes hashes, long firstOrdinal, Func<int, long> rowNumber, List<RowError> errors)
    {
        bool[]? rejected = null;
        var kept = firstOrdinal;
        for (var r = 0; r < rows.Rows; r++)
        {
            for (var k = 0; k < rules.Rules.Count && r + PrefetchedRows < rows.Rows; k++)
                _table.Prefetch(hashes.ByRule[k][r + PrefetchedRows]);
            for (var k = 0; k < rules.Rules.Count; k++)
            {
                if (hashes.ByRule[k][r] is var hash && hash != UInt128.Zero && Earlier(hash) is { } earlier)
                {
                    (rejected ??= new bool[rows.Rows])[r] = true;
                    errors.Add(new RowError(rowNumber(r), rules.Rules[k].Name, Code,
                        new Sentence($"{earlier.English} of this file has the same {(rules.Rules[k].Tag == 0 ? "key" : "value, which must be unique")}.",
                            $"本文件{earlier.Chinese}已有相同的{(rules.Rules[k].Tag == 0 ? "主键" : "值，而该值不得重复")}。")));
                    break;
                }
            }
            if (rejected?[r] == true)
                continue;
            for (var k = 0; k < rules.Rules.Count; k++)
            {
                if (hashes.ByRule[k][r] is var hash && hash != UInt128.Zero)
                    _table.Add(hash, (uint)kept, rowNumber(r));
            }
            kept++;
        }
        return rejected;
    }

    /// <summary>Moves the keys to a run when there are many; in between chunks.</summary>
    public void Spill(Guid batch)
    {
        if (_table.Count >= KeysInMemoryMax)
            Seal(batch);
    }

    /// <summary>Writes what is in memory to a run, durable but not yet listed.</summary>
    public void Seal(Guid batch)
    {
        if (_table.Count == 0)
            return;
        var path = KeyRun.Write(world, _table.Count, [batch], _table.Sorted().Select(e => (e.Hash, (ulong)e.Ordinal)));
        _own.Add((KeyRun.Open(path, 0, 0)!, path));
        _table.Clear();
    }

    /// <summary>Before the transaction: what it lists is where other machines find it, and what others have listed since is here.</summary>
    public async Task PublishAsync(CancellationToken cancel)
    {
        foreach (var (_, path) in _own)
            await index.PublishAsync(path, cancel).ConfigureAwait(false);
        await index.RefreshAsync(dataset.Number, cancel).ConfigureAwait(false);
    }

    /// <summary>Inside the contribution's transaction: looks among what was kept since it began, and lists its keys.</summary>
    /// <exception cref="DuplicateKeyException">One of the keys is taken by now.</exception>
    public void Commit(WriteScope scope, Guid batch)
    {
        foreach (var (number, _, name, sequence) in KeyIndex.Runs(scope.Connection, scope.Transaction, dataset.Number, seen.Sequence))
        {
            using var run = index.OpenListed(name, number, sequence)
                ?? throw new InvalidOperationException($"The key run {name} is listed but cannot be read.");
            foreach (var hash in Hashes())
            {
                for (var at = run.Find(hash); run.Has(at, hash); at++)
                    Demand(scope, run[at]);
            }
        }
        if (_own.Count == 0 && _table.Count <= AskedOneByOneMax)
        {
            foreach (var hash in Hashes())
                Ask(scope.Connection, scope.Transaction, hash, entry => Demand(scope, entry));
        }
        else
        {
            foreach (var entry in ReadTail(scope.Connection, scope.Transaction, seen.Sequence).Where(e => Has(e.Hash)))
                Demand(scope, entry);
        }
        if (_own.Count == 0)
        {
            index.InsertTail(scope, dataset.Number, _table.Sorted().Select(e => new KeyEntry(e.Hash, batch, e.Ordinal)));
            return;
        }
        foreach (var (run, path) in _own)
            index.InsertRun(scope, dataset.Number, path, run.Count);
        scope.AfterCommit(() => _kept = true);
    }

    public void Dispose()
    {
        foreach (var run in seen.Runs)
            run.Dispose();
        foreach (var (run, _) in _own)
        {
            if (_kept || index.Stopped)
            {
                run.Dispose();
                continue;
            }
            run.Retire();
            index.Forget(run);
        }
    }

    private Sentence? Earlier(UInt128 hash)
    {
        foreach (var (run, _) in _own)
        {
            if (run.Has(run.Find(hash), hash))
                return new("An earlier row", "前面的一行");
        }
        return _table.Find(hash) is > 0 and var row ? new Sentence($"Row {row}", $"第 {row} 行") : null;
    }

    private bool Has(UInt128 hash) => _table.Find(hash) > 0 || _own.Exists(o => o.Run.Has(o.Run.Find(hash), hash));

    private IEnumerable<UInt128> Hashes() => _own.SelectMany(o => Enumerable.Range(0, o.Run.Count).Select(i => o.Run[i].Hash)).Concat(_table.Sorted().Select(e => e.Hash));

    private void Demand(WriteScope scope, KeyEntry entry)
    {
        if (!Replaced(scope.Connection, scope.Transaction, entry))
            throw new DuplicateKeyException(RecordId.Of(entry.Batch, entry.Ordinal));
    }

    /// <summary>Keys of small contributions that are kept in SQL.</summary>
    private void Tail(int rows, RowHashes hashes, ref DbConnection? connection, Action<KeyEntry, int, int> found)
    {
        if (rows * rules.Rules.Count > AskedOneByOneMax)
        {
            lock (_lock)
            {
                if (_tail is null)
                {
                    using var reader = NodeDatabase.OpenReader(world);
                    _tail = ReadTail(reader, null, -1).GroupBy(e => e.Hash).ToDictionary(g => g.Key, g => g.ToList());
                }
            }
        }
        else
        {
            connection ??= NodeDatabase.OpenReader(world);
        }
        for (var k = 0; k < rules.Rules.Count; k++)
        {
            for (var r = 0; r < rows; r++)
            {
                var hash = hashes.ByRule[k][r];
                if (hash == UInt128.Zero)
                    continue;
                var (rule, row) = (k, r);
                if (_tail is null)
                    Ask(connection!, null, hash, entry => found(entry, rule, row));
                else if (_tail.Count > 0 && _tail.TryGetValue(hash, out var entries))
                    entries.ForEach(entry => found(entry, rule, row));
            }
        }
    }

    private void Ask(DbConnection connection, DbTransaction? transaction, UInt128 hash, Action<KeyEntry> found)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT batch, ordinal FROM key_tail WHERE dataset = @dataset AND hash = @hash";
        command.Set("@dataset", dataset.Number);
        command.Set("@hash", KeyIndex.Bytes(hash));
        var entries = new List<KeyEntry>();
        using (var reader = command.ExecuteReader())
        {
            while (reader.Read())
                entries.Add(new KeyEntry(hash, RecordId.FromBytes((byte[])reader[0]), (uint)reader.GetInt64(1)));
        }
        entries.ForEach(found);
    }

    private List<KeyEntry> ReadTail(DbConnection connection, DbTransaction? transaction, long after)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT hash, batch, ordinal FROM key_tail WHERE dataset = @dataset AND sequence > @after";
        command.Set("@dataset", dataset.Number);
        command.Set("@after", after);
        var entries = new List<KeyEntry>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            entries.Add(new KeyEntry(System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian((byte[])reader[0]), RecordId.FromBytes((byte[])reader[1]), (uint)reader.GetInt64(2)));
        return entries;
    }

    private bool AnyReplaced(DbConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT EXISTS (SELECT 1 FROM replaced WHERE dataset = @dataset)";
        command.Set("@dataset", dataset.Number);
        return command.IsTrue();
    }

    /// <summary>A superseded or erased record has given its key back.</summary>
    private bool Replaced(DbConnection connection, DbTransaction? transaction, KeyEntry entry)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "SELECT 1 FROM replaced WHERE dataset = @dataset AND batch = @batch AND ordinal = @ordinal";
        command.Set("@dataset", dataset.Number);
        command.Set("@batch", RecordId.Bytes(entry.Batch));
        command.Set("@ordinal", (long)entry.Ordinal);
        return command.ExecuteScalar() is not null;
    }
}
