using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Copying;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Core.Witnessing;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Node.Backup;

/// <summary>What is to come back, and where to.</summary>
/// <param name="Backup">Which; null for the newest.</param>
/// <param name="To">The new place: data directory, and where they are not in it, database and segments.</param>
/// <param name="Passphrase">For sealed keys.</param>
/// <param name="Keys">A directory that holds the keys instead.</param>
/// <param name="Seen">A signed checkpoint that somebody kept: how far the log is known to have come.</param>
internal sealed record RestoreRequest(string? Backup, NodeOptions To, string? Passphrase, string? Keys, byte[]? Seen);

/// <summary>What came back.</summary>
/// <param name="Backup">Which one.</param>
/// <param name="Taken">How old it is.</param>
/// <param name="Recovered">Entries of the log beyond the backup's state that came back from the copy of the log, without what they speak of unless the state still had it.</param>
/// <param name="Erasures">How many of those erase something that the state does not know to be erased.</param>
/// <param name="Missing">Entries that the checkpoint shown has beyond the restored log; null when none was shown.</param>
/// <param name="Older">Whether the checkpoint shown has fewer than the restored log, and so says nothing of what was signed since.</param>
/// <param name="Check">Everything that came back, followed to the signed checkpoint.</param>
internal sealed record RestoreReport(string Backup, DateTimeOffset Taken, long Recovered, long Erasures, long? Missing, bool Older, RecordCheckReport Check);

