using System.Globalization;
using System.Text;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;
using Gongzhi.Ledger;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Unit.Records;

public sealed class IntakeTests
{
    private const string Payments = """
        {"owner":"office","time":"paid","place":"where","personal":%PERSONAL%,
         "schema":{"fields":[
           {"name":"id","type":"integer","constraints":{"required":true}},
           {"name":"payee","type":"string","constraints":{"maxLength":20}},
           {"name":"amount","type":"number","scale":2,"constraints":{"minimum":0}},
           {"name":"rate","type":"number"},
           {"name":"urgent","type":"boolean"},
           {"name":"paid","type":"datetime"},
           {"name":"due","type":"date"},
           {"name":"month","type":"yearmonth"},
           {"name":"where","type":"place"}]}}
        """;

    private static string Definition(bool personal) => Payments.Replace("%PERSONAL%", personal ? "true" : "false", StringComparison.Ordinal);

    private static string Csv(int rows, int from = 1)
    {
        var text = new StringBuilder("id,payee,amount,rate,urgent,paid,due,month,where\n");
        for (var i = from; i < from + rows; i++)
            text.Append(CultureInfo.InvariantCulture, $"{i},收款人{i % 97},{i % 1000}.{i % 100:D2},{i / 7.0:R},{(i % 3 == 0 ? "true" : "false")},2026-03-{i % 28 + 1:D2} 08:{i % 60:D2}:00,2026-04-01,2026-03,99010100{i % 9}\n");
        return text.ToString();
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(3, true)]
    [InlineData(257, true)]
    [InlineData(40_000, false)]
    [InlineData(40_000, true)]
    public async Task Every_kept_row_is_proven_by_the_log(int rows, bool personal)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("payments", Definition(personal));
        var receipt = await core.ContributeAsync(dataset, Csv(rows));
        Assert.True(receipt.Ok, receipt.Problem?.Detail);
        await core.Sequencer.WaitAsync(receipt.Value.Batch.Entry, TestContext.Current.CancellationToken);

