using System.Diagnostics;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Conformance;

/// <summary>A log that we wrote, read by Go's own transparency log packages.</summary>
public sealed class GoImplementationTests
{
    private const string GoPath = "/usr/share/gocode";

    [Fact]
    public async Task Go_verifies_every_record_of_our_log()
    {
        if (!Directory.Exists(GoPath + "/src/golang.org/x/mod/sumdb/tlog") || !(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(p => File.Exists(Path.Combine(p, "go"))))
            Assert.Skip("install Debian's golang-go and golang-golang-x-mod-dev");
        var cancel = TestContext.Current.CancellationToken;
        var root = Directory.CreateTempSubdirectory("gongzhi-go-");
        try
        {
            using var signer = NoteSigner.Generate("go.example/log");
            using var state = new FileTreeState(Path.Combine(root.FullName, "state"));
            var directory = Path.Combine(root.FullName, "log");
            await using (var log = await TileLog.OpenAsync(signer, state, new FileTileStore(directory), cancel: cancel))
            {
                foreach (var count in new[] { 1, 300, 1200 })
                    await log.AppendAsync([.. Enumerable.Range(0, count).Select(i => new PendingEntry(Guid.CreateVersion7(), new byte[(i * 7) % 500]))], cancel);
            }
            var start = new ProcessStartInfo("go", ["run", "main.go", directory, signer.Verifier.ToString()])
            {
                WorkingDirectory = Repository.At("tests", "Conformance", "go"),
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            start.Environment["GO111MODULE"] = "off";
            start.Environment["GOPATH"] = GoPath;
            start.Environment["GOCACHE"] = Path.Combine(root.FullName, "cache");
            using var go = Process.Start(start)!;
            var output = go.StandardOutput.ReadToEndAsync(cancel);
            var errors = go.StandardError.ReadToEndAsync(cancel);
            await go.WaitForExitAsync(cancel);
            Assert.True(go.ExitCode == 0, await errors);
            Assert.Equal("ok 1501\n", await output);
        }
        finally
        {
            root.Delete(recursive: true);
        }
    }
}