/// <summary>
/// Makes a world anew from a backup, in an empty place of the kind it was taken from: every file is what was written, everything follows to the signed checkpoint, and the log has all the entries that the repository knows, so
/// that a node that goes on from an older backup does not sign a second history. May be interrupted and called again; until the end no node starts there.
/// </summary>
internal static class WorldRestore
{
    /// <param name="repository">Where the backups are.</param>
    /// <param name="wanted">What is to come back, and where to.</param>
    /// <param name="clock">For the log's entry on what came back.</param>
    /// <param name="progress">Told of each step.</param>
    /// <param name="cancel">Gives up; call it again.</param>
    /// <exception cref="StartRefusedException">The place, the repository or the keys cannot be used.</exception>
    /// <exception cref="InvalidDataException">A file is not what was backed up.</exception>
    /// <exception cref="LedgerCorruptException">The copy of the log is not what was signed, or the checkpoint shown is of another history.</exception>
    public static async Task<RestoreReport> RunAsync(BackupRepository repository, RestoreRequest wanted, TimeProvider clock, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        var (backup, manifest) = Choose(repository, wanted.Backup);
        var to = wanted.To;
        if (manifest.Postgres != (to.Database ?? to.Cluster) is not null)
            throw new StartRefusedException(manifest.Postgres ? "The backup's state is of a PostgreSQL database: give --to, an empty one." : "The backup's state is a file of its own: it is restored into a directory, without a database.");
        await DemandWholeAsync(repository, backup, manifest, cancel).ConfigureAwait(false);

        var root = Path.GetFullPath(to.Data);
        var mark = Path.Combine(root, WorldDirectory.RestoringMark);
        if (Directory.Exists(root) && Directory.EnumerateFileSystemEntries(root).Any(e => Path.GetFileName(e) != WorldDirectory.RestoringMark + ".new") && (!File.Exists(mark) || File.ReadAllText(mark) != backup))
            throw new StartRefusedException(File.Exists(mark) ? $"Another backup was being restored into {root}: {File.ReadAllText(mark)}. Go on with that, or delete the directory." : $"{root} is not empty. Give a directory that does not exist.");
        // Before anything is made: a wrong passphrase leaves nothing behind.
        var keys = Keys(repository.At(backup), manifest, wanted.Passphrase, wanted.Keys);
        WorldDirectory.MakePrivate(root);
        PrivateFile.Write(mark, System.Text.Encoding.UTF8.GetBytes(backup));
        RestoreFiles(repository.At(backup), manifest, root, keys);
        var (name, kind) = WorldDirectory.Made(repository.At(backup)) ?? throw new InvalidDataException("The backup's world.json cannot be read.");
        var options = to with { Data = root, World = name, Kind = Enum.Parse<WorldKind>(kind), LedgerOrigin = manifest.Origin, Database = to.Database ?? to.Cluster, Cluster = null, BootstrapClient = null, RetainedCheckpoint = null, Witnesses = null, WitnessesNeeded = 0 };
        using var place = WorldDirectory.Open(options, evenIfUnfinished: true);
        var world = place.World;
        progress.Report(new(BackupStage.State, 0, 1));
        PostgresTables? tables = null;
        if (manifest.Postgres)
        {
            await NodeHost.MakeSchemaAsync(options, place, cancel).ConfigureAwait(false);
            // The process ended between the last word to the database and the last to the directory: only that one is left to say.
            if (!PostgresTables.IsFinished(world, Source(manifest, backup)))
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
            if (tables is not null || !manifest.Postgres)
            {
                await SegmentsAsync(repository, manifest, world, progress, cancel).ConfigureAwait(false);
                // What an older program wrote is brought to this one's schema, and the guards are put back.
                await NodeHost.MakeSchemaAsync(options, place, cancel).ConfigureAwait(false);
                await LedgerAsync(repository, manifest, world, clock, progress, cancel).ConfigureAwait(false);
            }
            // What it has cosigned since is not known here: under its old key it would be a witness that forgot.
            WitnessKey.Forget(world);
            var key = LedgerKeys.Look(world) ?? throw NoKey();
            var log = await PublishedAsync(world, key, cancel).ConfigureAwait(false);
            var seen = wanted.Seen is null ? null : await SeenAsync(world, key, log, wanted.Seen, cancel).ConfigureAwait(false);
            var erasures = await LedgerMending.ErasuresLostAsync(world, manifest.Entries, log.Size, cancel).ConfigureAwait(false);
            var check = await RecordCheck.RunAsync(world, new Checking(progress), cancel).ConfigureAwait(false);
            var report = new RestoreReport(backup, manifest.Taken, Math.Max(0, log.Size - manifest.Entries), erasures, seen is null ? null : Math.Max(0, seen.Size - log.Size), seen?.Size < log.Size, check);
            if (!check.Ok)
                return report;
            var known = Math.Max(log.Size, seen?.Size ?? 0);
            new RestoredWorld(backup, manifest.Origin, manifest.Taken, manifest.Entries, log.Size, Convert.ToBase64String(log.Root.Span), known).Write(world);
            tables?.Finish(restored: known);
            File.Delete(mark);
            DurableFile.FlushDirectory(root);
            return report;
        }
    }

    private static (string Backup, BackupManifest Manifest) Choose(BackupRepository repository, string? wanted)
    {
        var all = repository.Backups();
        var backup = wanted ?? (all.Count > 0 ? all[^1] : throw new StartRefusedException($"There is no whole backup in {repository.Root}."));
        if (!all.Contains(backup))
            throw new StartRefusedException($"There is no whole backup {backup} in {repository.Root}.");
        var manifest = BackupManifest.Read(repository.At(backup));
        foreach (var later in all.SkipWhile(b => b != backup).Skip(1))
        {
            string? directory = null;
            try
            {
                directory = BackupManifest.Read(repository.At(later)).Log.Directory;
            }
            catch (InvalidDataException)
            {
                // A damaged one says nothing; the others do.
            }
            // The old key was given up for a reason, and its log has ended in public.
            if (directory is not null && directory != manifest.Log.Directory)
                throw new StartRefusedException($"Since {backup} was taken the log goes on under another key, which {later} has. Going on under the old one would be a second history: restore {later} or one after it.");
        }
        return (backup, manifest);
    }

    private static string Source(BackupManifest manifest, string backup) => $"backup {manifest.Origin} {backup}";

