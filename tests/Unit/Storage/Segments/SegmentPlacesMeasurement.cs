using System.Diagnostics;
using System.Globalization;
using System.Text;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Tests.Unit.Records;

namespace Gongzhi.Tests.Unit.Storage.Segments;

/// <summary>What the places cost: run with GONGZHI_MEASURE=1 on a quiet machine.</summary>
public sealed class SegmentPlacesMeasurement
{
    [Theory]
    [InlineData(SegmentPlaceKind.Own)]
    [InlineData(SegmentPlaceKind.SharedDirectory)]
    [InlineData(SegmentPlaceKind.S3)]
    public async Task Contributing_and_reading(SegmentPlaceKind kind)
    {
        Assert.SkipUnless(Environment.GetEnvironmentVariable("GONGZHI_MEASURE") == "1", "A measurement; set GONGZHI_MEASURE=1.");
        using var places = new StorePlaces(kind);
        Directory.CreateDirectory(places.Data(1));
        var output = TestContext.Current.TestOutputHelper!;
        await using (var core = await CoreFixture.OpenAsync(places.Data(1), segments: places.Place()))
        {
            await core.StopCompactionAsync();
            var dataset = await core.DefineAsync("d", """{"owner":"office","schema":{"fields":[{"name":"key","type":"string"},{"name":"n","type":"integer"}]}}""");
            var small = Csv(3_000);
            Assert.True((await core.ContributeAsync(dataset, small)).Ok);
            var times = new List<double>();
            for (var i = 0; i < 60; i++)
                times.Add(await TimeAsync(() => core.ContributeAsync(dataset, small)));
            output.WriteLine($"{kind}: 3,000 rows as a segment, median of 60: {times.Order().ElementAt(30):0.0} ms, best {times.Min():0.0} ms");
            var large = Csv(1_000_000);
            for (var i = 0; i < 3; i++)
                output.WriteLine($"{kind}: 1,000,000 rows: {await TimeAsync(() => core.ContributeAsync(dataset, large)):0} ms");
            output.WriteLine($"{kind}: {core.Store.Manifest(dataset.Number).Segments.Sum(s => s.Bytes) / 1e6:0.0} MB in {core.Store.Manifest(dataset.Number).Segments.Length} segments");
        }
        if (kind == SegmentPlaceKind.S3)
            Directory.Delete(Path.Combine(places.Data(1), "segment-cache"), recursive: true);
        await using (var core = await CoreFixture.OpenAsync(places.Data(1), segments: places.Place()))
        {
            var dataset = core.Catalog.Find("d")!;
            using var snapshot = core.Tails.Open(dataset, 0);
            foreach (var way in new[] { "cold", "warm", "warm" })
            {
                var time = await TimeAsync(async () =>
                {
                    using var files = await core.Segments.FetchAsync(snapshot.Segments.Select(s => s.Name), CancellationToken.None);
                    core.Engine.Execute($"SELECT count(*), sum(n) FROM read_parquet([{string.Join(", ", snapshot.Segments.Select(s => $"'{s.Path}'"))}])");
                });
                output.WriteLine($"{kind}: count and sum over all, {way}: {time:0} ms");
            }
        }
    }

    private static async Task<double> TimeAsync(Func<Task> act)
    {
        var began = Stopwatch.GetTimestamp();
        await act();
        return Stopwatch.GetElapsedTime(began).TotalMilliseconds;
    }

    private static string Csv(int rows)
    {
        var text = new StringBuilder("key,n\n");
        for (var i = 0; i < rows; i++)
            text.Append(CultureInfo.InvariantCulture, $"key{i * 7919L % 1_000_003},{i}\n");
        return text.ToString();
    }
}
