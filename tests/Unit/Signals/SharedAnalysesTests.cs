using Gongzhi.Core.Records;
using Gongzhi.Core.Signals;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Tests.Shared;
using Gongzhi.Tests.Unit.Records;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Unit.Signals;

/// <summary>Two machines on one PostgreSQL database, both of which believe that all shards are theirs.</summary>
public sealed class SharedAnalysesTests : IAsyncLifetime
{
    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-analyses-").FullName;
    private readonly List<CoreFixture> _cores = [];
    private PostgresAddress _database = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        _database = new PostgresAddress(await (await PostgresServer.Shared).NewDatabaseAsync());
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var core in _cores)
            await core.DisposeAsync();
        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public async Task Two_machines_at_the_same_shards_under_load_lose_and_double_nothing()
    {
        var (a, b) = (await MachineAsync("a"), await MachineAsync("b"));
        a.Sequencer.Start();
        b.Sequencer.Follow(b.Writer.Feed);
        for (var i = 0; i < 6; i++)
            await a.DefineAsync($"d{i}", "{\"owner\":\"office\",\"schema\":{\"fields\":[{\"name\":\"n\",\"type\":\"integer\"}]}}");
        await b.Writer.Feed.CurrentAsync(Cancel);
        using var stop = new StopAtEnd();
        var following = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                await a.Writer.Feed.CurrentAsync(CancellationToken.None);
                await b.Writer.Feed.CurrentAsync(CancellationToken.None);
            }
        }, Cancel);
        var steps = new long[2];
        var running = _cores.SelectMany((core, machine) => Enumerable.Range(0, AnalysisRunner.Shards).Select(shard => Task.Run(async () =>
        {
            using var work = Runner(core).Open(shard);
            while (!stop.IsCancellationRequested)
            {
                await work.StepAsync(CancellationToken.None);
                Interlocked.Increment(ref steps[machine]);
            }
        }, Cancel))).ToList();
        var entries = await Task.WhenAll(Enumerable.Range(0, 6).Select(async hand =>
        {
            var core = _cores[hand % 2];
            var mine = new List<Guid>();
            for (var i = 0; i < 40; i++)
                mine.Add((await core.ContributeAsync(core.Catalog.Find($"d{hand}")!, "n\n1\n")).Value!.Batch.Entry);
            return mine;
        }));
        foreach (var entry in entries.SelectMany(e => e))
            await a.Sequencer.WaitAsync(entry, Cancel);
        await stop.CancelAsync();
        await Task.WhenAll([following, .. running]);
        Assert.All(steps, s => Assert.True(s > 0));
        for (var shard = 0; shard < AnalysisRunner.Shards; shard++)
        {
            using var work = Runner(a).Open(shard);
            await SignalWorld.SettleAsync(work);
        }
        Assert.Equal((240L, 240L, 240L), (Scalar("SELECT COUNT(*) FROM signal"), Scalar("SELECT COUNT(DISTINCT last_index) FROM signal"), Scalar("SELECT SUM(high) FROM (SELECT MAX(CAST(same AS INTEGER)) AS high FROM signal GROUP BY part) t")));
        Assert.Equal(240, Scalar("SELECT COUNT(*) FROM signal s JOIN ledger_pending p ON p.id = s.id"));
    }

    private static AnalysisRunner Runner(CoreFixture core) =>
        new(core.World, core.Writer, core.Catalog, core.Store, core.Parties, core.Sequencer, [new Recount()], TimeProvider.System, NullLogger<AnalysisRunner>.Instance);

    private long Scalar(string sql)
    {
        using var connection = NodeDatabase.OpenReader(_cores[0].World);
        using var command = connection.Command(sql);
        return Convert.ToInt64(command.ExecuteScalar(), System.Globalization.CultureInfo.InvariantCulture);
    }

    private async Task<CoreFixture> MachineAsync(string name)
    {
        var core = await CoreFixture.OpenAsync(
            Directory.CreateDirectory(Path.Combine(_root, name)).FullName, shared: _database, segments: SegmentPlace.Parse(Path.Combine(_root, "segments"), null, null, 0));
        _cores.Add(core);
        return core;
    }
}
