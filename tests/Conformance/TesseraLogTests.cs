using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Conformance;

/// <summary>A 15-entry log that another implementation (transparency-dev/tessera) wrote, with the checkpoint of every size.</summary>
public sealed class TesseraLogTests
{
    private const string VKey = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";

    [Fact]
    public async Task The_whole_log_audits_from_each_of_its_checkpoints()
    {
        var directory = VectorFiles.Shipped("tessera_log");
        Assert.True(NoteVerifier.TryParse(VKey, out var key));
        Assert.Equal(VKey, key.ToString());
        var checkpoints = Directory.GetFiles(directory, "checkpoint.*").Where(file => Path.HasExtension(file)).ToArray();
        Assert.NotEmpty(checkpoints);
        foreach (var file in checkpoints)
        {
            var report = await LogAuditor.AuditAsync(new DirectoryTileSource(directory), key, File.ReadAllBytes(file), TestContext.Current.CancellationToken);
            Assert.Null(report.Break);
            Assert.Equal((15L, 15L), (report.Size, report.EntriesHashed));
            Assert.Equal(long.Parse(Path.GetExtension(file)[1..], System.Globalization.CultureInfo.InvariantCulture), report.FromSize);
        }
    }

    [Fact]
    public async Task A_changed_tile_bundle_or_checkpoint_is_named()
    {
        var source = VectorFiles.Shipped("tessera_log");
        Assert.True(NoteVerifier.TryParse(VKey, out var key));
        foreach (var (path, named) in new[] { ("checkpoint", "checkpoint"), ("tile/0/000.p/15", "tile/0/000.p/15"), ("tile/entries/000.p/15", "tile/entries/000.p/15") })
        {
            var copy = Directory.CreateTempSubdirectory("gongzhi-tessera-");
            try
            {
                foreach (var file in Directory.GetFiles(source, "*", SearchOption.AllDirectories))
                {
                    var target = Path.Combine(copy.FullName, Path.GetRelativePath(source, file));
                    Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                    File.WriteAllBytes(target, File.ReadAllBytes(file));
                }
                var changed = Path.Combine(copy.FullName, path);
                var bytes = File.ReadAllBytes(changed);
                bytes[^10] ^= 1;
                File.WriteAllBytes(changed, bytes);
                var report = await LogAuditor.AuditAsync(new DirectoryTileSource(copy.FullName), key, cancel: TestContext.Current.CancellationToken);
                Assert.Equal(named, report.Break?.File);
            }
            finally
            {
                copy.Delete(recursive: true);
            }
        }
    }
}
