using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gongzhi.Ledger;

/// <summary>Files that survive a power cut: temporary name → fsync → rename → fsync of the directory.</summary>
internal static partial class DurableFile
{
    /// <summary>
    /// Writes all files; the renames start only once every content is on disk. Not atomic across files. Temporary names are unique,
    /// so that two processes that write the same file at once cannot rename each other's half.
    /// </summary>
    /// <param name="temporary">A directory on the same file system; see <see cref="Sweep"/>.</param>
    /// <param name="files">Absolute paths and whole contents.</param>
    public static void Write(string temporary, IReadOnlyList<(string Path, ReadOnlyMemory<byte> Content)> files)
    {
        CreateDirectory(temporary);
        var names = new string?[files.Count];
        try
        {
            for (var i = 0; i < files.Count; i++)
            {
                CreateDirectory(Path.GetDirectoryName(files[i].Path)!);
                var name = names[i] = Path.Combine(temporary, Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(12)));
                using var handle = File.OpenHandle(name, FileMode.CreateNew, FileAccess.Write);
                RandomAccess.Write(handle, files[i].Content.Span, 0);
                RandomAccess.FlushToDisk(handle);
            }
            var directories = new HashSet<string>(StringComparer.Ordinal);
            for (var i = 0; i < files.Count; i++)
            {
                File.Move(names[i]!, files[i].Path, overwrite: true);
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
    /// Removes what a crash left among the temporary files. Should another process be writing at that moment, its step fails and is
    /// done again; nothing is lost.
    /// </summary>
    public static void Sweep(string temporary)
    {
        if (!Directory.Exists(temporary)) return;
        foreach (var file in Directory.EnumerateFiles(temporary)) File.Delete(file);
    }

    /// <summary>Creates a directory and its missing ancestors, each made durable in its parent.</summary>
    public static void CreateDirectory(string directory)
    {
        if (Directory.Exists(directory)) return;
        var parent = Path.GetDirectoryName(directory);
        if (!string.IsNullOrEmpty(parent)) CreateDirectory(parent);
        Directory.CreateDirectory(directory);
        if (!string.IsNullOrEmpty(parent)) FlushDirectory(parent);
    }

    /// <summary>
    /// Makes renames in a directory durable. .NET cannot open a directory, hence libc; Windows keeps its metadata journal in
    /// order by itself and has no such call.
    /// </summary>
    public static void FlushDirectory(string directory)
    {
        if (OperatingSystem.IsWindows()) return;
        var descriptor = Open(directory, 0);
        if (descriptor < 0) throw new IOException($"Cannot open {directory} to flush it (errno {Marshal.GetLastPInvokeError()}).");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (FSync(descriptor) != 0) throw new IOException($"Cannot flush {directory} (errno {Marshal.GetLastPInvokeError()}).");
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
