using System.Globalization;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Tests.Unit.Records;

public sealed class FoldTests
{
    private const string Definition = """{"owner":"office","subject":"who","schema":{"fields":[{"name":"n","type":"integer"},{"name":"who","type":"string"}]}}""";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_tail_left_by_a_stop_is_folded_without_a_contribution_and_to_the_end()
    {
        // More than one fold takes at once, by enough for another.
        const long rows = (Fold.RowsMax + Fold.RowsMin) / IntakeService.TailRowsMax * IntakeService.TailRowsMax + IntakeService.TailRowsMax;
        var directory = Directory.CreateTempSubdirectory("gongzhi-fold-").FullName;
        try
        {
            await using (var core = await CoreFixture.OpenAsync(directory))
            {
                var dataset = await core.DefineAsync("d", Definition);
                // No fold gets its turn before the stop.
                using var never = await core.Store.ReshapeAsync(Cancel);
                for (long at = 0; at < rows; at += IntakeService.TailRowsMax)
                    Assert.True((await core.ContributeAsync(dataset, Csv(at, IntakeService.TailRowsMax, "p"))).Ok);
                Assert.Equal(rows, core.Store.Manifest(dataset.Number).TailRows);
            }
            await using var again = await CoreFixture.OpenAsync(directory);
            var kept = again.Catalog.Find("d")!;
            var folded = new TaskCompletionSource();
            again.Writer.Committed += Look;
            Look();
            await folded.Task.WaitAsync(TimeSpan.FromMinutes(2), Cancel);
            Assert.Equal(rows, again.Store.Manifest(kept.Number).Rows);

            void Look()
            {
                if (again.Store.Manifest(kept.Number).TailRows < Fold.RowsMin)
                    folded.TrySetResult();
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_erasure_that_leaves_just_what_a_merged_segment_was_gives_its_file_back(bool held)
    {
        await using var core = await CoreFixture.OpenAsync();
        await core.StopCompactionAsync();
        var dataset = await core.DefineAsync("d", Definition);
        for (var i = 0; i < Compaction.SegmentsMin; i++)
            Assert.True((await core.ContributeAsync(dataset, Csv(i * 10_000L, 2_100, i == 0 ? "stays" : "goes"))).Ok);
        var first = core.Store.Manifest(dataset.Number).Segments[0];
        // A reader from before the merge, who is still at it when the same rows get the same name again.
        var reader = held ? core.Store.Uses.TryHold([first]) : null;
        await using (var compaction = new Compaction(core.World, core.Store, core.Catalog, core.Writer, Microsoft.Extensions.Logging.Abstractions.NullLogger<Compaction>.Instance))
            Assert.Equal(1, await compaction.CompactAsync(dataset, Cancel));
        Assert.Equal(held, File.Exists(first.Path));
        var erased = await core.Erasures.EraseAsync(new ErasureRequest { Dataset = dataset, Author = "steward", Subject = "goes", Records = [], Reason = "个人信息保护法第四十七条" }, Cancel);
        Assert.True(erased.Ok, erased.Problem?.Detail);
        Assert.Equal(first.Path, Assert.Single(core.Store.Manifest(dataset.Number).Segments).Path);
        reader?.Dispose();

        Assert.True(File.Exists(first.Path));
        var read = Task.Run(() => core.ReadAsync(dataset, "who"), Cancel);
        Assert.Equal(Enumerable.Repeat("stays", 2_100), await read.WaitAsync(TimeSpan.FromMinutes(1), Cancel));
    }

    [Fact]
    public async Task A_file_that_went_sends_readers_of_the_old_list_back_until_it_is_listed_again()
    {
        await using var core = await CoreFixture.OpenAsync();
        var uses = new SegmentUses(core.Segments, NoSegmentPeers.Instance);
        var segments = Enumerable.Range(0, 2).Select(i => new Segment
        {
            Number = i, Path = Path.Combine(core.World.SegmentDirectory, $"{i}.parquet"), SchemaVersion = 1, Rows = 1, Bytes = 1, TimeMin = 0, TimeMax = 0,
        }).ToList();
        segments.ForEach(s => File.WriteAllText(s.Path, ""));
        await uses.Retire(segments[0].Name);
        Assert.Null(uses.TryHold(segments));
        uses.Listed(segments);
        using (uses.TryHold(segments))
        {
            var gone = uses.Retire(segments[1].Name);
            Assert.False(gone.IsCompleted);
            Assert.Null(uses.TryHold(segments));
            await uses.ClaimAsync(segments[1].Name);
            await gone;
            Assert.NotNull(uses.TryHold(segments));
        }
        Assert.True(File.Exists(segments[1].Path));
    }

    private static string Csv(long first, int rows, string who) => "n,who\n" + string.Concat(Enumerable.Range(0, rows).Select(i => string.Create(CultureInfo.InvariantCulture, $"{first + i},{who}\n")));
}
