using System.Collections.Concurrent;
using System.Data.Common;
using System.Text.RegularExpressions;
using Gongzhi.Core;
using Gongzhi.Core.Storage;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace Gongzhi.Tests.Shared;

/// <summary>
/// Which SQL database the tests of this run work on: SQLite, or with GONGZHI_TEST_STORE=postgres a PostgreSQL database for each data directory. The same tests run on both; those that
/// are about SQLite's own file say so (<see cref="OnlySqlite"/>).
/// </summary>
public static partial class TestStore
{
    private static readonly ConcurrentDictionary<string, Task<string>> Databases = new(StringComparer.Ordinal);

    public static bool IsPostgres { get; } = Environment.GetEnvironmentVariable("GONGZHI_TEST_STORE") == "postgres";

    /// <summary>The database of a data directory, the same each time it is asked for; null on SQLite.</summary>
    public static PostgresAddress? Of(string directory) =>
        IsPostgres ? new PostgresAddress(Databases.GetOrAdd(Path.GetFullPath(directory), _ => NewAsync(null)).GetAwaiter().GetResult()) : null;

    private static readonly ConcurrentDictionary<string, Lazy<Task<string>>> Prepared = new(StringComparer.Ordinal);

    /// <summary>Likewise; a new database is a copy of one whose schema was made once for the whole run.</summary>
    /// <param name="directory">The data directory.</param>
    /// <param name="schema">Of which schema, by a name.</param>
    /// <param name="prepare">Makes it in an empty database.</param>
    /// <param name="postgres">Whether it is PostgreSQL whatever the tests of this run work on.</param>
    public static PostgresAddress? Of(string directory, string schema, Action<PostgresAddress> prepare, bool postgres = false) => !IsPostgres && !postgres ? null
        : new PostgresAddress(Databases.GetOrAdd(Path.GetFullPath(directory), async _ =>
        {
            var template = await Prepared.GetOrAdd(schema, _ => new(async () =>
            {
                var made = await NewAsync(null).ConfigureAwait(false);
                prepare(new PostgresAddress(made));
                NpgsqlConnection.ClearAllPools();
                return Name(made);
            })).Value.ConfigureAwait(false);
            return await NewAsync(template).ConfigureAwait(false);
        }).GetAwaiter().GetResult());

    /// <summary>A PostgreSQL database for a data directory whatever the tests of this run work on: for what only several machines have.</summary>
    public static PostgresAddress Postgres(string directory) =>
        new(Databases.GetOrAdd(Path.GetFullPath(directory), _ => NewAsync(null)).GetAwaiter().GetResult());

