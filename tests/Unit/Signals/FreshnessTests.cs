using Gongzhi.Core.Signals;

namespace Gongzhi.Tests.Unit.Signals;

public sealed class FreshnessTests : IAsyncLifetime
{
    private SignalWorld _world = null!;

    public async ValueTask InitializeAsync() => _world = await SignalWorld.OpenAsync();

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Fact]
    public async Task Declared_news_that_does_not_come_is_noticed_once_and_is_over_when_it_comes()
    {
        var dataset = await _world.DefineAsync("d", "\"expectedEvery\":\"P1D\",");
        var runner = _world.Runner(new FreshnessAnalysis());
        using var work = runner.Open(AnalysisWork.ShardOf("d"));
        await _world.ContributeAsync(dataset);
        var first = _world.Clock.Now;
        foreach (var hours in (int[])[1, 24, 26])
        {
            _world.Clock.Now = first + TimeSpan.FromHours(hours);
            await SignalWorld.SettleAsync(work);
            Assert.Empty(_world.Signals());
        }
        foreach (var minutes in (int[])[1_584, 1_800, 6_000])
        {
            _world.Clock.Now = first + TimeSpan.FromMinutes(minutes);
            await SignalWorld.SettleAsync(work);
            Assert.EndsWith("open", Assert.Single(_world.Signals()), StringComparison.Ordinal);
        }
        // Dated by the log, not by who looked when.
        Assert.Contains($"{first.AddMinutes(1_584):u} open", _world.Signals()[0], StringComparison.Ordinal);
        await _world.ContributeAsync(dataset);
        await SignalWorld.SettleAsync(work);
        Assert.EndsWith($"{_world.Clock.Now:u}", Assert.Single(_world.Signals()), StringComparison.Ordinal);
        Assert.Equal(2, _world.Scalar("SELECT COUNT(*) FROM ledger_pending p JOIN signal s ON p.id = s.id OR p.id = s.end_entry"));
    }

    [Fact]
    public async Task A_dataset_that_never_had_news_is_noticed_from_the_day_it_is_expected()
    {
        await _world.DefineAsync("quiet");
        await _world.DefineAsync("d", "\"expectedEvery\":\"PT6H\",");
        var runner = _world.Runner(new FreshnessAnalysis());
        await SignalWorld.SettleAsync(runner);
        _world.Clock.Now += TimeSpan.FromHours(7);
        await SignalWorld.SettleAsync(runner);
        Assert.Contains(" d freshness.silent", Assert.Single(_world.Signals()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_expectation_that_is_declared_later_holds_from_then_on()
    {
        var dataset = await _world.DefineAsync("d");
        await _world.ContributeAsync(dataset);
        var runner = _world.Runner(new FreshnessAnalysis());
        using var work = runner.Open(AnalysisWork.ShardOf("d"));
        await SignalWorld.SettleAsync(work);
        _world.Clock.Now += TimeSpan.FromDays(30);
        await SignalWorld.SettleAsync(work);
        Assert.Empty(_world.Signals());
        var declared = _world.Clock.Now;
        dataset = await _world.DefineAsync("d", "\"expectedEvery\":\"P1D\",");
        await SignalWorld.SettleAsync(work);
        Assert.Contains($"{declared:u} open", Assert.Single(_world.Signals()), StringComparison.Ordinal);
        // Taken back, and news: over, and no more of it.
        dataset = await _world.DefineAsync("d");
        await _world.ContributeAsync(dataset);
        _world.Clock.Now += TimeSpan.FromDays(30);
        await SignalWorld.SettleAsync(work);
        Assert.DoesNotContain("open", Assert.Single(_world.Signals()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rhythm_is_learned_and_a_replay_notices_the_same_whenever_it_is_told_the_time()
    {
        var dataset = await _world.DefineAsync("d");
        var runner = _world.Runner(new FreshnessAnalysis(), new VolumeAnalysis());
        var start = _world.Clock.Now;
        for (var day = 0; day < 75; day++)
        {
            // Nothing from the 40th to the 44th day, and a hundredfold on the 70th.
            _world.Clock.Now = start + TimeSpan.FromDays(day) + TimeSpan.FromMinutes(day * 7 % 10);
            if (day is < 40 or > 44)
                await _world.ContributeAsync(dataset, day == 70 ? 3_000 : 30);
            await SignalWorld.SettleAsync(runner);
        }
        var signals = _world.Signals();
        Assert.Contains(signals, s => s.Contains("freshness.silent", StringComparison.Ordinal) && s.Contains(start.AddDays(45).ToString("yyyy-MM-dd", System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal));
        Assert.Contains(signals, s => s.Contains("volume.many", StringComparison.Ordinal));
        Assert.Single(signals, s => s.Contains("freshness.silent", StringComparison.Ordinal));
        Assert.DoesNotContain(signals, s => s.Contains("open", StringComparison.Ordinal));
        // From the first entry on, at one go, under another name: the same things at the same moments.
        await SignalWorld.SettleAsync(_world.Runner(new Renamed(new FreshnessAnalysis()), new Renamed(new VolumeAnalysis())));
        var again = _world.Signals().Where(s => s.Contains("-again ", StringComparison.Ordinal)).Select(s => s[37..].Replace("-again ", " ", StringComparison.Ordinal));
        Assert.Equal(signals.Select(s => s[37..]), again);
    }

    private sealed class Renamed(IAnalysis inner) : IAnalysis
    {
        public string Name => inner.Name + "-again";
        public int Version => inner.Version;
        public bool Watches(Core.Catalog.Dataset dataset) => inner.Watches(dataset);
        public IEnumerable<string> Partitions(AnalysisBatch batch, Core.Records.RowColumns? rows) => inner.Partitions(batch, rows);
        public string? Standing(Core.Catalog.Dataset dataset) => inner.Standing(dataset);
        public IAnalysisState Open(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions) => inner.Open(partition, snapshot, definitions);
    }
}
