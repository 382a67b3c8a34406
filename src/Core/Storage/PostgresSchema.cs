using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Gongzhi.Core.Storage;

/// <summary>Which world a database holds.</summary>
public sealed record WorldClaim(string Name, WorldKind Kind, string Origin);

/// <summary>
/// Makes the schema in an empty PostgreSQL database, or adds to an older one what this program needs and it lacks: tables, columns with their type's zero, indexes. What is wanted is
/// made in a schema of its own within the transaction, compared, and taken away again. Nothing is dropped and nothing changes its type, so that machines with the program before
/// go on beside it. One machine at a time: it holds the writer's lock. What was made is kept with the script that made it, so that a start that finds both unchanged makes nothing anew.
/// </summary>
internal static class PostgresSchema
{
    private const string Scratch = "gz_wanted";

    /// <summary>One row for each group of changes, in the order of their commits, with what it tells other machines; and up to which number rows were removed.</summary>
    private const string Feed = """
        CREATE TABLE IF NOT EXISTS change_feed(
            number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id bytea NOT NULL UNIQUE CHECK (length(id) = 16),
            at bigint NOT NULL,
            changes text NOT NULL);
        CREATE TABLE IF NOT EXISTS change_feed_start(
            one bigint PRIMARY KEY CHECK (one = 1),
            number bigint NOT NULL);
        INSERT INTO change_feed_start(one, number) VALUES (1, 0) ON CONFLICT DO NOTHING;
        CREATE TABLE IF NOT EXISTS machine(
            run text PRIMARY KEY,
            silo text NOT NULL,
            began bigint NOT NULL,
            ended bigint NOT NULL);
        CREATE TABLE IF NOT EXISTS schema_made(
            one bigint PRIMARY KEY CHECK (one = 1),
            wanted text NOT NULL,
            made text NOT NULL);

        """;

