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

    /// <summary>Makes the schema on an empty disk, or brings an older one to what this program needs; see <see cref="SchemaUpgrade"/>.</summary>
    /// <exception cref="SchemaException">A newer program wrote it, or there is no way from what it is.</exception>
    public static void Prepare(World world, NodeDb db, IEnumerable<IHotSchema> hotSchemas) =>
        PrepareWith(world, db, hotSchemas, SchemaUpgrade.Steps, SchemaUpgrade.Steps[^1].To);

    internal static void PrepareWith(World world, NodeDb db, IEnumerable<IHotSchema> hotSchemas, IEnumerable<SchemaStep> steps, int latest)
    {
        Directory.CreateDirectory(world.DataDirectory);
        var always = string.Join('\n', hotSchemas.Select(s => s.Sql).Prepend(Audit.AuditSchema.For(db.Model)));
        var creator = (RelationalDatabaseCreator)db.GetService<IRelationalDatabaseCreator>();
        using var connection = OpenConnection(ConnectionString(world));
        SchemaUpgrade.Run(world, connection, creator.GenerateCreateScript() + '\n' + always, always, steps, latest);
    }
}

/// <summary>Tables on a hot path, written as plain SQL (<c>CREATE TABLE IF NOT EXISTS</c>) beside the code that uses them.</summary>
public interface IHotSchema
{
    string Sql { get; }
}
