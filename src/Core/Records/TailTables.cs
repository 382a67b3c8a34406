using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Query;

namespace Gongzhi.Core.Records;

/// <summary>
/// Keeps a copy of each tail in DuckDB, so that a query sees segments and tail as one. Rows are added as they are committed; a
/// table is made anew when the dataset's definition changes or when too many rows waited for a reader.
/// </summary>
public sealed class TailTables
{
    /// <summary>Rows held for a table nobody has asked for; beyond, they are forgotten and read from SQL when asked.</summary>
    private const int WaitingMax = 20_000;

    private readonly DuckEngine _engine;
    private readonly RecordStore _store;
    private readonly Catalog.Catalog _catalog;
    private readonly ConcurrentDictionary<long, Tail> _tails = new();
    private long _names;

    public TailTables(DuckEngine engine, RecordStore store, Catalog.Catalog catalog)
    {
        (_engine, _store, _catalog) = (engine, store, catalog);
        store.TailAppended += Append;
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
        var tail = _tails.GetOrAdd(dataset.Number, _ => new Tail());
        lock (tail)
        {
            while (true)
            {
                // The list is read before the rows. A fold that commits in between shows as another count afterwards; then both are read again,
                // so that no row is seen twice or not at all.
                var manifest = _store.Manifest(dataset.Number);
                if (manifest.TailRows == 0)
                    return new RecordSnapshot(dataset, manifest.Segments, null, null, ledgerIndex);
                if (tail.Table is null || tail.Table.Version != dataset.Version || tail.Table.Folds != manifest.Folds || tail.Lost)
                    Load(tail, dataset, manifest.Folds);
                else
                    Add(tail.Table, dataset, Drain(tail));
                if (_store.Manifest(dataset.Number).Folds != manifest.Folds)
                    continue;
                var table = tail.Table!;
                table.Readers++;
                return new RecordSnapshot(dataset, manifest.Segments, table.Name, null, ledgerIndex, () => Release(tail, table));
            }
        }
    }

    private void Append(long dataset, IReadOnlyList<TailRow> rows)
    {
        // On the writer's thread: only queue. A tail nobody has opened yet is read whole when it is.
        if (!_tails.TryGetValue(dataset, out var tail) || tail.Lost)
            return;
        if (tail.Waiting.Count + rows.Count > WaitingMax)
        {
            tail.Lost = true;
            tail.Waiting.Clear();
            return;
        }
        foreach (var row in rows)
            tail.Waiting.Enqueue(row);
    }

    private void Load(Tail tail, Dataset dataset, long folds)
    {
        // Rows committed from here on are queued; those that SQL already shows are told apart by their ids.
        tail.Lost = false;
        tail.Waiting.Clear();
        var old = tail.Table;
        var table = new Table(string.Create(CultureInfo.InvariantCulture, $"tail_{dataset.Number}_{Interlocked.Increment(ref _names)}"), dataset.Version, folds);
        _engine.Execute(CreateTable(table.Name, dataset));
        Add(table, dataset, _store.ReadTail(dataset.Number));
        tail.Table = table;
        if (old is not null)
        {
            old.Retired = true;
            if (old.Readers == 0)
                _engine.Execute($"DROP TABLE {old.Name}");
        }
    }

    private void Release(Tail tail, Table table)
    {
        lock (tail)
        {
            table.Readers--;
            if (table.Retired && table.Readers == 0)
                _engine.Execute($"DROP TABLE {table.Name}");
        }
    }

    private static List<TailRow> Drain(Tail tail)
    {
        var rows = new List<TailRow>();
        while (tail.Waiting.TryDequeue(out var row))
            rows.Add(row);
        return rows;
    }

    private void Add(Table table, Dataset dataset, List<TailRow> rows)
    {
        rows.RemoveAll(row => !table.Held.Add((row.Batch, row.Ordinal)));
        if (rows.Count == 0)
            return;
        using var appender = _engine.OpenAppender(table.Name);
        foreach (var version in rows.GroupBy(r => RowDecoder.SchemaVersion(r.Row)))
        {
            var written = _catalog.Find(dataset.Id, version.Key) ?? throw new InvalidDataException($"Version {version.Key} of {dataset.Id} is not known.");
            Write(appender, dataset, RowDecoder.Decode(written, [.. version]));
        }
    }

