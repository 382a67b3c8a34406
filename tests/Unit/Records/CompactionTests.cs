using System.Globalization;
using System.Text;
using CsCheck;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Unit.Records;

public sealed class CompactionTests
{
    private const string Definition = """
        {"owner":"office","personal":true,"time":"at","schema":{"fields":[{"name":"n","type":"integer"},{"name":"who","type":"string"},{"name":"at","type":"datetime"}]}}
        """;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Small_segments_become_one_and_every_row_keeps_its_proof()
    {
        await using var core = await CoreFixture.OpenAsync();
        await core.StopCompactionAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var batches = new List<Batch>();
        for (var i = 0; i < Compaction.SegmentsMin; i++)
            batches.Add((await core.ContributeAsync(dataset, Csv(i * 10_000, 2_100 + i))).Value!.Batch);
        await core.Sequencer.WaitAsync(batches[^1].Entry, Cancel);
        var before = core.Store.Manifest(dataset.Number).Segments;
        await using var compaction = new Compaction(core.World, core.Store, core.Catalog, core.Writer, Microsoft.Extensions.Logging.Abstractions.NullLogger<Compaction>.Instance);

        // A reader that came before keeps its files until it is done.
        using (core.Store.Uses.TryHold(before))
        {
            Assert.Equal(1, await compaction.CompactAsync(dataset, Cancel));
            Assert.All(before, s => Assert.True(File.Exists(s.Path)));
            Assert.Null(core.Store.Uses.TryHold(before));
        }
        var after = Assert.Single(core.Store.Manifest(dataset.Number).Segments);
        Assert.Equal([after.Path], Directory.GetFiles(core.World.SegmentDirectory));
        Assert.Equal(batches.Sum(b => b.Rows), after.Rows);
        Assert.Equal((before.Min(s => s.TimeMin), before.Max(s => s.TimeMax)), (after.TimeMin, after.TimeMax));
        foreach (var batch in batches)
        {
            foreach (var ordinal in new[] { 0, 255, 256, batch.Rows - 1 })
                Assert.True((await core.Proofs.ProveRowAsync("d", RecordId.Of(batch.Id, (uint)ordinal), Cancel)).Ok);
        }
        Assert.Empty((await RecordCheck.RunAsync(core.World, new RecordCheckOptions { Model = core.Model }, null, Cancel)).Findings);
        Assert.Equal(0, await compaction.CompactAsync(dataset, Cancel));
    }

    [Fact]
    public async Task A_batch_whose_rows_lay_in_two_segments_is_linked_once()
    {
        await using var core = await CoreFixture.OpenAsync();
        await core.StopCompactionAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var batch = (await core.ContributeAsync(dataset, Csv(0, 600))).Value!.Batch;
        await core.Sequencer.WaitAsync(batch.Entry, Cancel);
        // Two folds, of which the first took the front of the batch only, as one that met its limit would have.
        await core.Writer.RunAsync(scope => Move(scope, "UPDATE tail SET dataset = -1 WHERE ordinal >= 300"), Cancel);
        await core.Fold.FoldAsync(dataset, Cancel);
        await core.Writer.RunAsync(scope => Move(scope, $"UPDATE tail SET dataset = {dataset.Number}"), Cancel);
        await core.Fold.FoldAsync(dataset, Cancel);
        for (var i = 2; i < Compaction.SegmentsMin; i++)
        {
            await core.ContributeAsync(dataset, Csv(i * 1_000, 10));
            await core.Fold.FoldAsync(dataset, Cancel);
        }
        Assert.Equal(2, core.Store.SegmentsOf(batch.Id).Count);
        await using var compaction = new Compaction(core.World, core.Store, core.Catalog, core.Writer, Microsoft.Extensions.Logging.Abstractions.NullLogger<Compaction>.Instance);
        Assert.Equal(1, await compaction.CompactAsync(dataset, Cancel));
        Assert.Equal((0L, 600L), Assert.Single(core.Store.SegmentsOf(batch.Id)) is var link ? (link.FirstOrdinal, link.Rows) : default);
        Assert.True((await core.Proofs.ProveRowAsync("d", RecordId.Of(batch.Id, 299), Cancel)).Ok);
        Assert.Empty((await RecordCheck.RunAsync(core.World, new RecordCheckOptions { Model = core.Model }, null, Cancel)).Findings);

        static void Move(Gongzhi.Core.Storage.WriteScope scope, string sql)
        {
            using var command = scope.Command(TestStore.Sql(sql));
            command.ExecuteNonQuery();
        }
    }

