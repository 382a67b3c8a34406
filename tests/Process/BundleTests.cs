using System.Diagnostics;
using System.Text;
using System.Text.Json;

namespace Gongzhi.Tests.Process;

/// <summary>What installs without a network: native libraries for both kinds of processor, and a bundle that needs no .NET on the machine. Bundles are made by deploy/bundle.</summary>
public sealed class BundleTests
{
    private const string Folder = "GONGZHI_BUNDLES";

    // e_machine of an ELF header, at byte 18: the processor that the file is for.
    private static readonly Dictionary<string, ushort> Machines = new() { ["linux-x64"] = 62, ["linux-arm64"] = 183 };

    /// <summary>What a publish takes from the packages: each native library is there for both kinds, and is for the kind that its folder says.</summary>
    [Fact]
    public void The_packages_bring_each_native_library_for_both_kinds_of_processor()
    {
        using var deps = JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "gongzhi.deps.json")));
        var natives = deps.RootElement.GetProperty("targets").EnumerateObject().SelectMany(t => t.Value.EnumerateObject())
            .Where(l => l.Value.TryGetProperty("runtimeTargets", out _))
            .SelectMany(l => l.Value.GetProperty("runtimeTargets").EnumerateObject().Where(f => f.Value.GetProperty("assetType").GetString() == "native"))
            .Select(f => (Kind: f.Value.GetProperty("rid").GetString()!, Path: f.Name)).Where(f => Machines.ContainsKey(f.Kind)).ToList();
        foreach (var library in new[] { "libduckdb.so", "libe_sqlite3.so", "libsodium.so", "ParquetSharpNative.so" })
            Assert.Equal(["linux-arm64", "linux-x64"], natives.Where(n => Path.GetFileName(n.Path) == library).Select(n => n.Kind).Order(StringComparer.Ordinal));
        Assert.Equal(natives.Where(n => n.Kind == "linux-x64").Select(n => Path.GetFileName(n.Path)).Order(StringComparer.Ordinal),
            natives.Where(n => n.Kind == "linux-arm64").Select(n => Path.GetFileName(n.Path)).Order(StringComparer.Ordinal));
        foreach (var (kind, path) in natives)
            Assert.True(Machine(Path.Combine(AppContext.BaseDirectory, path)) == Machines[kind], path);
    }

    [Theory]
    [InlineData("linux-x64")]
    [InlineData("linux-arm64")]
    public async Task Every_file_of_a_bundle_is_the_one_that_was_packed_and_is_for_its_kind_of_processor(string kind)
    {
        using var bundle = await UnpackedAsync(kind);
        Assert.Equal(0, (await RunAsync(bundle.Path, "/usr/bin/sha256sum", "--quiet", "-c", "SHA256SUMS")).Exit);
        var binaries = Directory.GetFiles(bundle.Path, "*", SearchOption.AllDirectories).Select(f => (File: f, Machine: Machine(f))).Where(f => f.Machine is not null).ToList();
        foreach (var needed in new[] { "gongzhi", "gongzhi-verify", "libcoreclr.so", "libduckdb.so", "libe_sqlite3.so", "libsodium.so", "ParquetSharpNative.so", "libSystem.Native.so" })
            Assert.Contains(binaries, b => Path.GetFileName(b.File) == needed);
        Assert.Empty(binaries.Where(b => b.Machine != Machines[kind]).Select(b => b.File));
        foreach (var file in new[] { "install", "VERSION", "LICENSE", "THIRD-PARTY-NOTICES.md", "licenses/dotnet-LICENSE.txt", "docs/guide/operator.md", "deploy/systemd/gongzhi.service", "deploy/container/healthy" })
            Assert.True(File.Exists(Path.Combine(bundle.Path, file)), file);
    }

    /// <summary>With an empty environment and no dotnet on the path: it starts, answers, and its log proves.</summary>
    [Fact]
    public async Task A_bundle_serves_and_verifies_on_a_machine_without_dotnet()
    {
        using var bundle = await UnpackedAsync(System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? "linux-arm64" : "linux-x64");
        var data = Path.Combine(bundle.Path, "..", "data");
        var start = Bare(bundle.Path, Path.Combine(bundle.Path, "gongzhi"), "serve", "--data", data, "--urls", "http://127.0.0.1:0");
        start.RedirectStandardInput = false;
        using var node = System.Diagnostics.Process.Start(start)!;
        try
        {
            var error = node.StandardError.ReadToEndAsync();
            string? line;
            while ((line = await node.StandardOutput.ReadLineAsync()) is not null && !line.Contains("listening on ", StringComparison.Ordinal))
            {
            }
            Assert.True(line is not null, line is null ? await error : "");
            using var http = new HttpClient { BaseAddress = new Uri(line!.Split("listening on ")[1].Split([' ', ','])[0]) };
            Assert.Contains("\"ok\"", await http.GetStringAsync("/health/ready"), StringComparison.Ordinal);
            await File.WriteAllTextAsync(Path.Combine(bundle.Path, "vkey"), await http.GetStringAsync("/ledger/vkey"));
        }
        finally
        {
            using var term = System.Diagnostics.Process.Start("kill", ["-TERM", node.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
            await term.WaitForExitAsync();
            await node.WaitForExitAsync();
        }
        Assert.Equal(0, node.ExitCode);
        var proven = await RunAsync(bundle.Path, Path.Combine(bundle.Path, "gongzhi-verify"), "log", Path.Combine(data, "ledger"), "--vkey", "vkey");
        Assert.True(proven.Exit == 0, proven.Output);
    }

    private static async Task<Unpacked> UnpackedAsync(string kind)
    {
        if (Environment.GetEnvironmentVariable(Folder) is not { Length: > 0 } folder)
            Assert.Skip($"{Folder} names no folder with bundles made by deploy/bundle.");
        else
        {
            var archive = Assert.Single(Directory.GetFiles(folder, $"gongzhi-*-{kind}.tar.gz"));
            var place = Directory.CreateTempSubdirectory("gongzhi-bundle-");
            Assert.Equal(0, (await RunAsync(place.FullName, "/bin/tar", "-xzf", Path.GetFullPath(archive))).Exit);
            return new(place);
        }
        throw new InvalidOperationException();
    }

    private static ProcessStartInfo Bare(string folder, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8 };
        start.Environment.Clear();
        start.Environment["PATH"] = "/usr/bin:/bin";
        return start;
    }

    private static async Task<(int Exit, string Output)> RunAsync(string folder, string program, params string[] arguments)
    {
        using var process = System.Diagnostics.Process.Start(Bare(folder, program, arguments))!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.WaitForExitAsync();
        return (process.ExitCode, await output + await error);
    }

    private static ushort? Machine(string path)
    {
        Span<byte> head = stackalloc byte[20];
        using var file = File.OpenRead(path);
        return file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length && head[..4].SequenceEqual("\u007fELF"u8)
            ? System.Buffers.Binary.BinaryPrimitives.ReadUInt16LittleEndian(head[18..]) : null;
    }

    private sealed record Unpacked(DirectoryInfo Place) : IDisposable
    {
        public string Path => System.IO.Path.Combine(Place.FullName, "gongzhi");

        public void Dispose() => Place.Delete(recursive: true);
    }
}
