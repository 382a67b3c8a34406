using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Copying;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Backup;

/// <summary>What a backup or a restore is doing, in order.</summary>
internal enum BackupStage { State, Segments, Ledger, Files, Checking }

/// <summary>How far a backup or a restore has come.</summary>
internal readonly record struct BackupProgress(BackupStage Stage, long Done, long Total);

/// <summary>What was taken.</summary>
internal sealed record BackupReport(string Name, long Entries, int Segments, int SegmentsNew, long LogEntries, bool Keys);

/// <summary>
/// Takes a world's whole content into a repository while its nodes work: the state of one moment, the segments that it lists and that are not there yet, the log, the lists of rejected rows, the keys under a passphrase.
/// </summary>
internal static class WorldBackup
{
    /// <summary>How often the state is taken anew when a segment that it lists has gone meanwhile.</summary>
    private const int StatesMax = 5;

    /// <param name="world">To look at and not to work on.</param>
    /// <param name="root">The repository.</param>
    /// <param name="passphrase">For the keys; null leaves them out.</param>
    /// <param name="clock">For the backup's name.</param>
    /// <param name="progress">Told of each step.</param>
    /// <param name="cancel">Gives up; nothing counts that was not finished.</param>
    /// <exception cref="StartRefusedException">The repository cannot be used.</exception>
    /// <exception cref="LedgerDivergedException">The backups hold more of the log than the node: it is the node that came back older.</exception>
    public static async Task<BackupReport> RunAsync(World world, string root, string? passphrase, TimeProvider clock, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        using var repository = BackupRepository.Open(root, world.LedgerOrigin);
        var key = LedgerKeys.Look(world) ?? throw new StartRefusedException("The ledger's key is missing or cannot be read, so the log cannot be copied.");
        var store = SegmentStores.Look(world);
        await using var _ = store.ConfigureAwait(false);
        for (var attempt = 1; ; attempt++)
        {
            var now = clock.GetUtcNow();
            var (name, directory) = repository.Begin(now);
            progress.Report(new(BackupStage.State, 0, 1));
            var (tables, segments, entries) = State(world, directory, cancel);
            progress.Report(new(BackupStage.State, 1, 1));
            int added;
            try
            {
                added = await SegmentsAsync(repository, store, segments, progress, cancel).ConfigureAwait(false);
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or SegmentGoneException)
            {
                Directory.Delete(directory, recursive: true);
                // A merge or an erasure took it away since: a newer state does not list it. Unless it is the node that has lost it.
                if (attempt == StatesMax)
                    throw new InvalidDataException($"A segment that the node lists was not there, {StatesMax} times over: {e.Message} Run gongzhi admin check.", e);
                continue;
            }
            // After the state: it never has more than the log.
            var log = BackupRepository.LogName(key);
            var mirrored = await LogMirror.UpdateAsync(LedgerFiles.Look(world), new FileTileStore(repository.Ledger(log)), key, progress: new Entries(progress), cancel: cancel).ConfigureAwait(false);
            var macKey = passphrase is null ? null : System.Security.Cryptography.RandomNumberGenerator.GetBytes(32);
            CopyFiles(world, directory, passphrase, macKey, progress);
            var files = new List<BackupFile>();
            foreach (var path in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
                files.Add(new(Path.GetRelativePath(directory, path).Replace(Path.DirectorySeparatorChar, '/'), new FileInfo(path).Length, await BackupRepository.HashAsync(path, cancel).ConfigureAwait(false)));
            repository.Finish(name, new BackupManifest(1, world.LedgerOrigin, now, world.Database is not null, new(log, key.ToString(), mirrored.Size, Convert.ToBase64String(mirrored.Root.Span)), entries, segments, tables, files, passphrase is not null), macKey);
            return new(name, entries, segments.Count, added, mirrored.Size, passphrase is not null);
        }
    }

    private static (IReadOnlyList<BackupTable> Tables, IReadOnlyList<string> Segments, long Entries) State(World world, string directory, CancellationToken cancel)
    {
        if (world.Database is null)
        {
            var path = Path.Combine(directory, "node.db");
            StateFile.Take(world, path);
            return ([], StateFile.Segments(path), StateFile.Entries(path));
        }
        using var reader = TableReader.Open(world);
        var tables = new List<BackupTable>();
        var (segments, entries) = (new SortedSet<string>(StringComparer.Ordinal), 0L);
        Directory.CreateDirectory(Path.Combine(directory, "tables"));
        foreach (var shape in reader.Shapes())
        {
            // Those of the log are copied as the log.
            if (shape.Name is "ledger_tile" or "ledger_checkpoint")
                continue;
            var path = "tables/" + shape.Name + ".rows";
            var (name, size) = (Index(shape, "segment", "name"), Index(shape, "log_state", "size"));
            var sum = TableFile.Write(Path.Combine(directory, path), reader.Rows(shape), row =>
            {
                if (name >= 0)
                    segments.Add((string)row[name]!);
                if (size >= 0)
                    entries = (long)row[size]!;
            }, cancel);
            tables.Add(new(path, shape.Name, shape.Columns, sum.Rows, sum.Digest));
        }
        return (tables, [.. segments], entries);

        static int Index(TableShape shape, string table, string column) => shape.Name == table ? shape.Columns.ToList().FindIndex(c => c.Name == column) : -1;
    }

    private static async Task<int> SegmentsAsync(BackupRepository repository, ISegmentStore store, IReadOnlyList<string> names, IProgress<BackupProgress> progress, CancellationToken cancel)
    {
        var added = 0;
        for (var i = 0; i < names.Count; i++)
        {
            progress.Report(new(BackupStage.Segments, i, names.Count));
            var path = repository.Segment(names[i]);
            // What is there was whole when it got its name; a verification reads it again.
            if (File.Exists(path))
                continue;
            var temporary = path + ".tmp";
            using (var stored = await store.OpenStoredAsync(names[i], cancel).ConfigureAwait(false) ?? throw new SegmentGoneException(names[i]))
                await CopyAsync(stored.Path, temporary, names[i], cancel).ConfigureAwait(false);
            File.Move(temporary, path, overwrite: true);
            DurableFile.FlushDirectory(Path.GetDirectoryName(path)!);
            added++;
        }
        progress.Report(new(BackupStage.Segments, names.Count, names.Count));
        return added;
    }

    /// <summary>Copies a file, durable when it returns.</summary>
    /// <param name="sha256">What it must be; null for whatever it is.</param>
    /// <exception cref="InvalidDataException">It is not.</exception>
    public static async Task CopyAsync(string from, string to, string? sha256, CancellationToken cancel)
    {
        using var hash = System.Security.Cryptography.IncrementalHash.CreateHash(System.Security.Cryptography.HashAlgorithmName.SHA256);
        var source = new FileStream(from, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        await using (source.ConfigureAwait(false))
        {
            var target = new FileStream(to, FileMode.Create, FileAccess.Write);
            await using (target.ConfigureAwait(false))
            {
                var buffer = new byte[1 << 20];
                while (await source.ReadAsync(buffer, cancel).ConfigureAwait(false) is var read and > 0)
                {
                    hash.AppendData(buffer, 0, read);
                    await target.WriteAsync(buffer.AsMemory(0, read), cancel).ConfigureAwait(false);
                }
                target.Flush(flushToDisk: true);
            }
        }
        if (sha256 is not null && Convert.ToHexStringLower(hash.GetHashAndReset()) != sha256)
        {
            File.Delete(to);
            throw new InvalidDataException($"The file {from} is not what it was when it was written.");
        }
    }

    private static void CopyFiles(World world, string directory, string? passphrase, byte[]? macKey, IProgress<BackupProgress> progress)
    {
        progress.Report(new(BackupStage.Files, 0, 1));
        File.Copy(Path.Combine(world.DataDirectory, "world.json"), Path.Combine(directory, "world.json"));
        if (Directory.Exists(world.RejectDirectory))
        {
            Directory.CreateDirectory(Path.Combine(directory, "rejects"));
            foreach (var path in Directory.EnumerateFiles(world.RejectDirectory, "*.csv"))
                File.Copy(path, Path.Combine(directory, "rejects", Path.GetFileName(path)));
        }
        if (passphrase is not null)
        {
            var keys = Directory.EnumerateFiles(world.KeyDirectory).Where(p => Path.GetFileName(p) is var name && name != WorldMove.SeenCheckpoint && !name.EndsWith(".tmp", StringComparison.Ordinal) && !name.EndsWith(".new", StringComparison.Ordinal))
                .ToDictionary(p => Path.GetFileName(p), File.ReadAllBytes, StringComparer.Ordinal);
            keys[BackupManifest.MacKeyName] = macKey!;
            PrivateFile.Write(Path.Combine(directory, KeySeal.Name), KeySeal.Seal(keys, passphrase));
        }
        foreach (var path in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
            file.Flush(flushToDisk: true);
        }
        progress.Report(new(BackupStage.Files, 1, 1));
    }

    private sealed class SegmentGoneException(string name) : Exception($"The segment {name} is not there.");

    private sealed class Entries(IProgress<BackupProgress> progress) : IProgress<long>
    {
        public void Report(long value) => progress.Report(new(BackupStage.Ledger, value, value));
    }
}
