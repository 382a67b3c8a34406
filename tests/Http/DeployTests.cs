using System.Reflection;
using System.Text.RegularExpressions;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Tests.Http;

/// <summary>The files under deploy/ name settings, figures, files and addresses that there are.</summary>
public sealed class DeployTests
{
    [Fact]
    public void Every_setting_in_the_files_of_deployment_is_a_setting()
    {
        var known = typeof(NodeOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance).Select(p => p.Name.ToUpperInvariant()).ToHashSet();
        var named = Files().SelectMany(f => Regex.Matches(File.ReadAllText(f), "GONGZHI__([A-Z0-9_]+)").Select(m => (File: Path.GetFileName(f), Name: m.Groups[1].Value))).ToList();
        Assert.True(named.Select(n => n.File).Distinct().Count() >= 3);
        Assert.Empty(named.Where(n => !known.Contains(n.Name)));
    }

    [Fact]
    public async Task Every_figure_that_an_alert_asks_for_is_a_figure()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        // Counters are there once they have counted.
        await client.GetAsync("/api/v1/datasets");
        var shown = await client.GetStringAsync("/metrics");
        var source = string.Concat(Directory.EnumerateFiles(Repository("src"), "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal)).Select(File.ReadAllText));
        var asked = Regex.Matches(File.ReadAllText(Repository("deploy/prometheus/gongzhi-rules.yml")), @"gongzhi_[a-z_]+").Select(m => m.Value).Distinct().ToList();
        Assert.True(asked.Count >= 5);
        foreach (var name in asked)
        {
            // A counter that has not counted yet is in the source under its own name.
            var instrument = Regex.Replace(name, "_(total|seconds)$", "").Replace('_', '.');
            Assert.True(Regex.IsMatch(shown, $@"^{name}[{{ ]", RegexOptions.Multiline) || Regex.IsMatch(source, $"\"{Regex.Escape(instrument).Replace(@"\.", "[._]")}\""), name);
        }
    }

    [Fact]
    public async Task Probes_ask_addresses_that_answer_and_ports_are_those_that_are_opened()
    {
        var manifest = await File.ReadAllTextAsync(Repository("deploy/kubernetes/gongzhi.yaml"));
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        var paths = Regex.Matches(manifest, @"httpGet: \{ path: (\S+),").Select(m => m.Groups[1].Value).ToList();
        Assert.Equal(3, paths.Count);
        foreach (var path in paths)
            Assert.True((await client.GetAsync(path)).IsSuccessStatusCode, path);
        // The silo's port is fixed there, since a policy lets nothing else in.
        var port = Regex.Match(manifest, "GONGZHI__SILOPORT: \"(\\d+)\"").Groups[1].Value;
        Assert.Equal(3, Regex.Count(manifest, $@"\b(containerPort|port): {port}\b"));
        Assert.Contains("EXPOSE 5080", await File.ReadAllTextAsync(Repository("deploy/container/Containerfile")), StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_scripts_copy_is_there()
    {
        foreach (var name in new[] { "deploy/install", "deploy/bundle", "deploy/systemd/gongzhi.service", "deploy/systemd/environment.example", "docs/guide/operator.md", "LICENSE", "THIRD-PARTY-NOTICES.md" })
            Assert.True(File.Exists(Repository(name)), name);
        if (!OperatingSystem.IsWindows())
            Assert.All(new[] { "deploy/install", "deploy/bundle" }, f => Assert.True(File.GetUnixFileMode(Repository(f)).HasFlag(UnixFileMode.UserExecute), f));
        // The unit waits longer than the program needs to finish what it accepted.
        var unit = File.ReadAllText(Repository("deploy/systemd/gongzhi.service"));
        Assert.True(int.Parse(Regex.Match(unit, @"TimeoutStopSec=(\d+)").Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture) > 30);
    }

    private static IEnumerable<string> Files() => Directory.EnumerateFiles(Repository("deploy"), "*", SearchOption.AllDirectories).Where(f => !f.Contains("/deploy/out/", StringComparison.Ordinal));

    private static string Repository(string path)
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(directory!.FullName, "Gongzhi.slnx")))
            directory = directory.Parent;
        return Path.Combine(directory.FullName, path);
    }
}
