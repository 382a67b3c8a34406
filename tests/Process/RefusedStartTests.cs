using System.Diagnostics;

namespace Gongzhi.Tests.Process;

/// <summary>A start that cannot be: one plain line in the reader's language and the documented exit code, by the real program and the scripts.</summary>
public sealed class RefusedStartTests(WorkedDirectory made) : IClassFixture<WorkedDirectory>
{
    private const int Damaged = 4;

    [Theory]
    [InlineData("segment", "en")]
    [InlineData("segment", "zh")]
    [InlineData("checkpoint", "en")]
    [InlineData("tile", "zh")]
    [InlineData("database", "en")]
    public async Task What_is_not_what_was_committed_is_named_in_one_line(string what, string language)
    {
        var data = Directory.CreateTempSubdirectory("gongzhi-refused-").FullName;
        try
        {
            foreach (var file in Directory.GetFiles(made.Data, "*", SearchOption.AllDirectories))
            {
                var target = Path.Combine(data, Path.GetRelativePath(made.Data, file));
                Directory.CreateDirectory(Path.GetDirectoryName(target)!);
                File.Copy(file, target);
            }
            var named = Damage(data, what);
            var said = await Shell.RunAsync("gongzhi", [("LC_ALL", language == "zh" ? "zh_CN.UTF-8" : "C.UTF-8")], "serve", "--data", data, "--urls", "http://127.0.0.1:0");
            Assert.True(said.Exit == Damaged, said.Output + said.Error);
            var line = Assert.Single(said.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
            Assert.Contains(named, line, StringComparison.Ordinal);
            Assert.Contains(language == "zh" ? "不予启动" : "nothing is started", line, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", said.Output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }

    private static string Damage(string data, string what)
    {
        switch (what)
        {
            case "segment":
                var segment = Directory.GetFiles(Path.Combine(data, "segments")).First();
                File.Delete(segment);
                return Path.GetFileNameWithoutExtension(segment);
            case "checkpoint":
                Flip(Path.Combine(data, "ledger", "checkpoint"), 60);
                return "checkpoint";
            case "tile":
                Flip(Directory.GetFiles(Path.Combine(data, "ledger", "tile", "0"), "*", SearchOption.AllDirectories).OrderByDescending(f => new FileInfo(f).Length).First(), 40);
                return "tile/0/";
            default:
                var path = Path.Combine(data, "node.db");
                foreach (var side in new[] { "-wal", "-shm" })
                    File.Delete(path + side);
                using (var file = File.OpenWrite(path))
                    file.Write(new byte[8_192]);
                return "node.db";
        }
    }

    private static void Flip(string path, int at)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[at] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    /// <summary>The scripts with an SDK that is too old, as <c>dotnet</c> itself reports it: it fails on global.json.</summary>
    [Theory]
    [InlineData("gongzhi")]
    [InlineData("gongzhi-verify")]
    [InlineData("run")]
    [InlineData("test")]
    public async Task An_older_SDK_is_said_in_one_line(string script)
    {
        var place = Directory.CreateTempSubdirectory("gongzhi-sdk-");
        try
        {
            // A copy with nothing built, and a dotnet that answers as version 8 does to a global.json that wants 10.
            foreach (var name in new[] { "gongzhi", "gongzhi-verify", "run", "test", "global.json" })
                File.Copy(Path.Combine(Repository.Root, name), Path.Combine(place.FullName, name));
            var bin = place.CreateSubdirectory("bin");
            var old = Path.Combine(bin.FullName, "dotnet");
            await File.WriteAllTextAsync(old, "#!/bin/sh\ncase \"$1\" in --list-sdks) echo '8.0.404 [/usr/lib/dotnet/sdk]';; *) echo 'A compatible .NET SDK was not found.' >&2; exit 155;; esac\n");
            if (OperatingSystem.IsWindows())
                Assert.Skip("the scripts are for a Unix shell");
            else
                File.SetUnixFileMode(old, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            var start = new ProcessStartInfo(Path.Combine(place.FullName, script)) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = place.FullName };
            start.Environment["PATH"] = bin.FullName + ":" + Environment.GetEnvironmentVariable("PATH");
            using var process = System.Diagnostics.Process.Start(start)!;
            var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
            await process.WaitForExitAsync();
            Assert.Equal("", await output);
            Assert.Matches(@"^\S+ needs the \.NET SDK 10\.0\.100 or a later 10\.0; found: 8\.0\.404\. See https://\S+\n$", await error);
            Assert.Equal(3, process.ExitCode);
        }
        finally
        {
            place.Delete(recursive: true);
        }
    }
}
