using System.Data.Common;
using System.Runtime.CompilerServices;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Storage;

/// <summary>One file in the world's directory: WAL, synchronous=FULL, so that a returned COMMIT is on the disk.</summary>
internal sealed class SqliteStore : SqlStore
{
    public static readonly SqliteStore Instance = new();

    private const int Busy = 5, Locked = 6, Full = 13, Constraint = 19;

    public override string Bytes => "BLOB";
    public override string Number => "INTEGER";
    public override string Text => "TEXT";
    public override string Counter => "INTEGER PRIMARY KEY";
    public override string Sequence => "INTEGER PRIMARY KEY AUTOINCREMENT";
    public override string Clustered => " WITHOUT ROWID";

    public override string Describe(World world) => world.DatabasePath;

    public override bool IsThere(World world) => File.Exists(world.DatabasePath);

    public override bool IsElsewhere => false;

    public override DbConnection OpenWriter(World world)
    {
        var connection = new SqliteConnection(ConnectionString(world));
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=30000; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;";
        command.ExecuteNonQuery();
        return connection;
    }

    /// <summary>In WAL mode readers never wait for the writer.</summary>
    public override DbConnection OpenReader(World world)
    {
        var connection = new SqliteConnection(ConnectionString(world));
        connection.Open();
        return connection;
    }

