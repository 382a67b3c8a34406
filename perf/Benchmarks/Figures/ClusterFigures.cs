using System.Diagnostics;
using System.Net.Http.Json;

namespace Gongzhi.Perf.Figures;

/// <summary>P1, P2, P3 and P6 with the state in PostgreSQL, on one machine and on three of a cluster, beside the same PostgreSQL driven directly.</summary>
internal static class ClusterFigures
{
    private const string SameCores = "The machines of a cluster are processes on the same two cores, with PostgreSQL and the clients beside them: this shows what the cluster costs, not what more machines bring.";

    public static async Task<Section> ContributeAsync(Bench bench)
    {
        var rows = bench.Rows(1_000_000, 50_000);
        var path = Payments.Csv(bench, rows);
        var postgres = await bench.PostgresAsync();
        string[] tables = [.. Enumerable.Range(1, Machines.Max()).Select(n => Text.Invariant($"payments_{n}"))];
        foreach (var table in tables)
            await Payments.MakeTableAsync(postgres, table, audit: false);
        var lines = new List<Line>();
        foreach (var machines in Machines)
        {
            using var cluster = await BenchCluster.StartAsync(bench, machines - 1);
            await using var node = await BenchNode.StartAsync(bench, "p1", cluster);
            await node.SignInAsync();
            List<HttpClient> clients = [node.Http, .. await Task.WhenAll(cluster.Machines.Select(m => m.SignInAsync()))];
            var (ours, theirs, number) = (new Times(), new Times(), 0);
            for (var round = -4; round < bench.Repetitions; round++)
            {
                Bench.Say(Text.Invariant($"P1 on {machines} machines, round {round + 1}"));
                var took = await Clock.TimeAsync(() => Task.WhenAll(clients.Select(c => PostAsync(c, path, rows, Text.Invariant($"payments-{Interlocked.Increment(ref number)}")))));
                // Four times unmeasured: a machine compiles what it runs much, and fills its caches.
                if (round < 0)
                    continue;
                ours.Add(took / machines);
                theirs.Add(await Payments.CopyAsync(postgres, tables[..machines], path));
            }
            var what = machines == 1 ? "one machine" : Text.Invariant($"{machines} machines at once, each a file, and as many COPY at once, time for one file");
            lines.Add(new("P1", Text.Invariant($"contribute CSV over HTTP, {Text.Count(rows)} rows, {what}, against COPY into the same PostgreSQL with key and checks"), ours.ToString(), theirs.ToString(), Text.Ratio(theirs.Median / ours.Median), "≥ 3×", theirs.Median / ours.Median >= 3));
            foreach (var client in clients[1..])
                client.Dispose();
        }
        return new("P1-cluster", "contribute a CSV file, state in PostgreSQL", lines,
        [
            SameCores, "Segments and sorted keys go to a directory that the machines share, with the marks that several machines need.",
            "What limits it: processor time, spent on the machine that takes the file: reading, checking, hashing, compressing. PostgreSQL is written one batch, one entry and one list of segments, however many rows there are; what remains is the disk that segments and keys are synced to.",
            "PostgreSQL: " + Postgres.Settings,
        ]);

        static async Task PostAsync(HttpClient http, string path, int rows, string dataset)
        {
            await DefineAsync(http, dataset, SampleCity.PaymentsGenerator.TableSchemaJson);
            await using var file = File.OpenRead(path);
            using var content = new StreamContent(file, 1 << 16);
            content.Headers.ContentType = new("text/csv");
            using var response = await http.PostAsync($"/api/v1/datasets/{dataset}/records", content);
            var text = await response.Content.ReadAsStringAsync();
            if (!response.IsSuccessStatusCode || !text.Contains(Text.Invariant($"\"accepted\":{rows}"), StringComparison.Ordinal))
                throw new InvalidOperationException(text[..Math.Min(500, text.Length)]);
        }
    }

