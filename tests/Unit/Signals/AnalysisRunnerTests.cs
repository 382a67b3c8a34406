using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;
using Gongzhi.Core.Signals;
using Gongzhi.Core.Storage;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Unit.Signals;

public sealed class AnalysisRunnerTests : IAsyncLifetime
{
    private SignalWorld _world = null!;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _world = await SignalWorld.OpenAsync();

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Fact]
    public async Task Batches_come_once_in_the_order_of_the_log_over_many_steps_and_restarts()
    {
        var datasets = new List<Dataset>();
        for (var i = 0; i < 8; i++)
            datasets.Add(await _world.DefineAsync($"d{i}"));
        for (var round = 0; round < 3; round++)
        {
            await Task.WhenAll(Enumerable.Range(0, 80).Select(i => _world.ContributeAsync(datasets[i % 8], 1 + (i % 3))));
            // A new runner each time: it knows only what is kept.
            await SignalWorld.SettleAsync(_world.Runner(new Recount()));
        }
        // One signal for each batch, each under the number that the partition counted it by.
        var signals = _world.Signals();
        Assert.Equal(240, signals.Count);
        Assert.Equal(240, _world.Scalar("SELECT COUNT(*) FROM signal s JOIN batch b ON b.dataset = s.dataset JOIN ledger_pending p ON p.id = b.entry AND p.log_index = s.last_index"));
        // In order: the counter rises with the ledger index.
        Assert.Equal(0, _world.Scalar("SELECT COUNT(*) FROM signal a JOIN signal b ON a.part = b.part AND a.last_index < b.last_index WHERE CAST(a.same AS INTEGER) >= CAST(b.same AS INTEGER)"));
        Assert.Equal(240, _world.Scalar("SELECT SUM(high) FROM (SELECT MAX(CAST(same AS INTEGER)) AS high FROM signal GROUP BY part) t"));
    }

    [Fact]
    public async Task Each_signal_has_one_ledger_entry_that_opens_to_it()
    {
        var dataset = await _world.DefineAsync("d");
        for (var i = 0; i < 5; i++)
            await _world.ContributeAsync(dataset);
        await SignalWorld.SettleAsync(_world.Runner(new Recount()));
        using var connection = NodeDatabase.OpenReader(_world.Core.World);
        using var command = connection.Command("SELECT s.id, s.content, s.salt, p.entry FROM signal s JOIN ledger_pending p ON p.id = s.id");
        var seen = 0;
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            seen++;
            var commitment = Core.Audit.EntryBytes.Commit(System.Text.Encoding.UTF8.GetBytes(reader.GetString(1)), (byte[])reader[2]);
            Assert.Equal(Core.Audit.EntryBytes.Commitment(RecordId.FromBytes((byte[])reader[0]), "signal", commitment), (byte[])reader[3]);
        }
        Assert.Equal(5, seen);
    }

    [Fact]
    public async Task A_replay_from_the_first_entry_raises_the_same_signals_and_none_twice()
    {
        var dataset = await _world.DefineAsync("d");
        for (var i = 0; i < 20; i++)
            await _world.ContributeAsync(dataset);
        await SignalWorld.SettleAsync(_world.Runner(new Recount()));
        var first = _world.Signals();
        var entries = _world.Scalar("SELECT COUNT(*) FROM ledger_pending");
        // Over what is there: nothing is added.
        await _world.ForgetAsync(signals: false);
        await SignalWorld.SettleAsync(_world.Runner(new Recount()));
        Assert.Equal(first, _world.Signals());
        Assert.Equal(entries, _world.Scalar("SELECT COUNT(*) FROM ledger_pending"));
        // A newer version does so by itself.
        await SignalWorld.SettleAsync(_world.Runner(new Recount { Version = 2 }));
        Assert.Equal(first, _world.Signals());
        Assert.Equal(2, _world.Runner(new Recount()).Progress().Max(p => p.Version));
        // And the older one, on a machine that is not upgraded yet, leaves it alone.
        var states = _world.Scalar("SELECT SUM(step) FROM analysis_position");
        await SignalWorld.SettleAsync(_world.Runner(new Recount()));
        Assert.Equal(states, _world.Scalar("SELECT SUM(step) FROM analysis_position"));
    }

    [Fact]
    public async Task Two_runners_at_once_lose_and_double_nothing()
    {
        var datasets = new List<Dataset>();
        for (var i = 0; i < 4; i++)
            datasets.Add(await _world.DefineAsync($"d{i}"));
        using var stop = new StopAtEnd();
        var running = Enumerable.Range(0, 2).SelectMany(_ =>
        {
            var runner = _world.Runner(new Recount());
            return Enumerable.Range(0, AnalysisRunner.Shards).Select(shard => Task.Run(async () =>
            {
                using var work = runner.Open(shard);
                while (!stop.IsCancellationRequested)
                    await work.StepAsync(CancellationToken.None);
            }, Cancel));
        }).ToList();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async hand =>
        {
            for (var i = 0; i < 50; i++)
                await _world.ContributeAsync(datasets[hand]);
        }));
        await stop.CancelAsync();
        await Task.WhenAll(running);
        await SignalWorld.SettleAsync(_world.Runner(new Recount()));
        Assert.Equal(200, _world.Signals().Count);
        Assert.Equal(200, _world.Scalar("SELECT SUM(high) FROM (SELECT MAX(CAST(same AS INTEGER)) AS high FROM signal GROUP BY part) t"));
        Assert.Equal(200, _world.Scalar("SELECT COUNT(DISTINCT last_index) FROM signal"));
    }

    [Fact]
    public async Task A_poisoned_batch_parks_its_analysis_there_and_holds_up_no_other()
    {
        var dataset = await _world.DefineAsync("d");
        for (var i = 0; i < 6; i++)
            await _world.ContributeAsync(dataset, rows: i == 3 ? 13 : 1);
        var runner = _world.Runner(new Recount(), new Poisoned());
        using (var work = runner.Open(AnalysisWork.ShardOf("d")))
        {
            for (var i = 0; i < 30; i++)
            {
                await SignalWorld.SettleAsync(work);
                _world.Clock.Now += TimeSpan.FromMinutes(6);
            }
        }
        var progress = runner.Progress().Where(p => p.Shard == AnalysisWork.ShardOf("d")).ToDictionary(p => p.Analysis);
        Assert.Null(progress["recount"].Parked);
        Assert.Contains("thirteen", progress["poisoned"].Parked, StringComparison.Ordinal);
        // It stands at the batch it fails on: what came before is kept, and nothing was skipped.
        Assert.Equal(3, _world.Scalar("SELECT COUNT(*) FROM signal WHERE analysis = 'poisoned'"));
        Assert.Equal(progress["poisoned"].Next, _world.Scalar("SELECT p.log_index FROM batch b JOIN ledger_pending p ON p.id = b.entry WHERE b.rows = 13"));
        Assert.Equal(6, _world.Scalar("SELECT COUNT(*) FROM signal WHERE analysis = 'recount'"));
        // A program in which it does not fail goes on from there.
        await SignalWorld.SettleAsync(_world.Runner(new Poisoned { Cured = true }));
        Assert.Equal(6, _world.Scalar("SELECT COUNT(*) FROM signal WHERE analysis = 'poisoned'"));
        Assert.All(_world.Runner().Progress(), p => Assert.Null(p.Parked));
    }

    [Fact]
    public async Task A_state_that_grows_too_large_is_refused_by_name()
    {
        var dataset = await _world.DefineAsync("d");
        await _world.ContributeAsync(dataset);
        var runner = _world.Runner(new Recount { Bytes = AnalysisRunner.StateBytesMax + 1 });
        using (var work = runner.Open(AnalysisWork.ShardOf("d")))
        {
            for (var i = 0; i < 12; i++)
            {
                await SignalWorld.SettleAsync(work);
                _world.Clock.Now += TimeSpan.FromMinutes(6);
            }
        }
        Assert.Contains($"{AnalysisRunner.StateBytesMax} are allowed", Assert.Single(runner.Progress(), p => p.Parked is not null).Parked, StringComparison.Ordinal);
        Assert.Empty(_world.Signals());
    }

    [Fact]
    public async Task Rows_come_from_tail_and_segments_without_those_erased()
    {
        var dataset = await _world.DefineAsync("d");
        var small = await _world.ContributeAsync(dataset, 5);
        var large = await _world.ContributeAsync(dataset, 40_000);
        await SignalWorld.SettleAsync(_world.Runner(new RowSum()));
        Assert.Equal([10.0, 10 + (39_999 * 40_000 / 2.0)], Sums());
        Assert.True(_world.Core.Store.SegmentsOf(large.Id).Count > 0 && _world.Core.Store.SegmentsOf(small.Id).Count == 0);
        await _world.Core.Erasures.EraseAsync(new ErasureRequest { Dataset = dataset, Author = "steward", Reason = "r", Records = [RecordId.Of(small.Id, 4), RecordId.Of(large.Id, 39_999)] }, Cancel);
        await _world.ForgetAsync(signals: true);
        await SignalWorld.SettleAsync(_world.Runner(new RowSum { Name = "row-sum-2" }));
        Assert.Equal([6.0, 6 + (39_998 * 39_999 / 2.0)], Sums());
    }

    [Fact]
    public async Task A_quiet_shard_writes_nothing()
    {
        var dataset = await _world.DefineAsync("d");
        var other = Enumerable.Range(0, AnalysisRunner.Shards).First(s => s != AnalysisWork.ShardOf("d"));
        var runner = _world.Runner(new Recount());
        using var work = runner.Open(other);
        await SignalWorld.SettleAsync(work);
        var steps = _world.Scalar("SELECT SUM(step) FROM analysis_position");
        for (var i = 0; i < 50; i++)
        {
            await _world.ContributeAsync(dataset);
            await SignalWorld.SettleAsync(work);
        }
        Assert.Equal(steps, _world.Scalar("SELECT SUM(step) FROM analysis_position"));
    }

    [Fact]
    public async Task Analyses_work_in_a_few_small_transactions_while_contributions_pour_in()
    {
        var datasets = new List<Dataset>();
        for (var i = 0; i < 16; i++)
            datasets.Add(await _world.DefineAsync($"d{i}"));
        var bare = await PourAsync(datasets);
        var runner = _world.Runner(new FreshnessAnalysis(), new VolumeAnalysis());
        using var stop = new StopAtEnd();
        var running = Enumerable.Range(0, AnalysisRunner.Shards).Select(shard => runner.RunAsync(shard, stop.Token)).ToList();
        var watched = await PourAsync(datasets);
        await stop.CancelAsync();
        await Task.WhenAll(running);
        var steps = _world.Scalar("SELECT SUM(step) FROM analysis_position");
        TestContext.Current.TestOutputHelper?.WriteLine($"2,000 contributions of one row: {bare.TotalSeconds:0.00} s alone, {watched.TotalSeconds:0.00} s with two analyses in four shards, which wrote {steps} times");
        // Once a second for each of eight at most, the first at once; and without a pause for each thousand batches that they are behind, of 4,000.
        Assert.InRange(steps, 1, 8 * (2 + 4 + (long)watched.TotalSeconds));
    }

    private async Task<TimeSpan> PourAsync(List<Dataset> datasets)
    {
        var since = TimeProvider.System.GetTimestamp();
        await Task.WhenAll(datasets.Select(async dataset =>
        {
            for (var i = 0; i < 125; i++)
                Assert.True((await _world.Core.ContributeAsync(dataset, "n\n1\n")).Ok);
        }));
        return TimeProvider.System.GetElapsedTime(since);
    }

    private List<double> Sums()
    {
        using var connection = NodeDatabase.OpenReader(_world.Core.World);
        using var command = connection.Command("SELECT content FROM signal ORDER BY last_index");
        var found = new List<double>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            using var json = System.Text.Json.JsonDocument.Parse(reader.GetString(0));
            found.Add(Signal.ReadFigures(json.RootElement)["sum"].Number!.Value);
        }
        return found;
    }

    /// <summary>Fails on a batch of thirteen rows.</summary>
    private sealed class Poisoned : IAnalysis
    {
        public string Name => "poisoned";
        public int Version => 1;
        public bool Cured { get; init; }
        public bool Watches(Dataset dataset) => true;
        public IEnumerable<string> Partitions(AnalysisBatch batch, RowColumns? rows) => [batch.Dataset.Id];
        public IAnalysisState Open(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions) =>
            new Counter(snapshot is null ? 0 : BitConverter.ToInt64(snapshot), 8, (_, batch) =>
            {
                if (batch.Rows == 13 && !Cured)
                    throw new InvalidDataException("It cannot bear thirteen.");
            });
    }

    /// <summary>The running sum of the first field.</summary>
    private sealed class RowSum : IAnalysis
    {
        public string Name { get; init; } = "row-sum";
        public int Version => 1;
        public bool ReadsRows => true;
        public bool Watches(Dataset dataset) => true;
        public IEnumerable<string> Partitions(AnalysisBatch batch, RowColumns? rows) => [batch.Dataset.Id];
        public IAnalysisState Open(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions) => new State(snapshot is null ? (0, 0) : (BitConverter.ToInt64(snapshot), BitConverter.ToInt64(snapshot, 8)));

        private sealed class State((long Sum, long Batch) at) : IAnalysisState
        {
            private long _sum = at.Sum;
            private readonly Dictionary<long, (AnalysisBatch Batch, long Sum)> _seen = [];

            public DateTimeOffset? Due => null;

            public void Process(AnalysisBatch batch, RowColumns? rows, SignalSink sink)
            {
                for (var r = 0; r < rows!.Rows; r++)
                    _sum += rows.Fields[0].Values[r];
                var left = batch.Rows - rows.Rows - (_seen.TryGetValue(batch.Index, out var seen) ? seen.Sum : 0);
                _seen[batch.Index] = (batch, batch.Rows - left);
                // Pieces come until the rows that were not erased are all there.
                if (left <= 1)
                    sink.Raise("sum", SignalSeverity.Notice, batch.Dataset.Number, null, null, "sum", batch.Index, batch.Index, batch.Received, new Dictionary<string, Figure> { ["sum"] = _sum });
            }

            public void Tick(DateTimeOffset now, SignalSink sink)
            {
            }

            public byte[] Snapshot() => [.. BitConverter.GetBytes(_sum), .. BitConverter.GetBytes(at.Batch)];
        }
    }
}
