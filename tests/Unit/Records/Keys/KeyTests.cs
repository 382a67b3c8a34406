using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using CsCheck;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;
using Gongzhi.Core.Records.Keys;
using Gongzhi.Core.Storage;

namespace Gongzhi.Tests.Unit.Records.Keys;

public sealed class KeyTests
{
    private const string Definition = """
        {"owner":"office","schema":{"primaryKey":["area","n"],"fields":[
           {"name":"area","type":"string"},{"name":"n","type":"number","scale":1},{"name":"phone","type":"string","constraints":{"unique":true}},{"name":"note","type":"string"}]}}
        """;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>Two of the vectors of the reference implementation's 16-byte variant.</summary>
    [Theory]
    [InlineData(0, "a3817f04ba25a8e66df67214c7550293")]
    [InlineData(1, "da87c1d86b99af44347659119b22fc45")]
    public void The_hash_is_siphash(int length, string expected)
    {
        byte[] bytes = [.. Enumerable.Range(0, 16).Select(i => (byte)i)];
        var hash = KeyHash.Compute(bytes, bytes.AsSpan(0, length));
        Span<byte> found = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(found, (ulong)(hash >> 64));
        BinaryPrimitives.WriteUInt64LittleEndian(found[8..], (ulong)hash);
        Assert.Equal(expected, Convert.ToHexStringLower(found));
    }

    [Fact]
    public async Task A_key_that_comes_twice_in_a_file_is_refused_with_the_earlier_row()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var all = await core.ContributeAsync(dataset, "area,n,phone\na,1,\na,2,\nb,1,\na,1.0,\n");
        Assert.Equal("records.duplicateKey", all.Problem!.Code);
        var error = Assert.Single(Assert.IsType<List<RowError>>(all.Problem.Extensions["errors"]));
        Assert.Equal((4L, "area, n", "duplicate"), (error.Row, error.Field, error.Code));
        Assert.Contains("Row 1 ", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, core.Store.Manifest(dataset.Number).Rows);

