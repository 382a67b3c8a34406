using System.Globalization;
using System.Text;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;

namespace Gongzhi.Tests.Unit.Records;

public sealed class SupersedeTests
{
    private const string Definition = """
        {"owner":"office","personal":true,"subject":"who","schema":{"fields":[{"name":"who","type":"string"},{"name":"note","type":"string"},{"name":"n","type":"integer"}]}}
        """;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    internal static string Csv(int rows, string prefix = "note") =>
        "who,note,n\n" + string.Concat(Enumerable.Range(0, rows).Select(i => string.Create(CultureInfo.InvariantCulture, $"p{i % 50},{prefix}{i},{i}\n")));

    private static string Correction(params (Guid Record, string Note)[] rows)
    {
        var text = new StringBuilder("_supersedes,who,note,n\n");
        foreach (var (record, note) in rows)
            text.Append(CultureInfo.InvariantCulture, $"{(record == default ? "" : record.ToString())},p1,{note},7\n");
        return text.ToString();
    }

    [Theory]
    [InlineData(20)]
    [InlineData(3_000)]
    public async Task A_correction_takes_the_place_of_its_record_in_every_query(int rows)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("notes", Definition);
        var first = (await core.ContributeAsync(dataset, Csv(rows))).Value!.Batch;
        using var before = core.Tails.Open(dataset, 0);
        var old = RecordId.Of(first.Id, 7);

        var receipt = await core.ContributeAsync(dataset, Correction((old, "corrected"), (default, "new")));

