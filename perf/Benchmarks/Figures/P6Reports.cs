using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using Gongzhi.Perf.Load;

namespace Gongzhi.Perf.Figures;

/// <summary>P6: one report a request over HTTP, durable before the answer, against a minimal API with one INSERT a request.</summary>
internal static class P6Reports
{
    private const int Clients = 64, DatasetsMax = 1_000;
    private static readonly TimeSpan WarmUpAtFirst = TimeSpan.FromSeconds(10);
    private static readonly int[] Spreads = [1, 64, DatasetsMax];

    public static async Task<Section> RunAsync(Bench bench)
    {
        var (warmUp, duration) = bench.Quick ? (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2)) : (TimeSpan.FromSeconds(1.5), TimeSpan.FromSeconds(5));
        var postgres = await bench.PostgresAsync();
        await MakeTablesAsync(postgres, DatasetsMax);
        using var node = await ServerProcess.NodeAsync(bench.File("p6"), "--bootstrap-client", $"{ServerProcess.Client}:{ServerProcess.Secret}");
        using var http = await node.SignInAsync();
        await DefineAsync(http, DatasetsMax);
        var token = http.DefaultRequestHeaders.Authorization!;
        using var peer = await PeerAsync(bench, postgres, DatasetsMax);
        var (lines, notes, flat, twice) = (new List<Line>(), new List<string>(), new List<double>(), 0.0);
        // Both servers compile their hot code while they run: neither is measured before it has.
        var run = 0;
        if (!bench.Quick)
        {
            await HttpLoad.RunAsync(node.Address, Clients, TimeSpan.Zero, WarmUpAtFirst, n => Report($"/api/v1/datasets/report-{n % DatasetsMax}/records", "application/x-ndjson", run, n, token));
            await HttpLoad.RunAsync(peer.Address, Clients, TimeSpan.Zero, WarmUpAtFirst, n => Report($"/datasets/{n % DatasetsMax}/records", "application/json", run, n, null));
        }
        foreach (var spread in Spreads)
        {
            var (ours, theirs) = (new List<LoadOutcome>(), new List<LoadOutcome>());
            var cpu = node.CpuSeconds();
            for (var round = 0; round < (bench.Quick ? 1 : 2); round++)
            {
                Bench.Say(Text.Invariant($"P6 over {spread} datasets, round {round + 1}"));
                run++;
                ours.Add(await HttpLoad.RunAsync(node.Address, Clients, warmUp, duration, n => Report($"/api/v1/datasets/report-{n % spread}/records", "application/x-ndjson", run, n, token)));
                theirs.Add(await HttpLoad.RunAsync(peer.Address, Clients, warmUp, duration, n => Report($"/datasets/{n % spread}/records", "application/json", run, n, null)));
            }
            var failed = ours.Concat(theirs).FirstOrDefault(o => o.Failed > 0);
            if (failed is not null)
                throw new InvalidOperationException($"{failed.Failed} reports were refused: {failed.FirstFailure}");
            var (mine, other) = (ours.Average(o => o.PerSecond), theirs.Average(o => o.PerSecond));
            flat.Add(mine);
            twice = Math.Max(twice, 2 * other);
            var over = spread == 1 ? "one dataset" : Text.Invariant($"{Text.Count(spread)} datasets");
            lines.Add(new("P6", $"single reports over {over}, {Clients} clients", Rate(mine, ours), Rate(other, theirs), Text.Ratio(mine / other), "≥ 2×", mine / other >= 2));
            lines.Add(new("P6", $"slowest of a hundred, over {over}", Text.Invariant($"{ours.Max(o => o.P99):0.0} ms"), Text.Invariant($"{theirs.Max(o => o.P99):0.0} ms"), "", "< 50 ms", ours.Max(o => o.P99) < 50));
            notes.Add(Text.Invariant($"Over {over}: {(node.CpuSeconds() - cpu) / ours.Sum(o => o.PerSecond * (warmUp + duration).TotalSeconds) * 1e6:0} µs of the node's processor time a report."));
        }
        var limit = await HttpLoad.RunAsync(peer.Address, Clients, bench.Quick ? warmUp : WarmUpAtFirst, duration, n => Report("/nothing-kept", "application/json", 0, n, null));
        lines.Add(new("P6", $"single reports over one dataset, against the same HTTP with the body read and nothing kept, {Clients} clients", Text.Invariant($"{Text.Count(flat[0])}/s"), Rate(limit.PerSecond, [limit]), Text.Ratio(flat[0] / limit.PerSecond), "", null));
        notes.Add(Text.Invariant($"On these cores clients and server together can do no more than {Text.Count(limit.PerSecond)} requests/s that keep nothing; twice the peer would be {Text.Count(twice)}/s."));
        var ratio = flat[^1] / flat[0];
        lines.Add(new("P6", "throughput over 1,000 datasets as a share of that over one", Text.Percent(ratio), "", "", "≥ 80 %", ratio >= 0.8));
        notes.Add("The clients run in the benchmark's process on the same cores, the same way for both. Each request is one row; ours is checked, hashed, given a batch, a receipt and a ledger entry, and read back by its token; the peer checks the body and inserts. Both answer after the commit is durable.");
        return new("P6", "small single reports over HTTP", lines, notes);