    /// <summary>The log as files: a world's own directory, or a copy of what its database has now.</summary>
    public static string LogDirectory(World world)
    {
        if (world.Database is null)
            return world.LedgerDirectory;
        var copy = Path.Combine(world.DataDirectory, "log-copy");
        if (Directory.Exists(copy))
            Directory.Delete(copy, recursive: true);
        using var shell = OpenShell(world);
        using var command = shell.Command("SELECT path, content FROM ledger_tile UNION ALL SELECT 'checkpoint', note FROM ledger_checkpoint");
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            var path = Path.Combine(copy, reader.GetString(0));
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, (byte[])reader[1]);
        }
        return copy;
    }

    /// <summary>Puts other bytes in the place of a file of the log, by its tlog-tiles path, as somebody with a shell on the machine could.</summary>
    public static void ReplaceLogFile(World world, string name, byte[] content)
    {
        if (world.Database is null)
        {
            // Under another name first: a node that is reading the old file goes on with it.
            var path = Path.Combine(world.LedgerDirectory, name);
            File.WriteAllBytes(path + ".new", content);
            File.Move(path + ".new", path, overwrite: true);
            return;
        }
        using var shell = OpenShell(world);
        using var command = shell.Command(name == "checkpoint" ? "UPDATE ledger_checkpoint SET note = @content" : "UPDATE ledger_tile SET content = @content WHERE path = @path").Set("@content", content);
        if (name != "checkpoint")
            command.Set("@path", name);
        Assert.Equal(1, command.ExecuteNonQuery());
    }

    /// <summary>The database of one directory as another's own: for a copy of a whole node. The first must be at rest.</summary>
    public static void Copy(string from, string to)
    {
        if (!Databases.ContainsKey(Path.GetFullPath(from)))
            return;
        NpgsqlConnection.ClearAllPools();
        var copy = NewAsync(Name(Databases[Path.GetFullPath(from)].GetAwaiter().GetResult()));
        // Before anybody opens the first again.
        copy.GetAwaiter().GetResult();
        Databases[Path.GetFullPath(to)] = copy;
    }

    /// <summary>Closes connections that are kept for the next who asks: a node that was stopped has none.</summary>
    public static void Release()
    {
        SqliteConnection.ClearAllPools();
        if (!Databases.IsEmpty)
            NpgsqlConnection.ClearAllPools();
    }

    /// <summary>Removes the database with its data directory.</summary>
    public static void Drop(string directory)
    {
        if (!Databases.TryRemove(Path.GetFullPath(directory), out var made))
            return;
        NpgsqlConnection.ClearAllPools();
        PostgresServer.Shared.GetAwaiter().GetResult().ExecuteAsync($"DROP DATABASE {Name(made.GetAwaiter().GetResult())} WITH (FORCE)").GetAwaiter().GetResult();
    }

    /// <summary>Skips a test of what only SQLite has: a file of its own, its journal, its functions.</summary>
    public static void OnlySqlite() => Assert.SkipWhen(IsPostgres, "This is about SQLite's own file.");

    /// <summary>
    /// Changes a database behind the program's back, as somebody with a shell on the machine could. The statements are SQLite's; on PostgreSQL the few words that differ are put into its own.
    /// </summary>
    /// <returns>Rows changed.</returns>
    public static int Tamper(World world, string sql, params (string Name, object Value)[] values)
    {
        using var connection = OpenShell(world);
        using var command = connection.CreateCommand();
        // Foreign keys are triggers there, and so are the guards.
        command.CommandText = connection is NpgsqlConnection ? "SET session_replication_role = replica; " + ToPostgres(sql) : sql;
        foreach (var (name, value) in values)
            command.Set("@" + name, value);
        return command.ExecuteNonQuery();
    }

    /// <summary>Tables and indexes of a PostgreSQL database whose files hold the bytes anywhere; SQLite's file is found with the other files of the node.</summary>
    public static List<string> TablesHolding(World world, byte[] bytes)
    {
        var found = new List<string>();
        if (world.Database is null)
            return found;
        using var shell = OpenShell(world);
        using (var written = shell.Command("CHECKPOINT"))
            written.ExecuteNonQuery();
        using var command = shell.Command("""
            SELECT c.relname, pg_read_binary_file(pg_relation_filepath(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'i', 't') AND n.nspname IN ('public', 'pg_toast') AND pg_relation_filepath(c.oid) IS NOT NULL
            """);
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            if (((byte[])reader[1]).AsSpan().IndexOf(bytes) >= 0)
                found.Add(reader.GetString(0));
        }
        return found;
    }

    /// <summary>A connection that no rule of the program holds back: keys are not checked, and the audit's gate stands open.</summary>
    public static DbConnection OpenShell(World world)
    {
        if (world.Database is { } database)
        {
            var postgres = new NpgsqlConnection(database.ConnectionString + ";Pooling=false");
            postgres.Open();
            using var settings = postgres.Command("SELECT set_config('gongzhi.audit', 'open', false)");
            settings.ExecuteNonQuery();
            return postgres;
        }
        var connection = new SqliteConnection($"Data Source={world.DatabasePath};Pooling=False;Foreign Keys=False;Default Timeout=30");
        connection.Open();
        connection.CreateFunction("gz_audit_open", () => 1L);
        connection.CreateFunction("gz_leaf", (byte[] row, byte[] salt) => Ledger.MerkleTree.LeafHash([.. row, .. salt]));
        return connection;
    }

    /// <summary>Statements in SQLite's words, in those of the database of this run.</summary>
    public static string Sql(string sqlite) => IsPostgres ? ToPostgres(sqlite) : sqlite;

    private static string ToPostgres(string sql)
    {
        sql = DroppedTrigger().Replace(sql, m => $"DROP TRIGGER \"{m.Groups["name"].Value}\" ON {Table(m.Groups["name"].Value)}");
        sql = ReplacedText().Replace(sql, m => $"convert_to(replace(convert_from({m.Groups[1].Value}, 'UTF8'), {m.Groups[2].Value}, {m.Groups[3].Value}), 'UTF8')");
        sql = Bytes().Replace(sql, m => $"'\\x{m.Groups[1].Value}'::bytea");
        sql = MadeTrigger().Replace(sql, m => $"{m.Groups[1].Value} EXECUTE FUNCTION gz_refuse('{m.Groups[2].Value}')");
        return sql.Replace("AS BLOB)", "AS bytea)", StringComparison.Ordinal).Replace("randomblob(16)", "decode(md5(random()::text), 'hex')", StringComparison.Ordinal)
            .Replace("zeroblob(16)", "decode(repeat('00', 16), 'hex')", StringComparison.Ordinal)
            .Replace("gz_leaf(row, salt)", "sha256('\\x00'::bytea || row || coalesce(salt, ''::bytea))", StringComparison.Ordinal);
    }

    private static string Table(string trigger) =>
        trigger.StartsWith("audited_", StringComparison.Ordinal) ? trigger["audited_".Length..trigger.LastIndexOf('_')] : trigger[..trigger.LastIndexOf('_')];

    private static string Name(string connectionString) => new NpgsqlConnectionStringBuilder(connectionString).Database!;

    private static async Task<string> NewAsync(string? template)
    {
        if (PostgresServer.Missing is { } missing)
            throw new InvalidOperationException(missing);
        return await (await PostgresServer.Shared.ConfigureAwait(false)).NewDatabaseAsync(template).ConfigureAwait(false);
    }

    [GeneratedRegex(@"DROP TRIGGER (?<name>\w+)")]
    private static partial Regex DroppedTrigger();

    [GeneratedRegex(@"(CREATE TRIGGER \w+ BEFORE \w+ ON \w+) BEGIN SELECT RAISE\(ABORT, '([^']*)'\); END")]
    private static partial Regex MadeTrigger();

    [GeneratedRegex(@"CAST\(replace\(CAST\((\w+) AS TEXT\), ('\w+'), ('\w+')\) AS BLOB\)")]
    private static partial Regex ReplacedText();

    [GeneratedRegex(@"[xX]'([0-9A-Fa-f]*)'")]
    private static partial Regex Bytes();
}