    [Fact]
    public void What_is_due_keeps_to_one_size_one_version_and_the_limits_of_a_step()
    {
        static Segment Of(long number, long rows, int version = 1, long bytes = 1_000) =>
            new() { Number = number, Path = $"{number}", SchemaVersion = version, Rows = rows, Bytes = bytes, TimeMin = 0, TimeMax = 0 };
        Assert.Empty(Compaction.Due([]));
        Assert.Empty(Compaction.Due(Enumerable.Range(0, 7).Select(i => Of(i, 5_000))));
        Assert.Empty(Compaction.Due(Enumerable.Range(0, 8).Select(i => Of(i, 5_000, 1 + i % 2))));
        Assert.Empty(Compaction.Due(Enumerable.Range(0, 20).Select(i => Of(i, Compaction.RowsEnough))));
        Assert.Equal([1L, 2, 3, 4, 5, 6, 7, 8], Compaction.Due(Enumerable.Range(0, 9).Select(i => Of(8 - i, i == 8 ? 900_000 : 5_000))).Select(s => s.Number));
        Assert.True(Compaction.Due(Enumerable.Range(0, 20).Select(i => Of(i, 1_000_000))).Sum(s => s.Rows) <= Compaction.RowsMax);
        Assert.Equal(2, Compaction.Due(Enumerable.Range(0, 20).Select(i => Of(i, 5_000, bytes: Compaction.BytesMax / 2))).Count);
    }

