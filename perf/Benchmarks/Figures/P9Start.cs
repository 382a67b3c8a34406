using System.Diagnostics;
using System.Text.Json;

namespace Gongzhi.Perf.Figures;

/// <summary>P9: <c>./run</c> on a built tree until the home page is served, and the memory it holds once it is left alone.</summary>
internal static class P9Start
{
    public static async Task<Section> RunAsync(Bench bench)
    {
        // Builds what the script would build, outside the measurement.
        using (var build = Process.Start(new ProcessStartInfo(Path.Combine(bench.Repository, "gongzhi"), "--version") { RedirectStandardOutput = true })!)
            await build.WaitForExitAsync();
        var (empty, again, filled) = (new Times(), new Times(), new Times());
        long rest = 0, fresh = 0;
        for (var round = 0; round < bench.Repetitions; round++)
        {
            Bench.Say(Text.Invariant($"P9 round {round + 1}"));
            var data = bench.File(Text.Invariant($"p9-{round}"));
            var start = Stopwatch.GetTimestamp();
            using (var node = await RunAsync(bench, data))
            {
                empty.Add(await PageAsync(node, start));
                using var http = new HttpClient { BaseAddress = node.Address };
                await SampleCityAsync(http);
                filled.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
                await Task.Delay(TimeSpan.FromSeconds(bench.Quick ? 1 : 10));
                fresh = Math.Max(fresh, node.ResidentBytes());
            }
            Clock.Settle();
            start = Stopwatch.GetTimestamp();
            using (var node = await RunAsync(bench, data))
            {
                again.Add(await PageAsync(node, start));
                await Task.Delay(TimeSpan.FromSeconds(bench.Quick ? 1 : 10));
                rest = Math.Max(rest, node.ResidentBytes());
            }
        }
        return new("P9", "start and memory",
        [
            new("P9", "./run on a built tree with the sample city's data, until the home page is there", again.ToString(), "", "", "< 3 s", again.Median < 3),
            new("P9", "the same on an empty directory", empty.ToString(), "", "", "< 3 s", empty.Median < 3),
            new("P9", "the same until the sample city is loaded", filled.ToString(), "", "", "", null),
            new("P9", "memory at rest, ten seconds after the page (most of the runs)", Text.Invariant($"{rest / 1e6:0} MB"), "", "", "< 300 MB", rest < 300e6),
            new("P9", "memory ten seconds after loading the sample city", Text.Invariant($"{fresh / 1e6:0} MB"), "", "", "", null),
        ],
        ["From the start of the shell script to the last byte of the page, its look whether anything must be built included. Memory is the resident set of the one process."]);
    }

    /// <summary>Waits until all datasets of the city are there and hold their rows.</summary>
    public static async Task SampleCityAsync(HttpClient http)
    {
        while (true)
        {
            using var answer = JsonDocument.Parse(await http.GetStringAsync("/api/v1/datasets"));
            var root = answer.RootElement;
            var list = root.ValueKind == JsonValueKind.Array ? root : root.EnumerateObject().First(p => p.Value.ValueKind == JsonValueKind.Array).Value;
            if (list.GetArrayLength() >= 6)
                break;
            await Task.Delay(50);
        }
        // The last dataset's definition comes before its rows.
        await Task.Delay(1_000);
    }

    private static Task<ServerProcess> RunAsync(Bench bench, string data) =>
        ServerProcess.StartAsync(Path.Combine(bench.Repository, "run"), "--data", data, "--urls", "http://127.0.0.1:0");

    private static async Task<double> PageAsync(ServerProcess node, long start)
    {
        using var http = new HttpClient { BaseAddress = node.Address };
        var page = await http.GetStringAsync("/");
        if (!page.Contains("</html>", StringComparison.Ordinal))
            throw new InvalidOperationException("The home page is not whole.");
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
