using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Backup;

/// <summary>
/// A directory of backups of one world: <c>segments/</c> holds each segment once, whichever backups name it; <c>ledger/</c> a copy of the log that only grows; <c>backups/TIME/</c> the state of one moment with its
/// manifest. One process writes it at a time.
/// </summary>
internal sealed class BackupRepository : IDisposable
{
    private const string Time = "yyyyMMdd'T'HHmmss'Z'", Unfinished = ".unfinished";

    private readonly FileStream? _lock;

    private BackupRepository(string root, FileStream? held) => (Root, _lock) = (root, held);

    public string Root { get; }

    public string Ledger(string name) => Path.Combine(Root, "ledger", name);

    /// <summary>The name of the copy of a key's log: a log that goes on under another key gets a copy of its own.</summary>
    public static string LogName(NoteVerifier key) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key.ToString())))[..16];

    public string Segment(string name) => Path.Combine(Root, "segments", name + ISegmentStore.Extension);

    public string At(string backup) => Path.Combine(Root, "backups", backup);

    private sealed record Owner(int Format, string Origin);

    /// <summary>Opens it for writing, or makes it.</summary>
    /// <param name="root">The directory.</param>
    /// <param name="origin">Whose backups; null for whosever they are.</param>
    /// <exception cref="StartRefusedException">It holds something else, or another process writes it.</exception>
    public static BackupRepository Open(string root, string? origin)
    {
        root = Path.GetFullPath(root);
        var owner = Path.Combine(root, "repository.json");
        if (!File.Exists(owner))
        {
            if (origin is null || (Directory.Exists(root) && Directory.EnumerateFileSystemEntries(root).Any(e => Path.GetFileName(e) is not ("lock" or "repository.json.new"))))
                throw new StartRefusedException($"{root} is not a directory of backups.");
            WorldDirectory.MakePrivate(root);
        }
        FileStream held;
        try
        {
            held = new FileStream(Path.Combine(root, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartRefusedException($"The backups in {root} cannot be written, or somebody writes them now: {e.Message}");
        }
        try
        {
            if (!File.Exists(owner))
                PrivateFile.Write(owner, JsonSerializer.SerializeToUtf8Bytes(new Owner(1, origin!)));
            Demand(root, origin);
            // After it says whose it is: a process that ends in between leaves something that the next one goes on with.
            foreach (var directory in (string[])["segments", "ledger", "backups"])
                WorldDirectory.MakePrivate(Path.Combine(root, directory));
            foreach (var left in Directory.EnumerateDirectories(Path.Combine(root, "backups"), "*" + Unfinished))
                Directory.Delete(left, recursive: true);
            foreach (var left in Directory.EnumerateFiles(Path.Combine(root, "segments"), "*.tmp"))
                File.Delete(left);
            return new BackupRepository(root, held);
        }
        catch
        {
            held.Dispose();
            throw;
        }
    }

    /// <summary>Opens it for reading; a medium that cannot be written will do.</summary>
    /// <exception cref="StartRefusedException">It is none.</exception>
    public static BackupRepository Look(string root)
    {
        root = Path.GetFullPath(root);
        Demand(root, null);
        return new BackupRepository(root, null);
    }

    /// <summary>The finished backups, oldest first; those too whose manifest is damaged since.</summary>
    public IReadOnlyList<string> Backups() =>
    [
        .. Directory.EnumerateDirectories(Path.Combine(Root, "backups")).Where(d => !d.EndsWith(Unfinished, StringComparison.Ordinal))
            .Select(Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal),
    ];

    /// <summary>An empty directory for a new backup; it becomes one by <see cref="Finish"/>.</summary>
    public (string Name, string Directory) Begin(DateTimeOffset now)
    {
        var name = now.UtcDateTime.ToString(Time, CultureInfo.InvariantCulture);
        // Two within a second: the second says so.
        for (var n = 2; Directory.Exists(At(name)); n++)
            name = now.UtcDateTime.ToString(Time, CultureInfo.InvariantCulture) + "-" + n.ToString(CultureInfo.InvariantCulture);
        var directory = At(name) + Unfinished;
        if (Directory.Exists(directory))
            Directory.Delete(directory, recursive: true);
        WorldDirectory.MakePrivate(directory);
        return (name, directory);
    }

    /// <summary>Writes the manifest and gives the backup its name; only then it counts.</summary>
    /// <param name="name">Of the backup.</param>
    /// <param name="manifest">What it holds.</param>
    /// <param name="macKey">The key that is sealed with the others; null when none are.</param>
    public void Finish(string name, BackupManifest manifest, byte[]? macKey)
    {
        var directory = At(name) + Unfinished;
        var encoded = manifest.Encode();
        PrivateFile.Write(Path.Combine(directory, BackupManifest.SumName), BackupManifest.Sum(encoded));
        if (macKey is not null)
            PrivateFile.Write(Path.Combine(directory, BackupManifest.MacName), BackupManifest.Mac(encoded, macKey));
        PrivateFile.Write(Path.Combine(directory, BackupManifest.Name), encoded);
        foreach (var below in Directory.EnumerateDirectories(directory, "*", SearchOption.AllDirectories))
            DurableFile.FlushDirectory(below);
        Directory.Move(directory, At(name));
        DurableFile.FlushDirectory(Path.Combine(Root, "backups"));
    }

    /// <summary>Deletes backups older than so many days, but never the newest ones; then the segments that none of those left names.</summary>
    /// <returns>How many backups and segments went.</returns>
    public (int Backups, int Segments) Prune(int keep, int days, DateTimeOffset now)
    {
        var all = Backups();
        // All manifests are read before anything goes: a backup that cannot be read keeps everything.
        var manifests = all.ToDictionary(b => b, b => BackupManifest.Read(At(b)), StringComparer.Ordinal);
        var going = all.SkipLast(Math.Max(1, keep)).Where(b => manifests[b].Taken < now.AddDays(-days)).ToList();
        foreach (var backup in going)
        {
            // Whatever ends this process now: it is none any more, and the next one that writes here clears it away. It may hold what was erased since.
            Directory.Move(At(backup), At(backup) + Unfinished);
            DurableFile.FlushDirectory(Path.Combine(Root, "backups"));
            Directory.Delete(At(backup) + Unfinished, recursive: true);
            manifests.Remove(backup);
        }
        var named = manifests.Values.SelectMany(m => m.Segments).ToHashSet(StringComparer.Ordinal);
        var segments = 0;
        foreach (var path in Directory.EnumerateFiles(Path.Combine(Root, "segments"), "*" + ISegmentStore.Extension))
        {
            if (named.Contains(Path.GetFileNameWithoutExtension(path)))
                continue;
            File.Delete(path);
            segments++;
        }
        var logs = manifests.Values.Select(m => m.Log.Directory).ToHashSet(StringComparer.Ordinal);
        foreach (var path in Directory.EnumerateDirectories(Path.Combine(Root, "ledger")).Where(d => !logs.Contains(Path.GetFileName(d)) && logs.Count > 0))
            Directory.Delete(path, recursive: true);
        return (going.Count, segments);
    }

    /// <summary>Reads every file of a backup and names those that are not what was written.</summary>
    public async Task<IReadOnlyList<string>> FaultsAsync(string backup, BackupManifest manifest, CancellationToken cancel)
    {
        var faults = new List<string>();
        foreach (var file in manifest.Files)
        {
            var path = Path.Combine(At(backup), file.Path);
            if (!File.Exists(path) || await HashAsync(path, cancel).ConfigureAwait(false) != file.Sha256)
                faults.Add(Path.GetRelativePath(Root, path));
        }
        foreach (var name in manifest.Segments)
        {
            if (!File.Exists(Segment(name)) || await HashAsync(Segment(name), cancel).ConfigureAwait(false) != name)
                faults.Add(Path.GetRelativePath(Root, Segment(name)));
        }
        return faults;
    }

    public void Dispose() => _lock?.Dispose();

    public static async Task<string> HashAsync(string path, CancellationToken cancel)
    {
        var file = File.OpenRead(path);
        await using (file.ConfigureAwait(false))
            return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel).ConfigureAwait(false));
    }

    private static void Demand(string root, string? origin)
    {
        var path = Path.Combine(root, "repository.json");
        Owner? owner = null;
        try
        {
            owner = File.Exists(path) ? JsonSerializer.Deserialize<Owner>(File.ReadAllBytes(path)) : null;
        }
        catch (JsonException)
        {
            // Said below.
        }
        if (owner is not { Format: 1, Origin: not null })
            throw new StartRefusedException($"{root} is not a directory of backups.");
        if (origin is not null && owner.Origin != origin)
            throw new StartRefusedException($"{root} holds backups of another world ({owner.Origin}). Give each world a directory of its own.");
    }
}
