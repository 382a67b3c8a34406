using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Perf.Figures;

/// <summary>P3: single entries by many appenders at once, each waiting until its entry is durable and under a signed checkpoint.</summary>
internal static partial class P3Ledger
{
    private const int Appenders = 2_048;

    public static async Task<Section> RunAsync(Bench bench)
    {
        var seconds = bench.Quick ? 5 : 60;
        var syncs = SyncsPerSecond(bench);
        Bench.Say("P3: through the node");
        Outcome node;
        await using (var world = await BenchNode.StartAsync(bench, "p3"))
        {
            node = await ThroughAsync(world, seconds);
        }
        var between = SyncsPerSecond(bench);
        Bench.Say("P3: the log by itself");
        Outcome log;
        var directory = bench.File("log");
        using (var signer = NoteSigner.Generate("bench.example/log"))
        using (var state = new FileTreeState(Path.Combine(directory, "state")))
        {
            await using var tiles = await TileLog.OpenAsync(signer, state, new FileTileStore(Path.Combine(directory, "tiles")));
            log = await AppendAsync(Math.Min(seconds, 20), id => tiles.AppendAsync([new PendingEntry(id, RandomNumberGenerator.GetBytes(120))]));
        }
        var disk = (syncs + between + SyncsPerSecond(bench)) / 3;
        return new("P3", "single entries into the ledger",
        [
            Rate("entry committed in SQL, sequenced and under a signed checkpoint, through the node", node, disk),
            Latency("the same, from the call to the checkpoint", node),
            Rate("the ledger package by itself, over files", log, disk) with { Goal = "", Met = null },
            Latency("the same", log) with { Goal = "", Met = null },
            new("P3", Text.Invariant($"growth exponent of the time over the number of entries ({string.Join(", ", node.Marks.Select(m => Text.Count(m.Size)))})"), Text.Invariant($"{Growth.Exponent([.. node.Marks]):0.00}"), "", "", "≤ 1.1", Growth.Exponent([.. node.Marks]) <= 1.1),
        ],
        [
            Text.Invariant($"{Appenders} appenders at once, each with one entry on its way, for {node.Seconds:0} s through the node and {log.Seconds:0} s by the package; {Text.Count(node.Count)} and {Text.Count(log.Count)} entries. The peer column is what the disk can do: {Text.Count(disk)} writes of 4 KB, each followed by fdatasync, a second (mean of three loops of 2 s in between)."),
            Text.Invariant($"Processor time through the node: {node.CpuSeconds / node.Count * 1e6:0} µs an entry over {Environment.ProcessorCount} cores, {node.CpuSeconds / node.Seconds * 100 / Environment.ProcessorCount:0} % busy."),
            "Tessera publishes 10,000 entries/s at 1.2 s on average on a larger machine with a database service; that is a number of another machine and only for orientation.",
        ]);
    }

    /// <summary>Entries through the whole of a node for a time.</summary>
    public static Task<Outcome> ThroughAsync(BenchNode world, int seconds)
    {
        var (writer, sequencer) = (world.Services.GetRequiredService<NodeWriter>(), world.Services.GetRequiredService<Sequencer>());
        return AppendAsync(seconds, async id =>
        {
            var commitment = RandomNumberGenerator.GetBytes(32);
            await writer.RunAsync(scope => PendingEntries.Add(scope, id, "access", commitment));
            await sequencer.WaitAsync(id, CancellationToken.None);
        });
    }

    public const int InsertConnections = 64;

