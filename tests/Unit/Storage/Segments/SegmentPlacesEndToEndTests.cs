using System.Globalization;
using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Tests.Unit.Records;

namespace Gongzhi.Tests.Unit.Storage.Segments;

/// <summary>The whole core over each place that segments can be kept in: contribute, fold, merge, query, prove, erase, check, and start again.</summary>
public sealed class SegmentPlacesEndToEndTests
{
    private const string Definition = """
        {"owner":"office","personal":true,"subject":"who","schema":{"fields":[{"name":"who","type":"string"},{"name":"note","type":"string"},{"name":"n","type":"integer"}]}}
        """;

    private const string Secret = "一段绝无仅有的内容-7f3a";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(SegmentPlaceKind.Own)]
    [InlineData(SegmentPlaceKind.SharedDirectory)]
    [InlineData(SegmentPlaceKind.S3)]
    public async Task A_core_works_the_same_wherever_its_segments_are(SegmentPlaceKind kind)
    {
        using var places = new StorePlaces(kind);
        var record = Guid.Empty;
        List<string> wanted;
        await using (var core = await OpenAsync(places))
        {
            await core.StopCompactionAsync();
            var dataset = await core.DefineAsync("notes", Definition);
            var large = await core.ContributeAsync(dataset, Csv(0, 50_000, 777));
            Assert.True(large.Ok, large.Problem?.Detail);
            for (var i = 1; i < Compaction.SegmentsMin; i++)
                Assert.True((await core.ContributeAsync(dataset, Csv(i * 100_000, 2_100, -1))).Ok);
            for (var i = 0; i < 4; i++)
                Assert.True((await core.ContributeAsync(dataset, Csv(2_000_000 + i * 1_000, 900, -1))).Ok);
            Assert.Equal(3_600, await core.Fold.FoldAsync(dataset, Cancel));
            await using (var compaction = new Compaction(core.World, core.Store, core.Catalog, core.Writer, Microsoft.Extensions.Logging.Abstractions.NullLogger<Compaction>.Instance))
                Assert.Equal(1, await compaction.CompactAsync(dataset, Cancel));
            var expected = Enumerable.Range(0, 50_000).Concat(Enumerable.Range(1, 7).SelectMany(i => Enumerable.Range(i * 100_000, 2_100)))
                .Concat(Enumerable.Range(0, 4).SelectMany(i => Enumerable.Range(2_000_000 + i * 1_000, 900))).Select(n => n.ToString(CultureInfo.InvariantCulture)).Order(StringComparer.Ordinal).ToList();
            Assert.Equal(expected, await core.ReadAsync(dataset, "n"));
            await core.Sequencer.WaitAsync(large.Value.Batch.Entry, Cancel);
            record = RecordId.Of(large.Value.Batch.Id, 776);
            Assert.True((await core.Proofs.ProveRowAsync("notes", RecordId.Of(large.Value.Batch.Id, 777), Cancel)).Ok);
            Assert.NotEmpty(Holding(places, dataset));

            var erased = await core.Erasures.EraseAsync(new ErasureRequest { Dataset = dataset, Author = "steward", Subject = "victim", Records = [], Reason = "个人信息保护法第四十七条" }, Cancel);
            Assert.True(erased.Ok, erased.Problem?.Detail);
            Assert.Empty(Holding(places, dataset));
            expected.Remove("777");
            wanted = expected;
            Assert.Equal(wanted, await core.ReadAsync(dataset, "n"));
            Assert.Equal(core.Store.Manifest(dataset.Number).Segments.Select(s => s.Name).Order(StringComparer.Ordinal), places.Segments());
            Assert.Empty((await CheckAsync(core)).Findings);
        }
        Assert.Empty(places.Marks());
        if (kind == SegmentPlaceKind.S3)
            Directory.Delete(Path.Combine(places.Data(1), "segment-cache"), recursive: true);
        await using (var core = await OpenAsync(places))
        {
            var dataset = core.Catalog.Find("notes")!;
            Assert.True((await core.Proofs.ProveRowAsync("notes", record, Cancel)).Ok);
            Assert.Equal(wanted, await core.ReadAsync(dataset, "n"));
            if (kind == SegmentPlaceKind.S3)
                Assert.Equal(core.Store.Manifest(dataset.Number).Segments.Sum(s => s.Bytes), ((S3SegmentStore)core.Segments).CacheBytes);
        }
    }

    [Theory]
    [InlineData(SegmentPlaceKind.SharedDirectory)]
    [InlineData(SegmentPlaceKind.S3)]
    public async Task A_changed_byte_and_a_missing_file_are_named_by_a_check(SegmentPlaceKind kind)
    {
        using var places = new StorePlaces(kind);
        await using var core = await OpenAsync(places);
        var dataset = await core.DefineAsync("notes", Definition);
        Assert.True((await core.ContributeAsync(dataset, Csv(0, 3_000, -1))).Ok);
        var name = Assert.Single(core.Store.Manifest(dataset.Number).Segments).Name;
        await core.ReadAsync(dataset, "n");
        var good = await File.ReadAllBytesAsync(places.FileOf(name), Cancel);
        var bad = good.ToArray();
        bad[^100] ^= 1;
        await File.WriteAllBytesAsync(places.FileOf(name), bad, Cancel);
        var findings = (await CheckAsync(core)).Findings;
        Assert.Contains(findings, f => f.Kind == CheckKind.Segment && f.Place == $"segments/{name}.parquet");
        File.Delete(places.FileOf(name));
        findings = (await CheckAsync(core)).Findings;
        Assert.Contains(findings, f => f.Kind == CheckKind.Segment && f.English.Contains("is missing", StringComparison.Ordinal));
        await File.WriteAllBytesAsync(places.FileOf(name), good, Cancel);
        Assert.Empty((await CheckAsync(core)).Findings);
    }

    [Theory]
    [InlineData(SegmentPlaceKind.SharedDirectory, false)]
    [InlineData(SegmentPlaceKind.SharedDirectory, true)]
    [InlineData(SegmentPlaceKind.S3, false)]
    [InlineData(SegmentPlaceKind.S3, true)]
    public async Task Each_durable_step_of_an_erasure_may_fail(SegmentPlaceKind kind, bool persisted)
    {
        var seen = await OneFault.EachAsync(persisted, async fault =>
        {
            using var places = new StorePlaces(kind);
            string[] listed;
            await using (var core = await OpenAsync(places, fault.Interpose))
            {
                var dataset = await core.DefineAsync("notes", Definition);
                Assert.True((await core.ContributeAsync(dataset, Csv(0, 2_500, 77))).Ok);
                await fault.DuringAsync(() => EraseAsync(core));
            }
            await using (var core = await OpenAsync(places))
            {
                var dataset = core.Catalog.Find("notes")!;
                var again = await EraseAsync(core);
                Assert.True(again.Ok, again.Problem?.Detail);
                Assert.Empty(Holding(places, dataset));
                Assert.Equal(2_499, core.Store.Manifest(dataset.Number).Rows);
                Assert.Equal(2_499, (await core.ReadAsync(dataset, "n")).Count);
                Assert.Empty((await CheckAsync(core)).Findings);
                listed = [.. core.Store.Manifest(dataset.Number).Segments.Select(s => s.Name)];
            }
            await AssertSweptAsync(places, listed);
        });
        Assert.Contains(kind == SegmentPlaceKind.S3 ? "upload segment" : "rename", seen);
        Assert.Contains("announce segment", seen);

        static Task<Gongzhi.Core.Result<Erasure>> EraseAsync(CoreFixture core) => core.Erasures.EraseAsync(
            new ErasureRequest { Dataset = core.Catalog.Find("notes")!, Author = "steward", Subject = "victim", Records = [], Reason = "个人信息保护法第四十七条" }, Cancel);
    }

    [Theory]
    [InlineData(SegmentPlaceKind.SharedDirectory, false)]
    [InlineData(SegmentPlaceKind.SharedDirectory, true)]
    [InlineData(SegmentPlaceKind.S3, false)]
    [InlineData(SegmentPlaceKind.S3, true)]
    public async Task Each_durable_step_of_a_contribution_may_fail(SegmentPlaceKind kind, bool persisted)
    {
        await OneFault.EachAsync(persisted, async fault =>
        {
            using var places = new StorePlaces(kind);
            string[] listed;
            await using (var core = await OpenAsync(places, fault.Interpose))
            {
                var dataset = await core.DefineAsync("notes", Definition);
                await fault.DuringAsync(() => core.ContributeAsync(dataset, Csv(0, 2_500, -1), key: "once"));
            }
            await using (var core = await OpenAsync(places))
            {
                var dataset = core.Catalog.Find("notes")!;
                var again = await core.ContributeAsync(dataset, Csv(0, 2_500, -1), key: "once");
                Assert.True(again.Ok, again.Problem?.Detail);
                Assert.Equal(2_500, (await core.ReadAsync(dataset, "n")).Count);
                listed = [.. core.Store.Manifest(dataset.Number).Segments.Select(s => s.Name)];
            }
            await AssertSweptAsync(places, listed);
        });
    }

    /// <summary>Other machines are asked before a file goes; until they have confirmed, an erasure is not finished.</summary>
    [Fact]
    public async Task An_erasure_waits_for_the_copies_of_other_machines()
    {
        using var places = new StorePlaces(SegmentPlaceKind.SharedDirectory);
        var peers = new Peers();
        await using (var core = await OpenAsync(places, peers: peers))
        {
            var dataset = await core.DefineAsync("notes", Definition);
            Assert.True((await core.ContributeAsync(dataset, Csv(0, 2_500, 77))).Ok);
            var name = Assert.Single(core.Store.Manifest(dataset.Number).Segments).Name;
            var erasing = core.Erasures.EraseAsync(new ErasureRequest { Dataset = dataset, Author = "steward", Subject = "victim", Records = [], Reason = "个人信息保护法第四十七条" }, Cancel);
            Assert.Equal(name, await peers.Asked.Task.WaitAsync(TimeSpan.FromSeconds(30), Cancel));
            Assert.False(erasing.IsCompleted);
            Assert.NotEmpty(Holding(places, dataset));
            peers.Confirmed.SetException(new IOException("A machine did not answer."));
            await Assert.ThrowsAsync<IOException>(() => erasing);
            Assert.NotEmpty(Holding(places, dataset));
        }
        // The next start asks again.
        await using (var core = await OpenAsync(places))
            Assert.Empty(Holding(places, core.Catalog.Find("notes")!));
    }

    /// <summary>What a machine does for another: its readers end, its copy goes, the store's own stays.</summary>
    [Fact]
    public async Task A_machine_that_is_asked_lets_go_of_a_segment()
    {
        using var places = new StorePlaces(SegmentPlaceKind.S3);
        await using var core = await OpenAsync(places);
        var dataset = await core.DefineAsync("notes", Definition);
        Assert.True((await core.ContributeAsync(dataset, Csv(0, 2_500, -1))).Ok);
        var segment = Assert.Single(core.Store.Manifest(dataset.Number).Segments);
        var reader = core.Store.Uses.TryHold([segment]);
        var releasing = core.Store.Uses.ReleaseAsync(segment.Name);
        Assert.False(releasing.IsCompleted);
        Assert.Null(core.Store.Uses.TryHold([segment]));
        reader!.Dispose();
        await releasing.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
        Assert.False(File.Exists(segment.Path));
        Assert.Equal([segment.Name], places.Segments());
    }

    /// <summary>A file that was stored by a step that failed all the same is nobody's, and goes with a later sweep. Nothing else is there, and no mark.</summary>
    private static async Task AssertSweptAsync(StorePlaces places, string[] listed)
    {
        await using (var store = await places.OpenAsync(listed: listed))
            await SegmentStoreTests.SweepAsync(places, store, listed);
        Assert.Equal(listed, places.Segments());
        Assert.Empty(places.Marks());
    }

    private static Task<CoreFixture> OpenAsync(StorePlaces places, Action<string, Action>? interposed = null, ISegmentPeers? peers = null)
    {
        Directory.CreateDirectory(places.Data(1));
        return CoreFixture.OpenAsync(places.Data(1), interposed, segments: places.Place(), peers: peers);
    }

    private static Task<RecordCheckReport> CheckAsync(CoreFixture core) => RecordCheck.RunAsync(core.World, new RecordCheckOptions { Model = core.Model }, null, Cancel);

    private static string Csv(int first, int rows, int secretAt) => "who,note,n\n" + string.Concat(Enumerable.Range(first, rows).Select(i =>
        string.Create(CultureInfo.InvariantCulture, $"{(i == secretAt ? "victim" : $"p{i % 50}")},{(i == secretAt ? Secret : $"note{i}")},{i}\n")));

    /// <summary>Files of the machine and of the place that hold the erased bytes, segments also by what their columns decode to.</summary>
    private static List<string> Holding(StorePlaces places, Dataset dataset)
    {
        var found = new List<string>();
        var secret = Encoding.UTF8.GetBytes(Secret);
        foreach (var path in places.Files().Concat(Directory.GetFiles(places.Data(1), "*", SearchOption.AllDirectories)).Distinct())
        {
            byte[] bytes;
            try
            {
                using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                using var memory = new MemoryStream();
                stream.CopyTo(memory);
                bytes = memory.ToArray();
            }
            catch (FileNotFoundException)
            {
                // A mark that was just being removed.
                continue;
            }
            var holds = bytes.AsSpan().IndexOf(secret) >= 0;
            if (!holds && bytes.AsSpan().StartsWith("PAR1"u8))
            {
                using var reader = new SegmentReader(dataset, new Segment { Number = 0, Path = path, SchemaVersion = dataset.Version, Rows = 0, Bytes = 0, TimeMin = 0, TimeMax = 0 });
                for (var g = 0; g < reader.RowGroups; g++)
                    holds |= reader.Read(g)!.Text.AsSpan().IndexOf(secret) >= 0;
            }
            if (holds)
                found.Add(path);
        }
        return found;
    }

    private sealed class Peers : ISegmentPeers
    {
        public TaskCompletionSource<string> Asked { get; } = new();
        public TaskCompletionSource Confirmed { get; } = new();

        public Task ReleaseAsync(string name, CancellationToken cancel)
        {
            Asked.TrySetResult(name);
            return Confirmed.Task;
        }

        public ValueTask<bool> HasEndedAsync(string machine, string run, CancellationToken cancel) => ValueTask.FromResult(false);
    }
}
