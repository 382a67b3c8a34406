using System.Globalization;
using Microsoft.Data.Sqlite;

namespace Gongzhi.Core.Storage;

/// <summary>The database cannot be used by this program as it is; the message is one plain sentence for the operator.</summary>
public sealed class SchemaException(string message) : Exception(message);

/// <summary>A change that no comparison can find out (a rename, a split, a type), run once, in order, before the comparison.</summary>
/// <param name="To">The version the database has afterwards; one more than the step before.</param>
/// <param name="IfTable">Run only where this table is: databases made between the change and its step lack it.</param>
/// <param name="Sql">Plain SQL of SQLite. It cannot touch audited tables: they change only through audited saves.</param>
/// <param name="Postgres">Likewise of PostgreSQL; null where no database there is older than the step.</param>
internal sealed record SchemaStep(int To, string Sql, string? IfTable = null, string? Postgres = null);

/// <summary>
/// Brings a database made by an older program to what this one would make on an empty disk (docs/decisions/0009-schema-upgrades.md). What is
/// missing is added, triggers and indexes that read differently are made again, nothing is dropped; all in one transaction, after a copy of the file.
/// What is there and unknown means that a newer program was here.
/// </summary>
internal static class SchemaUpgrade
{
    /// <summary>The copy made before the last upgrade, beside the database.</summary>
    public const string CopySuffix = ".before-upgrade";

    /// <summary>Changes beyond additions since the first version.</summary>
    public static IReadOnlyList<SchemaStep> Steps { get; } =
    [
        // Grants are to read or to contribute since then. The table's triggers and index carry its name; the comparison makes them again.
        new(2, """
            DROP TRIGGER IF EXISTS "audited_read_grant_INSERT";
            DROP TRIGGER IF EXISTS "audited_read_grant_UPDATE";
            DROP TRIGGER IF EXISTS "audited_read_grant_DELETE";
            DROP INDEX IF EXISTS "IX_read_grant_Dataset";
            ALTER TABLE "read_grant" RENAME TO "access_grant";
            """, IfTable: "read_grant"),

        // Outlines of places stood in their definitions, which are held in memory whole.
        new(3, """
            CREATE TABLE IF NOT EXISTS place_shape (code TEXT PRIMARY KEY, outline TEXT NOT NULL) WITHOUT ROWID;
            INSERT OR IGNORE INTO place_shape(code, outline) SELECT code, json_extract(definition, '$.shape') FROM place WHERE json_extract(definition, '$.shape') IS NOT NULL;
            UPDATE place SET definition = json_remove(definition, '$.shape') WHERE json_extract(definition, '$.shape') IS NOT NULL;
            """, IfTable: "place"),
    ];

