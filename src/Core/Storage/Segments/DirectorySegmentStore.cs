using System.Text;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>
/// Segments as files of one directory: the world's own, or one that several machines mount. DuckDB reads them where they lie. A shared directory must show on
/// every machine what was created on another (NFS version 4 does; so does every local file system).
/// </summary>
public sealed class DirectorySegmentStore : ISegmentStore
{
    private static readonly IDisposable Nothing = new Held();
    private readonly World _world;
    private readonly SegmentClaims? _claims;
    private readonly Marks? _marks;

    // What this machine's temporary files begin with, so that it knows its own when it starts.
    private readonly string _temporaries = "";

    /// <summary>The world's own directory.</summary>
    public DirectorySegmentStore(World world) => (_world, Directory) = (world, world.SegmentDirectory);

    /// <summary>A directory that is only looked at.</summary>
    internal DirectorySegmentStore(World world, string directory) => (_world, Directory) = (world, directory);

    /// <summary>A directory that other machines use too.</summary>
    public DirectorySegmentStore(World world, string directory, ISegmentPeers peers, TimeProvider clock, ILogger log)
    {
        (_world, Directory) = (world, directory);
        _marks = new Marks(directory);
        _claims = new SegmentClaims(_marks, world, peers, clock, log);
        _temporaries = _claims.Machine + ".";
        Files = new SharedDirectoryFiles(world, directory);
    }

    public string Directory { get; }

    public bool Shared => _claims is not null;

    public string? Run => _claims?.Run;

    public ISharedFiles? Files { get; }

    public long FetchBytesMax => long.MaxValue;

    public async Task OpenAsync(IReadOnlySet<string> listed, bool sweep, CancellationToken cancel)
    {
        System.IO.Directory.CreateDirectory(Directory);
        if (_marks is not null)
            SegmentOwner.Check(_world, await _marks.OwnAsync(SegmentOwner.Of(_world), cancel).ConfigureAwait(false));
        foreach (var name in listed)
        {
            if (!File.Exists(((ISegmentStore)this).PathOf(name)))
                throw new InvalidDataException($"The segment file {name}{ISegmentStore.Extension} is listed but missing. Restore it from a backup; nothing was changed.");
        }
        if (!sweep)
            return;
        if (_claims is null)
            DurableFile.Sweep(Directory, name => name.EndsWith(ISegmentStore.Extension, StringComparison.Ordinal) && listed.Contains(Path.GetFileNameWithoutExtension(name)));
        else
            DurableFile.Sweep(Directory, name => !IsTemporary(name) || !name.StartsWith(_temporaries, StringComparison.Ordinal));
    }

    public string CreateTemporary()
    {
        System.IO.Directory.CreateDirectory(Directory);
        return Path.Combine(Directory, $"{_temporaries}{Path.GetRandomFileName()}.tmp");
    }

    public async ValueTask<SegmentPromise?> PublishAsync(string temporary, string name, CancellationToken cancel)
    {
        var path = ((ISegmentStore)this).PathOf(name);
        if (_claims is null)
        {
            try
            {
                DurableFile.Publish(_world, temporary, path);
            }
            catch
            {
                // Not listed by anyone yet: a name without its flushed directory is no promise.
                File.Delete(path);
                throw;
            }
            return null;
        }
        using var turn = await _claims.EnterAsync(name, cancel).ConfigureAwait(false);
        SegmentPromise? promise = null;
        try
        {
            await _world.DurablyAsync("announce segment", async () => promise = await _claims.AnnounceAsync(name, cancel).ConfigureAwait(false)).ConfigureAwait(false);
            DurableFile.Publish(_world, temporary, path);
            return promise;
        }
        catch
        {
            // A file that got its name all the same is swept: another machine may list the same by now.
            if (promise is not null)
                await _claims.GiveUpAsync(name).ConfigureAwait(false);
            throw;
        }
    }

    public ValueTask<IDisposable> FetchAsync(IEnumerable<string> names, CancellationToken cancel) => ValueTask.FromResult(Nothing);

