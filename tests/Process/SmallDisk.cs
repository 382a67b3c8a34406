using System.Diagnostics;

namespace Gongzhi.Tests.Process;

/// <summary>A file system of its own in memory, small enough to fill. Needs root; the test is skipped without.</summary>
internal sealed class SmallDisk : IDisposable
{
    private readonly string _ballast;

    private SmallDisk(string path) => (Path, _ballast) = (path, System.IO.Path.Combine(path, ".ballast"));

    public string Path { get; }

    public static SmallDisk Mount(string path, string size)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "Filling a disk needs root and Linux: a tmpfs is mounted.");
        Directory.CreateDirectory(path);
        Assert.SkipUnless(Run("mount", "-t", "tmpfs", "-o", $"size={size},mode=0700", "tmpfs", path) == 0, "No tmpfs can be mounted here.");
        return new SmallDisk(path);
    }

    public long FreeBytes => new DriveInfo(Path).AvailableFreeSpace;

    /// <summary>Fills the disk until only so many bytes are left.</summary>
    public void FillTo(long leave)
    {
        using var file = new FileStream(_ballast, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        var block = new byte[4_096];
        while (FreeBytes - leave >= block.Length)
        {
            try
            {
                file.Write(block);
            }
            catch (IOException)
            {
                return;
            }
        }
    }

    public void MakeRoom() => File.Delete(_ballast);

    public void Dispose()
    {
        if (Run("umount", Path) != 0)
            Run("umount", "-l", Path);
    }

    private static int Run(string program, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
