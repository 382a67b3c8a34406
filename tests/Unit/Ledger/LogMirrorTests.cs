using System.Text;
using Gongzhi.Ledger;

namespace Gongzhi.Tests.Unit.Ledger;

public sealed class LogMirrorTests : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-mirror-");

    public void Dispose() => _root.Delete(recursive: true);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string At(string name) => Path.Combine(_root.FullName, name);

    private async Task<TileLog> OpenAsync(NoteSigner signer, string name) =>
        await TileLog.OpenAsync(signer, new FileTreeState(At(name + "-state")), new FileTileStore(At(name)), cancel: Stop);

    private static List<PendingEntry> Entries(int from, int count) =>
        [.. Enumerable.Range(from, count).Select(i => new PendingEntry(new Guid(i + 1, 0, 0, new byte[8]), Encoding.UTF8.GetBytes($"entry {i}")))];

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 255)]
    [InlineData(255, 1)]
    [InlineData(256, 300)]
    [InlineData(300, 9_000)]
    public async Task A_copy_grows_with_its_log_and_is_the_log(int before, int more)
    {
        using var signer = NoteSigner.Generate("log.example/one");
        await using var log = await OpenAsync(signer, "log");
        var source = new DirectoryTileSource(At("log"));
        var copy = new FileTileStore(At("copy"));
        if (before > 0)
            await log.AppendAsync(Entries(0, before), Stop);
        Assert.Equal(before, (await LogMirror.UpdateAsync(source, copy, signer.Verifier, cancel: Stop)).Size);
        await log.AppendAsync(Entries(before, more), Stop);
        var report = await LogMirror.UpdateAsync(source, copy, signer.Verifier, cancel: Stop);
        Assert.Equal((before, before + more), (report.From, report.Size));
        Assert.Equal(log.Head.Root.ToArray(), report.Root.ToArray());
        var audit = await LogAuditor.AuditAsync(new DirectoryTileSource(At("copy")), signer.Verifier, cancel: Stop);
        Assert.True(audit.Ok, audit.Break?.ToString());
        Assert.Equal(before + more, audit.EntriesHashed);
        // Nothing new: nothing done.
        Assert.Equal(report.Size, (await LogMirror.UpdateAsync(source, copy, signer.Verifier, cancel: Stop)).From);
    }

    [Fact]
    public async Task Neither_a_shorter_log_nor_another_history_is_taken_up()
    {
        using var signer = NoteSigner.Generate("log.example/one");
        await using var log = await OpenAsync(signer, "log");
        await log.AppendAsync(Entries(0, 400), Stop);
        var copy = new FileTileStore(At("copy"));
        await LogMirror.UpdateAsync(new DirectoryTileSource(At("log")), copy, signer.Verifier, cancel: Stop);
        var kept = await File.ReadAllBytesAsync(Path.Combine(At("copy"), "checkpoint"), Stop);

        await using var shorter = await OpenAsync(signer, "shorter");
        await shorter.AppendAsync(Entries(0, 300), Stop);
        Assert.Contains("went back", (await Refused("shorter")).Reason, StringComparison.Ordinal);
        await shorter.AppendAsync(Entries(1_000, 200), Stop);
        Assert.Contains("two histories", (await Refused("shorter")).Reason, StringComparison.Ordinal);
        Assert.Equal(kept, await File.ReadAllBytesAsync(Path.Combine(At("copy"), "checkpoint"), Stop));

        Task<LedgerDivergedException> Refused(string source) =>
            Assert.ThrowsAsync<LedgerDivergedException>(() => LogMirror.UpdateAsync(new DirectoryTileSource(At(source)), copy, signer.Verifier, cancel: Stop));
    }

    [Fact]
    public async Task A_changed_entry_at_the_source_is_named_and_nothing_is_published()
    {
        using var signer = NoteSigner.Generate("log.example/one");
        await using var log = await OpenAsync(signer, "log");
        await log.AppendAsync(Entries(0, 600), Stop);
        var bundle = Path.Combine(At("log"), "tile", "entries", "001");
        var bytes = await File.ReadAllBytesAsync(bundle, Stop);
        bytes[40] ^= 1;
        await File.WriteAllBytesAsync(bundle, bytes, Stop);
        await Assert.ThrowsAsync<LedgerCorruptException>(() => LogMirror.UpdateAsync(new DirectoryTileSource(At("log")), new FileTileStore(At("copy")), signer.Verifier, cancel: Stop));
        Assert.False(File.Exists(Path.Combine(At("copy"), "checkpoint")));
        // Mended at the source: the copy goes on over what it wrote.
        bytes[40] ^= 1;
        await File.WriteAllBytesAsync(bundle, bytes, Stop);
        Assert.Equal(600, (await LogMirror.UpdateAsync(new DirectoryTileSource(At("log")), new FileTileStore(At("copy")), signer.Verifier, cancel: Stop)).Size);
        Assert.True((await LogAuditor.AuditAsync(new DirectoryTileSource(At("copy")), signer.Verifier, cancel: Stop)).Ok);
    }
}
