using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;
using Gongzhi.Core.Signals;
using Gongzhi.Core.Storage;
using Gongzhi.Tests.Unit.Policy;
using Gongzhi.Tests.Unit.Records;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Unit.Signals;

/// <summary>A real core with a clock that is set, and runners over it.</summary>
internal sealed class SignalWorld : IAsyncDisposable
{
    private readonly List<AnalysisRunner> _runners = [];

    private SignalWorld(CoreFixture core, SetClock clock) => (Core, Clock) = (core, clock);

    public CoreFixture Core { get; }
    public SetClock Clock { get; }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public static async Task<SignalWorld> OpenAsync(bool postgres = false)
    {
        var clock = new SetClock();
        return new(await CoreFixture.OpenAsync(postgres: postgres, time: clock), clock);
    }

    public AnalysisRunner Runner(params IAnalysis[] analyses)
    {
        var runner = new AnalysisRunner(Core.World, Core.Writer, Core.Catalog, Core.Store, Core.Parties, Core.Sequencer, analyses, Clock, NullLogger<AnalysisRunner>.Instance);
        _runners.Add(runner);
        return runner;
    }

    public Task<Dataset> DefineAsync(string id, string more = "") =>
        Core.DefineAsync(id, "{\"owner\":\"office\",\"timeZone\":\"Asia/Shanghai\"," + more + "\"schema\":{\"fields\":[{\"name\":\"n\",\"type\":\"integer\"}]}}");

    /// <summary>A contribution at the clock's moment, in the log.</summary>
    public async Task<Batch> ContributeAsync(Dataset dataset, int rows = 1)
    {
        var receipt = await Core.ContributeAsync(dataset, "n\n" + string.Concat(Enumerable.Range(0, rows).Select(i => $"{i}\n")));
        Assert.True(receipt.Ok, receipt.Problem?.Detail);
        await Core.Sequencer.WaitAsync(receipt.Value.Batch.Entry, Cancel);
        return receipt.Value.Batch;
    }

    /// <summary>Steps all shards until there is nothing more to do.</summary>
    public static async Task SettleAsync(AnalysisRunner runner)
    {
        for (var shard = 0; shard < AnalysisRunner.Shards; shard++)
        {
            using var work = runner.Open(shard);
            await SettleAsync(work);
        }
    }

    public static async Task SettleAsync(AnalysisShard shard)
    {
        // What a step leaves for later, because entries were on their way, the next ones find.
        for (var quiet = 0; quiet < 2;)
            quiet = await shard.StepAsync(Cancel) ? 0 : quiet + 1;
    }

    /// <summary>Every signal as text: what it is, when it began and ended, with its id.</summary>
    public List<string> Signals()
    {
        using var connection = NodeDatabase.OpenReader(Core.World);
        using var command = connection.Command("SELECT id, analysis, part, kind, first_index, last_index, raised, ended FROM signal ORDER BY raised, id");
        var found = new List<string>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            found.Add(FormattableString.Invariant(
                $"{RecordId.FromBytes((byte[])reader[0])} {reader.GetString(1)} {reader.GetString(2)} {reader.GetString(3)} {reader.GetInt64(4)}-{reader.GetInt64(5)} {Microseconds.ToTime(reader.GetInt64(6)):u} {(reader.IsDBNull(7) ? "open" : Microseconds.ToTime(reader.GetInt64(7)).ToString("u"))}"));
        }
        return found;
    }

    public long Scalar(string sql)
    {
        using var connection = NodeDatabase.OpenReader(Core.World);
        using var command = connection.Command(sql);
        return Convert.ToInt64(command.ExecuteScalar(), System.Globalization.CultureInfo.InvariantCulture);
    }

    public Task ForgetAsync(bool signals) => Core.Writer.RunAsync(scope =>
    {
        foreach (var table in (string[])["analysis_position", "analysis_state", .. signals ? ["signal"] : Array.Empty<string>()])
        {
            using var delete = scope.Command($"DELETE FROM {table}");
            delete.ExecuteNonQuery();
        }
    }, Cancel);

    public async ValueTask DisposeAsync()
    {
        _runners.ForEach(r => r.Dispose());
        await Core.DisposeAsync();
    }
}