        Assert.True(receipt.Ok, receipt.Problem?.Detail);
        var expected = Enumerable.Range(0, rows).Where(i => i != 7).Select(i => "note" + i.ToString(CultureInfo.InvariantCulture)).Append("corrected").Append("new").Order(StringComparer.Ordinal);
        Assert.Equal(expected, await core.ReadAsync(dataset, "note"));
        Assert.Equal(rows + 1, core.Store.Manifest(dataset.Number).Rows);
        // What was opened before still shows what was true then, from the same tables.
        Assert.Equal(Enumerable.Range(0, rows).Select(i => "note" + i.ToString(CultureInfo.InvariantCulture)).Order(StringComparer.Ordinal), await core.ReadAsync(dataset, "note", before));
        // Superseded rows keep their proof; the new row's bytes name the old one.
        await core.Sequencer.WaitAsync(receipt.Value.Batch.Entry, Cancel);
        Assert.True((await core.Proofs.ProveRowAsync("notes", old, Cancel)).Ok);
        var proof = await core.Proofs.ProveRowAsync("notes", RecordId.Of(receipt.Value.Batch.Id, 0), Cancel);
        Assert.True(proof.Value!.Row.AsSpan().IndexOf(RecordId.Bytes(old)) > 0);
        await core.Fold.FoldAsync(dataset, Cancel);
        Assert.Equal(expected, await core.ReadAsync(dataset, "note"));
        Assert.True((await core.Proofs.ProveRowAsync("notes", RecordId.Of(receipt.Value.Batch.Id, 0), Cancel)).Ok);
    }

    [Fact]
    public async Task Corrections_of_corrections_in_segments_survive_folds_and_reopening()
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-test-").FullName;
        var expected = Enumerable.Range(0, 5_000).ToDictionary(i => i, i => "note" + i.ToString(CultureInfo.InvariantCulture));
        var current = new Dictionary<int, Guid>();
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = await core.DefineAsync("notes", Definition);
            var first = (await core.ContributeAsync(dataset, Csv(5_000))).Value!.Batch;
            for (var i = 0; i < 5_000; i++)
                current[i] = RecordId.Of(first.Id, (uint)i);
            var random = new Random(5);
            for (var round = 0; round < 6; round++)
            {
                // Large rounds make their own segment, small ones go to the tail.
                var picks = Enumerable.Range(0, 5_000).OrderBy(_ => random.Next()).Take(round % 2 == 0 ? 2_500 : 40).ToArray();
                var receipt = await core.ContributeAsync(dataset, Correction([.. picks.Select(p => (current[p], $"r{round}-{p}"))]));
                Assert.True(receipt.Ok, receipt.Problem?.Detail);
                for (var k = 0; k < picks.Length; k++)
                    (current[picks[k]], expected[picks[k]]) = (RecordId.Of(receipt.Value.Batch.Id, (uint)k), $"r{round}-{picks[k]}");
                if (round == 3)
                    await core.Fold.FoldAsync(dataset, Cancel);
                Assert.Equal(expected.Values.Order(StringComparer.Ordinal), await core.ReadAsync(dataset, "note"));
            }
            var history = core.Versions.History("notes", current[0]);
            Assert.Equal(history.Select(v => v.Record), core.Versions.History("notes", RecordId.Of(first.Id, 0)).Select(v => v.Record));
            Assert.Equal(RecordState.Current, history[^1].State);
            Assert.All(history.SkipLast(1), v => Assert.Equal(RecordState.Superseded, v.State));
            Assert.Equal(current[0], history[^1].Record);
        }
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = core.Catalog.Find("notes")!;
            Assert.Equal(expected.Values.Order(StringComparer.Ordinal), await core.ReadAsync(dataset, "note"));
            Assert.Equal(5_000, core.Store.Manifest(dataset.Number).Rows);
        }
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task A_correction_that_cannot_be_made_refuses_the_contribution()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("notes", Definition);
        var other = await core.DefineAsync("others", Definition);
        var batch = (await core.ContributeAsync(dataset, Csv(5))).Value!.Batch;
        var elsewhere = (await core.ContributeAsync(other, Csv(5))).Value!.Batch;
        var record = RecordId.Of(batch.Id, 0);
        async Task Refused(string code, string csv, Func<Batch, Problem?>? may = null)
        {
            var result = await core.ContributeAsync(dataset, csv, IntakeMode.Partial, maySupersede: may);
            Assert.Equal(code, result.Problem?.Code);
        }
        await Refused("record.unknownSuperseded", Correction((RecordId.Of(batch.Id, 5), "x")));
        await Refused("record.unknownSuperseded", Correction((RecordId.Of(elsewhere.Id, 0), "x")));
        await Refused("record.namedTwice", Correction((record, "x"), (record, "y")));
        await Refused("record.notYours", Correction((record, "x")), _ => Problem.Denied("record.notYours", "no"));
        await Refused("records.invalid", "_supersedes,who,note,n\nnot-an-id,p,x,1\n");
        var first = (await core.ContributeAsync(dataset, Correction((record, "first")))).Value!.Batch;
        var second = (await core.ContributeAsync(dataset, Correction((RecordId.Of(first.Id, 0), "second")))).Value!.Batch;
        var refused = await core.ContributeAsync(dataset, Correction((record, "late"), (RecordId.Of(batch.Id, 1), "with it")));
        Assert.Equal("record.superseded", refused.Problem?.Code);
        Assert.Equal(RecordId.Of(second.Id, 0).ToString(), refused.Problem!.Extensions["current"]);
        Assert.Equal(5, core.Store.Manifest(dataset.Number).Rows);
        Assert.Equal(["note1", "note2", "note3", "note4", "second"], await core.ReadAsync(dataset, "note"));
        // A refused file of the size of a segment leaves no file behind.
        var files = Directory.GetFiles(core.World.SegmentDirectory).Length;
        var large = await core.ContributeAsync(dataset, Correction([.. Enumerable.Range(0, 3_000).Select(i => (i == 2_999 ? record : default, "n" + i.ToString(CultureInfo.InvariantCulture)))]));
        Assert.Equal("record.superseded", large.Problem?.Code);
        Assert.Equal(files, Directory.GetFiles(core.World.SegmentDirectory).Length);
    }

    [Fact]
    public async Task Of_two_corrections_at_the_same_moment_exactly_one_wins()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("notes", Definition);
        var batch = (await core.ContributeAsync(dataset, Csv(40))).Value!.Batch;
        for (uint i = 0; i < 40; i++)
        {
            var record = RecordId.Of(batch.Id, i);
            var both = await Task.WhenAll(Enumerable.Range(0, 4).Select(k => Task.Run(() => core.ContributeAsync(dataset, Correction((record, $"c{i}-{k}"))))));
            var winner = Assert.Single(both, r => r.Ok);
            Assert.All(both.Where(r => !r.Ok), r => Assert.Equal("record.superseded", r.Problem!.Code));
            Assert.All(both.Where(r => !r.Ok), r => Assert.Equal(RecordId.Of(winner.Value!.Batch.Id, 0).ToString(), r.Problem!.Extensions["current"]));
        }
        Assert.Equal(40, core.Store.Manifest(dataset.Number).Rows);
        Assert.Equal(40, (await core.ReadAsync(dataset, "note")).Count);
    }

    [Fact]
    public async Task Readers_beside_corrections_and_folds_always_see_each_record_once()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("notes", Definition);
        var batch = (await core.ContributeAsync(dataset, Csv(60))).Value!.Batch;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        var writer = Task.Run(async () =>
        {
            var current = Enumerable.Range(0, 60).Select(i => RecordId.Of(batch.Id, (uint)i)).ToArray();
            for (var round = 0; round < 60; round++)
            {
                var i = round % 60;
                var receipt = await core.ContributeAsync(dataset, $"_supersedes,who,note,n\n{current[i]},p,r{round},{i}\n");
                Assert.True(receipt.Ok, receipt.Problem?.Detail);
                current[i] = RecordId.Of(receipt.Value.Batch.Id, 0);
                if (round % 20 == 10)
                    await core.Fold.FoldAsync(dataset, Cancel);
            }
        }, Cancel);
        var expected = Enumerable.Range(0, 60).Select(i => i.ToString(CultureInfo.InvariantCulture)).Order(StringComparer.Ordinal).ToList();
        do
            Assert.Equal(expected, await core.ReadAsync(dataset, "n"));
        while (!writer.IsCompleted);
        await writer;
        Assert.Equal(expected, await core.ReadAsync(dataset, "n"));
    }
}
