using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gongzhi.Ledger;

/// <summary>One action on the disk: <c>create directory</c>, <c>write</c>, <c>fsync</c>, <c>rename</c> or <c>fsync directory</c>.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Path">Of a rename, the name it gives.</param>
/// <param name="From">Of a rename, the name it takes away.</param>
internal readonly record struct DiskAction(string Kind, string Path, string? From = null);

/// <summary>Files that survive a power cut: temporary name → fsync → rename → fsync of the directory.</summary>
/// <param name="interposed">Stands before each action, for tests that make one fail; any thread.</param>
internal sealed partial class DurableFiles(Action<DiskAction, Action>? interposed = null)
{
    /// <summary>Bounds the open files.</summary>
    private const int FlushedTogetherMax = 64;
    private const int FlushThreads = 8;

    // Directories whose own names are known to be durable. One that merely exists may be left from a flush that failed.
    private readonly ConcurrentDictionary<string, bool> _durable = new(StringComparer.Ordinal);

    /// <summary>
    /// Writes all files; the renames start only once every content is on disk. Not atomic across files. Temporary names are unique,
    /// so that two processes that write the same file at once cannot rename each other's half.
    /// </summary>
    /// <param name="temporary">A directory on the same file system; see <see cref="Sweep"/>.</param>
    /// <param name="files">Absolute paths and whole contents.</param>
    public void Write(string temporary, IReadOnlyList<(string Path, ReadOnlyMemory<byte> Content)> files)
    {
        CreateDirectory(temporary);
        var names = new string?[files.Count];
        try
        {
            for (var from = 0; from < files.Count; from += FlushedTogetherMax)
            {
                var handles = new List<SafeFileHandle>();
                try
                {
                    for (var i = from; i < Math.Min(files.Count, from + FlushedTogetherMax); i++)
                    {
                        CreateDirectory(Path.GetDirectoryName(files[i].Path)!);
                        var name = names[i] = Path.Combine(temporary, Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(12)));
                        handles.Add(File.OpenHandle(name, FileMode.CreateNew, FileAccess.Write));
                        var (handle, content) = (handles[^1], files[i].Content);
                        Do(new("write", name), () => RandomAccess.Write(handle, content.Span, 0));
                    }
                    Flush(handles, names[from..]);
                }
                finally
                {
                    foreach (var handle in handles) handle.Dispose();
                }
            }
            var directories = new HashSet<string>(StringComparer.Ordinal);
            for (var i = 0; i < files.Count; i++)
            {
                var (name, path) = (names[i]!, files[i].Path);
                Do(new("rename", path, name), () => File.Move(name, path, overwrite: true));
                names[i] = null;
                directories.Add(Path.GetDirectoryName(files[i].Path)!);
            }
            foreach (var directory in directories) FlushDirectory(directory);
        }
        catch
        {
            // A log that tries again every second on a full disk must not fill it further.
            foreach (var name in names) if (name is not null) File.Delete(name);
            throw;
        }
    }

    /// <summary>
    /// Every file, several at once: a journalling file system answers flushes that wait together with one commit, where one after another each
    /// waits for its own. Threads of their own, since a flush blocks its thread and the pool would be slow to add others.
    /// </summary>
    private void Flush(List<SafeFileHandle> handles, string?[] names)
    {
        var next = -1;
        var others = new Task[Math.Min(FlushThreads, handles.Count) - 1];
        for (var i = 0; i < others.Length; i++)
            others[i] = Task.Factory.StartNew(Some, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        try
        {
            Some();
        }
        finally
        {
            // Nobody may still be flushing when the handles are closed; the first failure is thrown as it was.
            Task.WhenAll(others).GetAwaiter().GetResult();
        }

        void Some()
        {
            for (int i; (i = Interlocked.Increment(ref next)) < handles.Count;)
            {
                var handle = handles[i];
                Do(new("fsync", names[i]!), () => RandomAccess.FlushToDisk(handle));
            }
        }
    }

    /// <summary>
    /// Removes what a crash left among the temporary files. Should another process be writing at that moment, its step fails and is
    /// done again; nothing is lost.
    /// </summary>
    public static void Sweep(string temporary)
    {
        if (!Directory.Exists(temporary)) return;
        foreach (var file in Directory.EnumerateFiles(temporary)) File.Delete(file);
    }

    /// <summary>
    /// Creates a directory and its missing ancestors, each made durable in its parent. One that is there already may be what a failed flush
    /// left, so its parent is flushed the first time all the same.
    /// </summary>
    public void CreateDirectory(string directory)
    {
        var exists = Directory.Exists(directory);
        if (exists && _durable.ContainsKey(directory)) return;
        var parent = Path.GetDirectoryName(directory);
        if (!exists)
        {
            if (!string.IsNullOrEmpty(parent)) CreateDirectory(parent);
            Do(new("create directory", directory), () => Directory.CreateDirectory(directory));
        }
        if (!string.IsNullOrEmpty(parent)) FlushDirectory(parent, needed: !exists);
        _durable[directory] = true;
    }

    /// <summary>The directory is about to be removed.</summary>
    public void Forget(string directory) => _durable.TryRemove(directory, out _);

    /// <summary>
    /// Makes renames in a directory durable. .NET cannot open a directory, hence libc; Windows keeps its metadata journal in
    /// order by itself and has no such call.
    /// </summary>
    /// <param name="directory">It exists.</param>
    /// <param name="needed">False: one that may not be opened is left alone, as it is not ours and was not changed by us.</param>
    public void FlushDirectory(string directory, bool needed = true) => Do(new("fsync directory", directory), () =>
    {
        const int PermissionDenied = 13;
        if (OperatingSystem.IsWindows()) return;
        var descriptor = Open(directory, 0);
        if (descriptor < 0)
        {
            var error = Marshal.GetLastPInvokeError();
            if (error == PermissionDenied && !needed) return;
            throw new IOException($"Cannot open {directory} to flush it (errno {error}).");
        }
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (FSync(descriptor) != 0) throw new IOException($"Cannot flush {directory} (errno {Marshal.GetLastPInvokeError()}).");
    });

    private void Do(DiskAction action, Action act)
    {
        if (interposed is null) act();
        else interposed(action, act);
    }

    /// <summary>The file's bytes, or null when it does not exist.</summary>
    public static byte[]? ReadOrNull(string path, long bytesMax)
    {
        try
        {
            using var handle = File.OpenHandle(path);
            var length = RandomAccess.GetLength(handle);
            if (length > bytesMax) throw new InvalidDataException($"{path} is {length} bytes; at most {bytesMax} are read.");
            var bytes = new byte[length];
            var read = 0;
            while (read < bytes.Length)
            {
                var n = RandomAccess.Read(handle, bytes.AsSpan(read), read);
                if (n == 0) throw new InvalidDataException($"{path} grew shorter while it was read.");
                read += n;
            }
            return bytes;
        }
        catch (Exception absent) when (absent is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int FSync(int descriptor);
}