    private static StartRefusedException NoKey() => new("The keys do not hold the log's key, or the cluster's secret (ClusterSecret) is another. Give the right secret, or --keys with a directory that holds the keys.");

    private static async Task<Checkpoint> PublishedAsync(World world, NoteVerifier key, CancellationToken cancel) =>
        await LedgerFiles.Look(world).ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false) is { } note && Checkpoint.TryOpen(note, key, out var log) ? log
            : throw new LedgerCorruptException(TilePath.Checkpoint, "is missing, or not signed by this log's key.");

    /// <summary>What somebody kept, compared with the log as far as that reaches.</summary>
    private static async Task<Checkpoint> SeenAsync(World world, NoteVerifier key, Checkpoint log, byte[] note, CancellationToken cancel)
    {
        if (!Checkpoint.TryOpen(note, key, out var seen))
            throw new InvalidDataException("The checkpoint that was given is not one that this log's key signed.");
        // One that is newer cannot be compared before the entries in between are here; a start does that.
        var root = seen.Size > 0 && seen.Size <= log.Size ? await LogMirror.RootAsync(LedgerFiles.Look(world), log.Size, seen.Size, cancel).ConfigureAwait(false) : null;
        if (root is not null && !seen.Root.Span.SequenceEqual(root))
            throw new LedgerDivergedException(TilePath.Checkpoint, $"of size {log.Size} does not continue the one that was given, of size {seen.Size}: they are two histories.", seen.Size);
        return seen;
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

    private static void RestoreFiles(string from, BackupManifest manifest, string root, IReadOnlyDictionary<string, byte[]> kept)
    {
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

    private static Dictionary<string, byte[]> Keys(string from, BackupManifest manifest, string? passphrase, string? keys)
    {
        if (keys is not null)
            return Directory.Exists(keys) ? Directory.EnumerateFiles(keys).Where(p => Path.GetFileName(p) != WorldMove.SeenCheckpoint).ToDictionary(p => Path.GetFileName(p), File.ReadAllBytes, StringComparer.Ordinal) : throw new StartRefusedException($"There is no directory {keys}.");
        if (!manifest.Keys)
            return manifest.Postgres ? new Dictionary<string, byte[]>() : throw new StartRefusedException("The backup was taken without its keys. Give --keys: a directory that holds them.");
        var kept = KeySeal.Open(File.ReadAllBytes(Path.Combine(from, KeySeal.Name)), passphrase ?? throw new StartRefusedException("The backup's keys are sealed: give their passphrase, or --keys with a directory that holds them."));
        if (kept.TryGetValue(BackupManifest.MacKeyName, out var macKey))
            BackupManifest.DemandMac(from, macKey);
        return kept.Where(k => k.Key != BackupManifest.MacKeyName).ToDictionary(k => k.Key, k => k.Value, StringComparer.Ordinal);
    }

    private static PostgresTables Tables(World world, string from, string backup, BackupManifest manifest, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        PostgresTables tables;
        try
        {
            tables = PostgresTables.Open(world, Source(manifest, backup));
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
    private static async Task LedgerAsync(BackupRepository repository, BackupManifest manifest, World world, TimeProvider clock, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        var key = LedgerKeys.Look(world) ?? throw NoKey();
        var copied = await LogMirror.UpdateAsync(new DirectoryTileSource(repository.Ledger(manifest.Log.Directory)), LedgerFiles.Open(world), key, progress: new Entries(progress), cancel: cancel).ConfigureAwait(false);
        if (copied.Size < manifest.Log.Size)
            throw new LedgerCorruptException(TilePath.Checkpoint, $"of the copy has {copied.Size} entries, fewer than the {manifest.Log.Size} that the backup left there.");
        if (copied.Size > LedgerMending.Size(world))
            await LedgerMending.RecoverAsync(world, null, clock, null, cancel).ConfigureAwait(false);
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
