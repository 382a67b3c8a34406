using System.Data.Common;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>Where a world's log is kept: as files in its directory, or beside its state when several machines may serve it.</summary>
public static class LedgerFiles
{
    /// <summary>To be written to; makes the directory where there is one.</summary>
    public static ITileStore Open(World world) => world.Database is null ? new FileTileStore(world.LedgerDirectory) : new SqlTileStore(world);

    /// <summary>To be read; makes nothing.</summary>
    public static ITileSource Look(World world) => world.Database is null ? new DirectoryTileSource(world.LedgerDirectory) : new SqlTileStore(world);

    /// <summary>Puts a checkpoint of the same tree under another key in the place of one, if that is still there.</summary>
    internal static async Task ReplaceCheckpointAsync(World world, ReadOnlyMemory<byte> old, ReadOnlyMemory<byte> next, CancellationToken cancel)
    {
        if (world.Database is null)
            await Open(world).WriteAsync([new(TilePath.Checkpoint, next)], cancel).ConfigureAwait(false);
        else
            await SqlTileStore.ReplaceCheckpointAsync(world, old, next, cancel).ConfigureAwait(false);
    }

    /// <summary>The size of the checkpoint that any machine has published; null where only this process publishes, and knows.</summary>
    internal static async Task<long?> PublishedSizeAsync(World world, CancellationToken cancel)
    {
        if (world.Database is null)
            return null;
        var connection = NodeDatabase.OpenReader(world);
        await using (connection.ConfigureAwait(false))
        {
            using var command = connection.Command(SqlTileStore.PublishedSize);
            return await command.ExecuteScalarAsync(cancel).ConfigureAwait(false) as long? ?? 0;
        }
    }

    /// <summary>The tlog-tiles paths of the tiles and bundles that are kept, superseded partial ones included.</summary>
    public static IEnumerable<string> Tiles(World world)
    {
        if (world.Database is not null)
            return SqlTileStore.Names(world);
        var directory = Path.Combine(world.LedgerDirectory, "tile");
        return !Directory.Exists(directory) ? []
            : Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(world.LedgerDirectory, f).Replace(Path.DirectorySeparatorChar, '/'));
    }
}

/// <summary>
/// The log's tiles and checkpoint in two tables of the PostgreSQL database that holds the state, so that every machine serves the same log. Written on connections of its own:
/// tiles are derived from what the state has committed, and need not stand in line with the changes.
/// </summary>
/// <remarks>
/// A tile's bytes follow from its path and the log, so writing it twice does no harm. The checkpoint is replaced in one statement by a larger one alone: a machine that was frozen
/// before it published cannot put an older one back.
/// </remarks>
public sealed class SqlTileStore(World world) : ITileStore
{
    /// <summary>The size of the published checkpoint; no row before the first. For whoever asks it together with other things.</summary>
    public const string PublishedSize = "SELECT size FROM ledger_checkpoint WHERE one = 1";

