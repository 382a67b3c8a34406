using System.Globalization;
using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>What is erased is gone to the byte, what stands beside it is still proven, and a stop at any step leaves nothing half done.</summary>
public sealed class ErasureTests
{
    private const string Definition = """
        {"owner":"office","personal":true,"subject":"who","schema":{"fields":[{"name":"who","type":"string"},{"name":"note","type":"string"},{"name":"n","type":"integer"}]}}
        """;

    private const string Secret = "一段绝无仅有的内容-7f3a";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static string Csv(int rows, int secretAt, string who = "victim") => "who,note,n\n" + string.Concat(Enumerable.Range(0, rows).Select(i =>
        string.Create(CultureInfo.InvariantCulture, $"{(i == secretAt ? who : $"p{i % 50}")},{(i == secretAt ? Secret : $"note{i}")},{i}\n")));

    private static ErasureRequest Request(Dataset dataset, params Guid[] records) => new() { Dataset = dataset, Author = "steward", Records = records, Reason = "个人信息保护法第四十七条" };

    /// <summary>Files of the data directory that hold the bytes, segments also by what their columns decode to.</summary>
    private static List<string> Holding(CoreFixture core, Dataset dataset, byte[] bytes)
    {
        var found = new List<string>(TestStore.TablesHolding(core.World, bytes));
        foreach (var path in Directory.EnumerateFiles(core.World.DataDirectory, "*", SearchOption.AllDirectories))
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var memory = new MemoryStream();
            stream.CopyTo(memory);
            var holds = memory.ToArray().AsSpan().IndexOf(bytes) >= 0;
            if (!holds && path.EndsWith(".parquet", StringComparison.Ordinal))
            {
                using var reader = new SegmentReader(dataset, new Segment { Number = 0, Path = path, SchemaVersion = dataset.Version, Rows = 0, Bytes = 0, TimeMin = 0, TimeMax = 0 });
                for (var g = 0; g < reader.RowGroups; g++)
                {
                    var rows = reader.Read(g)!;
                    holds |= rows.Text.AsSpan().IndexOf(bytes) >= 0 || rows.Salts.AsSpan().IndexOf(bytes) >= 0;
                }
            }
            if (holds)
                found.Add(Path.GetFileName(path));
        }
        return found;
    }

    private static async Task<byte[]> SaltAsync(CoreFixture core, Guid record)
    {
        var proof = await core.Proofs.ProveRowAsync("notes", record, Cancel);
        Assert.True(proof.Ok, proof.Problem?.Detail);
        return proof.Value.Salt!;
    }

    [Theory]
    [InlineData(600, false)]
    [InlineData(600, true)]
    [InlineData(140_000, false)]
    public async Task Nothing_of_an_erased_row_is_left_in_any_file_and_its_neighbours_are_proven(int rows, bool folded)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("notes", Definition);
        // Rows before and behind it in the tail, so that pages split while it is there.
        for (var i = 0; i < 5; i++)
            Assert.True((await core.ContributeAsync(dataset, Csv(200, -1))).Ok);
        var batch = (await core.ContributeAsync(dataset, Csv(rows, 77))).Value!.Batch;
        for (var i = 0; i < 5; i++)
            Assert.True((await core.ContributeAsync(dataset, Csv(200, -1))).Ok);
        if (folded)
            await core.Fold.FoldAsync(dataset, Cancel);
        await core.Sequencer.WaitAsync(batch.Entry, Cancel);
        var record = RecordId.Of(batch.Id, 77);
        var salt = await SaltAsync(core, record);
        Assert.Contains(Secret, await core.ReadAsync(dataset, "note"));
        Assert.NotEmpty(Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
        Assert.NotEmpty(Holding(core, dataset, salt));
        var total = core.Store.Manifest(dataset.Number).Rows;

        var erasure = await core.Erasures.EraseAsync(Request(dataset, record), Cancel);

        Assert.True(erasure.Ok, erasure.Problem?.Detail);
        Assert.Empty(Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
        Assert.Empty(Holding(core, dataset, "victim"u8.ToArray()));
        Assert.Empty(Holding(core, dataset, salt));
        Assert.DoesNotContain(Secret, await core.ReadAsync(dataset, "note"));
        Assert.Equal(total - 1, core.Store.Manifest(dataset.Number).Rows);
        Assert.Equal(total - 1, (await core.ReadAsync(dataset, "note")).Count);
        var gone = await core.Proofs.ProveRowAsync("notes", record, Cancel);
        Assert.Equal(("record.erased", 410), (gone.Problem!.Code, gone.Problem.Status));
        Assert.Equal(32, Convert.FromBase64String((string)gone.Problem.Extensions["leaf"]!).Length);
        foreach (var ordinal in new uint[] { 0, 76, 78, 255, (uint)rows - 1 })
        {
            var proof = await core.Proofs.ProveRowAsync("notes", RecordId.Of(batch.Id, ordinal), Cancel);
            Assert.True(proof.Ok, proof.Problem?.Detail);
            Assert.True(MerkleTree.VerifyInclusion(MerkleTree.LeafHash([.. proof.Value.Row, .. proof.Value.Salt!]), proof.Value.Index, proof.Value.Count, proof.Value.Path, proof.Value.Root));
        }
        // It is in the ledger like every act, and asking again answers it.
        await core.Sequencer.WaitAsync(erasure.Value.Id, Cancel);
        var again = await core.Erasures.EraseAsync(Request(dataset, record), Cancel);
        Assert.True(again.Value!.Repeated);
        Assert.Equal(erasure.Value.Id, again.Value.Id);
        Assert.Equal("record.erased", (await core.ContributeAsync(dataset, $"_supersedes,who,note,n\n{record},p,x,1\n")).Problem?.Code);
    }

    [Fact]
    public async Task The_copy_that_an_upgrade_made_goes_with_what_it_holds()
    {
        TestStore.OnlySqlite();
        var directory = Directory.CreateTempSubdirectory("gongzhi-test-").FullName;
        Guid record;
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var batch = (await core.ContributeAsync(await core.DefineAsync("notes", Definition), Csv(20, 7))).Value!.Batch;
            record = RecordId.Of(batch.Id, 7);
            // What an older program would lack, so that the next start copies the database.
            await core.Writer.RunAsync(scope =>
            {
                using var command = scope.Command("DROP INDEX replaced_by");
                command.ExecuteNonQuery();
            }, Cancel);
        }
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = core.Catalog.Find("notes")!;
            var copy = Path.Combine(directory, "node.db.before-upgrade");
            File.Copy(copy, copy + ".part");
            foreach (var path in new[] { copy, copy + ".part" })
                Assert.Contains(Path.GetFileName(path), Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
            Assert.True((await core.Erasures.EraseAsync(Request(dataset, record), Cancel)).Ok);
            Assert.Empty(Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
            Assert.False(File.Exists(copy) || File.Exists(copy + ".part"));
        }
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task By_subject_every_version_goes_wherever_it_is_kept()
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-test-").FullName;
        Guid id;
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = await core.DefineAsync("notes", Definition);
            var large = (await core.ContributeAsync(dataset, Csv(3_000, 5))).Value!.Batch;
            await core.ContributeAsync(dataset, Csv(10, 3));
            await core.Fold.FoldAsync(dataset, Cancel);
            await core.ContributeAsync(dataset, $"_supersedes,who,note,n\n{RecordId.Of(large.Id, 5)},victim,{Secret} v2,1\n");
            var total = core.Store.Manifest(dataset.Number).Rows;
            var erasure = await core.Erasures.EraseAsync(Request(dataset) with { Subject = "victim" }, Cancel);
            Assert.True(erasure.Ok, erasure.Problem?.Detail);
            id = erasure.Value.Id;
            Assert.Equal(3, erasure.Value.Records);
            // The superseded version was not counted among the current rows.
            Assert.Equal(total - 2, core.Store.Manifest(dataset.Number).Rows);
            Assert.Empty(Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
            Assert.Empty(Holding(core, dataset, "victim"u8.ToArray()));
            Assert.Equal([RecordState.Erased, RecordState.Erased], core.Versions.History("notes", RecordId.Of(large.Id, 5)).Select(v => v.State));
        }
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = core.Catalog.Find("notes")!;
            Assert.Equal(id, (await core.Erasures.EraseAsync(Request(dataset) with { Subject = "victim" }, Cancel)).Value!.Id);
            Assert.Equal("erasure.nothing", (await core.Erasures.EraseAsync(Request(dataset) with { Subject = "nobody" }, Cancel)).Problem?.Code);
            Assert.Equal(2_999 + 9, (await core.ReadAsync(dataset, "note")).Count);
        }
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task A_snapshot_from_before_reads_on_and_the_erasure_waits_for_it()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("notes", Definition);
        var batch = (await core.ContributeAsync(dataset, Csv(3_000, 5))).Value!.Batch;
        var before = core.Tails.Open(dataset, 0);
        var swapped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        core.Store.Changing += (_, _) => swapped.TrySetResult();
        var erasing = core.Erasures.EraseAsync(Request(dataset, RecordId.Of(batch.Id, 5)), Cancel);
        await swapped.Task;
        SpinWait.SpinUntil(() => core.Store.Manifest(dataset.Number).Reshaped > 0);
        Assert.Contains(Secret, await core.ReadAsync(dataset, "note", before));
        Assert.DoesNotContain(Secret, await core.ReadAsync(dataset, "note"));
        Assert.False(erasing.IsCompleted);
        before.Dispose();
        Assert.True((await erasing).Ok);
        Assert.Empty(Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
    }

    /// <summary>Where it fails: before the new file is whole, at the swap, behind the swap, before the old file goes, behind that.</summary>
    [Theory]
    [InlineData("file")]
    [InlineData("swap")]
    [InlineData("swap but persisted")]
    [InlineData("delete")]
    [InlineData("delete but persisted")]
    public async Task After_a_failure_at_any_step_it_is_either_not_begun_or_finished_by_reopening(string step)
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-test-").FullName;
        Guid record;
        byte[] salt;
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = await core.DefineAsync("notes", Definition);
            var batch = (await core.ContributeAsync(dataset, Csv(3_000, 5))).Value!.Batch;
            await core.ContributeAsync(dataset, Csv(10, 5));
            await core.Sequencer.WaitAsync(batch.Entry, Cancel);
            record = RecordId.Of(batch.Id, 5);
            salt = await SaltAsync(core, record);
            await FailAsync(core, dataset, step);
        }
        await using (var core = await CoreFixture.OpenAsync(directory))
        {
            var dataset = core.Catalog.Find("notes")!;
            var begun = step is not ("file" or "swap");
            Assert.Equal(begun ? 3_008 : 3_010, core.Store.Manifest(dataset.Number).Rows);
            Assert.Equal(begun ? 3_008 : 3_010, (await core.ReadAsync(dataset, "note")).Count);
            if (begun)
            {
                Assert.Empty(Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
                Assert.Empty(Holding(core, dataset, salt));
            }
            Assert.Equal(core.Store.Manifest(dataset.Number).Segments.Select(s => Path.GetFileName(s.Path)).Order(), Directory.GetFiles(core.World.SegmentDirectory).Select(Path.GetFileName).Order());
            Assert.Equal(begun, (await core.Proofs.ProveRowAsync("notes", record, Cancel)).Problem?.Code == "record.erased");
            Assert.True((await core.Proofs.ProveRowAsync("notes", RecordId.Of(RecordId.TrySplit(record, out var b, out _) ? b : default, 6), Cancel)).Ok);
            var erasure = await core.Erasures.EraseAsync(Request(dataset) with { Subject = "victim" }, Cancel);
            Assert.True(erasure.Ok, erasure.Problem?.Detail);
            Assert.Equal((begun, 2L), (erasure.Value.Repeated, erasure.Value.Records));
            Assert.Empty(Holding(core, dataset, Encoding.UTF8.GetBytes(Secret)));
        }
        Directory.Delete(directory, recursive: true);
    }

    private static async Task FailAsync(CoreFixture core, Dataset dataset, string step)
    {
        var request = Request(dataset) with { Subject = "victim" };
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        var segment = core.Store.Manifest(dataset.Number).Segments.Single().Path;
        switch (step)
        {
            case "file":
                // The old file cannot be read to its end, so no new one is whole.
                var whole = await File.ReadAllBytesAsync(segment, Cancel);
                var broken = whole.ToArray();
                broken.AsSpan(64, 64).Fill(0xFF);
                await File.WriteAllBytesAsync(segment, broken, Cancel);
                await Assert.ThrowsAnyAsync<Exception>(() => core.Erasures.EraseAsync(Request(dataset, RecordId.Of(Batch(core), 5)), Cancel));
                await File.WriteAllBytesAsync(segment, whole, Cancel);
                break;
            case "swap":
                await core.Writer.RunAsync(scope => Execute(scope, "CREATE TRIGGER erased_stop BEFORE INSERT ON erased BEGIN SELECT RAISE(ABORT, 'disk full'); END"), Cancel);
                await Assert.ThrowsAnyAsync<Exception>(() => core.Erasures.EraseAsync(request, Cancel));
                await core.Writer.RunAsync(scope => Execute(scope, "DROP TRIGGER erased_stop"), Cancel);
                break;
            case "swap but persisted":
                core.Store.Changing += (_, _) => throw new IOException("failed behind the commit");
                await Assert.ThrowsAnyAsync<Exception>(() => core.Erasures.EraseAsync(request, Cancel));
                break;
            default:
                var before = core.Tails.Open(dataset, 0);
                var swapped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                core.Store.Changing += (_, change) => swapped.TrySetResult();
                var erasing = core.Erasures.EraseAsync(request, stop.Token);
                await swapped.Task;
                if (step == "delete but persisted")
                    File.Delete(segment);
                await stop.CancelAsync();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => erasing);
                before.Dispose();
                break;
        }
    }

    private static Guid Batch(CoreFixture core)
    {
        using var connection = NodeDatabase.OpenReader(core.World);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT batch FROM segment_batch LIMIT 1";
        return RecordId.FromBytes((byte[])command.ExecuteScalar()!);
    }

    private static void Execute(WriteScope scope, string sql)
    {
        using var command = scope.Command(TestStore.Sql(sql));
        command.ExecuteNonQuery();
    }
}