    /// <param name="world">Whose database it is.</param>
    /// <param name="connection">The database, no transaction open.</param>
    /// <param name="expected">SQL that makes this program's whole schema on an empty database.</param>
    /// <param name="always">SQL run inside the transaction in any case; idempotent.</param>
    /// <param name="steps">Read one at a time inside the transaction.</param>
    /// <param name="latest">The version after the last step.</param>
    public static void Run(World world, SqliteConnection connection, string expected, string always, IEnumerable<SchemaStep> steps, int latest)
    {
        var found = Version(connection);
        if (found > latest)
            throw Newer(string.Create(CultureInfo.InvariantCulture, $"its schema is version {found}, this program knows {latest}"));
        using var model = new SqliteConnection("Data Source=:memory:;Pooling=False");
        model.Open();
        Execute(model, null, expected);
        var wanted = Read(model);
        if (found == latest && Difference(connection, wanted) is { Count: > 0 } || found is > 0 && found < latest)
            Copy(world, connection);
        // Immediate: what is compared below must not change before it is committed.
        using var transaction = connection.BeginTransaction(deferred: false);
        if (found == 0)
        {
            Execute(connection, transaction, expected);
        }
        else
        {
            foreach (var step in steps)
            {
                if (step.To <= found)
                    continue;
                if (step.IfTable is null || Read(connection).ContainsKey(step.IfTable))
                    Execute(connection, transaction, step.Sql);
                Execute(connection, transaction, string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version={step.To}"));
            }
            foreach (var sql in Difference(connection, wanted))
                Execute(connection, transaction, sql);
        }
        Execute(connection, transaction, always);
        // Nothing is written when nothing is missing, so that a node starts on a full disk.
        if (found != latest)
            Execute(connection, transaction, string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version={latest}"));
        world.Durably("commit schema", transaction.Commit);
    }

    private sealed record Column(string Name, string Type, bool Required, string? Default, bool Key);

    private sealed record Item(string Type, string Name, string Table, string Sql, IReadOnlyList<Column> Columns);

    /// <summary>The SQL that adds what is missing; throws when something is there that this program does not know or cannot use.</summary>
    private static List<string> Difference(SqliteConnection connection, Dictionary<string, Item> wanted)
    {
        var there = Read(connection);
        foreach (var item in there.Values.Where(i => i.Type == "table"))
        {
            if (!wanted.TryGetValue(item.Name, out var known))
                throw Newer($"it has a table {item.Name}");
            foreach (var column in item.Columns.Where(c => known.Columns.All(k => !Same(k.Name, c.Name))))
                throw Newer($"its table {item.Name} has a column {column.Name}");
        }
        var sql = new List<string>();
        foreach (var item in wanted.Values.OrderBy(i => i.Type == "table" ? 0 : 1))
        {
            if (!there.TryGetValue(item.Name, out var old))
                sql.Add(item.Sql);
            else if (item.Type == "table")
                sql.AddRange(item.Columns.Select(c => (Column: c, Old: old.Columns.FirstOrDefault(o => Same(o.Name, c.Name)))).Select(c => Change(item, c.Column, c.Old)).OfType<string>());
            else if (old.Sql != item.Sql)
                sql.AddRange([$"DROP {item.Type} {Quote(item.Name)}", item.Sql]);
        }
        return sql;
    }

    /// <summary>How a column of an existing table becomes what is wanted: not at all, or by being added with its type's zero.</summary>
    private static string? Change(Item table, Column wanted, Column? old)
    {
        if (old is not null)
        {
            return Same(old.Type, wanted.Type) && old.Key == wanted.Key ? null
                : throw new SchemaException($"The column {wanted.Name} of the table {table.Name} is {old.Type}, this program needs {wanted.Type}, and there is no step from one to the other.");
        }
        if (wanted.Key)
            throw new SchemaException($"The table {table.Name} lacks the key column {wanted.Name}, and there is no step that makes it.");
        var value = wanted.Default ?? (!wanted.Required ? null : wanted.Type.ToUpperInvariant() switch { "TEXT" => "''", "BLOB" => "X''", _ => "0" });
        return $"ALTER TABLE {Quote(table.Name)} ADD COLUMN {Quote(wanted.Name)} {wanted.Type}{(wanted.Required ? " NOT NULL" : "")}{(value is null ? "" : " DEFAULT " + value)}";
    }

    /// <summary>A whole copy with no journal beside it, durable before anything changes; the one before it is replaced.</summary>
    private static void Copy(World world, SqliteConnection connection)
    {
        var copy = connection.DataSource + CopySuffix;
        var part = copy + ".part";
        File.Delete(part);
        using (var command = connection.CreateCommand())
        {
            command.CommandText = "VACUUM INTO @to";
            command.Set("@to", part);
            command.ExecuteNonQuery();
        }
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(part, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using (var file = File.OpenHandle(part, FileMode.Open, FileAccess.ReadWrite))
            world.Durably("flush copy", () => RandomAccess.FlushToDisk(file));
        DurableFile.Publish(world, part, copy);
    }

    /// <summary>
    /// Deletes the copy, and what an interrupted one left: it holds the content of what is erased since, and may not outlive it. Nothing goes by the copy; a way back to an older
    /// program is then a backup.
    /// </summary>
    public static void DiscardCopy(World world)
    {
        var copy = world.DatabasePath + CopySuffix;
        foreach (var path in (string[])[copy, copy + ".part"])
        {
            if (!File.Exists(path))
                continue;
            File.Delete(path);
            world.Durably("erase copy", () => DurableFile.FlushDirectory(world.DataDirectory));
        }
    }

    private static Dictionary<string, Item> Read(SqliteConnection connection)
    {
        var items = new Dictionary<string, Item>(StringComparer.OrdinalIgnoreCase);
        using var command = connection.CreateCommand();
        // Names the engine gives itself (sqlite_sequence, automatic indexes) have no SQL of ours.
        command.CommandText = """SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_'""";
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            var (type, name) = (reader.GetString(0), reader.GetString(1));
            items[name] = new Item(type, name, reader.GetString(2), reader.GetString(3), type == "table" ? Columns(connection, name) : []);
        }
        return items;
    }

    private static List<Column> Columns(SqliteConnection connection, string table)
    {
        var columns = new List<Column>();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(@table)";
        command.Set("@table", table);
        using var reader = command.ExecuteReader();
        while (reader.Read())
            columns.Add(new Column(reader.GetString(0), reader.GetString(1), reader.GetBoolean(2), reader.IsDBNull(3) ? null : reader.GetString(3), reader.GetInt32(4) > 0));
        return columns;
    }

    private static int Version(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA user_version";
        return Convert.ToInt32(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }

    private static SchemaException Newer(string what) =>
        new($"The database was written by a newer program ({what}). Start the newer program, or restore a backup.");

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);

    private static string Quote(string name) => '"' + name.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';

    private static void Execute(SqliteConnection connection, SqliteTransaction? transaction, string sql)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
