using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Copying;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Node.Backup;

/// <summary>What came back.</summary>
/// <param name="Backup">Which one.</param>
/// <param name="Taken">How old it is.</param>
/// <param name="Recovered">Entries of the log beyond the backup's state that came back from the copy of the log, without what they speak of.</param>
/// <param name="Check">Everything that came back, followed to the signed checkpoint.</param>
internal sealed record RestoreReport(string Backup, DateTimeOffset Taken, long Recovered, RecordCheckReport Check);

/// <summary>
/// Makes a world anew from a backup, in an empty place of the kind it was taken from: every file is what was written, everything follows to the signed checkpoint, and the log has all the entries that the repository knows, so
/// that a node that goes on from an older backup does not sign a second history. May be interrupted and called again; until the end no node starts there.
/// </summary>
internal static class WorldRestore
{
    /// <param name="repository">Where the backups are.</param>
    /// <param name="backup">Which; null for the newest.</param>
    /// <param name="to">The new place: data directory, and where they are not in it, database and segments.</param>
    /// <param name="passphrase">For sealed keys.</param>
    /// <param name="keys">A directory that holds the keys instead.</param>
    /// <param name="clock">For the log's entry on what came back.</param>
    /// <param name="progress">Told of each step.</param>
    /// <param name="cancel">Gives up; call it again.</param>
    /// <exception cref="StartRefusedException">The place, the repository or the keys cannot be used.</exception>
    /// <exception cref="InvalidDataException">A file is not what was backed up.</exception>
    /// <exception cref="LedgerCorruptException">The copy of the log is not what was signed.</exception>
    public static async Task<RestoreReport> RunAsync(BackupRepository repository, string? backup, NodeOptions to, string? passphrase, string? keys, TimeProvider clock, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        var whole = repository.Backups();
        backup ??= whole.Count > 0 ? whole[^1] : throw new StartRefusedException($"There is no whole backup in {repository.Root}.");
        if (!whole.Contains(backup))
            throw new StartRefusedException($"There is no whole backup {backup} in {repository.Root}.");
        var manifest = BackupManifest.Read(repository.At(backup));
        if (manifest.Postgres != (to.Database ?? to.Cluster) is not null)
            throw new StartRefusedException(manifest.Postgres ? "The backup's state is of a PostgreSQL database: give --to, an empty one." : "The backup's state is a file of its own: it is restored into a directory, without a database.");
        await DemandWholeAsync(repository, backup, manifest, cancel).ConfigureAwait(false);

        var root = Path.GetFullPath(to.Data);
        var mark = Path.Combine(root, WorldDirectory.RestoringMark);
        if (Directory.Exists(root) && Directory.EnumerateFileSystemEntries(root).Any() && (!File.Exists(mark) || File.ReadAllText(mark) != backup))
            throw new StartRefusedException(File.Exists(mark) ? $"Another backup was being restored into {root}: {File.ReadAllText(mark)}. Go on with that, or delete the directory." : $"{root} is not empty. Give a directory that does not exist.");
        WorldDirectory.MakePrivate(root);
        PrivateFile.Write(mark, System.Text.Encoding.UTF8.GetBytes(backup));
        RestoreFiles(repository.At(backup), manifest, root, passphrase, keys);
        var (name, kind) = WorldDirectory.Made(repository.At(backup)) ?? throw new InvalidDataException("The backup's world.json cannot be read.");
        var options = to with { Data = root, World = name, Kind = Enum.Parse<WorldKind>(kind), LedgerOrigin = manifest.Origin, Database = to.Database ?? to.Cluster, Cluster = null, BootstrapClient = null, RetainedCheckpoint = null, Witnesses = null, WitnessesNeeded = 0 };
        using var place = WorldDirectory.Open(options, evenIfUnfinished: true);
        var world = place.World;
        progress.Report(new(BackupStage.State, 0, 1));
        PostgresTables? tables = null;
        if (manifest.Postgres)
        {
            await NodeHost.MakeSchemaAsync(options, place, cancel).ConfigureAwait(false);
            tables = Tables(world, repository.At(backup), backup, manifest, progress, cancel);
        }
        else
        {
            foreach (var left in new[] { "", "-wal", "-shm" })
                File.Delete(world.DatabasePath + left);
            await WorldBackup.CopyAsync(Path.Combine(repository.At(backup), "node.db"), world.DatabasePath, manifest.Files.First(f => f.Path == "node.db").Sha256, cancel).ConfigureAwait(false);
        }
        using (tables)
        {
            await SegmentsAsync(repository, manifest, world, progress, cancel).ConfigureAwait(false);
            // What an older program wrote is brought to this one's schema, and the guards are put back.
            await NodeHost.MakeSchemaAsync(options, place, cancel).ConfigureAwait(false);
            var recovered = await LedgerAsync(repository, manifest, world, clock, progress, cancel).ConfigureAwait(false);
            var check = await RecordCheck.RunAsync(world, new Checking(progress), cancel).ConfigureAwait(false);
            if (!check.Ok)
                return new(backup, manifest.Taken, recovered, check);
            PrivateFile.Write(Path.Combine(root, WorldDirectory.RestoredMark), JsonSerializer.SerializeToUtf8Bytes(new { backup, taken = manifest.Taken, entries = manifest.Entries }));
            tables?.Finish();
            File.Delete(mark);
            return new(backup, manifest.Taken, recovered, check);
        }
    }