        var partial = await core.ContributeAsync(dataset, "area,n,phone\na,1,5\na,x,\na,2,\nb,1,\na,1.0,\nb,2,5\nb,3,\n", IntakeMode.Partial);
        Assert.Equal((4L, 3L), (partial.Value!.Batch.Rows, partial.Value.Batch.Rejected));
        Assert.Equal([(2L, "type"), (5L, "duplicate"), (6L, "duplicate")], partial.Value.Errors.Select(e => (e.Row, e.Code)));
        Assert.Equal("phone", partial.Value.Errors[2].Field);
    }

    [Fact]
    public async Task A_key_without_a_value_is_refused_and_unique_fields_may_be_empty()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var refused = await core.ContributeAsync(dataset, "area,n\na,\n");
        Assert.Equal("required", Assert.IsType<List<RowError>>(refused.Problem!.Extensions["errors"])[0].Code);
        Assert.Equal("records.missingColumns", (await core.ContributeAsync(dataset, "n\n1\n")).Problem!.Code);
        Assert.True((await core.ContributeAsync(dataset, "area,n,phone\na,1,\na,2,\na,3,\n")).Ok);
    }

    [Theory]
    [InlineData(3, 3)]
    [InlineData(3, 5_000)]
    [InlineData(5_000, 3)]
    [InlineData(5_000, 5_000)]
    public async Task A_key_that_a_record_has_is_refused_and_the_record_named(int first, int second)
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-keys-").FullName;
        Batch earlier;
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = await core.DefineAsync("d", Definition);
            earlier = (await core.ContributeAsync(dataset, Csv(0, first))).Value!.Batch;
            await RefusedAsync(core, dataset);
            await core.Fold.FoldAsync(dataset, Cancel);
            await RefusedAsync(core, dataset);
        }
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            Assert.Equal(0, core.KeysRebuilt);
            await RefusedAsync(core, core.Catalog.Find("d")!);
        }
        Directory.Delete(directory, recursive: true);

        async Task RefusedAsync(CoreFixture core, Dataset dataset)
        {
            // All rows but the first are new.
            var csv = Csv(first - 1, second);
            var all = await core.ContributeAsync(dataset, csv);
            Assert.Equal("records.duplicateKey", all.Problem!.Code);
            var error = Assert.Single(Assert.IsType<List<RowError>>(all.Problem.Extensions["errors"]));
            Assert.Equal((1L, "duplicate"), (error.Row, error.Code));
            Assert.Contains(RecordId.Of(earlier.Id, (uint)first - 1).ToString(), error.Message, StringComparison.Ordinal);
            Assert.Equal(first, core.Store.Manifest(dataset.Number).Rows);
        }
    }

    [Fact]
    public async Task Of_contributions_with_the_same_key_at_once_one_wins()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        for (var round = 0; round < 5; round++)
        {
            // Small and large ones together; each holds the contested key and others of its own.
            var outcomes = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => Task.Run(() =>
                core.ContributeAsync(dataset, $"area,n\ncontested,{round}\n" + Csv(1_000_000 * (round + 1) + 10_000 * i, i % 3 == 0 ? 2_500 : 4).Split('\n', 2)[1].Replace(",p", "", StringComparison.Ordinal)))));
            Assert.Single(outcomes, o => o.Ok);
            Assert.All(outcomes.Where(o => !o.Ok), o => Assert.Equal("records.duplicateKey", o.Problem!.Code));
        }
    }

    [Fact]
    public async Task A_replaced_record_gives_its_key_back()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var large = (await core.ContributeAsync(dataset, Csv(0, 3_000))).Value!.Batch;
        var small = (await core.ContributeAsync(dataset, Csv(9_000, 3))).Value!.Batch;
        foreach (var (batch, ordinal, n) in new[] { (large.Id, 7u, 7), (small.Id, 1u, 9_001) })
        {
            Assert.Equal("records.duplicateKey", (await core.ContributeAsync(dataset, Csv(n, 1))).Problem!.Code);
            await core.Writer.RunAsync(scope =>
            {
                using var command = scope.Command("INSERT INTO replaced(dataset, batch, ordinal) VALUES (@dataset, @batch, @ordinal)");
                command.Set("@dataset", dataset.Number);
                command.Set("@batch", RecordId.Bytes(batch));
                command.Set("@ordinal", (long)ordinal);
                command.ExecuteNonQuery();
            }, Cancel);
            Assert.True((await core.ContributeAsync(dataset, Csv(n, 1))).Ok);
            Assert.Equal("records.duplicateKey", (await core.ContributeAsync(dataset, Csv(n, 1))).Problem!.Code);
        }
    }

    [Theory]
    [InlineData("missing")]
    [InlineData("version")]
    [InlineData("short")]
    [InlineData("unlisted")]
    [InlineData("none")]
    public async Task Runs_are_made_anew_from_the_records_and_hold_no_values(string fault)
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-keys-").FullName;
        var runs = Path.Combine(directory, "key-runs");
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = await core.DefineAsync("d", Definition);
            Assert.True((await core.ContributeAsync(dataset, Csv(0, 5_000))).Ok);
            Assert.True((await core.ContributeAsync(dataset, Csv(5_000, 40))).Ok);
            if (fault == "none")
            {
                // As a node that knew no keys would have left it.
                await core.Writer.RunAsync(scope =>
                {
                    foreach (var table in new[] { "key_state", "key_run", "key_tail" })
                    {
                        using var command = scope.Command("DELETE FROM " + table);
                        command.ExecuteNonQuery();
                    }
                }, Cancel);
            }
        }
        var file = Assert.Single(Directory.GetFiles(runs));
        var bytes = await File.ReadAllBytesAsync(file, Cancel);
        Assert.Equal(-1, bytes.AsSpan().IndexOf("area-"u8));
        Assert.Equal(-1, bytes.AsSpan().IndexOf("p4999"u8));
        switch (fault)
        {
            case "missing": File.Delete(file); break;
            case "short": await File.WriteAllBytesAsync(file, bytes[..^1], Cancel); break;
            case "unlisted": File.Copy(file, Path.Combine(runs, "0000.keys")); break;
            case "version":
                bytes[6] ^= 2;
                await File.WriteAllBytesAsync(file, bytes, Cancel);
                break;
        }
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            Assert.Equal(fault == "unlisted" ? 0 : 1, core.KeysRebuilt);
            Assert.Single(Directory.GetFiles(runs));
            var dataset = core.Catalog.Find("d")!;
            foreach (var n in new[] { 0, 4_999, 5_000, 5_039 })
                Assert.Equal("records.duplicateKey", (await core.ContributeAsync(dataset, Csv(n, 1))).Problem!.Code);
            Assert.True((await core.ContributeAsync(dataset, Csv(5_040, 1))).Ok);
        }
        Directory.Delete(directory, recursive: true);
    }

    /// <summary>Every durable step of a contribution with keys and of a merge fails once; after a restart each key is there once.</summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Each_durable_step_may_fail(bool merging, bool persisted)
    {
        var seen = await OneFault.EachAsync(persisted, async fault =>
        {
            var directory = Directory.CreateTempSubdirectory("gongzhi-keys-").FullName;
            await using (var core = await CoreFixture.OpenAsync(directory, fault.Interpose))
            {
                await core.KeyMerge.StopAsync();
                var dataset = await core.DefineAsync("d", Definition);
                Batch last = null!;
                for (var i = 0; i < KeyMerge.RunsMin; i++)
                    last = (await core.ContributeAsync(dataset, Csv(i * 3_000, 2_100))).Value!.Batch;
                await core.Sequencer.WaitAsync(last.Entry, Cancel);
                await fault.DuringAsync(async () =>
                {
                    if (merging)
                        await core.KeyMerge.MergeAsync(dataset.Number, Cancel);
                    else if (await core.ContributeAsync(dataset, Csv(50_000, 2_100), key: "k") is { Ok: false } refused)
                        throw new IOException(refused.Problem.Code);
                });
            }
            await using (var core = await CoreFixture.OpenAsync(directory))
            {
                var dataset = core.Catalog.Find("d")!;
                Assert.True((await core.ContributeAsync(dataset, Csv(50_000, 2_100), key: "k")).Ok);
                await core.KeyMerge.MergeAsync(dataset.Number, Cancel);
                Assert.Equal(5 * 2_100, core.Store.Manifest(dataset.Number).Rows);
                foreach (var n in new[] { 0, 2_099, 9_000, 11_099, 50_000, 52_099 })
                    Assert.Equal("records.duplicateKey", (await core.ContributeAsync(dataset, Csv(n, 1))).Problem!.Code);
            }
            Directory.Delete(directory, recursive: true);
        });
        Assert.Superset(new HashSet<string> { "commit", "flush directory", "flush key run", "rename" }, seen.ToHashSet());
    }

    [Fact]
    public async Task Many_runs_become_few_and_keep_every_key()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        for (var i = 0; i < 12; i++)
            Assert.True((await core.ContributeAsync(dataset, Csv(i * 3_000, 3_000))).Ok);
        for (var i = 0; i < 9; i++)
            Assert.True((await core.ContributeAsync(dataset, Csv(100_000 + i * 2_000, 2_000))).Ok);
        await core.KeyMerge.MergeAsync(dataset.Number, Cancel);
        Assert.InRange(Directory.GetFiles(Path.Combine(core.World.DataDirectory, "key-runs")).Length, 1, 6);
        foreach (var n in new[] { 0, 2_999, 3_000, 35_999, 100_000, 117_999 })
            Assert.Equal("records.duplicateKey", (await core.ContributeAsync(dataset, Csv(n, 1))).Problem!.Code);
        var again = await core.ContributeAsync(dataset, Csv(35_000, 3_000), IntakeMode.Partial);
        Assert.Equal((2_000L, 1_000L), (again.Value!.Batch.Rows, again.Value.Batch.Rejected));
    }

    /// <summary>Any order of contributing, folding, merging and reopening keeps what a plain set of keys would keep.</summary>
    [Fact]
    public async Task Keys_are_those_of_a_plain_set()
    {
        var steps = Gen.OneOf(
            Gen.Select(Gen.Int[0, 60], Gen.Int[1, 40], Gen.Bool, (from, count, partial) => $"c {from * 7} {count} {partial}"),
            Gen.Select(Gen.Int[0, 20], Gen.Int[2_049, 3_000], Gen.Bool, (from, count, partial) => $"c {from * 1_500} {count} {partial}"),
            Gen.Const("fold"), Gen.Const("merge"), Gen.Const("reopen")).Array[1, 14];
        await steps.SampleAsync(async plan =>
        {
            var directory = Directory.CreateTempSubdirectory("gongzhi-keys-").FullName;
            var core = await CoreFixture.OpenAsync(directory);
            try
            {
                await core.DefineAsync("d", Definition);
                var kept = new HashSet<int>();
                foreach (var step in plan)
                    core = await StepAsync(core, directory, step, kept);
            }
            finally
            {
                await core.DisposeAsync();
                Directory.Delete(directory, recursive: true);
            }
        }, iter: 25, threads: 1);
    }

    private static async Task<CoreFixture> StepAsync(CoreFixture core, string directory, string step, HashSet<int> kept)
    {
        var dataset = core.Catalog.Find("d")!;
        var words = step.Split(' ');
        switch (words[0])
        {
            case "fold":
                await core.Fold.FoldAsync(dataset, Cancel);
                break;
            case "merge":
                await core.KeyMerge.MergeAsync(dataset.Number, Cancel);
                break;
            case "reopen":
                await core.DisposeAsync();
                core = await CoreFixture.OpenAsync(directory);
                Assert.Equal(0, core.KeysRebuilt);
                break;
            default:
                var wanted = Enumerable.Range(int.Parse(words[1], CultureInfo.InvariantCulture), int.Parse(words[2], CultureInfo.InvariantCulture)).ToList();
                var fresh = wanted.Where(n => !kept.Contains(n)).ToList();
                var partial = words[3] == "True";
                var outcome = await core.ContributeAsync(dataset, Csv(wanted[0], wanted.Count), partial ? IntakeMode.Partial : IntakeMode.All);
                Assert.Equal(partial ? fresh.Count > 0 : fresh.Count == wanted.Count, outcome.Ok);
                if (outcome.Ok)
                {
                    Assert.Equal(fresh.Count, outcome.Value.Batch.Rows);
                    kept.UnionWith(fresh);
                }
                break;
        }
        Assert.Equal(kept.Count, core.Store.Manifest(dataset.Number).Rows);
        return core;
    }

    private static string Csv(int from, int rows)
    {
        var text = new StringBuilder("area,n,phone\n");
        for (var i = from; i < from + rows; i++)
            text.Append(CultureInfo.InvariantCulture, $"area-{i % 10},{i / 10},p{i}\n");
        return text.ToString();
    }
}
