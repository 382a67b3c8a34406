using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Gongzhi.Core.Storage;

/// <summary>Making files outlast a power cut: the content, then the name, then the directory that holds the name.</summary>
public static partial class DurableFile
{
    /// <summary>Gives a flushed file its final name and makes the name durable. An existing file of that name has the same content, since names are hashes.</summary>
    public static void Publish(World world, string temporary, string final)
    {
        world.Durably("rename", () => File.Move(temporary, final, overwrite: true));
        world.Durably("flush directory", () => FlushDirectory(Path.GetDirectoryName(final)!));
    }

    /// <summary>Writes a small file whole, unless one of that name is there; of several at once the first one's stays.</summary>
    public static void WriteOnce(string path, ReadOnlySpan<byte> content)
    {
        if (File.Exists(path))
            return;
        var directory = Path.GetDirectoryName(path)!;
        Directory.CreateDirectory(directory);
        var temporary = $"{path}.{Path.GetRandomFileName()}.new";
        using (var file = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }
        try
        {
            File.Move(temporary, path);
        }
        catch (IOException) when (File.Exists(path))
        {
            File.Delete(temporary);
        }
        FlushDirectory(directory);
    }

    /// <summary>Removes the files of a directory, but not of those below it, that <paramref name="kept"/> does not answer for: what a crash left.</summary>
    public static void Sweep(string directory, Func<string, bool> kept)
    {
        if (!Directory.Exists(directory))
            return;
        foreach (var path in Directory.EnumerateFiles(directory))
        {
            if (!kept(Path.GetFileName(path)))
                File.Delete(path);
        }
    }

    /// <summary>A rename is durable only after its directory is flushed; Windows flushes the entry with the file.</summary>
    public static void FlushDirectory(string directory)
    {
        if (OperatingSystem.IsWindows())
            return;
        var descriptor = Open(directory, 0);
        if (descriptor < 0)
            throw new IOException($"Cannot open the directory to flush it (error {Marshal.GetLastPInvokeError()}).");
        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (Fsync(descriptor) != 0)
            throw new IOException($"Cannot flush the directory (error {Marshal.GetLastPInvokeError()}).");
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Fsync(int descriptor);
}