    private static async Task DemandWholeAsync(BackupRepository repository, string backup, BackupManifest manifest, CancellationToken cancel)
    {
        // Segments are hashed as they are copied.
        if (await repository.FaultsAsync(backup, manifest with { Segments = [] }, cancel).ConfigureAwait(false) is [var fault, ..])
            throw new InvalidDataException($"{fault} is missing or not what was backed up.");
        foreach (var name in manifest.Segments)
        {
            if (!File.Exists(repository.Segment(name)))
                throw new InvalidDataException($"The segment {name} is missing in {repository.Root}.");
        }
    }

    private static void RestoreFiles(string from, BackupManifest manifest, string root, string? passphrase, string? keys)
    {
        var kept = Keys(from, manifest, passphrase, keys);
        var directory = Path.Combine(root, "keys");
        WorldDirectory.MakePrivate(directory);
        foreach (var (name, content) in kept)
        {
            if (Path.GetFileName(name) != name)
                throw new InvalidDataException("A key's name leads out of its directory.");
            PrivateFile.Write(Path.Combine(directory, name), content);
        }
        // In an empty database the world is claimed first, which writes the file.
        if (!manifest.Postgres)
            PrivateFile.Write(Path.Combine(root, "world.json"), File.ReadAllBytes(Path.Combine(from, "world.json")));
        if (!Directory.Exists(Path.Combine(from, "rejects")))
            return;
        WorldDirectory.MakePrivate(Path.Combine(root, "rejects"));
        foreach (var path in Directory.EnumerateFiles(Path.Combine(from, "rejects"), "*.csv"))
            PrivateFile.Write(Path.Combine(root, "rejects", Path.GetFileName(path)), File.ReadAllBytes(path));
    }

    private static IReadOnlyDictionary<string, byte[]> Keys(string from, BackupManifest manifest, string? passphrase, string? keys)
    {
        if (keys is not null)
            return Directory.Exists(keys) ? Directory.EnumerateFiles(keys).Where(p => Path.GetFileName(p) != WorldMove.SeenCheckpoint).ToDictionary(p => Path.GetFileName(p), File.ReadAllBytes, StringComparer.Ordinal) : throw new StartRefusedException($"There is no directory {keys}.");
        if (!manifest.Keys)
            return manifest.Postgres ? new Dictionary<string, byte[]>() : throw new StartRefusedException("The backup was taken without its keys. Give --keys: a directory that holds them.");
        return KeySeal.Open(File.ReadAllBytes(Path.Combine(from, KeySeal.Name)), passphrase ?? throw new StartRefusedException("The backup's keys are sealed: give their passphrase, or --keys with a directory that holds them."));
    }

