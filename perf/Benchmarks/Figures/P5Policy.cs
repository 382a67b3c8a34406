using System.Diagnostics;
using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Perf.Figures;

/// <summary>P5: how many decisions a core takes, what the first one costs, and how soon a revocation is seen by somebody who reads all the time.</summary>
internal static class P5Policy
{
    private const string Unit = "audit";
    private static readonly int[] GrantCounts = [60, 240, 960];

    public static async Task<Section> RunAsync(Bench bench)
    {
        await using var node = await BenchNode.StartAsync(bench, "p5");
        var dataset = await node.DefinePaymentsAsync("payments");
        var (parties, grants, engine) = (node.Services.GetRequiredService<PartyDirectory>(), node.Services.GetRequiredService<Grants>(), node.Services.GetRequiredService<PolicyEngine>());
        Must(await parties.CreateUnitAsync(node.Caller, new Core.Parties.Unit { Id = Unit, NameZh = "审计", NameEn = "Audit", Place = "990101", Level = 1, Parent = "node", Kind = "government" }));
        var readers = new List<Caller>();
        for (var i = 0; i < 100; i++)
        {
            var id = Text.Invariant($"reader-{i}");
            Must(await parties.CreatePartyAsync(node.Caller, id, PartyKind.Person, id));
            Must(await parties.GiveRoleAsync(node.Caller, id, Roles.Reader, Unit));
        }
        readers.AddRange(Enumerable.Range(0, 100).Select(i => parties.Resolve(Text.Invariant($"reader-{i}"))!));
        var (first, last) = (new List<(double, double)>(), "");
        double median = 0, tail = 0, afterChange = 0;
        foreach (var count in GrantCounts)
        {
            Bench.Say(Text.Invariant($"P5: {count} grants"));
            while (grants.List(node.Caller, dataset.Id).Count < count)
                last = await GrantAsync(grants, node.Caller, dataset, grants.List(node.Caller, dataset.Id).Count);
            // The first decision of all after a change also reads the grants anew; that is told apart.
            (afterChange, _) = FirstTimes(engine, dataset, readers, "every");
            (_, var firsts) = FirstTimes(engine, dataset, readers, "purpose-3");
            (median, tail) = (firsts[firsts.Count / 2], firsts[(int)(firsts.Count * 0.99)]);
            first.Add((count, median));
        }
        var rates = new List<double>();
        for (var round = 0; round < bench.Repetitions; round++)
            rates.Add(await WarmAsync(engine, dataset, readers, 1));
        var both = await WarmAsync(engine, dataset, readers, Environment.ProcessorCount);
        var (called, returned) = await RevokedAsync(grants, engine, node.Caller, dataset, readers[0], bench.Quick ? 5 : 20);
        rates.Sort();
        var exponent = Growth.Exponent([.. first]);
        return new("P5", "policy decisions",
        [
            new("P5", "decisions already compiled, on one core", Text.Invariant($"{rates[rates.Count / 2] / 1e6:0.0} M/s"), Text.Invariant($"on all cores {both / 1e6:0.0} M/s"), "", "≥ 1 M/s", rates[rates.Count / 2] >= 1e6),
            new("P5", Text.Invariant($"first decision for a reader, {GrantCounts[^1]} grants of the dataset"), Text.Invariant($"{Text.Seconds(median)}, p99 {Text.Seconds(tail)}"), "", "", "< 50 µs", median < 50e-6),
            new("P5", "revocation, from the call until a reader who asks all the time is refused (worst)", Text.Seconds(called.Max()), "", "", "< 1 s", called.Max() < 1),
            new("P5", "the same, after the revocation was durable (worst)", Text.Seconds(Math.Max(0, returned.Max())), "", "", "< 1 s", returned.Max() < 1),
            new("P5", Text.Invariant($"growth exponent of the first decision over {string.Join(", ", GrantCounts)} grants"), Text.Invariant($"{exponent:0.00}"), "", "", "≤ 1.1", exponent <= 1.1),
        ],
        [
            $"First decisions: {string.Join(", ", first.Select(f => Text.Seconds(f.Item2)))} with so many grants; each for another of 100 readers. The very first after a change reads the grants from SQL: {Text.Seconds(afterChange)}.",
            "No decision allows the reading once the revocation is durable; what is measured after that is the reader's own waiting, since the first to ask reads all grants anew. On several machines the reading is refused as surely: it is written down under the lock that the revocation took.",
        ]);

        static void Must(Core.Result<string> result)
        {
            if (!result.Ok)
                throw new InvalidOperationException(result.Problem.Detail);
        }
    }

