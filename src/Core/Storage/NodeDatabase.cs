using System.Data.Common;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Storage;

namespace Gongzhi.Core.Storage;

/// <summary>Opening and creating the node's SQL database, whichever it is; see <see cref="SqlStore"/>.</summary>
public static class NodeDatabase
{
    /// <summary>Opens a connection for writing with the settings durability depends on.</summary>
    public static DbConnection OpenWriter(World world) => SqlStore.Of(world).OpenWriter(world);

    /// <summary>Opens a pooled connection for reading; readers never wait for the writer.</summary>
    public static DbConnection OpenReader(World world) => SqlStore.Of(world).OpenReader(world);

    /// <summary>Which world a PostgreSQL database holds: the one that first claimed it.</summary>
    /// <exception cref="SchemaException">It holds something else.</exception>
    public static WorldClaim Claim(World world, WorldClaim wanted) => PostgresSchema.Claim(world, wanted);

    /// <summary>Whether a copy of a world into the PostgreSQL database was begun and not finished.</summary>
    public static bool IsUnfinishedCopy(World world)
    {
        using var connection = (Npgsql.NpgsqlConnection)PostgresStore.Instance.OpenReadOnly(world);
        using var transaction = connection.BeginTransaction();
        return Copying.PostgresTables.IsUnfinished(connection, transaction);
    }

    /// <summary>How large the log of a PostgreSQL database that came back from a backup is known to have been; null when it did not, or was allowed to go on since.</summary>
    public static long? Restored(World world)
    {
        using var connection = (Npgsql.NpgsqlConnection)PostgresStore.Instance.OpenReadOnly(world);
        using var transaction = connection.BeginTransaction();
        return Copying.PostgresTables.Restored(connection, transaction);
    }

    /// <summary>A PostgreSQL database that came back from a backup may go on.</summary>
    public static void ForgetRestored(World world) => Copying.PostgresTables.ForgetRestored(world);

    /// <summary>Of a PostgreSQL database that came back from a backup, what its log is known to have had beyond is given up.</summary>
    public static void GiveUpMissing(World world) => Copying.PostgresTables.GiveUpMissing(world);

    /// <summary>Keeps other nodes off a PostgreSQL database until the answer is disposed; null when one is on it.</summary>
    public static IDisposable? TryHold(World world) => PostgresStore.TryHold(world);

    /// <summary>Waits to be the only machine of a shared world that does this, until the answer is disposed; at once where a world has one machine.</summary>
    public static async Task<IDisposable?> AloneAsync(World world, OnlyOne what, CancellationToken cancel)
    {
        IDisposable? held = null;
        while (world.Shared && (held = await Task.Run(() => PostgresStore.TryAlone(world, what), cancel).ConfigureAwait(false)) is null)
            await Task.Delay(AlonePause, TimeProvider.System, cancel).ConfigureAwait(false);
        return held;
    }

    private static readonly TimeSpan AlonePause = TimeSpan.FromMilliseconds(100);

    /// <summary>A transaction on a reader's connection in which every statement sees the same moment.</summary>
    public static DbTransaction BeginSnapshot(this DbConnection connection) => SqlStore.Of(connection).BeginSnapshot(connection);

    public static void Configure(DbContextOptionsBuilder options, World world)
    {
        SqlStore.Of(world).Configure(options, world);
        options.AddInterceptors(new Audit.AuditInterceptor(), new Audit.BypassGuard()).ReplaceService<IModelCacheKeyFactory, PartsModelCacheKeyFactory>();
    }

    /// <summary>Makes the schema on an empty disk, or brings an older one to what this program needs; see <see cref="SchemaUpgrade"/>.</summary>
    /// <exception cref="SchemaException">A newer program wrote it, or there is no way from what it is.</exception>
    public static void Prepare(World world, NodeDb db, IEnumerable<IHotSchema> hotSchemas) =>
        PrepareWith(world, db, hotSchemas, SchemaUpgrade.Steps, SchemaUpgrade.Steps[^1].To);

    internal static void PrepareWith(World world, NodeDb db, IEnumerable<IHotSchema> hotSchemas, IEnumerable<SchemaStep> steps, int latest)
    {
        var store = SqlStore.Of(world);
        var always = string.Join('\n', hotSchemas.Select(s => s.Sql(store)).Prepend(Audit.AuditSchema.For(db.Model, store)));
        var creator = (RelationalDatabaseCreator)db.GetService<IRelationalDatabaseCreator>();
        store.Prepare(world, creator.GenerateCreateScript(), always, steps, latest);
    }
}

/// <summary>What machines of one world do one after another.</summary>
public enum OnlyOne { Reshapes, Starts }

/// <summary>Tables on a hot path, written as plain SQL (<c>CREATE TABLE IF NOT EXISTS</c>) beside the code that uses them.</summary>
public interface IHotSchema
{
    /// <summary>In the words of the given database.</summary>
    string Sql(SqlStore store);
}