    private static PostgresTables Tables(World world, string from, string backup, BackupManifest manifest, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        PostgresTables tables;
        try
        {
            tables = PostgresTables.Open(world, $"backup {manifest.Origin} {backup}");
        }
        catch (SchemaException e)
        {
            throw new StartRefusedException(e.Message);
        }
        try
        {
            var shapes = tables.Shapes();
            foreach (var (table, i) in manifest.Tables.OrderBy(t => shapes.ToList().FindIndex(s => s.Name == t.Name)).Select((t, i) => (t, i)))
            {
                progress.Report(new(BackupStage.State, i, manifest.Tables.Count));
                if (!shapes.Any(s => s.Name == table.Name))
                    throw new StartRefusedException($"The table {table.Name} has no counterpart in this program; restore with the one that took the backup.");
                var sum = tables.Done(table.Name) ?? tables.Fill(new TableShape(table.Name, table.Columns), TableFile.Read(Path.Combine(from, table.Path), table.Columns.Count, table.Rows), cancel);
                if (sum != new TableSum(table.Rows, table.Digest))
                    throw new InvalidDataException($"The table {table.Name} is not what was backed up.");
            }
            tables.SetCounters();
            return tables;
        }
        catch
        {
            tables.Dispose();
            throw;
        }
    }

    private static async Task SegmentsAsync(BackupRepository repository, BackupManifest manifest, World world, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        var store = SegmentStores.Make(world, NoSegmentPeers.Instance, TimeProvider.System, NullLogger.Instance);
        await using var _ = store.ConfigureAwait(false);
        await store.OpenAsync(new HashSet<string>(), sweep: false, cancel).ConfigureAwait(false);
        for (var i = 0; i < manifest.Segments.Count; i++)
        {
            progress.Report(new(BackupStage.Segments, i, manifest.Segments.Count));
            var temporary = store.CreateTemporary();
            await WorldBackup.CopyAsync(repository.Segment(manifest.Segments[i]), temporary, manifest.Segments[i], cancel).ConfigureAwait(false);
            (await store.PublishAsync(temporary, manifest.Segments[i], cancel).ConfigureAwait(false))?.Kept();
        }
        progress.Report(new(BackupStage.Segments, manifest.Segments.Count, manifest.Segments.Count));
    }

    /// <summary>The whole log that the repository knows, and in the state the entries that it misses of it.</summary>
    private static async Task<long> LedgerAsync(BackupRepository repository, BackupManifest manifest, World world, TimeProvider clock, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        var key = LedgerKeys.Look(world) ?? throw new StartRefusedException("The keys do not hold the log's key, or the cluster's secret is another.");
        var copied = await LogMirror.UpdateAsync(new DirectoryTileSource(repository.Ledger(manifest.Ledger)), LedgerFiles.Open(world), key, progress: new Entries(progress), cancel: cancel).ConfigureAwait(false);
        return copied.Size > LedgerMending.Size(world) ? (await LedgerMending.RecoverAsync(world, null, clock, null, cancel).ConfigureAwait(false)).Size - manifest.Entries : copied.Size > manifest.Entries ? copied.Size - manifest.Entries : 0;
    }

    private sealed class Checking(IProgress<BackupProgress> progress) : IProgress<RecordCheckProgress>
    {
        public void Report(RecordCheckProgress value) => progress.Report(new(BackupStage.Checking, value.Done, value.Total));
    }

    private sealed class Entries(IProgress<BackupProgress> progress) : IProgress<long>
    {
        public void Report(long value) => progress.Report(new(BackupStage.Ledger, value, value));
    }
}
