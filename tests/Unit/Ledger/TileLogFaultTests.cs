using CsCheck;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Unit.Ledger;

/// <summary>
/// Every I/O action of the sequencer made to fail, then the log reopened: what was acknowledged is there once and in its place, and
/// every checkpoint ever published lies on one history.
/// </summary>
public sealed class TileLogFaultTests
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly int[] Script = [3, 1, 300, 260, 1];

    [Theory]
    [InlineData(FaultMode.Failed, false)]
    [InlineData(FaultMode.Failed, true)]
    [InlineData(FaultMode.FailedButPersisted, false)]
    [InlineData(FaultMode.FailedButPersisted, true)]
    [InlineData(FaultMode.FailedHalfWay, false)]
    [InlineData(FaultMode.FailedHalfWay, true)]
    public async Task Each_action_may_fail_once(FaultMode mode, bool crash)
    {
        var fired = true;
        var action = 0;
        for (; fired; action++) fired = await RunAsync(Script, new FaultPlan { FailAt = action, Mode = mode }, crash);
        Assert.True(action > 20, $"only {action} actions were seen");
    }

    [Fact]
    public async Task Runs_of_failures_at_random_places_in_random_scripts() =>
        await Gen.Int[1, 600].Array[1, 4].Select(Gen.Int[0, 60], Gen.Int[1, 6], Gen.Enum<FaultMode>(), Gen.Bool).SampleAsync(
            async (script, at, count, mode, crash) =>
            {
                await RunAsync(script, new FaultPlan { FailAt = at, FailCount = count, Mode = mode }, crash);
            },
            iter: 40, threads: 1);

    [Fact]
    public async Task Two_sequencers_over_one_state_make_one_history()
    {
        using var fixture = new LogFixture();
        using var state = fixture.State();
        var published = new System.Collections.Concurrent.ConcurrentBag<Checkpoint>();
        var store = new FaultyStore(fixture.Store, new FaultPlan(), published.Add);
        await using var one = await TileLog.OpenAsync(fixture.Signer, state, store, cancel: None);
        await using var two = await TileLog.OpenAsync(fixture.Signer, state, store, cancel: None);
        // Both are given the same ids: each entry may come from either, but only once.
        var indexes = await Task.WhenAll(Enumerable.Range(0, 120).SelectMany(i => new[] { one, two }.Select(async log =>
        {
            var entries = LogFixture.Entries(i * 7, 7);
            while (true)
            {
                try
                {
                    return (i, (await log.AppendAsync(entries, None)).Select(result => result.Index).ToArray());
                }
                catch (LedgerStepException)
                {
                    // The other one won too often, or swept a file from under this one; the same ids again.
                }
            }
        })));
        foreach (var same in indexes.GroupBy(pair => pair.i)) Assert.Single(same.Select(pair => string.Join(",", pair.Item2)).Distinct());
        Assert.Equal(840, indexes.SelectMany(pair => pair.Item2).Distinct().Count());
        foreach (var size in published.GroupBy(checkpoint => checkpoint.Size))
            Assert.Single(size.Select(checkpoint => Convert.ToHexString(checkpoint.Root.Span)).Distinct());

        await using var after = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
        Assert.Equal(840, after.Head.Size);
        Assert.True((await LogAuditor.AuditAsync(fixture.Store, fixture.Signer.Verifier, cancel: None)).Ok);
    }

    /// <summary>While one sequencer opens the log, or takes a step, another goes on between any two of its I/O actions.</summary>
    [Theory]
    [InlineData(0, new[] { 5 })]
    [InlineData(10, new[] { 5 })]
    [InlineData(250, new[] { 300, 1, 260 })]
    public async Task Another_sequencer_goes_on_between_any_two_actions(int before, int[] meanwhile)
    {
        var happened = true;
        var at = 0;
        for (; happened; at++)
        {
            using var fixture = new LogFixture();
            using var state = fixture.State();
            TileLog? other = null;
            if (before > 0)
            {
                other = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
                await other.AppendAsync(LogFixture.Entries(0, before), None);
            }
            var between = new Meanwhile(at, async () =>
            {
                other ??= await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
                var from = before;
                foreach (var count in meanwhile)
                {
                    await other.AppendAsync(LogFixture.Entries(from, count), None);
                    from += count;
                }
            });
            await using var one = await TileLog.OpenAsync(fixture.Signer, between.Over(state), between.Over(fixture.Store), cancel: None);
            for (var attempt = 0; ; attempt++)
            {
                try
                {
                    await one.AppendAsync(LogFixture.Entries(5_000, 3), None);
                    break;
                }
                catch (LedgerStepException) when (attempt < 3)
                {
                    // The other swept a temporary file, or had gone on; the same ids again.
                }
            }
            happened = between.Happened;
            if (other is not null) await other.DisposeAsync();
            await using var after = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            Assert.Equal(before + 3 + (happened ? meanwhile.Sum() : 0), after.Head.Size);
            var audit = await LogAuditor.AuditAsync(fixture.Store, fixture.Signer.Verifier, cancel: None);
            Assert.True(audit.Ok, audit.Break?.ToString());
        }
        Assert.True(at > 5, $"only {at} actions were seen");
    }

    /// <summary>Appends the script, retrying under the same ids whatever fails; true when the planned fault was reached.</summary>
    private static async Task<bool> RunAsync(int[] script, FaultPlan plan, bool crash)
    {
        using var fixture = new LogFixture();
        var acknowledged = new Dictionary<long, byte[]>();
        var published = new Dictionary<long, byte[]>();
        var notes = new List<byte[]>();
        FileTreeState? state = null;
        TileLog? log = null;
        try
        {
            var first = 0;
            foreach (var count in script)
            {
                var entries = LogFixture.Entries(first, count);
                first += count;
                for (var attempt = 0; ; attempt++)
                {
                    Assert.True(attempt < 20, "does not recover");
                    try
                    {
                        state ??= fixture.State();
                        var current = state;
                        log ??= await TileLog.OpenAsync(fixture.Signer, new FaultyState(state, plan), new FaultyStore(fixture.Store, plan, Publishing), cancel: None);
                        var results = await log.AppendAsync(entries, None);
                        for (var i = 0; i < count; i++) Assert.True(acknowledged.TryAdd(results[i].Index, entries[i].Entry.ToArray()));
                        notes.Add(log.CurrentCheckpoint.ToArray());
                        break;

                        // The order that makes a fork impossible: what is about to be published has been committed before.
                        void Publishing(Checkpoint checkpoint)
                        {
                            var head = current.LoadAsync(None).AsTask().GetAwaiter().GetResult()?.After ?? TreeHead.Empty;
                            Assert.Equal(head, new TreeHead(checkpoint.Size, checkpoint.Root));
                            Assert.True(published.TryAdd(checkpoint.Size, checkpoint.Root.ToArray()) || published[checkpoint.Size].SequenceEqual(checkpoint.Root.ToArray()));
                        }
                    }
                    catch (Exception failure) when (failure is LedgerStepException or IOException)
                    {
                        if (!crash) continue;
                        if (log is not null) await log.DisposeAsync();
                        state?.Dispose();
                        (log, state) = (null, null);
                    }
                }
            }
            Assert.Equal(first, log!.Head.Size);
            Assert.Equal(first, acknowledged.Count);
            var stored = await new TileReader(fixture.Store, first).EntriesAsync(0, None);
            foreach (var (index, bytes) in acknowledged.Where(pair => pair.Key < stored.Count)) Assert.Equal(bytes, stored[(int)index].ToArray());
            foreach (var note in notes)
            {
                var report = await LogAuditor.AuditAsync(fixture.Store, fixture.Signer.Verifier, note, None);
                Assert.Null(report.Break);
            }
            Assert.Equal(MerkleRoot.Compute(MerkleTree.LeafHashes([.. acknowledged.OrderBy(pair => pair.Key).Select(pair => (ReadOnlyMemory<byte>)pair.Value)])), log.Head.Root.ToArray());
            return plan.Fired;
        }
        finally
        {
            if (log is not null) await log.DisposeAsync();
            state?.Dispose();
        }
    }
}