    private static void Write(TableAppender appender, Dataset dataset, RowColumns rows)
    {
        for (var r = 0; r < rows.Rows; r++)
        {
            var row = appender.Rows.CreateRow();
            row.AppendValue(RecordId.Bytes(rows.BatchOf(r)));
            row.AppendValue((int)rows.OrdinalOf(r));
            row.AppendValue(Time(rows.Times[r]));
            row.AppendValue(rows.PlaceIndex < 0 || rows.Fields[rows.PlaceIndex].Nulls[r] ? null : Text(rows, rows.Fields[rows.PlaceIndex], r));
            for (var f = 0; f < dataset.Fields.Count; f++)
            {
                // A row of an older version lacks the fields added since.
                if (f >= rows.Fields.Length || rows.Fields[f].Nulls[r])
                {
                    row.AppendNullValue();
                    continue;
                }
                var column = rows.Fields[f];
                switch (column.Field.Type)
                {
                    case FieldType.String or FieldType.Place:
                        row.AppendValue(Text(rows, column, r));
                        break;
                    case FieldType.Decimal:
                        row.AppendValue(DecimalText.Exact(column.Values[r], column.Field.Scale));
                        break;
                    case FieldType.Double:
                        row.AppendValue(column.Double(r));
                        break;
                    case FieldType.Boolean:
                        row.AppendValue(column.Values[r] != 0);
                        break;
                    case FieldType.Date:
                        row.AppendValue(DateOnly.FromDayNumber((int)column.Values[r] + UnixDay));
                        break;
                    case FieldType.DateTime:
                        row.AppendValue(Time(column.Values[r]));
                        break;
                    case FieldType.Time:
                        row.AppendValue(TimeOnly.FromTimeSpan(TimeSpan.FromMicroseconds(column.Values[r])));
                        break;
                    default:
                        row.AppendValue(column.Values[r]);
                        break;
                }
            }
            row.EndRow();
        }
    }

    private static readonly int UnixDay = new DateOnly(1970, 1, 1).DayNumber;

    private static DateTime Time(long microseconds) => DateTime.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond);

    private static string Text(RowColumns rows, FieldColumn column, int r) => Encoding.UTF8.GetString(rows.TextOf(column, r));

    private static string CreateTable(string name, Dataset dataset)
    {
        var sql = new StringBuilder($"CREATE TABLE {name} (_batch BLOB, _ordinal INTEGER, _time TIMESTAMP, _place VARCHAR");
        foreach (var field in dataset.Fields)
        {
            sql.Append(CultureInfo.InvariantCulture, $", \"{field.Name.Replace("\"", "\"\"", StringComparison.Ordinal)}\" {SqlType(field)}");
        }
        return sql.Append(')').ToString();
    }

    private static string SqlType(Field field) => field.Type switch
    {
        FieldType.String or FieldType.Place => "VARCHAR",
        FieldType.Decimal => string.Create(CultureInfo.InvariantCulture, $"DECIMAL(18,{field.Scale})"),
        FieldType.Double => "DOUBLE",
        FieldType.Boolean => "BOOLEAN",
        FieldType.Date => "DATE",
        FieldType.DateTime => "TIMESTAMP",
        FieldType.Time => "TIME",
        _ => "BIGINT",
    };

    /// <summary>One dataset's tail. Guarded by its own lock, but for the queue, which the writer's thread fills.</summary>
    private sealed class Tail
    {
        public Table? Table { get; set; }
        public ConcurrentQueue<TailRow> Waiting { get; } = new();

        /// <summary>Rows were forgotten; the table must be read from SQL again.</summary>
        public volatile bool Lost = true;
    }

    private sealed class Table(string name, int version, long folds)
    {
        public string Name { get; } = name;
        public int Version { get; } = version;
        public long Folds { get; } = folds;
        public HashSet<(Guid, uint)> Held { get; } = [];
        public int Readers { get; set; }
        public bool Retired { get; set; }
    }
}