    /// <param name="create">SQL that makes the state's tables in an empty schema.</param>
    /// <param name="always">SQL run in any case; idempotent.</param>
    /// <param name="steps">Changes that no comparison finds out, in order.</param>
    /// <param name="latest">The version that this program knows.</param>
    public static void Run(World world, NpgsqlConnection connection, string create, string always, IEnumerable<SchemaStep> steps, int latest)
    {
        using var transaction = (NpgsqlTransaction)PostgresStore.Instance.BeginWrite(connection);
        var (claimed, found) = Claim(connection, transaction, new(world.Name, world.Kind, world.LedgerOrigin));
        if (claimed.Origin != world.LedgerOrigin || claimed.Name != world.Name || claimed.Kind != world.Kind)
            throw new SchemaException($"The database belongs to the world {claimed.Name} ({claimed.Kind}, {claimed.Origin}); a world has a database of its own.");
        if (found > latest)
            throw Newer(string.Create(CultureInfo.InvariantCulture, $"its schema is version {found}, this program knows {latest}"));
        always = Feed + always;
        var wanted = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(PostgresStore.GuardFunctions + '\n' + create + '\n' + always)));
        if (found == latest && IsMade(connection, transaction, wanted))
            return;
        Execute(connection, transaction, PostgresStore.GuardFunctions);
        if (found == 0)
        {
            Execute(connection, transaction, create);
            Execute(connection, transaction, always);
        }
        else
        {
            foreach (var step in steps.Where(s => s.To > found))
            {
                var sql = step.Postgres ?? throw new SchemaException(string.Create(CultureInfo.InvariantCulture, $"The database's schema is version {found}, and there is no step from it to {step.To}."));
                if (step.IfTable is null || PostgresStore.Instance.HasTable(connection, transaction, step.IfTable))
                    Execute(connection, transaction, sql);
            }
            foreach (var sql in Missing(connection, transaction, create + '\n' + always))
                Execute(connection, transaction, sql);
            Execute(connection, transaction, always);
        }
        if (found != latest)
        {
            using var version = new NpgsqlCommand("UPDATE node_schema SET version = @version", connection, transaction);
            version.Parameters.AddWithValue("@version", (long)latest);
            version.ExecuteNonQuery();
        }
        Execute(connection, transaction, $"INSERT INTO schema_made(one, wanted, made) VALUES (1, '{wanted}', ({Made})) ON CONFLICT (one) DO UPDATE SET wanted = excluded.wanted, made = excluded.made");
        world.Durably("commit schema", transaction.Commit);
    }

    /// <summary>Everything that a script of ours makes, as the catalog has it: tables with their columns, indexes, guards that are on, and the functions they call.</summary>
    private const string Made = """
        SELECT encode(sha256(convert_to(coalesce(string_agg(line, E'\n' ORDER BY line COLLATE "C"), ''), 'UTF8')), 'hex') FROM (
            SELECT 'c ' || c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull AS line
                FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL SELECT 'i ' || indexdef FROM pg_indexes WHERE schemaname = current_schema()
            UNION ALL SELECT 't ' || t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
                FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal
            UNION ALL SELECT 'f ' || proname || ' ' || prosrc FROM pg_proc WHERE pronamespace = current_schema()::regnamespace) AS lines
        """;

    /// <summary>Whether this very script was run last, and the database is still as it left it: a start then changes nothing, and holds nobody up.</summary>
    private static bool IsMade(NpgsqlConnection connection, NpgsqlTransaction transaction, string wanted)
    {
        if (!PostgresStore.Instance.HasTable(connection, transaction, "schema_made"))
            return false;
        using var command = new NpgsqlCommand($"SELECT EXISTS (SELECT 1 FROM schema_made WHERE wanted = @wanted AND made = ({Made}))", connection, transaction);
        command.Parameters.AddWithValue("@wanted", wanted);
        return command.ExecuteScalar() is true;
    }

    /// <summary>
    /// Which world a database holds: the one that first claimed it. Machines that start at once on an empty one agree by this on the ledger's origin, which is drawn by chance.
    /// </summary>
    /// <param name="wanted">What the caller would make of it.</param>
    /// <returns>What it is.</returns>
    public static WorldClaim Claim(World world, WorldClaim wanted)
    {
        using var connection = (NpgsqlConnection)PostgresStore.Instance.OpenWriter(world);
        using var transaction = (NpgsqlTransaction)PostgresStore.Instance.BeginWrite(connection);
        var (claimed, _) = Claim(connection, transaction, wanted);
        transaction.Commit();
        return claimed;
    }

    private static (WorldClaim Claimed, long Version) Claim(NpgsqlConnection connection, NpgsqlTransaction transaction, WorldClaim wanted)
    {
        if (!PostgresStore.Instance.HasTable(connection, transaction, "node_schema"))
        {
            // The tables by which the machines of a cluster know each other may be there first.
            if (Columns(connection, transaction, "current_schema()").Keys.Any(c => !c.Table.StartsWith("cluster_", StringComparison.Ordinal)))
                throw new SchemaException("The database holds tables that are not this program's. Make an empty database for it.");
            Execute(connection, transaction, "CREATE TABLE node_schema(one bigint PRIMARY KEY CHECK (one = 1), version bigint NOT NULL, name text NOT NULL, kind text NOT NULL, origin text NOT NULL)");
            using var insert = new NpgsqlCommand("INSERT INTO node_schema(one, version, name, kind, origin) VALUES (1, 0, @name, @kind, @origin)", connection, transaction);
            insert.Parameters.AddWithValue("@name", wanted.Name);
            insert.Parameters.AddWithValue("@kind", wanted.Kind.ToString());
            insert.Parameters.AddWithValue("@origin", wanted.Origin);
            insert.ExecuteNonQuery();
        }
        using var command = new NpgsqlCommand("SELECT version, name, kind, origin FROM node_schema", connection, transaction);
        using var reader = command.ExecuteReader();
        if (!reader.Read() || !Enum.TryParse<WorldKind>(reader.GetString(2), out var kind))
            throw new SchemaException("The database does not say which world it holds.");
        return (new(reader.GetString(1), kind, reader.GetString(3)), reader.GetInt64(0));
    }

    private static SchemaException Newer(string what) => new($"The database was written by a newer program ({what}). Start the newer program, or restore a backup.");

    private sealed record Column(string Type, bool Required, string? Default, bool Key);

    private static List<string> Missing(NpgsqlConnection connection, NpgsqlTransaction transaction, string wanted)
    {
        string own;
        using (var command = new NpgsqlCommand("SELECT current_schema()", connection, transaction))
            own = (string)command.ExecuteScalar()!;
        Execute(connection, transaction, $"CREATE SCHEMA {Scratch}; SET LOCAL search_path TO {Scratch}; {PostgresStore.GuardFunctions}");
        Execute(connection, transaction, wanted);
        var there = Columns(connection, transaction, "@own", own);
        var needed = Columns(connection, transaction, "@own", Scratch);
        var indexes = Indexes(connection, transaction, own).Keys.ToHashSet(StringComparer.Ordinal);
        var missingIndexes = Indexes(connection, transaction, Scratch).Where(i => !indexes.Contains(i.Key)).ToList();
        Execute(connection, transaction, $"DROP SCHEMA {Scratch} CASCADE; SET LOCAL search_path TO DEFAULT");
        var sql = new List<string>();
        var tables = there.Keys.Select(c => c.Table).ToHashSet(StringComparer.Ordinal);
        var known = needed.Keys.Select(c => c.Table).ToHashSet(StringComparer.Ordinal);
        foreach (var (table, name) in there.Keys.Where(c => !Copying.PostgresTables.IsOwn(c.Table)))
        {
            if (!known.Contains(table))
                throw Newer($"it has a table {table}");
            if (!needed.ContainsKey((table, name)))
                throw Newer($"its table {table} has a column {name}");
        }
        foreach (var ((table, name), column) in needed)
        {
            // A table that is not there is made by its own statement; the state's tables have theirs without IF NOT EXISTS, so they are taken from it one by one.
            if (!tables.Contains(table))
                continue;
            if (there.TryGetValue((table, name), out var old))
            {
                if (old.Type != column.Type)
                    throw new SchemaException($"The column {name} of the table {table} is {old.Type}, this program needs {column.Type}, and there is no step from one to the other.");
                continue;
            }
            if (column.Key)
                throw new SchemaException($"The table {table} lacks the key column {name}, and there is no step that makes it.");
            var value = column.Default ?? (!column.Required ? null : column.Type switch { "text" or "character varying" => "''", "bytea" => "''::bytea", "boolean" => "false", _ => "0" });
            sql.Add($"ALTER TABLE {Quote(table)} ADD COLUMN {Quote(name)} {column.Type}{(column.Type == "text" ? " COLLATE \"C\"" : "")}{(value is null ? "" : " DEFAULT " + value)}{(column.Required ? " NOT NULL" : "")}");
        }
        sql.AddRange(Statements(wanted).Where(s => TableOf(s) is { } table && !tables.Contains(table)));
        sql.AddRange(missingIndexes.Where(i => tables.Contains(i.Value.Table)).Select(i => i.Value.Definition.Replace($" ON {Scratch}.", " ON ", StringComparison.Ordinal)));
        return sql;
    }

    /// <summary>The statements of EF Core's script that make a table or its indexes; each ends with a semicolon at the end of a line.</summary>
    private static IEnumerable<string> Statements(string script) =>
        script.Split(";\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Where(s => s.StartsWith("CREATE TABLE \"", StringComparison.Ordinal) || s.StartsWith("CREATE INDEX \"", StringComparison.Ordinal)
            || s.StartsWith("CREATE UNIQUE INDEX \"", StringComparison.Ordinal) || s.StartsWith("CREATE TABLE ", StringComparison.Ordinal) && !s.StartsWith("CREATE TABLE IF", StringComparison.Ordinal));

    private static string? TableOf(string statement)
    {
        var at = statement.StartsWith("CREATE TABLE ", StringComparison.Ordinal) ? "CREATE TABLE ".Length : statement.IndexOf(" ON ", StringComparison.Ordinal) + 4;
        var rest = statement[at..];
        return rest[..rest.AsSpan().IndexOfAny(" (\r\n")].Trim('"');
    }

    private static Dictionary<(string Table, string Name), Column> Columns(NpgsqlConnection connection, NpgsqlTransaction transaction, string schema, string? own = null)
    {
        using var command = new NpgsqlCommand($"""
            SELECT c.table_name, c.column_name, c.data_type, c.is_nullable = 'NO', c.column_default,
                EXISTS (SELECT 1 FROM information_schema.table_constraints t JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
                    WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = c.table_schema AND t.table_name = c.table_name AND k.column_name = c.column_name)
            FROM information_schema.columns c JOIN information_schema.tables o USING (table_schema, table_name) WHERE c.table_schema = {schema} AND o.table_type = 'BASE TABLE' ORDER BY c.table_name, c.ordinal_position
            """, connection, transaction);
        if (own is not null)
            command.Parameters.AddWithValue("@own", own);
        var columns = new Dictionary<(string, string), Column>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            columns[(reader.GetString(0), reader.GetString(1))] = new(reader.GetString(2), reader.GetBoolean(3), reader.IsDBNull(4) ? null : reader.GetString(4), reader.GetBoolean(5));
        return columns;
    }

    private static Dictionary<string, (string Table, string Definition)> Indexes(NpgsqlConnection connection, NpgsqlTransaction transaction, string schema)
    {
        using var command = new NpgsqlCommand("SELECT indexname, tablename, indexdef FROM pg_indexes WHERE schemaname = @schema", connection, transaction);
        command.Parameters.AddWithValue("@schema", schema);
        var indexes = new Dictionary<string, (string, string)>(StringComparer.Ordinal);
        using var reader = command.ExecuteReader();
        while (reader.Read())
            indexes[reader.GetString(0)] = (reader.GetString(1), reader.GetString(2));
        return indexes;
    }

    private static string Quote(string name) => '"' + name.Replace("\"", "\"\"", StringComparison.Ordinal) + '"';

    private static void Execute(NpgsqlConnection connection, NpgsqlTransaction transaction, string sql)
    {
        using var command = new NpgsqlCommand(sql, connection, transaction);
        command.ExecuteNonQuery();
    }
}
