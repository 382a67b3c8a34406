using System.Globalization;
using System.Net.Http.Json;
using System.Text.RegularExpressions;

namespace Gongzhi.Perf.Figures;

/// <summary>
/// How long clients wait when something of a cluster of three fails under steady load: for an acknowledgement, and for the log to grow again. What must hold afterwards (nothing lost, nothing twice, one line) is
/// demanded by the tests of faults, with the same faults and one more, a network that is cut.
/// </summary>
internal static partial class Recovery
{
    private const int Clients = 8;
    private const string Dataset = "reports";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2), Limit = TimeSpan.FromMinutes(2);

    /// <param name="What">What fails.</param>
    /// <param name="Do">Lets it fail.</param>
    /// <param name="Back">What it comes back by itself, where it does: its seconds belong to whoever failed.</param>
    private sealed record Fault(string What, Func<BenchCluster, Postgres, Task> Do, string? Back = null);

    public static async Task<Section> RunAsync(Bench bench)
    {
        Fault[] faults =
        [
            new("a machine killed", async (cluster, _) => (await OtherAsync(cluster)).Kill()),
            new("the machine that appends to the log killed", async (cluster, _) => (await HolderAsync(cluster)).Kill()),
            new("the machine that appends to the log frozen", async (cluster, _) => (await HolderAsync(cluster)).Signal("STOP")),
            new("PostgreSQL stopped as by a crash and started at once", (_, postgres) => postgres.CrashAsync(), "the server itself away"),
        ];
        var (lines, rounds) = (new List<Line>(), bench.Quick ? 1 : 2);
        foreach (var fault in faults)
        {
            var (acknowledged, grown, usual, usualGrown, ended, away) = (new List<double>(), new List<double>(), new List<double>(), new List<double>(), new List<double>(), new List<double>());
            for (var round = 0; round < rounds; round++)
            {
                Bench.Say(Text.Invariant($"{fault.What}, round {round + 1}"));
                var postgres = await bench.PostgresAsync();
                using var cluster = await BenchCluster.StartAsync(bench, 3);
                await using var load = await Load.StartAsync(cluster);
                await load.MoreAsync(300);
                // The first second of a machine is its compiler's.
                load.Forget();
                await load.MoreAsync(600);
                usual.Add(load.LongestWait.TotalSeconds);
                usualGrown.Add(load.LongestStandstill.TotalSeconds);
                load.Forget();
                away.Add(await Clock.TimeAsync(() => fault.Do(cluster, postgres)));
                await HolderAsync(cluster);
                await load.GrownAsync();
                await load.MoreAsync(300);
                acknowledged.Add(load.LongestWait.TotalSeconds);
                grown.Add(load.LongestStandstill.TotalSeconds);
                if (cluster.Machines.FirstOrDefault(m => m.Frozen) is { } frozen)
                {
                    var woken = TimeProvider.System.GetTimestamp();
                    frozen.Signal("CONT");
                    if (await frozen.ExitAsync().WaitAsync(Limit) is var code && code != 3)
                        throw new InvalidOperationException(Text.Invariant($"A machine that woke ended with exit code {code}."));
                    ended.Add(TimeProvider.System.GetElapsedTime(woken).TotalSeconds);
                }
                await load.StopAsync();
            }
            lines.Add(new("faults", fault.What + ": longest wait of a client for an acknowledgement", Span(acknowledged), "before: " + Span(usual) + (fault.Back is null ? "" : $"; {fault.Back}: {Span(away)}"), "", "", null));
            lines.Add(new("faults", fault.What + ": longest time in which the log did not grow", Span(grown), "before: " + Span(usualGrown), "", "", null));
            if (ended.Count > 0)
                lines.Add(new("faults", "woken when another had its place: until it had ended itself", Span(ended), "", "", "", null));
        }
        return new("faults", "what clients wait for when something fails, three machines", lines,
        [
            Text.Invariant($"{Clients} clients report one record after another to each machine in turn, wait {Patience.TotalSeconds:0} s for an answer and then ask the next under the same key; {rounds} rounds, each on a cluster of its own, shortest and longest given. The failed machine stays among those that are asked, as behind a load balancer that has not noticed yet."),
            "A receipt needs no other machine, and a dead one lets go of the writer's lock in PostgreSQL with its connection. A frozen one may hold that lock: the others wait until the server ends its transaction. The log stands still until the others are sure that the one that appended is dead (three probes of 2 to 3 s missed, two votes), and one of them has taken its place: that is what limits it, and more or faster machines do not shorten it. Proofs are given meanwhile of everything that is in the log.",
            "The three machines, PostgreSQL and the clients share two cores; a node that starts takes one for seconds.",
        ]);
    }

    private static string Span(List<double> seconds) => seconds.Count == 1 ? Text.Seconds(seconds[0]) : $"{Text.Seconds(seconds.Min())}–{Text.Seconds(seconds.Max())}";

    private static async Task<ServerProcess> OtherAsync(BenchCluster cluster)
    {
        var holder = await HolderAsync(cluster);
        return cluster.Machines.First(m => m != holder);
    }

    /// <summary>The machine that appends, as each says of itself; waits until one does.</summary>
    private static async Task<ServerProcess> HolderAsync(BenchCluster cluster)
    {
        using var http = new HttpClient { Timeout = Patience };
        for (var began = TimeProvider.System.GetTimestamp(); TimeProvider.System.GetElapsedTime(began) < Limit;)
        {
            foreach (var machine in cluster.Machines.Where(m => m.Answers))
            {
                try
                {
                    if (Held().IsMatch(await http.GetStringAsync(new Uri(machine.Address, "/metrics"))))
                        return machine;
                }
                catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
                {
                    // The next one.
                }
            }
            await Task.Delay(50);
        }
        throw new InvalidOperationException("No machine says that it appends to the log.");
    }

    [GeneratedRegex("""^gongzhi_cluster_seat\{[^}]*kind="sequencer"[^}]*\} 1""", RegexOptions.Multiline)]
    private static partial Regex Held();

    /// <summary>Clients that report until they are stopped, and one who looks how large the log is.</summary>
    private sealed class Load : IAsyncDisposable
    {
        private readonly List<(ServerProcess Machine, HttpClient Http)> _machines;
        private readonly CancellationTokenSource _stop = new();
        private readonly List<Task> _tasks = [];
        private long _acknowledged, _longestWait, _longestStandstill, _size;

        private Load(List<(ServerProcess, HttpClient)> machines) => _machines = machines;

        public TimeSpan LongestWait => TimeSpan.FromTicks(Interlocked.Read(ref _longestWait));

        public TimeSpan LongestStandstill => TimeSpan.FromTicks(Interlocked.Read(ref _longestStandstill));

        public static async Task<Load> StartAsync(BenchCluster cluster)
        {
            var machines = new List<(ServerProcess, HttpClient)>();
            foreach (var machine in cluster.Machines)
                machines.Add((machine, await machine.SignInAsync()));
            using var put = await machines[0].Item2.PutAsJsonAsync("/api/v1/datasets/" + Dataset, new { title = new { en = Dataset }, owner = "node", schema = new { fields = new[] { new { name = "v", type = "string" } } } });
            if (!put.IsSuccessStatusCode)
                throw new InvalidOperationException(await put.Content.ReadAsStringAsync());
            var load = new Load(machines);
            load._tasks.AddRange(Enumerable.Range(0, Clients).Select(n => Task.Run(() => load.ReportAsync(n))));
            load._tasks.Add(Task.Run(load.LookAsync));
            return load;
        }

        public void Forget()
        {
            Interlocked.Exchange(ref _longestWait, 0);
            Interlocked.Exchange(ref _longestStandstill, 0);
        }

        public async Task MoreAsync(int count)
        {
            var (target, began) = (Interlocked.Read(ref _acknowledged) + count, TimeProvider.System.GetTimestamp());
            while (Interlocked.Read(ref _acknowledged) < target)
                await StepAsync(began);
        }

        /// <summary>Waits until the log has grown once more.</summary>
        public async Task GrownAsync()
        {
            var (size, began) = (Interlocked.Read(ref _size), TimeProvider.System.GetTimestamp());
            while (Interlocked.Read(ref _size) <= size)
                await StepAsync(began);
        }

        public async Task StopAsync()
        {
            await _stop.CancelAsync();
            await Task.WhenAll(_tasks);
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await Task.WhenAll(_tasks).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _stop.Dispose();
            _machines.ForEach(m => m.Http.Dispose());
        }

        private async Task StepAsync(long began)
        {
            if (_tasks.Find(t => t.IsFaulted) is { } faulted)
                await faulted;
            if (TimeProvider.System.GetElapsedTime(began) > Limit)
                throw new InvalidOperationException($"Nothing has come of it in {Limit}.");
            await Task.Delay(10);
        }

        private async Task ReportAsync(int client)
        {
            for (var i = 0; !_stop.IsCancellationRequested; i++)
            {
                var value = string.Create(CultureInfo.InvariantCulture, $"w{client}-{i}");
                var began = TimeProvider.System.GetTimestamp();
                for (var attempt = 0; ; attempt++)
                {
                    if (TimeProvider.System.GetElapsedTime(began) > Limit)
                        throw new InvalidOperationException($"{value} was not acknowledged within {Limit}.");
                    try
                    {
                        using var end = new CancellationTokenSource(Patience);
                        using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/datasets/{Dataset}/records") { Content = new StringContent($"v\r\n{value}\r\n", null, "text/csv") };
                        request.Headers.Add("Idempotency-Key", value);
                        using var response = await _machines[(client + i + attempt) % _machines.Count].Http.SendAsync(request, end.Token);
                        if (response.IsSuccessStatusCode)
                            break;
                        if ((int)response.StatusCode < 500)
                            throw new InvalidOperationException($"{value}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync(end.Token)}");
                    }
                    catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
                    {
                        // Gone or frozen: the next one.
                    }
                    await Task.Delay(10);
                }
                Interlocked.Increment(ref _acknowledged);
                Raise(ref _longestWait, TimeProvider.System.GetElapsedTime(began).Ticks);
            }
        }

        private async Task LookAsync()
        {
            var last = TimeProvider.System.GetTimestamp();
            for (var i = 0; !_stop.IsCancellationRequested;)
            {
                try
                {
                    using var end = new CancellationTokenSource(TimeSpan.FromMilliseconds(500));
                    var lines = (await _machines[i % _machines.Count].Http.GetStringAsync("/ledger/checkpoint", end.Token)).Split('\n');
                    var size = long.Parse(lines[1], CultureInfo.InvariantCulture);
                    if (size > Interlocked.Read(ref _size))
                    {
                        Interlocked.Exchange(ref _size, size);
                        Raise(ref _longestStandstill, TimeProvider.System.GetElapsedTime(last).Ticks);
                        last = TimeProvider.System.GetTimestamp();
                    }
                }
                catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
                {
                    i++;
                }
                await Task.Delay(10);
            }
        }

        private static void Raise(ref long highest, long value)
        {
            for (long seen; value > (seen = Interlocked.Read(ref highest)) && Interlocked.CompareExchange(ref highest, value, seen) != seen;)
            {
            }
        }
    }
}
