using Gongzhi.Ledger;

namespace Gongzhi.Tests.Unit.Ledger;

/// <summary>A log in a temporary directory, removed at the end.</summary>
internal sealed class LogFixture : IDisposable
{
    private static readonly byte[] Seed = [.. Enumerable.Range(1, 32).Select(i => (byte)i)];
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-ledger-");

    public NoteSigner Signer { get; } = new("test.example/log", Seed);
    public string LogDirectory => Path.Combine(_root.FullName, "log");
    public string StateDirectory => Path.Combine(_root.FullName, "state");
    public FileTileStore Store => new(LogDirectory);
    public FileTreeState State() => new(StateDirectory);
    public string FileOf(string path) => Path.Combine(LogDirectory, path);

    public static PendingEntry Entry(int number, int length = 20)
    {
        var id = new byte[16];
        BitConverter.TryWriteBytes(id, number);
        var bytes = new byte[Math.Max(4, length)];
        BitConverter.TryWriteBytes(bytes, number);
        return new PendingEntry(new Guid(id, bigEndian: true), bytes);
    }

    public static PendingEntry[] Entries(int first, int count) => [.. Enumerable.Range(first, count).Select(i => Entry(i, 10 + (i % 50)))];

    public void Dispose()
    {
        Signer.Dispose();
        _root.Delete(recursive: true);
    }
}
