using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Records.Keys;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Copying;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;
using Gongzhi.Node.Identity;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Node.Hosting;

/// <summary>How far a move has come: a stage, and how much of it.</summary>
/// <param name="Stage">The same word for the same stage; see <see cref="MoveStage"/>.</param>
public readonly record struct MoveProgress(MoveStage Stage, long Done, long Total);

/// <summary>What a move does, in order.</summary>
public enum MoveStage { Tables, Ledger, Segments, Keys, Comparing, Checking }

/// <summary>What was moved, as compared on both ends.</summary>
public sealed record MoveReport(IReadOnlyList<(string Table, long Rows)> Tables, long Entries, long Segments, RecordCheckReport Check);

/// <summary>
/// Takes the whole of an embedded world to a PostgreSQL database and a store of segments that several machines can share: the same origin, key, records, proofs. The old directory is locked
/// meanwhile and not changed, until at the end it is marked, so that no node starts on it again. May be interrupted at any moment and called again.
/// </summary>
internal static class WorldMove
{
    private const string Mark = "moved.json";

    /// <summary>In the key directory, but no key: it grows.</summary>
    internal const string SeenCheckpoint = "seen-checkpoint";
    private const int TilesAtOnce = 64, TileBytesAtOnce = 8 << 20;

    /// <summary>Where the world of a directory has gone; null while it is there.</summary>
    public static string? MovedTo(string data)
    {
        var path = Path.Combine(Path.GetFullPath(data), Mark);
        return File.Exists(path) ? JsonSerializer.Deserialize<Moved>(File.ReadAllBytes(path))?.To ?? "?" : null;
    }

    /// <summary>Takes the mark back: from then on a node may start on the directory again. Whoever asks for it answers for that none serves the world elsewhere.</summary>
    public static void TakeBack(string data) => File.Delete(Path.Combine(Path.GetFullPath(data), Mark));

    /// <param name="from">The settings of the embedded world, which nobody serves.</param>
    /// <param name="to">Those of its new place: another directory, with <see cref="NodeOptions.Database"/> or <see cref="NodeOptions.Cluster"/> and, where it is to be shared, <see cref="NodeOptions.Segments"/>.</param>
    /// <param name="progress">Told of each step.</param>
    /// <param name="cancel">Gives up; what was done is kept, and a further call goes on.</param>
    /// <exception cref="StartRefusedException">One of the two cannot be used for this. Nothing was changed that a further call would not go on from.</exception>
    /// <exception cref="InvalidDataException">What arrived is not what was sent.</exception>
    public static async Task<MoveReport> RunAsync(NodeOptions from, NodeOptions to, IProgress<MoveProgress> progress, CancellationToken cancel)
    {
        var target = to with { World = from.World, Kind = from.Kind, Database = to.Database ?? to.Cluster, Cluster = null, BootstrapClient = null };
        if (from.Database is not null || target.Database is null)
            throw new StartRefusedException("A world is moved from a directory of its own to a PostgreSQL database.");
        var marked = MovedTo(from.Data);
        if (marked is not null && marked != Describe(target))
            throw new StartRefusedException($"The world of {from.Data} was moved to {marked}.");
        if (marked is null)
            await SettleAsync(from, cancel).ConfigureAwait(false);
        using var source = WorldDirectory.Open(from, evenIfMoved: true);
        using var place = WorldDirectory.Open(target with { LedgerOrigin = source.World.LedgerOrigin }, evenIfUnfinished: true);
        var world = place.World;
        CopyKeys(source.World, world);
        await NodeHost.MakeSchemaAsync(target, place, cancel).ConfigureAwait(false);
        PostgresTables tables;
        try
        {
            tables = PostgresTables.Open(world, source.World.LedgerOrigin);
        }
        catch (SchemaException e)
        {
            throw new StartRefusedException(e.Message);
        }
        using (tables)
        {
            using var reader = TableReader.Open(source.World);
            var shapes = Common(reader, tables);
            // The old place may have been served between two tries.
            if (shapes.Exists(s => tables.Done(s.Name) is { } done && done != reader.Sum(s)))
                tables.StartOver(shapes);
            for (var i = 0; i < shapes.Count; i++)
            {
                progress.Report(new(MoveStage.Tables, i, shapes.Count));
                if (tables.Done(shapes[i].Name) is null)
                    tables.Fill(shapes[i], reader.Rows(shapes[i]), cancel);
            }
            tables.SetCounters();
            progress.Report(new(MoveStage.Tables, shapes.Count, shapes.Count));
            await CopyLedgerAsync(source.World, world, progress, cancel).ConfigureAwait(false);
            var segments = await CopyFilesAsync(source.World, world, progress, cancel).ConfigureAwait(false);
            Compare(world, shapes, tables, progress);
            // The guards, which the copy took away.
            await NodeHost.MakeSchemaAsync(target, place, cancel).ConfigureAwait(false);
            var check = await RecordCheck.RunAsync(world, new RecordCheckOptions { Key = LedgerKeys.Look(source.World) }, new Checking(progress), cancel).ConfigureAwait(false);
            if (!check.Ok)
                return new([], check.Entries, segments, check);
            // First the old place refuses, then the new one may: never both.
            PrivateFile.Write(Path.Combine(source.World.DataDirectory, Mark), JsonSerializer.SerializeToUtf8Bytes(new Moved(Describe(target))));
            tables.Finish();
            return new([.. shapes.Select(s => (s.Name, tables.Done(s.Name)!.Rows))], check.Entries, segments, check);
        }
    }