    /// <summary>
    /// A crash between the durable steps leaves one of these directories: the merged file half written; whole but not listed; listed, with the old files
    /// still there; listed, with some of them gone.
    /// </summary>
    [Theory]
    [InlineData("half")]
    [InlineData("unlisted")]
    [InlineData("listed")]
    [InlineData("deleting")]
    public async Task After_a_crash_at_any_step_nothing_is_lost_or_doubled(string state)
    {
        var (before, after) = (Temporary(), Temporary());
        var rows = 0L;
        await using (var core = await CoreFixture.OpenAsync(before))
        {
            await core.StopCompactionAsync();
            var dataset = await core.DefineAsync("d", Definition);
            for (var i = 0; i < Compaction.SegmentsMin; i++)
                rows += (await core.ContributeAsync(dataset, Csv(i * 10_000, 2_100))).Value!.Batch.Rows;
        }
        Copy(before, after);
        await using (var core = await CoreFixture.OpenAsync(after))
        {
            await core.Compaction.CompactAsync(core.Catalog.Find("d")!, Cancel);
        }
        var (from, to) = (Path.Combine(before, "segments"), Path.Combine(after, "segments"));
        var old = Directory.GetFiles(from);
        var merged = Assert.Single(Directory.GetFiles(to));
        var crashed = state is "half" or "unlisted" ? before : after;
        switch (state)
        {
            case "half":
                await File.WriteAllBytesAsync(Path.Combine(from, "half.tmp"), (await File.ReadAllBytesAsync(merged, Cancel))[..5_000], Cancel);
                break;
            case "unlisted":
                File.Copy(merged, Path.Combine(from, Path.GetFileName(merged)));
                break;
            default:
                foreach (var file in state == "listed" ? old : old[..3])
                    File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
                break;
        }
        await using (var core = await CoreFixture.OpenAsync(crashed))
        {
            var dataset = core.Catalog.Find("d")!;
            await core.Compaction.CompactAsync(dataset, Cancel);
            Assert.Equal(rows, core.Store.Manifest(dataset.Number).Rows);
            Assert.Equal(core.Store.Manifest(dataset.Number).Segments.Select(s => s.Path).Order(), Directory.GetFiles(core.World.SegmentDirectory).Order());
            Assert.Equal(Enumerable.Range(0, Compaction.SegmentsMin).SelectMany(i => Enumerable.Range(i * 10_000, 2_100)).Select(n => (long)n), Read(core, dataset));
            Assert.Empty((await RecordCheck.RunAsync(core.World, new RecordCheckOptions { Model = core.Model }, null, Cancel)).Findings);
        }
        foreach (var directory in (string[])[before, after])
        {
            TestStore.Drop(directory);
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task A_step_that_fails_leaves_everything_as_it_was_and_is_done_again()
    {
        await using var core = await CoreFixture.OpenAsync();
        await core.StopCompactionAsync();
        var dataset = await core.DefineAsync("d", Definition);
        for (var i = 0; i < Compaction.SegmentsMin; i++)
            await core.ContributeAsync(dataset, Csv(i * 10_000, 2_100));
        var wanted = Read(core, dataset);
        await using var compaction = new Compaction(core.World, core.Store, core.Catalog, core.Writer, Microsoft.Extensions.Logging.Abstractions.NullLogger<Compaction>.Instance);
        // The transaction fails after the file is there.
        await core.Writer.RunAsync(scope => Sql(scope, "CREATE TRIGGER segment_no BEFORE DELETE ON segment BEGIN SELECT RAISE(ABORT, 'no'); END"), Cancel);
        await Assert.ThrowsAnyAsync<System.Data.Common.DbException>(() => compaction.CompactAsync(dataset, Cancel));
        Assert.Equal(Compaction.SegmentsMin, core.Store.Manifest(dataset.Number).Segments.Length);
        Assert.Equal(wanted, Read(core, dataset));
        await core.Writer.RunAsync(scope => Sql(scope, "DROP TRIGGER segment_no"), Cancel);
        Assert.Equal(1, await compaction.CompactAsync(dataset, Cancel));
        Assert.Equal(wanted, Read(core, dataset));
        Assert.Single(Directory.GetFiles(core.World.SegmentDirectory));

        static void Sql(Gongzhi.Core.Storage.WriteScope scope, string sql)
        {
            using var command = scope.Command(TestStore.Sql(sql));
            command.ExecuteNonQuery();
        }
    }

    /// <summary>Every durable step of a compaction fails once, before or after it took effect; then the node is opened again.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Each_durable_step_may_fail(bool persisted)
    {
        var seen = await OneFault.EachAsync(persisted, async fault =>
        {
            var directory = Temporary();
            List<long> wanted;
            await using (var core = await CoreFixture.OpenAsync(directory, fault.Interpose))
            {
                await core.StopCompactionAsync();
                var dataset = await core.DefineAsync("d", Definition);
                Batch last = null!;
                for (var i = 0; i < Compaction.SegmentsMin; i++)
                    last = (await core.ContributeAsync(dataset, Csv(i * 10_000, 2_100))).Value!.Batch;
                await core.Sequencer.WaitAsync(last.Entry, Cancel);
                wanted = Read(core, dataset);
                await using var compaction = new Compaction(core.World, core.Store, core.Catalog, core.Writer, Microsoft.Extensions.Logging.Abstractions.NullLogger<Compaction>.Instance);
                await fault.DuringAsync(() => compaction.CompactAsync(dataset, Cancel));
            }
            await using (var core = await CoreFixture.OpenAsync(directory))
            {
                var dataset = core.Catalog.Find("d")!;
                await core.Compaction.CompactAsync(dataset, Cancel);
                Assert.Equal(wanted, Read(core, dataset));
                Assert.Equal([Assert.Single(core.Store.Manifest(dataset.Number).Segments).Path], Directory.GetFiles(core.World.SegmentDirectory));
                Assert.Empty((await RecordCheck.RunAsync(core.World, new RecordCheckOptions { Model = core.Model }, null, Cancel)).Findings);
            }
            Directory.Delete(directory, recursive: true);
        });
        Assert.Equal(["close segment", "commit", "flush directory", "flush segment", "rename"], seen);
    }

    /// <summary>Contributions, folds, compactions, queries and restarts in any order, partly at once: a query sees what a plain list holds.</summary>
    [Fact]
    public async Task Any_interleaving_keeps_what_a_plain_list_keeps()
    {
        var steps = Gen.OneOf(
            Gen.Int[1, 30].Select(rows => ("small", rows)), Gen.Int[2_049, 2_300].Select(rows => ("large", rows)), Gen.Int[5, 9].Select(count => ("larges", count)),
            Gen.Const(("fold", 0)), Gen.Const(("compact", 0)), Gen.Const(("at once", 0)), Gen.Const(("reopen", 0))).Array[1, 16];
        await steps.SampleAsync(async plan =>
        {
            var directory = Temporary();
            var core = await CoreFixture.OpenAsync(directory);
            try
            {
                await core.DefineAsync("d", Definition);
                var kept = new List<long>();
                foreach (var (step, size) in plan)
                {
                    core = await StepAsync(core, directory, step, size, kept);
                    Assert.Equal(kept.Order(), Read(core, core.Catalog.Find("d")!));
                }
                Assert.Empty((await RecordCheck.RunAsync(core.World, new RecordCheckOptions { Model = core.Model }, null, Cancel)).Findings);
            }
            finally
            {
                await core.DisposeAsync();
                Directory.Delete(directory, recursive: true);
            }
        }, iter: 20, threads: 1);
    }

    private static async Task<CoreFixture> StepAsync(CoreFixture core, string directory, string step, int size, List<long> kept)
    {
        var dataset = core.Catalog.Find("d")!;
        switch (step)
        {
            case "small" or "large":
                await ContributeAsync(size);
                break;
            case "larges":
                for (var i = 0; i < size; i++)
                    await ContributeAsync(2_049);
                break;
            case "fold":
                await core.Fold.FoldAsync(dataset, Cancel);
                break;
            case "compact":
                await core.Compaction.CompactAsync(dataset, Cancel);
                break;
            case "at once":
                var before = kept.Order().ToList();
                var reshaping = Task.WhenAll(Task.Run(() => core.Compaction.CompactAsync(dataset, Cancel)), Task.Run(() => core.Fold.FoldAsync(dataset, Cancel)));
                do
                {
                    Assert.Equal(before, Read(core, dataset));
                }
                while (!reshaping.IsCompleted);
                await reshaping;
                break;
            case "reopen":
                await core.DisposeAsync();
                core = await CoreFixture.OpenAsync(directory);
                break;
        }
        return core;

        async Task ContributeAsync(int rows)
        {
            var from = kept.Count;
            Assert.True((await core.ContributeAsync(dataset, Csv(from, rows))).Ok);
            kept.AddRange(Enumerable.Range(from, rows).Select(n => (long)n));
        }
    }

    /// <summary>All values as a query would read them: over the listed segments and the copy of the tail.</summary>
    private static List<long> Read(CoreFixture core, Dataset dataset)
    {
        using var engine = new DuckEngine(new DuckEngineOptions { SegmentsDirectory = core.World.SegmentDirectory, TempDirectory = Path.Combine(core.World.DataDirectory, "duck"), MemoryMegabytes = 256 }, TimeProvider.System);
        using var snapshot = new TailTables(engine, core.Store, core.Catalog).Open(dataset, 0);
        var parts = new List<string>();
        if (snapshot.Segments.Count > 0)
            parts.Add($"SELECT n FROM read_parquet([{string.Join(", ", snapshot.Segments.Select(s => $"'{s.Path}'"))}])");
        if (snapshot.TailTable is { } tail)
            parts.Add($"SELECT n FROM {tail}");
        var found = new List<long>();
        if (parts.Count == 0)
            return found;
        var connection = engine.Rent();
        try
        {
            using var command = connection.CreateCommand();
            command.CommandText = string.Join(" UNION ALL ", parts);
            using var reader = command.ExecuteReader();
            while (reader.Read())
                found.Add(reader.GetInt64(0));
        }
        finally
        {
            engine.Return(connection);
        }
        found.Sort();
        return found;
    }

    private static string Csv(int from, int rows)
    {
        var text = new StringBuilder("n,who,at\n");
        for (var i = from; i < from + rows; i++)
            text.Append(CultureInfo.InvariantCulture, $"{i},person-{i % 7},2026-01-{i / 10_000 % 28 + 1:D2} 10:00:00\n");
        return text.ToString();
    }

    private static string Temporary() => Directory.CreateTempSubdirectory("gongzhi-compaction-").FullName;

    private static void Copy(string from, string to)
    {
        TestStore.Copy(from, to);
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }
}