    /// <summary>Rows of an entry's size a second, each in a transaction of its own, by as many callers as append to the ledger.</summary>
    public static async Task<double> InsertsAsync(Postgres postgres, int run, int seconds)
    {
        await postgres.ExecuteAsync(Text.Invariant($"CREATE TABLE entry_{run}(id uuid PRIMARY KEY, entry bytea NOT NULL, created bigint NOT NULL)"));
        await using var source = Npgsql.NpgsqlDataSource.Create(new Npgsql.NpgsqlConnectionStringBuilder(postgres.ConnectionString) { MaxPoolSize = InsertConnections, Timeout = 60, MaxAutoPrepare = 5, AutoPrepareMinUsages = 1 }.ToString());
        var outcome = await AppendAsync(seconds, async id =>
        {
            await using var connection = await source.OpenConnectionAsync();
            await using var command = new Npgsql.NpgsqlCommand(Text.Invariant($"INSERT INTO entry_{run} VALUES ($1, $2, $3)"), connection)
            {
                Parameters = { new() { Value = id }, new() { Value = RandomNumberGenerator.GetBytes(120) }, new() { Value = Stopwatch.GetTimestamp() } },
            };
            await command.ExecuteNonQueryAsync();
        });
        return outcome.PerSecond;
    }

    public sealed record Outcome(long Count, double Seconds, double[] Milliseconds, double CpuSeconds, List<(double Size, double Cost)> Marks)
    {
        public double PerSecond => Count / Seconds;
        public double At(double share) => Milliseconds[(int)Math.Min(Milliseconds.Length - 1, share * Milliseconds.Length)];
    }

    public static Line Rate(string what, Outcome o, double disk) =>
        new("P3", what, $"{Text.Count(o.PerSecond)} entries/s", $"{Text.Count(disk)} syncs/s", Text.Ratio(o.PerSecond / disk), "≥ 10,000/s", o.PerSecond >= 10_000);

    public static Line Latency(string what, Outcome o) =>
        new("P3", what, $"p50 {Text.Seconds(o.At(0.5) / 1e3)}, p99 {Text.Seconds(o.At(0.99) / 1e3)}, worst {Text.Seconds(o.At(1) / 1e3)}", "", "", "p99 < 1 s", o.At(0.99) < 1_000);

    private static async Task<Outcome> AppendAsync(int seconds, Func<Guid, Task> append)
    {
        // Once unmeasured.
        for (var i = 0; i < 100; i++)
            await append(Guid.CreateVersion7(TimeProvider.System.GetUtcNow()));
        Clock.Settle();
        var times = new ConcurrentBag<List<double>>();
        var reached = new ConcurrentQueue<(double Size, double Cost)>();
        long count = 0;
        var (cpu, start) = (Clock.CpuSeconds(), Stopwatch.GetTimestamp());
        await Task.WhenAll(Enumerable.Range(0, Appenders).Select(_ => Task.Run(async () =>
        {
            var mine = new List<double>(4_096);
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                var began = Stopwatch.GetTimestamp();
                await append(Guid.CreateVersion7(TimeProvider.System.GetUtcNow()));
                mine.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
                if (Interlocked.Increment(ref count) % 1_000 == 0)
                    reached.Enqueue((count, Stopwatch.GetElapsedTime(start).TotalSeconds));
            }
            times.Add(mine);
        })));
        var elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var all = times.SelectMany(t => t).ToArray();
        Array.Sort(all);
        var marks = new[] { 16, 4, 1 }.Select(part => reached.OrderBy(r => r.Size).FirstOrDefault(r => r.Size >= count / part, (count, elapsed))).ToList();
        return new(count, elapsed, all, Clock.CpuSeconds() - cpu, marks);
    }

    /// <summary>The disk's own limit: 4 KB written at the end of a file, then fdatasync, one after another.</summary>
    public static double SyncsPerSecond(Bench bench)
    {
        using var file = new FileStream(bench.File("sync"), FileMode.Create, FileAccess.Write, FileShare.None, 0);
        var page = RandomNumberGenerator.GetBytes(4_096);
        var start = Stopwatch.GetTimestamp();
        var count = 0;
        while (Stopwatch.GetElapsedTime(start).TotalSeconds < 2)
        {
            file.Write(page);
            if (Sync((int)file.SafeFileHandle.DangerousGetHandle()) != 0)
                throw new IOException("fdatasync failed.");
            count++;
        }
        return count / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    [LibraryImport("libc", EntryPoint = "fdatasync")]
    private static partial int Sync(int file);
}