    private sealed record Moved(string To);

    private static string Describe(NodeOptions target) => $"{new PostgresAddress(target.Database!).Place}, {Path.GetFullPath(target.Data)}";

    /// <summary>Brings the old world to rest: its schema is this program's, and every entry is in the log.</summary>
    private static Task<bool> SettleAsync(NodeOptions from, CancellationToken cancel) => StoppedNode.RunAsync(from, async services =>
    {
        var (world, clock, gate) = (services.GetRequiredService<World>(), services.GetRequiredService<TimeProvider>(), services.GetRequiredService<WriteGate>());
        while (true)
        {
            // The new place would know nothing of why, and go on.
            if (gate.Shut is { } shut)
                throw new StartRefusedException($"The world of {from.Data} takes no changes, so it is not moved: {shut.Reason}");
            using (var connection = NodeDatabase.OpenReader(world))
            {
                using var waiting = connection.Command("SELECT EXISTS (SELECT 1 FROM ledger_pending WHERE log_index IS NULL)");
                if (!waiting.IsTrue())
                    return true;
            }
            await Task.Delay(TimeSpan.FromMilliseconds(100), clock, cancel).ConfigureAwait(false);
        }
    }, cancel);

    /// <summary>The tables that both have, with the same columns; what only one has must be empty or made anew.</summary>
    private static List<TableShape> Common(TableReader source, PostgresTables target)
    {
        var names = source.Tables().ToHashSet(StringComparer.OrdinalIgnoreCase);
        var shapes = target.Shapes().Where(s => names.Contains(s.Name)).ToList();
        foreach (var shape in shapes)
        {
            var there = source.Columns(shape.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
            if (!there.SetEquals(shape.Columns.Select(c => c.Name)))
                throw new StartRefusedException($"The table {shape.Name} has other columns there than here. Start the node once with this program, and stop it.");
        }
        if (names.Except(shapes.Select(s => s.Name), StringComparer.OrdinalIgnoreCase).Order(StringComparer.Ordinal).FirstOrDefault() is { } left)
            throw new StartRefusedException($"The table {left} has no counterpart; it would be lost.");
        return shapes;
    }

    /// <summary>As files, and where machines share them also in the database, so that any machine may come first.</summary>
    private static void CopyKeys(World source, World target)
    {
        var files = Directory.EnumerateFiles(source.KeyDirectory).Select(path => (Name: Path.GetFileName(path), Content: File.ReadAllBytes(path))).ToList();
        // All before the first is written: a key of somebody else's log is never written over.
        foreach (var (name, content) in files)
        {
            var there = Path.Combine(target.KeyDirectory, name);
            if (name != SeenCheckpoint && File.Exists(there) && !File.ReadAllBytes(there).AsSpan().SequenceEqual(content))
                throw new StartRefusedException($"There is another key in {there}. Give a directory that nobody has used.");
        }
        foreach (var (name, content) in files)
            PrivateFile.Write(Path.Combine(target.KeyDirectory, name), content);
        if (target.Secret is null)
            return;
        foreach (var (name, content) in files.Where(f => !f.Name.EndsWith(".xml", StringComparison.Ordinal) && f.Name != SeenCheckpoint))
        {
            if (!WorldKeys.GetOrMake(target, name, () => content).AsSpan().SequenceEqual(content))
                throw new StartRefusedException($"The database holds another key {name} than the world that is moved. Give an empty database.");
        }
        new SharedKeyRing(target).TakeOver();
    }

    private static async Task CopyLedgerAsync(World source, World target, IProgress<MoveProgress> progress, CancellationToken cancel)
    {
        var (from, to) = (LedgerFiles.Look(source), LedgerFiles.Open(target));
        var paths = LedgerFiles.Tiles(source).ToList();
        var (files, bytes) = (new List<TileFile>(), 0L);
        for (var i = 0; i < paths.Count; i++)
        {
            if (await from.ReadAsync(paths[i], EntryBundle.BytesMax, cancel).ConfigureAwait(false) is { } content)
            {
                files.Add(new(paths[i], content));
                bytes += content.Length;
            }
            if (files.Count < TilesAtOnce && bytes < TileBytesAtOnce && i + 1 < paths.Count)
                continue;
            await to.WriteAsync(files, cancel).ConfigureAwait(false);
            (files, bytes) = ([], 0);
            progress.Report(new(MoveStage.Ledger, i + 1, paths.Count));
        }
        // Last, so that there is never a checkpoint without its tiles.
        if (await from.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false) is { } checkpoint)
            await to.WriteAsync([new(TilePath.Checkpoint, checkpoint)], cancel).ConfigureAwait(false);
    }