        foreach (var ordinal in new[] { 0, rows / 2, rows - 1 }.Distinct())
        {
            var proof = await core.Proofs.ProveRowAsync("payments", RecordId.Of(receipt.Value.Batch.Id, (uint)ordinal), TestContext.Current.CancellationToken);
            Assert.True(proof.Ok, proof.Problem?.Detail);
            var leaf = MerkleTree.LeafHash([.. proof.Value.Row, .. proof.Value.Salt ?? []]);
            Assert.True(MerkleTree.VerifyInclusion(leaf, proof.Value.Index, proof.Value.Count, proof.Value.Path, proof.Value.Root));
            Assert.Equal(personal, proof.Value.Salt is not null);
            Assert.True(TlogProof.TryParse(Encoding.UTF8.GetBytes(proof.Value.TlogProof), out var tlog));
            Assert.True(tlog.Verify(MerkleTree.LeafHash(proof.Value.Entry), core.Sequencer.Log.Verifier, out _));
        }
    }

    [Fact]
    public async Task Rows_survive_reopening_in_tail_and_segment()
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-test-").FullName;
        Guid small, large;
        byte[] before;
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = await core.DefineAsync("payments", Definition(personal: true));
            var first = (await core.ContributeAsync(dataset, Csv(5))).Value!;
            var second = (await core.ContributeAsync(dataset, Csv(5_000, 100))).Value!;
            await core.Sequencer.WaitAsync(second.Batch.Entry, TestContext.Current.CancellationToken);
            await core.Sequencer.WaitAsync(first.Batch.Entry, TestContext.Current.CancellationToken);
            (small, large) = (first.Batch.Id, second.Batch.Id);
            before = (await core.Proofs.ProveRowAsync("payments", RecordId.Of(large, 4_321), TestContext.Current.CancellationToken)).Value!.Row;
        }
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            Assert.Equal(5_005, core.Store.Manifest(core.Catalog.Find("payments")!.Number).Rows);
            var again = await core.Proofs.ProveRowAsync("payments", RecordId.Of(large, 4_321), TestContext.Current.CancellationToken);
            Assert.Equal(before, again.Value!.Row);
            Assert.True((await core.Proofs.ProveRowAsync("payments", RecordId.Of(small, 4), TestContext.Current.CancellationToken)).Ok);
        }
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task A_bad_row_keeps_everything_out_and_is_named()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("payments", Definition(personal: false));
        var csv = Csv(10) + "x,a,-1,0.1,maybe,2026-02-30,2026-04-01,2026-13,990101\n";
        var receipt = await core.ContributeAsync(dataset, csv);
        Assert.False(receipt.Ok);
        Assert.Equal("records.invalid", receipt.Problem.Code);
        var errors = Assert.IsType<List<RowError>>(receipt.Problem.Extensions["errors"]);
        Assert.All(errors, e => Assert.Equal(11, e.Row));
        Assert.Equal(["amount", "id", "month", "paid", "urgent"], errors.Select(e => e.Field!).Order());
        Assert.Equal(0, core.Store.Manifest(dataset.Number).Rows);
    }

    [Fact]
    public async Task Partial_keeps_the_good_rows_and_lists_the_rest_without_values()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("payments", Definition(personal: false));
        var csv = Csv(3) + "secret-value,a,1,1,true,2026-02-01,2026-04-01,2026-12,990101\n" + "5,only two cells\n" + Csv(1, 6).Split('\n')[1] + "\n";
        var receipt = await core.ContributeAsync(dataset, csv, IntakeMode.Partial);
        Assert.True(receipt.Ok, receipt.Problem?.Detail);
        Assert.Equal(4, receipt.Value.Batch.Rows);
        Assert.Equal(2, receipt.Value.Batch.Rejected);
        var rejects = await File.ReadAllTextAsync(RejectsFile.PathOf(core.World, receipt.Value.Batch.Id), TestContext.Current.CancellationToken);
        Assert.Contains("4,id,type,", rejects, StringComparison.Ordinal);
        Assert.Contains("5,,format.csv.columns,", rejects, StringComparison.Ordinal);
        Assert.DoesNotContain("secret-value", rejects, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_key_answers_the_first_receipt_and_another_request_clashes()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("payments", Definition(personal: false));
        var first = (await core.ContributeAsync(dataset, Csv(3), key: "k1")).Value!;
        var again = (await core.ContributeAsync(dataset, Csv(3), key: "k1")).Value!;
        Assert.True(again.Repeated);
        Assert.Equal(first.Batch.Id, again.Batch.Id);
        Assert.Equal(3, core.Store.Manifest(dataset.Number).Rows);
        var clash = await core.ContributeAsync(dataset, Csv(3), IntakeMode.Partial, key: "k1");
        Assert.Equal("request.idempotencyKeyReused", clash.Problem!.Code);
    }

    [Fact]
    public async Task A_changed_byte_in_a_tail_row_is_found_and_named()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("payments", Definition(personal: false));
        var batch = (await core.ContributeAsync(dataset, Csv(3))).Value!.Batch;
        await core.Sequencer.WaitAsync(batch.Entry, TestContext.Current.CancellationToken);
        await core.Writer.RunAsync(scope =>
        {
            using var command = scope.Command(TestStore.Sql("UPDATE tail SET row = CAST(substr(row, 1, length(row) - 1) || X'00' AS BLOB) WHERE ordinal = 1"));
            command.ExecuteNonQuery();
        }, TestContext.Current.CancellationToken);
        var found = await Assert.ThrowsAsync<RecordsCorruptException>(() => core.Proofs.ProveRowAsync("payments", RecordId.Of(batch.Id, 2), TestContext.Current.CancellationToken));
        Assert.Contains(batch.Id.ToString(), found.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_folded_tail_keeps_every_row_and_its_proof(bool personal)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("payments", Definition(personal));
        var batches = new List<Batch>();
        for (var i = 0; i < 7; i++)
            batches.Add((await core.ContributeAsync(dataset, Csv(3 + i, 100 * i + 1))).Value!.Batch);
        await core.Sequencer.WaitAsync(batches[^1].Entry, TestContext.Current.CancellationToken);
        var before = new List<byte[]>();
        foreach (var batch in batches)
            before.Add((await core.Proofs.ProveRowAsync("payments", RecordId.Of(batch.Id, 1), TestContext.Current.CancellationToken)).Value!.Row);

        Assert.Equal(batches.Sum(b => b.Rows), await core.Fold.FoldAsync(dataset));

        Assert.Equal(0, core.Store.Manifest(dataset.Number).TailRows);
        Assert.Equal(batches.Sum(b => b.Rows), core.Store.Manifest(dataset.Number).Rows);
        for (var i = 0; i < batches.Count; i++)
        {
            Assert.Equal(before[i], (await core.Proofs.ProveRowAsync("payments", RecordId.Of(batches[i].Id, 1), TestContext.Current.CancellationToken)).Value!.Row);
            Assert.True((await core.Proofs.ProveRowAsync("payments", RecordId.Of(batches[i].Id, (uint)batches[i].Rows - 1), TestContext.Current.CancellationToken)).Ok);
        }
        Assert.Equal(0, await core.Fold.FoldAsync(dataset));
    }
}
