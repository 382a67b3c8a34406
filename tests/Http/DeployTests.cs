using System.Reflection;
using System.Text.RegularExpressions;
using Gongzhi.Node.Hosting;
using Gongzhi.Tests.Shared;

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
        Assert.DoesNotContain(named, n => !known.Contains(n.Name));
    }

    [Fact]
    public async Task Every_figure_that_an_alert_asks_for_is_a_figure()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        // Counters are there once they have counted.
        await client.GetAsync("/api/v1/datasets");
        var shown = await client.GetStringAsync("/metrics");
        var source = string.Concat(Directory.EnumerateFiles(Repository.At("src"), "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal)).Select(File.ReadAllText));
        var asked = Regex.Matches(File.ReadAllText(Repository.At("deploy/prometheus/gongzhi-rules.yml")), @"\b(gongzhi|http_server|kestrel|dotnet)_[a-z_]+").Select(m => m.Value).Distinct().ToList();
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
        var manifest = await File.ReadAllTextAsync(Repository.At("deploy/kubernetes/gongzhi.yaml"));
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        var paths = Regex.Matches(manifest, @"httpGet: \{ path: (\S+),").Select(m => m.Groups[1].Value).ToList();
        Assert.Equal(3, paths.Count);
        foreach (var path in paths)
            Assert.True((await client.GetAsync(path)).IsSuccessStatusCode, path);
        // The silo's port is fixed there, since a policy lets nothing else in.
        var port = Regex.Match(manifest, "GONGZHI__SILOPORT: \"(\\d+)\"").Groups[1].Value;
        Assert.Equal(4, Regex.Count(manifest, $@"\b(containerPort|port): {port}\b"));
        Assert.Contains("EXPOSE 5080", await File.ReadAllTextAsync(Repository.At("deploy/container/Containerfile")), StringComparison.Ordinal);
    }

    /// <summary>What is to be filled in must not be good enough to start with.</summary>
    [Fact]
    public void The_manifests_placeholders_start_no_node()
    {
        var values = Regex.Matches(File.ReadAllText(Repository.At("deploy/kubernetes/gongzhi.yaml")), "^  GONGZHI__([A-Z]+): \"(.*)\"", RegexOptions.Multiline).ToDictionary(m => m.Groups[1].Value, m => m.Groups[2].Value);
        Assert.Equal(values["CLUSTERSECRET"], values["METRICSTOKEN"]);
        Assert.Throws<StartRefusedException>(() => NodeConfiguration.Validate(new NodeOptions { ClusterSecret = values["CLUSTERSECRET"] }));
        Assert.Throws<StartRefusedException>(() => NodeConfiguration.Validate(new NodeOptions { MetricsToken = values["METRICSTOKEN"] }));
        // Everything else in it is a value that a start takes.
        NodeConfiguration.Validate(new NodeOptions { Segments = values["SEGMENTS"], SegmentsKey = values["SEGMENTSKEY"], SegmentsSecret = values["SEGMENTSSECRET"], PublicUrl = values["PUBLICURL"], SiloPort = int.Parse(values["SILOPORT"], System.Globalization.CultureInfo.InvariantCulture) });
    }

    [Fact]
    public void What_the_scripts_copy_is_there()
    {
        foreach (var name in new[] { "deploy/install", "deploy/bundle", "deploy/systemd/gongzhi.service", "deploy/systemd/environment.example", "deploy/container/healthy", "docs/guide/operator.md", "LICENSE", "THIRD-PARTY-NOTICES.md" })
            Assert.True(File.Exists(Repository.At(name)), name);
        if (!OperatingSystem.IsWindows())
        {
            foreach (var script in new[] { "deploy/install", "deploy/bundle", "deploy/container/healthy" })
                Assert.True(File.GetUnixFileMode(Repository.At(script)).HasFlag(UnixFileMode.UserExecute), script);
        }
        // Whoever stops it waits longer than it goes on, than it needs to finish what it took (30 s), and to hand over (30 s).
        var (unit, manifest) = (File.ReadAllText(Repository.At("deploy/systemd/gongzhi.service")), File.ReadAllText(Repository.At("deploy/kubernetes/gongzhi.yaml")));
        Assert.True(Number(unit, @"TimeoutStopSec=(\d+)") > 60);
        Assert.True(Number(manifest, @"terminationGracePeriodSeconds: (\d+)") > 60 + Number(manifest, "GONGZHI__DRAINSECONDS: \"(\\d+)\""));
        Assert.Contains("HEALTHCHECK", File.ReadAllText(Repository.At("deploy/container/Containerfile")), StringComparison.Ordinal);
    }

    private static int Number(string text, string pattern) => int.Parse(Regex.Match(text, pattern).Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);

    private static IEnumerable<string> Files() => Directory.EnumerateFiles(Repository.At("deploy"), "*", SearchOption.AllDirectories).Where(f => !f.Contains("/deploy/out/", StringComparison.Ordinal));
}