    public async Task DeleteAsync(string name, CancellationToken cancel)
    {
        var path = ((ISegmentStore)this).PathOf(name);
        if (_claims is null)
        {
            File.Delete(path);
            return;
        }
        using var turn = await _claims.EnterAsync(name, cancel).ConfigureAwait(false);
        await _claims.DeleteAsync(name, () =>
        {
            File.Delete(path);
            return Task.CompletedTask;
        }, cancel).ConfigureAwait(false);
    }

    public Task DropAsync(string name) => Task.CompletedTask;

    public Task<StoredFile?> OpenStoredAsync(string name, CancellationToken cancel)
    {
        var path = ((ISegmentStore)this).PathOf(name);
        return Task.FromResult(File.Exists(path) ? new StoredFile(path, copy: false) : null);
    }

    public async Task<IReadOnlyList<string>> OrphansAsync(Func<IReadOnlySet<string>> listed, bool atOnce, CancellationToken cancel)
    {
        // One's own directory is swept at the start, and whoever leaves a file behind while the node runs removes it.
        if (_claims is null)
            return [];
        var stored = System.IO.Directory.EnumerateFiles(Directory, "*" + ISegmentStore.Extension).Select(Path.GetFileNameWithoutExtension).OfType<string>().ToHashSet(StringComparer.Ordinal);
        SweepTemporaries();
        return await _claims.OrphansAsync(stored, listed, atOnce, cancel).ConfigureAwait(false);
    }

    public ValueTask DisposeAsync() => _claims?.DisposeAsync() ?? ValueTask.CompletedTask;

    private static bool IsTemporary(string name) => name.EndsWith(".tmp", StringComparison.Ordinal);

    /// <summary>Files that a machine which never came back was writing: each write makes them young again.</summary>
    private void SweepTemporaries()
    {
        var youngest = System.IO.Directory.EnumerateFileSystemEntries(Directory).Select(File.GetLastWriteTimeUtc).DefaultIfEmpty(DateTime.MinValue).Max();
        foreach (var path in System.IO.Directory.EnumerateFiles(Directory, "*.tmp"))
        {
            if (youngest - File.GetLastWriteTimeUtc(path) > SegmentClaims.IntentAge)
                File.Delete(path);
        }
    }

    private sealed class Held : IDisposable
    {
        public void Dispose()
        {
        }
    }

    /// <summary>Marks as empty files of subdirectories, durable when put.</summary>
    private sealed class Marks(string root) : ISegmentMarks
    {
        public ValueTask PutAsync(string key, CancellationToken cancel)
        {
            var path = Path.Combine(root, key);
            var directory = Path.GetDirectoryName(path)!;
            System.IO.Directory.CreateDirectory(directory);
            // Opened anew even where it exists: its time is what tells how old it is.
            using (var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete))
            {
                file.Write("1"u8);
                file.Flush(flushToDisk: true);
            }
            DurableFile.FlushDirectory(directory);
            return ValueTask.CompletedTask;
        }

        public ValueTask RemoveAsync(string key, CancellationToken cancel)
        {
            var path = Path.Combine(root, key);
            if (System.IO.Directory.Exists(Path.GetDirectoryName(path)))
                File.Delete(path);
            return ValueTask.CompletedTask;
        }

        public ValueTask<List<StoredItem>> ListAsync(string prefix, CancellationToken cancel)
        {
            var folder = prefix[..prefix.IndexOf('/', StringComparison.Ordinal)];
            var directory = Path.Combine(root, folder);
            var found = new List<StoredItem>();
            if (System.IO.Directory.Exists(directory))
            {
                foreach (var file in new DirectoryInfo(directory).EnumerateFiles(prefix[(folder.Length + 1)..] + "*"))
                    found.Add(new($"{folder}/{file.Name}", new DateTimeOffset(file.LastWriteTimeUtc, TimeSpan.Zero)));
            }
            return ValueTask.FromResult(found);
        }

        public ValueTask<string> OwnAsync(string owner, CancellationToken cancel)
        {
            DurableFile.WriteOnce(Path.Combine(root, "owner"), Encoding.UTF8.GetBytes(owner));
            return ValueTask.FromResult(File.ReadAllText(Path.Combine(root, "owner")));
        }
    }
}
