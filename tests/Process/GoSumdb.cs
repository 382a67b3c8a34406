using System.Diagnostics;

namespace Gongzhi.Tests.Process;

/// <summary>A node's log read by Go's own golang.org/x/mod/sumdb, through the program of tests/Conformance/go.</summary>
internal static class GoSumdb
{
    private const string GoPath = "/usr/share/gocode";

    public static bool Installed => Directory.Exists(GoPath + "/src/golang.org/x/mod/sumdb/tlog")
        && (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(p => File.Exists(Path.Combine(p, "go")));

    /// <param name="ledger">The log's directory.</param>
    /// <param name="key">The file with its key.</param>
    public static async Task<Shell> ReadAsync(string ledger, string key)
    {
        var cache = Directory.CreateTempSubdirectory("gongzhi-go-");
        try
        {
            var start = new ProcessStartInfo("go", ["run", "main.go", ledger, (await File.ReadAllTextAsync(key)).Trim()])
            {
                WorkingDirectory = Path.Combine(Repository.Root, "tests/Conformance/go"),
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            start.Environment["GO111MODULE"] = "off";
            start.Environment["GOPATH"] = GoPath;
            start.Environment["GOCACHE"] = cache.FullName;
            using var go = System.Diagnostics.Process.Start(start)!;
            var (output, error) = (go.StandardOutput.ReadToEndAsync(), go.StandardError.ReadToEndAsync());
            await go.WaitForExitAsync();
            return new Shell(go.ExitCode, await output, await error);
        }
        finally
        {
            cache.Delete(recursive: true);
        }
    }
}
