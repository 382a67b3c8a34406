using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// The data directory as this process holds it: one process at a time (a lock file), always the same world (world.json,
/// written at the first start), and readable by the node's own user alone.
/// </summary>
public sealed class WorldDirectory : IDisposable
{
    private readonly FileStream _lock;
    private readonly IDisposable? _database;

    private WorldDirectory(World world, FileStream held, IDisposable? database) => (World, _lock, _database) = (world, held, database);

    public World World { get; }

    /// <param name="options">Which directory, and what it is to be.</param>
    /// <param name="evenIfMoved">Also a directory whose world is served elsewhere now; to be read.</param>
    /// <param name="evenIfUnfinished">Also a database into which a world is still being copied; to go on with that.</param>
    /// <exception cref="StartRefusedException">It cannot be used, or not for this.</exception>
    public static WorldDirectory Open(NodeOptions options, bool evenIfMoved = false, bool evenIfUnfinished = false)
    {
        var root = Path.GetFullPath(options.Data);
        FileStream held;
        try
        {
            MakePrivate(root);
            held = new FileStream(Path.Combine(root, "node.lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartRefusedException($"The data directory {root} cannot be used, or another node is running on it: {e.Message}");
        }
        try
        {
            var world = Identify(options, root);
            foreach (var directory in new[] { world.Segments.Kind == SegmentPlaceKind.S3 ? world.SegmentCacheDirectory : world.SegmentDirectory, world.LedgerDirectory, world.SpoolDirectory, world.RejectDirectory, world.KeyDirectory })
                MakePrivate(directory);
            if (!evenIfUnfinished && File.Exists(Path.Combine(root, RestoringMark)))
                throw new StartRefusedException($"A backup is still being restored into {root}, or that was interrupted. Finish it first: call the command again that began it.");
            if (!evenIfMoved && WorldMove.MovedTo(root) is { } there)
                throw new StartRefusedException($"The world of {root} was moved to {there}. Two nodes would sign two histories under one key.");
            var database = world.Database is null ? null : Hold(world);
            try
            {
                if (database is not null && !evenIfUnfinished && NodeDatabase.IsUnfinishedCopy(world))
                    throw new StartRefusedException("A world is still being copied into the database, or that was interrupted. Finish it first: call the command again that began it.");
                WorldKeys.Demand(world);
            }
            catch (Exception e)
            {
                database?.Dispose();
                if (e is WorldKeyException)
                    throw new StartRefusedException(e.Message);
                throw;
            }
            return new WorldDirectory(world, held, database);
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _database?.Dispose();
        _lock.Dispose();
    }

    /// <summary>There while a backup is being restored into the directory.</summary>
    internal const string RestoringMark = "restoring";

    /// <summary>Written by a restore: what is here may be older than what was signed.</summary>
    internal const string RestoredMark = "restored.json";

    /// <summary>Whether the directory came back from a backup and no start has been allowed to go on from it yet.</summary>
    internal static bool IsRestored(World world) => File.Exists(Path.Combine(world.DataDirectory, RestoredMark));

    /// <summary>Somebody who would know has said that nothing newer was signed.</summary>
    internal static void NotRestored(World world) => File.Delete(Path.Combine(world.DataDirectory, RestoredMark));

    /// <summary>Keeps other nodes off the database until it is disposed.</summary>
    private static IDisposable Hold(World world)
    {
        try
        {
            return NodeDatabase.TryHold(world) ?? throw new StartRefusedException(world.Shared
                ? "A node that is not of the cluster is running on the database."
                : "Another node is running on the database.");
        }
        catch (System.Data.Common.DbException e)
        {
            throw Unreachable(e);
        }
    }

    private static Exception Unreachable(System.Data.Common.DbException e) => StoreFaults.IsUnavailable(e)
        // Trying again may help, which is another exit code.
        ? new IOException($"PostgreSQL cannot be reached: {e.GetBaseException().Message}", e)
        : new StartRefusedException($"The PostgreSQL database cannot be used: {e.GetBaseException().Message}");

    /// <summary>The name and kind a directory was made with, or null when no node was ever started on it.</summary>
    public static (string Name, string Kind)? Made(string data) =>
        Path.Combine(data, "world.json") is var path && File.Exists(path) && JsonSerializer.Deserialize<WorldFile>(File.ReadAllBytes(path)) is { } found
            ? (found.Name, found.Kind) : null;

    /// <summary>The world of a directory that a node was started on before, to look at and not to work on: no lock is taken, nothing is made. Null when there is none.</summary>
    /// <param name="database">Where the state is, when it is not in the directory.</param>
    /// <param name="segments">Where the segments are.</param>
    /// <param name="secret">The cluster's secret, when machines share their keys.</param>
    public static World? Look(string data, string? database = null, SegmentPlace? segments = null, string? secret = null)
    {
        var path = Path.Combine(Path.GetFullPath(data), "world.json");
        if (!File.Exists(path))
            return null;
        WorldFile? found;
        try
        {
            found = JsonSerializer.Deserialize<WorldFile>(File.ReadAllBytes(path));
        }
        catch (JsonException)
        {
            found = null;
        }
        return found is { Name: not null, LedgerOrigin: not null } && Enum.TryParse<WorldKind>(found.Kind, out var kind)
            ? new World
            {
                Name = found.Name, Kind = kind, DataDirectory = Path.GetFullPath(data), LedgerOrigin = found.LedgerOrigin, Segments = segments ?? SegmentPlace.Own,
                Secret = found.Postgres && secret is not null ? new ClusterSecret(secret, found.LedgerOrigin) : null,
                Database = !found.Postgres ? null : new PostgresAddress(database ?? throw new IOException("The state of this directory is in a PostgreSQL database; give GONGZHI__DATABASE.")),
            }
            : throw new IOException($"{path} cannot be read.");
    }

    private static World Identify(NodeOptions options, string root)
    {
        var path = Path.Combine(root, "world.json");
        if (File.Exists(path))
        {
            var found = JsonSerializer.Deserialize<WorldFile>(File.ReadAllBytes(path))
                ?? throw new StartRefusedException($"{path} is empty.");
            if (found.Postgres != (options.Database ?? options.Cluster) is not null)
                throw new StartRefusedException(found.Postgres
                    ? "The state of this data directory is in a PostgreSQL database; give Database as at the first start."
                    : "The state of this data directory is in a file of its own; Database cannot be given to it. Choose another data directory.");
            if (found.Name != options.World || found.Kind != options.Kind.ToString()
                || options.LedgerOrigin is { } origin && origin != found.LedgerOrigin)
                throw new StartRefusedException(
                    $"The data directory belongs to the world {found.Name} ({found.Kind}, {found.LedgerOrigin}); a world never changes its name. Choose another data directory.");
            return Make(options, root, found.LedgerOrigin);
        }
        var made = options.LedgerOrigin
            ?? $"gongzhi.invalid/{options.World}-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6))}";
        if ((options.Database ?? options.Cluster) is not null)
            made = Claim(options, root, made);
        PrivateFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(new WorldFile(options.World, options.Kind.ToString(), made, (options.Database ?? options.Cluster) is not null)));
        return Make(options, root, made);
    }

    /// <summary>The origin of the world that the database holds, which is this one if it was empty.</summary>
    private static string Claim(NodeOptions options, string root, string origin)
    {
        WorldClaim claimed;
        try
        {
            claimed = NodeDatabase.Claim(Make(options, root, origin), new WorldClaim(options.World, options.Kind, origin));
        }
        catch (SchemaException e)
        {
            throw new StartRefusedException(e.Message);
        }
        catch (System.Data.Common.DbException e)
        {
            throw Unreachable(e);
        }
        return claimed.Name == options.World && claimed.Kind == options.Kind && (options.LedgerOrigin is null || options.LedgerOrigin == claimed.Origin) ? claimed.Origin
            : throw new StartRefusedException($"The database belongs to the world {claimed.Name} ({claimed.Kind}, {claimed.Origin}); a world has a database of its own.");
    }

    private static World Make(NodeOptions options, string root, string origin) =>
        new() { Name = options.World, Kind = options.Kind, DataDirectory = root, LedgerOrigin = origin, FreeBytesMin = options.FreeBytesMin, Segments = options.SegmentPlace(), Database = Address(options), Shared = options.Cluster is not null, RetainedCheckpoint = options.RetainedCheckpoint is { } kept ? Path.GetFullPath(kept) : null, Secret = options.Secret() is { } secret ? new ClusterSecret(secret, origin) : null };

    private static PostgresAddress? Address(NodeOptions options)
    {
        if (options.Cluster is not null && options.Database is not null && options.Database != options.Cluster)
            throw new StartRefusedException("Cluster and Database name two databases; a cluster keeps the world's state where its machines know each other. Give Cluster alone.");
        if (options.Cluster is not null && options.Segments is null)
            throw new StartRefusedException("Cluster needs Segments: a directory that every machine mounts, or object storage. See docs/guide/operator.md.");
        try
        {
            return (options.Database ?? options.Cluster) is { } address ? new PostgresAddress(address) : null;
        }
        catch (ArgumentException)
        {
            throw new StartRefusedException($"{(options.Cluster is null ? "Database" : "Cluster")} is not a connection string of PostgreSQL that names a host and a database.");
        }
    }

    internal static void MakePrivate(string directory)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(directory);
        else
            Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private sealed record WorldFile(string Name, string Kind, string LedgerOrigin, bool Postgres = false);
}

/// <summary>Small files that must be whole or absent after a crash and readable by their owner alone (mode 0600).</summary>
internal static class PrivateFile
{
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var temporary = path + ".new";
        File.Delete(temporary);
        var settings = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            settings.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var stream = new FileStream(temporary, settings))
        {
            stream.Write(content);
            stream.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
        DurableFile.FlushDirectory(Path.GetDirectoryName(path)!);
    }
}
