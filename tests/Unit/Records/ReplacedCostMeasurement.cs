using System.Diagnostics;
using System.Globalization;
using System.Text;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;
using Gongzhi.SampleCity;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>What superseded rows cost a query: run with GONGZHI_MEASURE=1 on a quiet machine.</summary>
public sealed class ReplacedCostMeasurement
{
    [Fact]
    public async Task Ten_million_rows_in_fifty_segments_with_one_in_a_hundred_superseded()
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("GONGZHI_MEASURE") == "1", "A measurement; set GONGZHI_MEASURE=1.");
        const int segments = 50, rows = 200_000;
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("payments", PaymentsGenerator.TableSchemaJson.Replace("city-finance", "office", StringComparison.Ordinal));
        using var memory = new MemoryStream();
        PaymentsGenerator.WriteCsv(memory, rows, 7);
        var csv = Encoding.UTF8.GetString(memory.ToArray());
        var batches = new List<Guid>();
        for (var s = 0; s < segments; s++)
            batches.Add((await core.ContributeAsync(dataset, csv)).Value!.Batch.Id);
        var lines = csv.Split('\n');
        var before = await FastestAsync(core, dataset);
        var corrections = new StringBuilder(lines[0] + ",_supersedes\n");
        for (var i = 0; i < segments * rows; i += 100)
            corrections.Append(CultureInfo.InvariantCulture, $"{lines[1 + i % rows]},{RecordId.Of(batches[i / rows], (uint)(i % rows))}\n");
        var receipt = await core.ContributeAsync(dataset, corrections.ToString());
        Assert.True(receipt.Ok, receipt.Problem?.Detail);
        var after = await FastestAsync(core, dataset);
        TestContext.Current.SendDiagnosticMessage($"none superseded {before.TotalMilliseconds:F0} ms, one in a hundred {after.TotalMilliseconds:F0} ms: {before / after:P0} of the speed");
        Assert.Equal(segments * rows, core.Store.Manifest(dataset.Number).Rows);
        Assert.True(before / after >= 0.6, $"{before.TotalMilliseconds:F0} ms before, {after.TotalMilliseconds:F0} ms after");
    }

    private static async Task<TimeSpan> FastestAsync(CoreFixture core, Core.Catalog.Dataset dataset)
    {
        var best = TimeSpan.MaxValue;
        for (var i = 0; i < 5; i++)
        {
            var clock = Stopwatch.GetTimestamp();
            using var snapshot = core.Tails.Open(dataset, 0);
            var permit = new ReadPermit { Grant = "g", Dataset = dataset.Id, Purpose = "p", Fields = dataset.Fields.ToDictionary(f => f.Name, _ => FieldTransform.Plain) };
            var request = new QueryRequest { Dataset = dataset.Id, Purpose = "p", GroupBy = [new("category", null, "category")], Measures = [new("n", "count", null), new("total", "sum", "amount")] };
            var compiled = QueryCompiler.Compile(request, permit, snapshot, _ => []);
            Assert.True(compiled.Ok, compiled.Problem?.Detail);
            var run = await core.Engine.RunAsync(compiled.Value, TestContext.Current.CancellationToken);
            using var reader = run.Value!;
            while (await reader.NextAsync() is { } batch)
                batch.Dispose();
            var took = Stopwatch.GetElapsedTime(clock);
            best = took < best ? took : best;
        }
        return best;
    }
}