    private static async Task<string> GrantAsync(Grants grants, Caller by, Dataset dataset, int number)
    {
        using var body = JsonDocument.Parse(Text.Invariant($$"""
            {"dataset":"{{dataset.Id}}","grantee": {"unit":"{{Unit}}" },"purposes":["purpose-{{number}}","every"],"fields":{"amount":"plain","merchant":{"mask":"name"},"card":"pseudonym"},"rows":{"placeWithin":"990101"} }
            """));
        var made = await grants.CreateAsync(by, body.RootElement.Clone());
        return made.Ok ? made.Value.Id : throw new InvalidOperationException(made.Problem.Detail);
    }

    private static (double AfterChange, List<double> Sorted) FirstTimes(PolicyEngine engine, Dataset dataset, List<Caller> readers, string purpose)
    {
        var now = TimeProvider.System.GetUtcNow();
        var times = new List<double>();
        foreach (var reader in readers)
        {
            var start = Stopwatch.GetTimestamp();
            if (engine.Decide(reader, dataset, purpose, now).Permit is null)
                throw new InvalidOperationException("The grant should allow this.");
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        var afterChange = times[0];
        times.RemoveAt(0);
        times.Sort();
        return (afterChange, times);
    }

    private static async Task<double> WarmAsync(PolicyEngine engine, Dataset dataset, List<Caller> readers, int threads)
    {
        const int Each = 4_000_000;
        var now = TimeProvider.System.GetUtcNow();
        foreach (var reader in readers)
            engine.Decide(reader, dataset, "purpose-3", now);
        var seconds = await Clock.TimeAsync(() => Task.WhenAll(Enumerable.Range(0, threads).Select(_ => Task.Factory.StartNew(() =>
        {
            for (var i = 0; i < Each; i++)
            {
                if (engine.Decide(readers[i % 100], dataset, "purpose-3", now).Permit is null)
                    throw new InvalidOperationException("The grant should allow this.");
            }
        }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))));
        return (double)Each * threads / seconds;
    }

    private static async Task<(List<double> Called, List<double> Returned)> RevokedAsync(Grants grants, PolicyEngine engine, Caller by, Dataset dataset, Caller reader, int rounds)
    {
        var (called, returned) = (new List<double>(), new List<double>());
        for (var round = 0; round < rounds; round++)
        {
            var purpose = Text.Invariant($"revoked-{round}");
            using var body = JsonDocument.Parse($$"""{"dataset":"{{dataset.Id}}","grantee":{"unit":"{{Unit}}" },"purposes":["{{purpose}}"],"fields":{"amount":"plain"} }""");
            var grant = (await grants.CreateAsync(by, body.RootElement.Clone())).Value!.Id;
            var reading = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var refused = Task.Factory.StartNew(() =>
            {
                while (engine.Decide(reader, dataset, purpose, TimeProvider.System.GetUtcNow()).Permit is not null)
                    reading.TrySetResult();
                reading.TrySetResult();
                return Stopwatch.GetTimestamp();
            }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            await reading.Task;
            var start = Stopwatch.GetTimestamp();
            if (!(await grants.RevokeAsync(by, grant)).Ok)
                throw new InvalidOperationException("The grant could not be revoked.");
            var durable = Stopwatch.GetTimestamp();
            var seen = await refused;
            called.Add(Stopwatch.GetElapsedTime(start, seen).TotalSeconds);
            returned.Add((seen - durable) / (double)Stopwatch.Frequency);
        }
        return (called, returned);
    }
}
