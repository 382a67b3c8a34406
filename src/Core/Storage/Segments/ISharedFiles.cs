using System.Security.Cryptography;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>
/// Further files that machines of one world share beside the segments: sorted keys, lists of rejected rows. Each is written whole, once, under a name of its own, and copied to
/// the machine that needs it. For any thread.
/// </summary>
public interface ISharedFiles
{
    /// <summary>Stores a file; when this returns it is durable and every machine finds it. One of that name is replaced.</summary>
    /// <param name="key"><c>folder/name</c>.</param>
    /// <param name="path">The file, which stays.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="IOException">The store cannot be reached.</exception>
    Task PutAsync(string key, string path, CancellationToken cancel);

    /// <summary>Copies a file to a path of this machine, whole or not at all; answers its SHA-256, or null when there is none.</summary>
    /// <exception cref="IOException">The store cannot be reached.</exception>
    Task<byte[]?> FetchAsync(string key, string path, CancellationToken cancel);

    /// <summary>One that is not there is no error.</summary>
    Task RemoveAsync(string key, CancellationToken cancel);

    /// <summary>Names in a folder that were stored before a moment, by the store's own clock as far as it has one.</summary>
    Task<IReadOnlyList<string>> ListAsync(string folder, TimeSpan olderThan, CancellationToken cancel);
}

/// <summary>Files of a directory that several machines mount.</summary>
internal sealed class SharedDirectoryFiles(World world, string root) : ISharedFiles
{
    public async Task PutAsync(string key, string path, CancellationToken cancel)
    {
        var final = Path.Combine(root, key);
        Directory.CreateDirectory(Path.GetDirectoryName(final)!);
        var temporary = $"{final}.{Path.GetRandomFileName()}.tmp";
        try
        {
            await CopyAsync(path, temporary, cancel).ConfigureAwait(false);
            DurableFile.Publish(world, temporary, final);
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    public async Task<byte[]?> FetchAsync(string key, string path, CancellationToken cancel)
    {
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            var hash = await CopyAsync(Path.Combine(root, key), temporary, cancel).ConfigureAwait(false);
            File.Move(temporary, path, overwrite: true);
            return hash;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    public Task RemoveAsync(string key, CancellationToken cancel)
    {
        var path = Path.Combine(root, key);
        if (Directory.Exists(Path.GetDirectoryName(path)))
            File.Delete(path);
        return Task.CompletedTask;
    }

    public Task<IReadOnlyList<string>> ListAsync(string folder, TimeSpan olderThan, CancellationToken cancel)
    {
        var directory = new DirectoryInfo(Path.Combine(root, folder));
        if (!directory.Exists)
            return Task.FromResult<IReadOnlyList<string>>([]);
        // The file system's own clock, as a fresh file shows it.
        var probe = Path.Combine(directory.FullName, $"{Path.GetRandomFileName()}.tmp");
        File.WriteAllText(probe, "");
        var now = File.GetLastWriteTimeUtc(probe);
        File.Delete(probe);
        return Task.FromResult<IReadOnlyList<string>>([.. directory.EnumerateFiles().Where(f => now - f.LastWriteTimeUtc > olderThan).Select(f => f.Name)]);
    }

    private static async Task<byte[]> CopyAsync(string from, string to, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var source = new FileStream(from, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, 1, FileOptions.Asynchronous | FileOptions.SequentialScan);
        using var target = new FileStream(to, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.Asynchronous);
        var buffer = new byte[1 << 20];
        for (int read; (read = await source.ReadAsync(buffer, cancel).ConfigureAwait(false)) > 0;)
        {
            hash.AppendData(buffer, 0, read);
            await target.WriteAsync(buffer.AsMemory(0, read), cancel).ConfigureAwait(false);
        }
        target.Flush(flushToDisk: true);
        return hash.GetHashAndReset();
    }
}

/// <summary>Objects beside the segments.</summary>
internal sealed class S3Files(S3Objects objects, TimeProvider clock) : ISharedFiles
{
    public async Task PutAsync(string key, string path, CancellationToken cancel)
    {
        byte[] hash;
        using (var file = File.OpenRead(path))
            hash = await SHA256.HashDataAsync(file, cancel).ConfigureAwait(false);
        await objects.UploadAsync(key, path, hash, cancel).ConfigureAwait(false);
    }

    public async Task<byte[]?> FetchAsync(string key, string path, CancellationToken cancel)
    {
        var temporary = $"{path}.{Path.GetRandomFileName()}.tmp";
        try
        {
            if (await objects.DownloadAsync(key, temporary, cancel).ConfigureAwait(false) is not { } came)
                return null;
            File.Move(temporary, path, overwrite: true);
            return came.Sha256;
        }
        finally
        {
            File.Delete(temporary);
        }
    }

    public Task RemoveAsync(string key, CancellationToken cancel) => objects.DeleteAsync(key, cancel);

    public async Task<IReadOnlyList<string>> ListAsync(string folder, TimeSpan olderThan, CancellationToken cancel) =>
        [.. (await objects.ListAsync(folder + "/", flat: true, cancel).ConfigureAwait(false)).Where(o => clock.GetUtcNow() - o.Modified > olderThan).Select(o => o.Key[(folder.Length + 1)..])];
}
