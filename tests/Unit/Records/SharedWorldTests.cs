using System.Globalization;
using System.Text;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Tests.Shared;
using Gongzhi.Tests.Unit.Storage.Segments;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>Two cores on one PostgreSQL database and one place of segments, as two machines have them.</summary>
public sealed class SharedWorldTests : IAsyncLifetime
{
    private const string Plain = """{"schema":{"fields":[{"name":"v","type":"string"}]}}""";
    private const string Keyed = """{"schema":{"fields":[{"name":"v","type":"string"}],"primaryKey":["v"]}}""";

    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-two-").FullName;
    private readonly List<CoreFixture> _cores = [];
    private PostgresAddress _database = null!;
    private StorePlaces? _places;

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
        _places?.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Theory]
    [InlineData(SegmentPlaceKind.SharedDirectory)]
    [InlineData(SegmentPlaceKind.S3)]
    public async Task What_one_machine_commits_the_other_shows_when_it_is_asked(SegmentPlaceKind kind)
    {
        UsePlace(kind);
        var (a, b) = (await MachineAsync("a"), await MachineAsync("b"));
        var here = await a.DefineAsync("d", Plain);
        var one = RecordId.Of((await a.ContributeAsync(here, Csv("one"))).Value!.Batch.Id, 0);
        await b.Writer.Feed.CurrentAsync(Cancel);
        var there = b.Catalog.Find("d")!;
        Assert.Equal(here.Number, there.Number);
        Assert.Equal(["one"], await b.ReadAsync(there, "v"));

        // A tail that both have in memory grows on either side; a large contribution becomes a segment.
        var two = RecordId.Of((await b.ContributeAsync(there, Csv("two"))).Value!.Batch.Id, 0);
        await a.Writer.Feed.CurrentAsync(Cancel);
        Assert.Equal(["one", "two"], await a.ReadAsync(here, "v"));
        await a.ContributeAsync(here, Csv([.. Enumerable.Range(0, 5_000).Select(Name)]));
        await b.Writer.Feed.CurrentAsync(Cancel);
        Assert.Equal(5_002, (await b.ReadAsync(there, "v")).Count);

        // A fold on one side takes rows out of the other's tail.
        await a.Fold.FoldAsync(here, Cancel);
        await b.ContributeAsync(there, Csv("three"));
        await a.Writer.Feed.CurrentAsync(Cancel);
        await b.Writer.Feed.CurrentAsync(Cancel);
        Assert.Equal(5_003, (await b.ReadAsync(there, "v")).Count);
        Assert.Equal(5_003, (await a.ReadAsync(here, "v")).Count);
        Assert.Equal(a.Store.Manifest(here.Number).Segments.Select(s => s.Number), b.Store.Manifest(here.Number).Segments.Select(s => s.Number));
        Assert.Equal((1, 1), (a.Store.Manifest(here.Number).TailRows, b.Store.Manifest(here.Number).TailRows));

        // A correction and an erasure, each made where the other did not write last.
        Assert.True((await b.ContributeAsync(there, $"v,_supersedes\r\none corrected,{one}\r\n")).Ok);
        await a.Writer.Feed.CurrentAsync(Cancel);
        Assert.Contains("one corrected", await a.ReadAsync(here, "v"));
        Assert.DoesNotContain("one", await a.ReadAsync(here, "v"));
        var erased = await a.Erasures.EraseAsync(new ErasureRequest { Dataset = here, Records = [two], Reason = "asked for", Author = "steward" }, Cancel);
        Assert.True(erased.Ok, erased.Problem?.Detail);
        await b.Writer.Feed.CurrentAsync(Cancel);
        Assert.DoesNotContain("two", await b.ReadAsync(there, "v"));

        // Definitions go their way too, and the policy epoch with them.
        var epoch = b.Epoch.Current;
        await a.DefineAsync("d", """{"schema":{"fields":[{"name":"v","type":"string"},{"name":"w","type":"string"}]}}""");
        await b.Writer.Feed.CurrentAsync(Cancel);
        Assert.Equal(2, b.Catalog.Find("d")!.Version);
        Assert.True(b.Epoch.Current > epoch);
        Assert.Equal(a.Epoch.Current, b.Epoch.Current);
    }

    [Theory]
    [InlineData(SegmentPlaceKind.SharedDirectory)]
    [InlineData(SegmentPlaceKind.S3)]
    public async Task Under_load_from_both_sides_with_folds_in_between_both_hold_the_same(SegmentPlaceKind kind)
    {
        UsePlace(kind);
        var (a, b) = (await MachineAsync("a"), await MachineAsync("b"));
        var here = await a.DefineAsync("d", Plain);
        await b.Writer.Feed.CurrentAsync(Cancel);
        using var done = new StopAtEnd();
        // A machine that stood still for seconds is cut off and asks to be asked again, as any client would do. More than now and then is a fault.
        var refused = 0;
        async Task AgainAsync(Func<Task> act)
        {
            try
            {
                await act();
            }
            catch (StoreUnavailableException) when (Interlocked.Increment(ref refused) <= 20)
            {
            }
        }
        var folding = Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                await AgainAsync(() => a.Fold.FoldAsync(here, Cancel));
                await AgainAsync(() => b.Fold.FoldAsync(b.Catalog.Find("d")!, Cancel));
            }
        }, Cancel);
        const int each = 150;
        long acknowledged = 0;
        // Whoever asks either machine is shown all that was acknowledged before, whatever is changing under it.
        var reading = new[] { a, b, a, b }.Select(core => Task.Run(async () =>
        {
            while (!done.IsCancellationRequested)
            {
                await AgainAsync(async () =>
                {
                    var before = Interlocked.Read(ref acknowledged);
                    await core.Writer.Feed.CurrentAsync(Cancel);
                    var shown = (await core.ReadAsync(core.Catalog.Find("d")!, "v")).Count;
                    Assert.True(shown >= before, $"{shown} rows were shown when {before} had been acknowledged.");
                });
            }
        }, Cancel)).ToList();
        var writing = Task.WhenAll(new[] { a, b }.SelectMany((core, m) => Enumerable.Range(0, 4).Select(t => Task.Run(async () =>
        {
            for (var i = 0; i < each; i++)
            {
                Core.Result<IntakeReceipt>? kept = null;
                while (kept is null)
                    await AgainAsync(async () => kept = await core.ContributeAsync(core.Catalog.Find("d")!, Csv($"{m}-{t}-{i}")));
                Assert.True(kept.Value.Ok, kept.Value.Problem?.Detail);
                Interlocked.Increment(ref acknowledged);
            }
        }, Cancel))));
        // Whoever fails ends it.
        var first = await Task.WhenAny([writing, folding, .. reading]);
        await done.CancelAsync();
        await first;
        await writing;
        await folding;
        await Task.WhenAll(reading);
        var expected = Enumerable.Range(0, 2).SelectMany(m => Enumerable.Range(0, 4).SelectMany(t => Enumerable.Range(0, each).Select(i => $"{m}-{t}-{i}"))).Order(StringComparer.Ordinal).ToList();
        foreach (var core in new[] { a, b })
        {
            await core.Writer.Feed.CurrentAsync(Cancel);
            Assert.Equal(expected, await core.ReadAsync(core.Catalog.Find("d")!, "v"));
        }
        Assert.Equal(a.Store.Manifest(here.Number) with { Reshaped = 0, Segments = [] }, b.Store.Manifest(here.Number) with { Reshaped = 0, Segments = [] });
    }

    [Fact]
    public async Task A_key_is_one_record_s_whichever_machine_took_it()
    {
        var (a, b) = (await MachineAsync("a"), await MachineAsync("b"));
        var here = await a.DefineAsync("k", Keyed);
        await b.Writer.Feed.CurrentAsync(Cancel);
        var there = b.Catalog.Find("k")!;

        // Small ones in SQL, large ones in files of sorted hashes, known and unknown to the other.
        Assert.True((await a.ContributeAsync(here, Csv("x"))).Ok);
        Assert.Equal("records.duplicateKey", (await b.ContributeAsync(there, Csv("x"))).Problem?.Code);
        Assert.True((await a.ContributeAsync(here, Csv([.. Enumerable.Range(0, 4_000).Select(Name)]))).Ok);
        await b.Writer.Feed.CurrentAsync(Cancel);
        Assert.Equal("records.duplicateKey", (await b.ContributeAsync(there, Csv(Name(17)))).Problem?.Code);
        Assert.True((await b.ContributeAsync(there, Csv([.. Enumerable.Range(4_000, 4_000).Select(Name)]))).Ok);
        Assert.False((await a.ContributeAsync(here, Csv(Name(4_001)))).Ok);

        // Four more make a merge due; the other reads the merged one next.
        for (var i = 2; i < 5; i++)
            Assert.True((await (i % 2 == 0 ? a : b).ContributeAsync(i % 2 == 0 ? here : there, Csv([.. Enumerable.Range(i * 4_000, 4_000).Select(Name)]))).Ok);
        await a.Writer.Feed.CurrentAsync(Cancel);
        Assert.True(await a.KeyMerge.MergeAsync(here.Number, Cancel) > 0);
        await b.Writer.Feed.CurrentAsync(Cancel);
        Assert.False((await b.ContributeAsync(there, Csv(Name(12_345)))).Ok);
        Assert.True((await b.ContributeAsync(there, Csv("y"))).Ok);
        Assert.Equal((0, 0), (a.KeysRebuilt, b.KeysRebuilt));

        // Of two at once, one.
        for (var i = 0; i < 20; i++)
        {
            var both = await Task.WhenAll(TryAsync(a, here, $"race-{i}"), TryAsync(b, there, $"race-{i}"));
            Assert.Single(both, ok => ok);
        }

        // A third machine that starts now has copies of the files and makes none anew.
        var c = await MachineAsync("c");
        Assert.Equal(0, c.KeysRebuilt);
        Assert.False((await c.ContributeAsync(c.Catalog.Find("k")!, Csv(Name(3)))).Ok);
    }

    [Fact]
    public async Task Places_that_one_machine_takes_in_are_known_to_every_thread_of_the_other()
    {
        var (a, b) = (await MachineAsync("a"), await MachineAsync("b"));
        for (var round = 0; round < 5; round++)
        {
            var codes = Enumerable.Range(0, 2_000).Select(i => $"12{round + 1:00}{i / 100:00}{i % 100:000}000").Select(c => c[..12]).Distinct().ToList();
            var imported = await a.Territory.ImportAsync([.. codes.Select(c => new Core.Territory.Place { Code = Core.Territory.PlaceCode.Parse(c), Name = c })], "steward", Cancel);
            Assert.True(imported.Ok, imported.Problem?.Detail);
            await b.Writer.Feed.CurrentAsync(Cancel);
            await Task.WhenAll(Enumerable.Range(0, 8).Select(t => Task.Run(() => Assert.True(b.Territory.Knows(codes[^1]), $"{codes[^1]} by thread {t}"), Cancel)));
        }
    }

    [Fact]
    public async Task A_machine_that_was_written_down_as_ended_writes_nothing_more()
    {
        var (a, b) = (await MachineAsync("a"), await MachineAsync("b"));
        await new Machines(b.World, b.Writer).EnterAsync("run-b", "127.0.0.1:1@1", Cancel);
        Assert.Equal(("127.0.0.1:1@1", false), new Machines(a.World, a.Writer).Find("run-b"));
        var here = await a.DefineAsync("d", Plain);
        await b.Writer.Feed.CurrentAsync(Cancel);
        Assert.True((await b.ContributeAsync(b.Catalog.Find("d")!, Csv("before"))).Ok);
        await new Machines(a.World, a.Writer).EndAsync("run-b", Cancel);
        await Assert.ThrowsAsync<WriterStoppedException>(() => b.ContributeAsync(b.Catalog.Find("d")!, Csv("after")));
        await Assert.ThrowsAsync<WriterStoppedException>(() => b.Writer.Feed.CurrentAsync(Cancel));
        await a.Writer.Feed.CurrentAsync(Cancel);
        Assert.Equal(["before"], await a.ReadAsync(here, "v"));
    }

    [Fact]
    public async Task A_machine_that_cannot_ask_the_database_answers_from_nothing_old()
    {
        var server = await PostgresServer.StartAsync();
        await using var _ = server;
        _database = new PostgresAddress(await server.NewDatabaseAsync());
        var a = await MachineAsync("a");
        await a.DefineAsync("d", Plain);
        await a.Writer.Feed.CurrentAsync(Cancel);
        await server.StopAsync();
        await Assert.ThrowsAsync<StoreUnavailableException>(() => a.Writer.Feed.CurrentAsync(Cancel));
        await server.StartAgainAsync();
        await a.Writer.Feed.CurrentAsync(Cancel);
        Assert.True((await a.ContributeAsync(a.Catalog.Find("d")!, Csv("again"))).Ok);
    }

    [Fact]
    public async Task A_reading_that_fails_half_way_loses_nothing_for_the_next()
    {
        var server = await PostgresServer.StartAsync();
        await using var _ = server;
        _database = new PostgresAddress(await server.NewDatabaseAsync());
        var (a, b) = (await MachineAsync("a"), await MachineAsync("b"));
        var here = await a.DefineAsync("d", Plain);
        await a.ContributeAsync(here, Csv("one"));
        await b.Writer.Feed.CurrentAsync(Cancel);
        var there = b.Catalog.Find("d")!;
        Assert.Equal(["one"], await b.ReadAsync(there, "v"));

        // One of its own waits in memory, one of the other's is to be read; and then the database is gone.
        await a.ContributeAsync(here, Csv("two"));
        await b.ContributeAsync(there, Csv("three"));
        await server.StopAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => b.ReadAsync(there, "v"));
        await Assert.ThrowsAsync<StoreUnavailableException>(() => b.Writer.Feed.CurrentAsync(Cancel));
        await server.StartAgainAsync();
        await b.Writer.Feed.CurrentAsync(Cancel);
        Npgsql.NpgsqlConnection.ClearAllPools();
        Assert.Equal(["one", "three", "two"], await b.ReadAsync(there, "v"));
    }

    private static async Task<bool> TryAsync(CoreFixture core, Core.Catalog.Dataset dataset, string value)
    {
        try
        {
            return (await core.ContributeAsync(dataset, Csv(value))).Ok;
        }
        catch (Core.Records.Keys.DuplicateKeyException)
        {
            return false;
        }
    }

    private void UsePlace(SegmentPlaceKind kind) => _places = new StorePlaces(kind);

    private async Task<CoreFixture> MachineAsync(string name)
    {
        var core = await CoreFixture.OpenAsync(
            Directory.CreateDirectory(Path.Combine(_root, name)).FullName, shared: _database, segments: _places?.Place(cacheBytesMax: 0) ?? SegmentPlace.Parse(Path.Combine(_root, "segments"), null, null, 0));
        _cores.Add(core);
        return core;
    }

    private static string Name(int i) => "n" + i.ToString("D6", CultureInfo.InvariantCulture);

    private static string Csv(params string[] values) => values.Aggregate(new StringBuilder("v\r\n"), (text, value) => text.Append(value).Append("\r\n")).ToString();
}