    internal static string Schema(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS ledger_tile (
            path {store.Text} NOT NULL PRIMARY KEY,
            content {store.Bytes} NOT NULL
        );

        CREATE TABLE IF NOT EXISTS ledger_checkpoint (
            one {store.Number} PRIMARY KEY CHECK (one = 1),
            size {store.Number} NOT NULL,
            note {store.Bytes} NOT NULL
        );
        """;

    /// <inheritdoc />
    public async ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default)
    {
        Demand(path);
        var connection = NodeDatabase.OpenReader(world);
        await using (connection.ConfigureAwait(false))
        {
            var from = path == TilePath.Checkpoint ? "note AS content FROM ledger_checkpoint WHERE one = 1" : "content FROM ledger_tile WHERE path = @path";
            using var command = connection.Command($"SELECT octet_length(content), CASE WHEN octet_length(content) <= @max THEN content END FROM (SELECT {from}) f").Set("@max", bytesMax);
            if (path != TilePath.Checkpoint)
                command.Set("@path", path);
            var reader = await command.ExecuteReaderAsync(cancel).ConfigureAwait(false);
            await using (reader.ConfigureAwait(false))
            {
                if (!await reader.ReadAsync(cancel).ConfigureAwait(false))
                    return null;
                return reader[1] as byte[] ?? throw new InvalidDataException($"{path} is longer than {bytesMax} bytes.");
            }
        }
    }

    /// <inheritdoc />
    public async ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        var connection = PostgresStore.OpenLedger(world);
        await using (connection.ConfigureAwait(false))
        {
            // One round trip and one transaction. By path, so that two who write the same tiles wait for each other and never in a circle.
            using var batch = connection.CreateBatch();
            foreach (var file in files.OrderBy(f => f.Path, StringComparer.Ordinal))
                batch.BatchCommands.Add(Write(batch, file));
            var transaction = await connection.BeginTransactionAsync(cancel).ConfigureAwait(false);
            await using (transaction.ConfigureAwait(false))
            {
                batch.Transaction = transaction;
                await batch.ExecuteNonQueryAsync(cancel).ConfigureAwait(false);
                await transaction.CommitAsync(cancel).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc />
    public async ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default)
    {
        Demand(fullTilePath);
        try
        {
            var connection = PostgresStore.OpenLedger(world);
            await using (connection.ConfigureAwait(false))
            {
                // '0' is the character after '/', and text sorts by its bytes.
                using var command = connection.Command("DELETE FROM ledger_tile WHERE path > @from AND path < @to").Set("@from", fullTilePath + ".p/").Set("@to", fullTilePath + ".p0");
                await command.ExecuteNonQueryAsync(cancel).ConfigureAwait(false);
            }
        }
        catch (DbException e)
        {
            throw new IOException("Superseded tiles could not be removed.", e);
        }
    }

    internal static async Task ReplaceCheckpointAsync(World world, ReadOnlyMemory<byte> old, ReadOnlyMemory<byte> next, CancellationToken cancel)
    {
        var connection = PostgresStore.OpenLedger(world);
        await using (connection.ConfigureAwait(false))
        {
            using var command = connection.Command("UPDATE ledger_checkpoint SET note = @next WHERE one = 1 AND note = @old").Set("@next", next.ToArray()).Set("@old", old.ToArray());
            await command.ExecuteNonQueryAsync(cancel).ConfigureAwait(false);
        }
    }

    internal static IEnumerable<string> Names(World world)
    {
        using var connection = SqlStore.Of(world).OpenReadOnly(world);
        using var command = connection.Command("SELECT path FROM ledger_tile ORDER BY path");
        using var reader = command.ExecuteReader();
        while (reader.Read())
            yield return reader.GetString(0);
    }

    private static DbBatchCommand Write(DbBatch batch, TileFile file)
    {
        Demand(file.Path);
        var command = batch.CreateBatchCommand();
        if (file.Path == TilePath.Checkpoint)
        {
            if (!SignedNote.TryParse(file.Content.Span, out var note) || !Checkpoint.TryParse(note.Text.Span, out var checkpoint))
                throw new ArgumentException("This is not a checkpoint.", nameof(file));
            command.CommandText = """
                INSERT INTO ledger_checkpoint(one, size, note) VALUES (1, @size, @note)
                ON CONFLICT (one) DO UPDATE SET size = excluded.size, note = excluded.note WHERE ledger_checkpoint.size < excluded.size
                """;
            Set(command, "@size", checkpoint.Size);
            Set(command, "@note", file.Content.ToArray());
        }
        else
        {
            command.CommandText = """
                INSERT INTO ledger_tile(path, content) VALUES (@path, @content)
                ON CONFLICT (path) DO UPDATE SET content = excluded.content WHERE ledger_tile.content <> excluded.content
                """;
            Set(command, "@path", file.Path);
            Set(command, "@content", file.Content.ToArray());
        }
        return command;
    }

    private static void Set(DbBatchCommand command, string name, object value)
    {
        var parameter = command.CreateParameter();
        (parameter.ParameterName, parameter.Value) = (name, value);
        command.Parameters.Add(parameter);
    }

    private static void Demand(string path)
    {
        if (path != TilePath.Checkpoint && !TilePath.TryParse(path, out _))
            throw new ArgumentException($"Not a path of a tiled log: {path}", nameof(path));
    }
}