    /// <summary>
    /// A database in WAL mode wants to make its two side files even for reading; where the directory does not allow that and no such file waits to be read, it is
    /// opened as immutable.
    /// </summary>
    internal override DbConnection OpenReadOnly(World world)
    {
        var settings = new SqliteConnectionStringBuilder { DataSource = world.DatabasePath, Mode = SqliteOpenMode.ReadOnly, Pooling = false, DefaultTimeout = 30 };
        var connection = new SqliteConnection(settings.ToString());
        try
        {
            connection.Open();
            using var probe = connection.Command("SELECT count(*) FROM sqlite_master");
            probe.ExecuteScalar();
            return connection;
        }
        catch (SqliteException e) when (e.SqliteErrorCode is 8 or 14 && !File.Exists(world.DatabasePath + "-wal"))
        {
            connection.Dispose();
            settings.DataSource = $"file:{Uri.EscapeDataString(world.DatabasePath).Replace("%2F", "/", StringComparison.Ordinal)}?immutable=1";
            connection = new SqliteConnection(settings.ToString());
            connection.Open();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    internal override IReadOnlyList<string> Faults(DbConnection connection, DbTransaction transaction)
    {
        using var command = connection.Command("PRAGMA quick_check(20)", transaction);
        using var reader = command.ExecuteReader();
        var faults = new List<string>();
        while (reader.Read())
        {
            if (reader.GetString(0) is var said && said != "ok")
                faults.Add(said);
        }
        return faults;
    }

    public override DbTransaction BeginSnapshot(DbConnection connection) => ((SqliteConnection)connection).BeginTransaction(deferred: true);

    public override DbTransaction BeginWrite(DbConnection connection) => ((SqliteConnection)connection).BeginTransaction(deferred: false);

    /// <summary>No room, busy or locked: SQLite gave up before the frame that makes a transaction count was written.</summary>
    public override bool KeptNothing(Exception e) => e is SqliteException { SqliteErrorCode: Busy or Locked or Full };

    public override bool IsDuplicate(Exception e, string table, string column) =>
        e is SqliteException { SqliteErrorCode: Constraint } && e.Message.Contains($"{table}.{column}", StringComparison.Ordinal);

    public override bool HasTable(DbConnection connection, DbTransaction? transaction, string name)
    {
        using var command = connection.Command("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = @name", transaction).Set("@name", name);
        return command.ExecuteScalar() is not null;
    }

    internal override IReadOnlyCollection<string> Triggers(DbConnection connection, DbTransaction? transaction)
    {
        var there = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        using var command = connection.Command("SELECT name FROM sqlite_master WHERE type = 'trigger'", transaction);
        using var reader = command.ExecuteReader();
        while (reader.Read())
            there.Add(reader.GetString(0));
        return there;
    }

    public override void Configure(DbContextOptionsBuilder options, World world) => options.UseSqlite(ConnectionString(world));

    internal override void Prepare(World world, string create, string always, IEnumerable<SchemaStep> steps, int latest)
    {
        Directory.CreateDirectory(world.DataDirectory);
        using var connection = (SqliteConnection)OpenWriter(world);
        SchemaUpgrade.Run(world, connection, create + '\n' + always, always, steps, latest);
    }

    // INSERT OR REPLACE removes the row it replaces without asking the DELETE trigger (recursive_triggers is off unless a connection says otherwise),
    // so what is there already is looked for before each insert.
    internal override IReadOnlyList<Audit.Guard> Keep(string table, string what) =>
    [
        Guard($"{table}_kept", $"BEFORE DELETE ON {table}", $"{what} is never removed"),
        Guard($"{table}_fixed", $"BEFORE UPDATE ON {table}", $"{what} never changes"),
        Guard($"{table}_once", $"BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id OR seq = NEW.seq)", $"{what} is never replaced"),
    ];

    internal override IReadOnlyList<Audit.Guard> KeepPending() =>
    [
        Guard("ledger_pending_fixed", "BEFORE UPDATE OF id, entry, created ON ledger_pending", "a ledger entry never changes"),
        Guard("ledger_pending_kept", "BEFORE DELETE ON ledger_pending", "a ledger entry is never removed"),
        Guard("ledger_pending_placed", "BEFORE UPDATE OF log_index ON ledger_pending WHEN OLD.log_index IS NOT NULL OR EXISTS (SELECT 1 FROM ledger_pending WHERE log_index = NEW.log_index)",
            "a ledger entry keeps its index, and an index its entry"),
        Guard("ledger_pending_once", "BEFORE INSERT ON ledger_pending WHEN NEW.log_index IS NOT NULL OR EXISTS (SELECT 1 FROM ledger_pending WHERE id = NEW.id OR rowid = NEW.rowid)",
            "a ledger entry is never replaced, and waits for its index"),
    ];

    internal override IReadOnlyList<Audit.Guard> Close(string table, IReadOnlyList<string> verbs, string message) =>
        [.. verbs.Select(verb => Guard($"audited_{table}_{verb}", $"BEFORE {verb} ON {Audit.AuditSchema.Quote(table)} WHEN {GateFunction}() = 0", message))];

    private static Audit.Guard Guard(string name, string when, string message) =>
        new(name, $"CREATE TRIGGER IF NOT EXISTS {Audit.AuditSchema.Quote(name)} {when}\nBEGIN SELECT RAISE(ABORT, '{message}'); END;");

    /// <summary>Registered on a connection only by an audited save; elsewhere (a shell, a raw command) the triggers fail for want of it.</summary>
    private const string GateFunction = "gz_audit_open";

    private static readonly ConditionalWeakTable<SqliteConnection, StrongBox<bool>> Gates = [];

    internal override void SetAuditGate(DbConnection connection, DbTransaction transaction, bool open) =>
        Gates.GetValue((SqliteConnection)connection, static c =>
        {
            var gate = new StrongBox<bool>();
            c.CreateFunction(GateFunction, () => Volatile.Read(ref gate.Value) ? 1L : 0L);
            return gate;
        }).Value = open;

    public override string Literal(ReadOnlySpan<byte> bytes) => $"X'{Convert.ToHexString(bytes)}'";

    internal override string JsonText(string bytesColumn, string member) => $"json_extract(CAST({bytesColumn} AS TEXT), '$.{member}')";

    internal override string IsJson(string bytesColumn) => $"json_valid(CAST({bytesColumn} AS TEXT))";

    internal override string JsonNumber(string bytesColumn, string member) => JsonText(bytesColumn, member);

    internal override string JsonItems(string bytesColumn, string member) => $"json_each(CAST({bytesColumn} AS TEXT), '$.{member}') e";

    internal override string JsonItemText(string member) => $"json_extract(e.value, '$.{member}')";

    internal override string Contains(string text, string part) => $"instr({text}, {part}) > 0";

    internal override string IsOneOf(string column, string parameter) => $"{column} IN (SELECT value FROM json_each({parameter}))";

    // Deleted cells are overwritten (secure_delete), but a page that was split may keep a copy of a cell that moved away in its free space. So the tail is written anew:
    // freed pages are overwritten whole, and the new ones never held what is gone.
    internal override string TailScrub => """
        CREATE TEMP TABLE tail_kept AS SELECT * FROM tail;
        DELETE FROM tail;
        INSERT INTO tail SELECT * FROM tail_kept ORDER BY dataset, batch, ordinal;
        DROP TABLE tail_kept;
        """;

    /// <summary>
    /// Copies the journal into the database and empties it, so that nothing of what was overwritten stays in it. Waits for readers that still
    /// look at the past.
    /// </summary>
    /// <exception cref="StoreUnavailableException">They did not end in time.</exception>
    internal override Task ClearRemainsAsync(World world, CancellationToken cancel) => Task.Run(() =>
    {
        using var connection = OpenWriter(world);
        using var command = connection.Command("PRAGMA wal_checkpoint(TRUNCATE)");
        using var reader = command.ExecuteReader();
        if (!reader.Read() || reader.GetInt64(0) != 0)
            throw new StoreUnavailableException(new TimeoutException("The journal is still being read."));
    }, cancel);

    private static string ConnectionString(World world) => new SqliteConnectionStringBuilder
    {
        DataSource = world.DatabasePath,
        Mode = SqliteOpenMode.ReadWriteCreate,
        Cache = SqliteCacheMode.Private,
        DefaultTimeout = 30,
        Pooling = true,
    }.ToString();
}
