using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Storage;

namespace Gongzhi.Core.Storage;

/// <summary>Opening and creating the node's SQLite database: WAL, synchronous=FULL, so that a returned COMMIT is on the disk.</summary>
public static class NodeDatabase
{
    public static string ConnectionString(World world) => new SqliteConnectionStringBuilder
    {
        DataSource = world.DatabasePath,
        Mode = SqliteOpenMode.ReadWriteCreate,
        Cache = SqliteCacheMode.Private,
        DefaultTimeout = 30,
        Pooling = true,
    }.ToString();

    /// <summary>Opens a connection for writing with the settings durability depends on.</summary>
    public static SqliteConnection OpenConnection(string connectionString)
    {
        var connection = new SqliteConnection(connectionString);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=30000; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;";
        command.ExecuteNonQuery();
        return connection;
    }

    /// <summary>Opens a pooled connection for reading; in WAL mode readers never wait for the writer.</summary>
    public static SqliteConnection OpenReader(World world)
    {
        var connection = new SqliteConnection(ConnectionString(world));
        connection.Open();
        return connection;
    }

    /// <summary>
    /// Copies the journal into the database and empties it, so that nothing of what was overwritten stays in it. Waits for readers that still
    /// look at the past.
    /// </summary>
    /// <exception cref="StoreUnavailableException">They did not end in time.</exception>
    public static Task TruncateJournalAsync(World world, CancellationToken cancel) => Task.Run(() =>
    {
        using var connection = OpenConnection(ConnectionString(world));
        using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA wal_checkpoint(TRUNCATE)";
        using var reader = command.ExecuteReader();
        if (!reader.Read() || reader.GetInt64(0) != 0)
            throw new StoreUnavailableException(new TimeoutException("The journal is still being read."));
    }, cancel);

    public static void Configure(DbContextOptionsBuilder options, World world) =>
        options.UseSqlite(ConnectionString(world))
            .AddInterceptors(new Audit.AuditInterceptor(), new Audit.BypassGuard())
            .ReplaceService<IModelCacheKeyFactory, PartsModelCacheKeyFactory>();

    /// <summary>
    /// Brings the schema to what this program needs: creates tables, indexes and columns that are missing, never drops one. The
    /// version of the plain-SQL part is in <c>PRAGMA user_version</c>; a database from a newer program is refused.
    /// </summary>
    public static void Prepare(World world, NodeDb db, IEnumerable<IHotSchema> hotSchemas)
    {
        Directory.CreateDirectory(world.DataDirectory);
        using var connection = OpenConnection(ConnectionString(world));
        using var version = connection.CreateCommand();
        version.CommandText = "PRAGMA user_version";
        var found = Convert.ToInt32(version.ExecuteScalar(), System.Globalization.CultureInfo.InvariantCulture);
        if (found > SchemaVersion)
            throw new InvalidOperationException(
                $"The database was written by a newer program (schema {found}, this program knows {SchemaVersion}). Start the newer program, or restore a backup.");
        using var transaction = connection.BeginTransaction();
        if (found == 0)
        {
            var creator = (RelationalDatabaseCreator)db.GetService<IRelationalDatabaseCreator>();
            Execute(connection, transaction, creator.GenerateCreateScript());
        }
        Execute(connection, transaction, Audit.AuditSchema.For(db.Model));
        foreach (var schema in hotSchemas)
            Execute(connection, transaction, schema.Sql);
        // Nothing is written when nothing is missing, so that a node starts on a full disk.
        if (found != SchemaVersion)
            Execute(connection, transaction, $"PRAGMA user_version={SchemaVersion}");
        world.Durably("commit schema", transaction.Commit);
    }

    /// <summary>Raised with each change of the schema; the change itself goes into <see cref="Prepare"/>.</summary>
    public const int SchemaVersion = 1;

    private static void Execute(SqliteConnection connection, SqliteTransaction transaction, string sql)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}

/// <summary>Tables on a hot path, written as plain SQL (<c>CREATE TABLE IF NOT EXISTS</c>) beside the code that uses them.</summary>
public interface IHotSchema
{
    string Sql { get; }
}
