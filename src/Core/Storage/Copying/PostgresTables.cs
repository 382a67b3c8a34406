using System.Globalization;
using Npgsql;
using NpgsqlTypes;

namespace Gongzhi.Core.Storage.Copying;

/// <summary>
/// Fills the tables of an empty PostgreSQL database of a world that nobody serves yet. What is done is noted in <c>copy_progress</c>, in the transaction that did it, so that a copy that was
/// interrupted goes on; while that table says that it is not finished, no node starts on the database.
/// </summary>
public sealed class PostgresTables : IDisposable
{
    private const string Progress = "copy_progress", Finished = "finished", Came = "restored";

    private readonly NpgsqlConnection _connection;

    private PostgresTables(NpgsqlConnection connection) => _connection = connection;

    /// <summary>Tables that are the database's own and no part of the world's content.</summary>
    internal static bool IsOwn(string table) => table is "node_schema" or "change_feed" or "change_feed_start" or "machine" or "schema_made" or Progress || table.StartsWith("cluster_", StringComparison.Ordinal);

    internal static string Quote(string name) => '"' + name.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';

    /// <summary>Opens the database, whose schema has been made, for a copy from somewhere; or goes on with one.</summary>
    /// <param name="world">Whose database it is.</param>
    /// <param name="source">What is copied, in words that are the same at the next try.</param>
    /// <exception cref="SchemaException">It holds something already, and no unfinished copy from there.</exception>
    public static PostgresTables Open(World world, string source)
    {
        var connection = (NpgsqlConnection)PostgresStore.Instance.OpenWriter(world);
        try
        {
            using (var unlimited = connection.Command("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"))
                unlimited.ExecuteNonQuery();
            // What comes may lack rows that every schema has from its making: it is made again afterwards.
            using (var again = connection.Command("DELETE FROM schema_made"))
                again.ExecuteNonQuery();
            var tables = new PostgresTables(connection);
            tables.Begin(source);
            return tables;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Whether a copy into the database was begun and not finished: then it is not a world yet.</summary>
    internal static bool IsUnfinished(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        if (!PostgresStore.Instance.HasTable(connection, transaction, Progress))
            return false;
        using var command = connection.Command($"SELECT NOT EXISTS (SELECT 1 FROM {Progress} WHERE item = '{Finished}')", transaction);
        return command.IsTrue();
    }

    /// <summary>The tables to be filled, in an order in which each comes after those it refers to.</summary>
    public IReadOnlyList<TableShape> Shapes() => Shapes(_connection, null);

    internal static IReadOnlyList<TableShape> Shapes(System.Data.Common.DbConnection connection, System.Data.Common.DbTransaction? moment)
    {
        var columns = new List<(string Table, TableColumn Column)>();
        using (var command = connection.Command("""
            SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
            WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' ORDER BY c.table_name, c.ordinal_position
            """, moment))
        {
            using var reader = command.ExecuteReader();
            while (reader.Read())
            {
                if (!IsOwn(reader.GetString(0)))
                    columns.Add((reader.GetString(0), new(reader.GetString(1), Kind(reader.GetString(2)))));
            }
        }
        var refers = new HashSet<(string From, string To)>();
        using (var command = connection.Command("""
            SELECT a.relname, b.relname FROM pg_constraint k JOIN pg_class a ON a.oid = k.conrelid JOIN pg_class b ON b.oid = k.confrelid
            WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace AND a.oid <> b.oid
            """, moment))
        {
            using var reader = command.ExecuteReader();
            while (reader.Read())
                refers.Add((reader.GetString(0), reader.GetString(1)));
        }
        var left = columns.GroupBy(t => t.Table, t => t.Column, StringComparer.Ordinal).Select(g => new TableShape(g.Key, [.. g])).ToList();
        var ordered = new List<TableShape>();
        while (left.Count > 0)
        {
            var next = left.Find(t => !left.Exists(other => refers.Contains((t.Name, other.Name)))) ?? throw new SchemaException("Tables refer to each other in a circle.");
            ordered.Add(next);
            left.Remove(next);
        }
        return ordered;
    }

    /// <summary>What an item of the copy came to, when it was done before; null when it was not.</summary>
    public TableSum? Done(string item)
    {
        using var command = _connection.Command($"SELECT rows, digest FROM {Progress} WHERE item = @item").Set("@item", item);
        using var reader = command.ExecuteReader();
        return reader.Read() ? new(reader.GetInt64(0), reader.GetString(1)) : null;
    }

    /// <summary>Fills a table and notes it, both or neither; what the schema put there is replaced.</summary>
    public TableSum Fill(TableShape table, IEnumerable<object?[]> rows, CancellationToken cancel)
    {
        var sum = new TableSummer();
        using var transaction = _connection.BeginTransaction();
        using (var clear = _connection.Command($"DELETE FROM {Quote(table.Name)}", transaction))
            clear.ExecuteNonQuery();
        var types = Types(table, transaction);
        using (var import = _connection.BeginBinaryImport($"COPY {Quote(table.Name)} ({string.Join(", ", table.Columns.Select(c => Quote(c.Name)))}) FROM STDIN (FORMAT binary)"))
        {
            foreach (var row in rows)
            {
                cancel.ThrowIfCancellationRequested();
                import.StartRow();
                for (var i = 0; i < row.Length; i++)
                    Write(import, row[i], types[i]);
                sum.Add(row);
            }
            import.Complete();
        }
        Note(table.Name, sum.Sum(), transaction);
        transaction.Commit();
        return sum.Sum();
    }

    /// <summary>Empties all tables and forgets what was done: what is copied has changed since.</summary>
    /// <param name="tables">All of them, since some refer to others.</param>
    public void StartOver(IReadOnlyList<TableShape> tables)
    {
        using var transaction = _connection.BeginTransaction();
        using (var empty = _connection.Command("TRUNCATE " + string.Join(", ", tables.Select(t => Quote(t.Name))), transaction))
            empty.ExecuteNonQuery();
        using (var forget = _connection.Command($"DELETE FROM {Progress} WHERE item <> 'source'", transaction))
            forget.ExecuteNonQuery();
        transaction.Commit();
    }

    /// <summary>After all tables: what the database counts by itself goes on after what there is.</summary>
    public void SetCounters()
    {
        using var command = _connection.Command("""
            DO $$ DECLARE c record; BEGIN
                FOR c IN SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES' LOOP
                    EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), coalesce((SELECT max(%I) FROM %I), 0) + 1, false)', quote_ident(c.table_name), c.column_name, c.column_name, c.table_name);
                END LOOP;
            END $$
            """);
        command.ExecuteNonQuery();
    }

    /// <summary>From now on it is a world that a node may serve.</summary>
    /// <param name="restored">Of a world that came back from a backup, how large its log is known to have been.</param>
    public void Finish(long? restored = null)
    {
        using var transaction = _connection.BeginTransaction();
        if (restored is { } known)
            Note(Came, new(known, ""), transaction);
        Note(Finished, new(0, ""), transaction);
        transaction.Commit();
    }

    /// <summary>Whether the copy of this source came to its end.</summary>
    public static bool IsFinished(World world, string source)
    {
        using var connection = PostgresStore.Instance.OpenReadOnly(world);
        if (!PostgresStore.Instance.HasTable(connection, null, Progress))
            return false;
        using var command = connection.Command($"SELECT EXISTS (SELECT 1 FROM {Progress} WHERE item = 'source' AND digest = @source) AND EXISTS (SELECT 1 FROM {Progress} WHERE item = '{Finished}')").Set("@source", source);
        return command.IsTrue();
    }

    internal static long? Restored(NpgsqlConnection connection, NpgsqlTransaction transaction)
    {
        if (!PostgresStore.Instance.HasTable(connection, transaction, Progress))
            return null;
        using var command = connection.Command($"SELECT rows FROM {Progress} WHERE item = '{Came}'", transaction);
        return command.ExecuteScalar() as long?;
    }

    internal static void ForgetRestored(World world) => Run(world, $"DELETE FROM {Progress} WHERE item = '{Came}'");

    internal static void GiveUpMissing(World world) => Run(world, $"UPDATE {Progress} SET rows = 0 WHERE item = '{Came}'");

    private static void Run(World world, string sql)
    {
        using var connection = PostgresStore.Instance.OpenWriter(world);
        using var command = connection.Command(sql);
        command.ExecuteNonQuery();
    }

    public void Dispose() => _connection.Dispose();

    private void Begin(string source)
    {
        using var transaction = PostgresStore.Instance.BeginWrite(_connection);
        if (!PostgresStore.Instance.HasTable(_connection, transaction, Progress))
        {
            foreach (var table in (string[])["batch", "audit_change", "dataset", "ledger_pending", "place", "segment"])
            {
                using var any = _connection.Command($"SELECT EXISTS (SELECT 1 FROM {table})", transaction);
                if (any.IsTrue())
                    throw new SchemaException("The database holds a world already. Give an empty one.");
            }
            using var make = _connection.Command($"CREATE TABLE {Progress}(item text PRIMARY KEY, rows bigint NOT NULL, digest text NOT NULL)", transaction);
            make.ExecuteNonQuery();
            Note("source", new(0, source), transaction);
        }
        if (Done("source")?.Digest == source && Done(Finished) is not null)
            throw new SchemaException("The world was copied into this database before, to the end. Start a node on it.");
        if (Done("source")?.Digest != source)
            throw new SchemaException("The database holds a world already, or an unfinished copy of another. Give an empty one.");
        // What the guards refuse a program is what a copy has to do. The node makes them anew before it serves.
        using (var guards = _connection.Command("""
            DO $$ DECLARE t record; BEGIN
                FOR t IN SELECT tgname, tgrelid::regclass AS rel FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE c.relnamespace = current_schema()::regnamespace AND NOT tgisinternal LOOP
                    EXECUTE format('DROP TRIGGER %I ON %s', t.tgname, t.rel);
                END LOOP;
            END $$
            """, transaction))
        {
            guards.ExecuteNonQuery();
        }
        transaction.Commit();
    }

    private void Note(string item, TableSum sum, System.Data.Common.DbTransaction? transaction)
    {
        using var command = _connection.Command($"INSERT INTO {Progress}(item, rows, digest) VALUES (@item, @rows, @digest) ON CONFLICT (item) DO UPDATE SET rows = excluded.rows, digest = excluded.digest", transaction);
        command.Set("@item", item).Set("@rows", sum.Rows).Set("@digest", sum.Digest).ExecuteNonQuery();
    }

    private List<NpgsqlDbType> Types(TableShape table, NpgsqlTransaction transaction)
    {
        using var command = _connection.Command("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = @table", transaction);
        command.Set("@table", table.Name);
        var types = new Dictionary<string, string>(StringComparer.Ordinal);
        using (var reader = command.ExecuteReader())
        {
            while (reader.Read())
                types[reader.GetString(0)] = reader.GetString(1);
        }
        return [.. table.Columns.Select(c => types[c.Name] switch
        {
            "bigint" => NpgsqlDbType.Bigint,
            "integer" => NpgsqlDbType.Integer,
            "smallint" => NpgsqlDbType.Smallint,
            "text" => NpgsqlDbType.Text,
            "character varying" => NpgsqlDbType.Varchar,
            "bytea" => NpgsqlDbType.Bytea,
            "jsonb" => NpgsqlDbType.Jsonb,
            "boolean" => NpgsqlDbType.Boolean,
            "timestamp with time zone" => NpgsqlDbType.TimestampTz,
            "timestamp without time zone" => NpgsqlDbType.Timestamp,
            "double precision" => NpgsqlDbType.Double,
            var other => throw new NotSupportedException(other),
        })];
    }

    private static ColumnKind Kind(string type) => type switch
    {
        "bigint" or "integer" or "smallint" => ColumnKind.Number,
        "text" or "character varying" => ColumnKind.Text,
        "bytea" => ColumnKind.Bytes,
        "jsonb" => ColumnKind.Json,
        "boolean" => ColumnKind.Truth,
        "timestamp with time zone" or "timestamp without time zone" => ColumnKind.Time,
        "double precision" => ColumnKind.Real,
        _ => throw new SchemaException($"A column of the type {type} cannot be copied."),
    };

    private static void Write(NpgsqlBinaryImporter import, object? value, NpgsqlDbType type)
    {
        switch (value)
        {
            case null:
                import.WriteNull();
                break;
            case long number when type == NpgsqlDbType.Integer:
                import.Write(checked((int)number), type);
                break;
            case long number when type == NpgsqlDbType.Smallint:
                import.Write(checked((short)number), type);
                break;
            case long moment when type == NpgsqlDbType.TimestampTz:
                import.Write(Microseconds.ToTime(moment).UtcDateTime, type);
                break;
            case long moment when type == NpgsqlDbType.Timestamp:
                import.Write(DateTime.SpecifyKind(Microseconds.ToTime(moment).UtcDateTime, DateTimeKind.Unspecified), type);
                break;
            case long number:
                import.Write(number, type);
                break;
            case string text:
                import.Write(text, type);
                break;
            case byte[] bytes:
                import.Write(bytes, type);
                break;
            case bool truth:
                import.Write(truth, type);
                break;
            case double real:
                import.Write(real, type);
                break;
            default:
                throw new ArgumentException(Convert.ToString(value, CultureInfo.InvariantCulture), nameof(value));
        }
    }
}