    /// <summary>Segments, sorted keys, lists of rejected rows. Answers how many segments there are.</summary>
    private static async Task<long> CopyFilesAsync(World source, World target, IProgress<MoveProgress> progress, CancellationToken cancel)
    {
        var from = SegmentStores.Look(source);
        await using var _ = from.ConfigureAwait(false);
        var to = SegmentStores.Make(target, NoSegmentPeers.Instance, TimeProvider.System, NullLogger.Instance);
        await using var __ = to.ConfigureAwait(false);
        await to.OpenAsync(new HashSet<string>(), sweep: true, cancel).ConfigureAwait(false);
        var names = Names(source, "SELECT name FROM segment ORDER BY number");
        for (var i = 0; i < names.Count; i++)
        {
            progress.Report(new(MoveStage.Segments, i, names.Count));
            if (await HasAsync(to, names[i], cancel).ConfigureAwait(false))
                continue;
            using var file = await from.FetchAsync([names[i]], cancel).ConfigureAwait(false);
            var temporary = to.CreateTemporary();
            File.Copy(from.PathOf(names[i]), temporary);
            using (var copy = new FileStream(temporary, FileMode.Open, FileAccess.ReadWrite))
            {
                if (Convert.ToHexStringLower(await SHA256.HashDataAsync(copy, cancel).ConfigureAwait(false)) != names[i])
                    throw new InvalidDataException($"The segment {names[i]} is not what it is named by; nothing is moved before it is mended. Run a check.");
                copy.Flush(flushToDisk: true);
            }
            // Listed by the tables that were filled before.
            (await to.PublishAsync(temporary, names[i], cancel).ConfigureAwait(false))?.Kept();
        }
        progress.Report(new(MoveStage.Segments, names.Count, names.Count));
        Directory.CreateDirectory(target.KeyRunDirectory);
        foreach (var name in Names(source, "SELECT name FROM key_run ORDER BY number"))
        {
            // One that is missing is made anew at the start.
            if (Path.Combine(source.KeyRunDirectory, name + ".keys") is var path && File.Exists(path))
                await CopyAsync(path, Path.Combine(target.KeyRunDirectory, Path.GetFileName(path)), "keys", to, cancel).ConfigureAwait(false);
        }
        foreach (var path in Directory.Exists(source.RejectDirectory) ? Directory.EnumerateFiles(source.RejectDirectory, "*.csv") : [])
            await CopyAsync(path, Path.Combine(target.RejectDirectory, Path.GetFileName(path)), "rejects", to, cancel).ConfigureAwait(false);
        progress.Report(new(MoveStage.Keys, 1, 1));
        return names.Count;
    }

    private static async Task<bool> HasAsync(ISegmentStore store, string name, CancellationToken cancel)
    {
        using var stored = await store.OpenStoredAsync(name, cancel).ConfigureAwait(false);
        if (stored is null)
            return false;
        using var file = File.OpenRead(stored.Path);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel).ConfigureAwait(false)) == name;
    }

    private static async Task CopyAsync(string from, string to, string folder, ISegmentStore store, CancellationToken cancel)
    {
        File.Copy(from, to, overwrite: true);
        using (var copy = new FileStream(to, FileMode.Open, FileAccess.ReadWrite))
            copy.Flush(flushToDisk: true);
        if (store.Files is { } files)
            await files.PutAsync($"{folder}/{Path.GetFileName(from)}", to, cancel).ConfigureAwait(false);
    }

    private static List<string> Names(World world, string sql)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command(sql);
        using var reader = command.ExecuteReader();
        var names = new List<string>();
        while (reader.Read())
            names.Add(reader.GetString(0));
        return names;
    }

    /// <summary>Reads every table back and compares it with what was sent.</summary>
    private static void Compare(World target, List<TableShape> shapes, PostgresTables tables, IProgress<MoveProgress> progress)
    {
        using var arrived = TableReader.Open(target);
        for (var i = 0; i < shapes.Count; i++)
        {
            progress.Report(new(MoveStage.Comparing, i, shapes.Count));
            if (arrived.Sum(shapes[i]) is var sum && sum != tables.Done(shapes[i].Name))
                throw new InvalidDataException($"The table {shapes[i].Name} arrived with {sum.Rows} rows that are not those that were sent.");
        }
        progress.Report(new(MoveStage.Comparing, shapes.Count, shapes.Count));
    }

    private sealed class Checking(IProgress<MoveProgress> progress) : IProgress<RecordCheckProgress>
    {
        public void Report(RecordCheckProgress value) => progress.Report(new(MoveStage.Checking, value.Done, value.Total));
    }
}