    public static async Task<Section> QueryAsync(Bench bench)
    {
        var lines = new List<Line>();
        Postgres? postgres = null;
        foreach (var machines in Machines)
        {
            // This process is one of the machines; the others join it when it has the seat of upkeep, which it does not do: they would merge the segments that the figure asks for.
            using var cluster = await BenchCluster.StartAsync(bench, 0);
            await using var world = await P2World.MakeAsync(bench, bench.Rows(10_000_000, 400_000), 50, cluster);
            for (var i = 1; i < machines; i++)
                await cluster.AddAsync();
            foreach (var question in (P2Question[])[P2Questions.Scan, P2Questions.Grouped])
            {
                lines.Add(await P2Query.AgainstAsync(bench, question, Text.Invariant($"{question.What}, {(machines == 1 ? "one machine" : $"one of {machines} machines")}"), () => world.AskAsync(question), () => world.RawAsync(question), question.Goal));
            }
            // All at once, each by its own door.
            postgres ??= await P2Query.LoadAsync(bench, world.Csv);
            await world.SignInAsync();
            List<HttpClient> clients = [world.Http, .. await Task.WhenAll(cluster.Machines.Select(m => m.SignInAsync()))];
            foreach (var question in (P2Question[])[P2Questions.Scan, P2Questions.Grouped])
            {
                var where = machines == 1 ? "one machine" : Text.Invariant($"{machines} machines and as many sessions at once, time for one answer");
                lines.Add(await P2Query.AgainstPostgresAsync(bench, postgres, question, $"{question.What}, over HTTP, {where}, against the same PostgreSQL", async () => await Clock.TimeAsync(() => Task.WhenAll(clients.Select(c => world.AskAsync(c, question)))) / machines, machines));
            }
            foreach (var client in clients[1..])
                client.Dispose();
            world.DemandUnchanged();
        }
        return new("P2-cluster", "governed queries, state in PostgreSQL", lines,
        [
            SameCores, "Against raw DuckDB on the same files: ours also looks whether another machine has changed anything, and commits the access in PostgreSQL.",
            "Against PostgreSQL: the same rows with row-level security under a masking view. " + P2Query.PostgresIs, "PostgreSQL: " + Postgres.Settings,
            "What limits it: processor time, as on SQLite. A machine reads segments and answers from its own memory; PostgreSQL is asked whether something changed, and keeps the access.",
        ]);
    }

    public static async Task<Section> LedgerAsync(Bench bench)
    {
        var (lines, notes) = (new List<Line>(), new List<string> { SameCores });
        foreach (var machines in Machines)
        {
            using var cluster = await BenchCluster.StartAsync(bench, machines - 1);
            await using var node = await BenchNode.StartAsync(bench, "p3", cluster);
            Bench.Say(Text.Invariant($"P3 on {machines} machines"));
            var outcome = await P3Ledger.ThroughAsync(node, bench.Quick ? 5 : 30);
            var syncs = P3Ledger.SyncsPerSecond(bench);
            var where = machines == 1 ? "one machine" : Text.Invariant($"one of {machines} machines, another may sequence");
            lines.Add(P3Ledger.Rate($"entry committed in PostgreSQL, sequenced and under a signed checkpoint, {where}", outcome, syncs));
            lines.Add(P3Ledger.Latency($"the same, {where}", outcome));
            var postgres = await bench.PostgresAsync();
            Bench.Say("P3: the same rows into PostgreSQL, a transaction each");
            var theirs = await P3Ledger.InsertsAsync(postgres, machines, bench.Quick ? 2 : 10);
            lines.Add(new("P3", Text.Invariant($"the same, {where}, against one INSERT a transaction into the same PostgreSQL by as many callers over {P3Ledger.InsertConnections} connections, no ledger"), Text.Invariant($"{Text.Count(outcome.PerSecond)}/s"), Text.Invariant($"{Text.Count(theirs)}/s"), Text.Ratio(outcome.PerSecond / theirs), "", null));
        }
        notes.Add("What limits it: on one machine the processors, which the node, PostgreSQL and the appenders share (a row is inserted, and updated with its index; entries are committed and sequenced in groups); with others it is waiting, since the one that sequences learns of new entries, and the appenders of new checkpoints, by looking every 10 ms.");
        return new("P3-cluster", "single entries into the ledger, state in PostgreSQL", lines, notes);
    }

