using System.Text;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Records;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>A contributor that hears nothing sends again while the first request is still on its way: both get the one receipt.</summary>
public sealed class OverlappingRetryTests
{
    private const string Definition = """
        {"owner":"office","schema":{"primaryKey":["n"],"fields":[{"name":"n","type":"integer"},{"name":"note","type":"string"}]}}
        """;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(IntakeMode.All)]
    [InlineData(IntakeMode.Partial)]
    public async Task The_first_is_kept_while_the_retry_is_being_read(IntakeMode mode)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        const string Body = "{\"n\":1,\"note\":\"a\"}\n{\"n\":2,\"note\":\"b\"}\n";
        var (retry, body) = Begin(core, dataset, Body, mode, "k");
        await body.Reached;

        var first = await (await ReleasedAsync(core, dataset, Body, mode, "k"));
        body.Release();
        var second = await retry;

        Assert.True(first.Ok, first.Problem?.Detail);
        Assert.True(second.Ok, second.Problem?.Detail);
        Assert.Equal((first.Value.Batch.Id, true), (second.Value.Batch.Id, second.Value.Repeated));
        Assert.Equal(2, core.Store.Manifest(dataset.Number).Rows);
    }

    [Fact]
    public async Task The_first_correction_is_kept_while_the_retry_is_being_read()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var old = RecordId.Of((await core.ContributeAsync(dataset, "n,note\n1,a\n")).Value!.Batch.Id, 0);
        var correction = $"{{\"_supersedes\":\"{old}\",\"n\":1,\"note\":\"mended\"}}\n";
        var (retry, body) = Begin(core, dataset, correction, IntakeMode.All, "k");
        await body.Reached;

        var first = await (await ReleasedAsync(core, dataset, correction, IntakeMode.All, "k"));
        body.Release();
        var second = await retry;

        Assert.True(second.Ok, second.Problem?.Detail);
        Assert.Equal((first.Value!.Batch.Id, true), (second.Value.Batch.Id, second.Value.Repeated));
        Assert.Equal(["mended"], await core.ReadAsync(dataset, "note"));
    }

    [Fact]
    public async Task Both_have_looked_before_either_commits()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var kept = (await core.ContributeAsync(dataset, "n,note\n1,a\n")).Value!.Batch;
        var old = RecordId.Of(kept.Id, 0);
        var bodies = new[] { "{\"n\":7}\n", $"{{\"_supersedes\":\"{old}\",\"n\":1}}\n" };
        for (var b = 0; b < bodies.Length; b++)
        {
            // The sequencer asks for the writer too; not now.
            await core.Sequencer.WaitAsync(kept.Entry, Cancel);
            // Nobody commits until both have read, checked and asked for the writer.
            using var hold = new ManualResetEventSlim();
            var held = core.Writer.RunAsync(_ => hold.Wait(Cancel), Cancel);
            var all = new List<Task<Result<IntakeReceipt>>>();
            for (var i = 0; i < 2; i++)
                all.Add(await ReleasedAsync(core, dataset, bodies[b], IntakeMode.All, $"k{b}"));
            while (core.Writer.Waiting < 2)
                await Task.Yield();
            hold.Set();
            await held;
            var receipts = await Task.WhenAll(all);

            Assert.All(receipts, r => Assert.True(r.Ok, r.Problem?.Detail));
            Assert.Single(receipts.Select(r => r.Value!.Batch.Id).Distinct());
            kept = Assert.Single(receipts, r => !r.Value!.Repeated).Value!.Batch;
        }
    }

    [Fact]
    public async Task Many_at_once_get_one_receipt()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        for (var round = 0; round < 20; round++)
        {
            var body = $"{{\"n\":{round}}}\n";
            var receipts = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () => await (await ReleasedAsync(core, dataset, body, IntakeMode.All, $"r{round}")))));
            Assert.All(receipts, r => Assert.True(r.Ok, r.Problem?.Detail));
            Assert.Single(receipts, r => !r.Value!.Repeated);
        }
        Assert.Equal(20, core.Store.Manifest(dataset.Number).Rows);
    }

    [Fact]
    public async Task Another_body_under_the_same_key_still_clashes()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var (other, body) = Begin(core, dataset, "{\"n\":1,\"note\":\"other\"}\n", IntakeMode.All, "k");
        await body.Reached;
        Assert.True((await (await ReleasedAsync(core, dataset, "{\"n\":1}\n", IntakeMode.All, "k"))).Ok);
        body.Release();
        Assert.Equal("request.idempotencyKeyReused", (await other).Problem!.Code);
    }

    private static Task<Task<Result<IntakeReceipt>>> ReleasedAsync(CoreFixture core, Dataset dataset, string text, IntakeMode mode, string key)
    {
        var (task, body) = Begin(core, dataset, text, mode, key);
        body.Release();
        return Task.FromResult(task);
    }

    /// <summary>A contribution that has looked for an earlier one under its key and now waits for its body.</summary>
    private static (Task<Result<IntakeReceipt>> Outcome, HeldStream Body) Begin(CoreFixture core, Dataset dataset, string text, IntakeMode mode, string key)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        var body = new HeldStream(bytes);
        return (ContributeAsync(), body);

        async Task<Result<IntakeReceipt>> ContributeAsync()
        {
            await using var source = new NdjsonSource(body, RowReader.ColumnsOf(dataset), new SourceOptions { CollectFaults = mode == IntakeMode.Partial });
            return await core.Intake.ContributeAsync(new Contribution
            {
                Dataset = dataset,
                Contributor = "contributor",
                Source = source,
                Mode = mode,
                IdempotencyKey = key,
                BodyDigest = _ => Task.FromResult(System.Security.Cryptography.SHA256.HashData(bytes)),
                MaySupersede = _ => null,
                Origin = "test application/x-ndjson",
            }, Cancel);
        }
    }

    /// <summary>A body whose first byte comes only when it is let go.</summary>
    private sealed class HeldStream(byte[] bytes) : MemoryStream(bytes)
    {
        private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Reached => _reached.Task;

        public void Release() => _released.TrySetResult();

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            _reached.TrySetResult();
            await _released.Task.WaitAsync(cancellationToken);
            return Read(buffer.Span);
        }
    }
}