        static string Rate(double rate, List<LoadOutcome> runs) => Text.Invariant($"{Text.Count(rate)}/s, p50 {runs.Average(r => r.P50):0.0} ms");
    }

    public static async Task MakeTablesAsync(Postgres postgres, int datasets)
    {
        for (var i = 0; i < datasets; i++)
            await postgres.ExecuteAsync(Text.Invariant($"CREATE TABLE report_{i} (id text PRIMARY KEY, place text NOT NULL CHECK (length(place) BETWEEN 1 AND 12), at timestamptz NOT NULL, amount numeric(18,2) NOT NULL CHECK (amount >= 0), note text NOT NULL CHECK (length(note) <= 200))"));
    }

    public static Task<ServerProcess> PeerAsync(Bench bench, Postgres postgres, int datasets) => ServerProcess.StartAsync(
        "dotnet", Path.Combine(bench.Repository, "perf", "Peer", "bin", "Release", "net10.0", "Gongzhi.Peer.dll"), "http://127.0.0.1:0", postgres.ConnectionString, datasets.ToString(CultureInfo.InvariantCulture));

    public static HttpRequestMessage Report(string path, string type, int run, long n, AuthenticationHeaderValue? token)
    {
        var body = Text.Invariant($"{{\"id\":\"r{run}-{n}\",\"place\":\"990101001001\",\"at\":\"2026-03-01T08:{n % 60:00}:00+08:00\",\"amount\":{n % 10_000}.25,\"note\":\"one small report from the street\"}}");
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative)) { Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body)) };
        request.Content.Headers.ContentType = new(type);
        request.Headers.Authorization = token;
        return request;
    }

    public static async Task DefineAsync(HttpClient http, int datasets)
    {
        for (var i = 0; i < datasets; i++)
        {
            using var put = await http.PutAsJsonAsync(Text.Invariant($"/api/v1/datasets/report-{i}"), new
            {
                title = new { en = "Reports" },
                owner = "node",
                time = "at",
                schema = new
                {
                    fields = new object[]
                    {
                        new { name = "id", type = "string", constraints = new { required = true, maxLength = 40 } },
                        new { name = "place", type = "string", constraints = new { required = true, minLength = 1, maxLength = 12 } },
                        new { name = "at", type = "datetime", constraints = new { required = true } },
                        new { name = "amount", type = "number", scale = 2, constraints = new { required = true, minimum = 0 } },
                        new { name = "note", type = "string", constraints = new { required = true, maxLength = 200 } },
                    },
                },
            });
            if (!put.IsSuccessStatusCode)
                throw new InvalidOperationException(await put.Content.ReadAsStringAsync());
        }
    }
}