    public static async Task<Section> ReportsAsync(Bench bench)
    {
        const int Clients = 64, datasets = 64;
        var (warmUp, duration) = bench.Quick ? (TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2)) : (TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(8));
        var postgres = await bench.PostgresAsync();
        await P6Reports.MakeTablesAsync(postgres, datasets);
        using var peer = await P6Reports.PeerAsync(bench, postgres, datasets);
        var (lines, notes) = (new List<Line>(), new List<string>());
        foreach (var machines in Machines)
        {
            using var cluster = await BenchCluster.StartAsync(bench, machines);
            // A token names the address that it was given under.
            var clients = await Task.WhenAll(cluster.Machines.Select(m => m.SignInAsync()));
            await P6Reports.DefineAsync(clients[0], datasets);
            Bench.Say(Text.Invariant($"P6 on {machines} machines"));
            Task<Load.LoadOutcome[]> OursAsync(TimeSpan first, TimeSpan then, int run) => Task.WhenAll(cluster.Machines.Select((m, i) => Load.HttpLoad.RunAsync(
                m.Address, Clients / machines, first, then, n => P6Reports.Report($"/api/v1/datasets/report-{n % datasets}/records", "application/x-ndjson", run + i, n, clients[i].DefaultRequestHeaders.Authorization))));
            // Both sides compile what they run much: until then neither is measured.
            await OursAsync(TimeSpan.Zero, warmUp, 10);
            var (nodes, server, whole) = (cluster.Machines.Sum(m => m.CpuSeconds()), postgres.CpuSeconds(), Stopwatch.GetTimestamp());
            var ours = await OursAsync(Settle, duration, 20);
            (nodes, server) = (cluster.Machines.Sum(m => m.CpuSeconds()) - nodes, postgres.CpuSeconds() - server);
            var seconds = Stopwatch.GetElapsedTime(whole).TotalSeconds;
            await Load.HttpLoad.RunAsync(peer.Address, Clients, TimeSpan.Zero, warmUp, n => P6Reports.Report($"/datasets/{n % datasets}/records", "application/json", 100 + machines, n, null));
            var theirs = await Load.HttpLoad.RunAsync(peer.Address, Clients, Settle, duration, n => P6Reports.Report($"/datasets/{n % datasets}/records", "application/json", 200 + machines, n, null));
            if (ours.Append(theirs).FirstOrDefault(o => o.Failed > 0) is { } failed)
                throw new InvalidOperationException($"{failed.Failed} reports were refused: {failed.FirstFailure}");
            foreach (var client in clients)
                client.Dispose();
            var rate = ours.Sum(o => o.PerSecond);
            var where = machines == 1 ? "one machine" : Text.Invariant($"{machines} machines");
            lines.Add(new("P6", Text.Invariant($"single reports over {datasets} datasets, {Clients} clients, {where}, against one INSERT a request into the same PostgreSQL"), Text.Invariant($"{Text.Count(rate)}/s, p50 {ours.Average(o => o.P50):0.0} ms"), Text.Invariant($"{Text.Count(theirs.PerSecond)}/s, p50 {theirs.P50:0.0} ms"), Text.Ratio(rate / theirs.PerSecond), "≥ 2×", rate / theirs.PerSecond >= 2));
            lines.Add(new("P6", Text.Invariant($"slowest of a hundred, {where}"), Text.Invariant($"{ours.Max(o => o.P99):0.0} ms"), Text.Invariant($"{theirs.P99:0.0} ms"), "", "< 50 ms", ours.Max(o => o.P99) < 50));
            notes.Add(Text.Invariant($"On {where}: {nodes / (rate * seconds) * 1e6:0} µs of the nodes' and {server / (rate * seconds) * 1e6:0} µs of PostgreSQL's processor time a report; together {(nodes + server) / seconds / Environment.ProcessorCount * 100:0} % of the machine, which the clients share."));
        }
        notes.Add("What limits it: processor time. Beyond one INSERT a report is signed for, decided on, checked, hashed into a tree, committed with its entry of the ledger and looked at by the analyses; each request first looks at what other machines changed, and each group of reports waits for the one lock under which machines write, so that three machines pay three times for looking and commit no more.");
        notes.Add(SameCores);
        return new("P6-cluster", "small single reports over HTTP, state in PostgreSQL", lines, notes);
    }

    private static readonly int[] Machines = [1, 3];

    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(1);

    private static async Task DefineAsync(HttpClient http, string dataset, string definition)
    {
        var json = System.Text.Json.Nodes.JsonNode.Parse(definition)!.AsObject();
        json["owner"] = "node";
        using var put = await http.PutAsJsonAsync("/api/v1/datasets/" + dataset, json);
        if (!put.IsSuccessStatusCode)
            throw new InvalidOperationException(await put.Content.ReadAsStringAsync());
    }
}
