using Gongzhi.Ledger;

namespace Gongzhi.Tests.Unit.Ledger;

/// <summary>A log that one process appends to and others follow.</summary>
public sealed class TileLogFollowTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_follower_takes_up_what_was_published_and_proves_it()
    {
        using var fixture = new LogFixture();
        using var state = fixture.State();
        await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
        await using var follower = await TileLog.OpenFollowingAsync(fixture.Signer, state, fixture.Store, cancel: None);
        var number = 0;
        foreach (var count in (int[])[1, 5, 300, 1, 255, 600])
        {
            await log.AppendAsync(LogFixture.Entries(number, count), None);
            var before = follower.Head;
            await follower.FollowAsync(None);
            Assert.Equal(log.Head, follower.Head);
            Assert.Equal(log.CurrentCheckpoint.ToArray(), follower.CurrentCheckpoint.ToArray());
            var proof = await follower.ProveConsistencyAsync(before.Size, follower.Head.Size, None);
            Assert.True(MerkleTree.VerifyConsistency(before.Size, follower.Head.Size, before.Root.Span, follower.Head.Root.Span, proof));
            foreach (var index in (long[])[number, number + count - 1])
            {
                var entry = await follower.ReadEntryAsync(index, None);
                Assert.Equal(LogFixture.Entry((int)index, 10 + ((int)index % 50)).Entry.ToArray(), entry.ToArray());
                Assert.True((await follower.ProveEntryAsync(index, None)).Verify(MerkleTree.LeafHash(entry.Span), fixture.Signer.Verifier, out _));
            }
            number += count;
        }
    }

    [Fact]
    public async Task Opening_to_follow_leaves_an_interrupted_step_to_whoever_appends()
    {
        using var fixture = new LogFixture();
        using var state = fixture.State();
        await using (var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None))
            await log.AppendAsync(LogFixture.Entries(0, 10), None);
        // The process ends between its compare-and-set and its publication.
        await using (var log = await TileLog.OpenAsync(fixture.Signer, state, new FaultyStore(fixture.Store, new FaultPlan { FailAt = 4, FailCount = 1_000 }), cancel: None))
            await Assert.ThrowsAsync<LedgerStepException>(() => log.AppendAsync(LogFixture.Entries(10, 3), None));
        Assert.Equal(13, (await state.LoadAsync(None))!.After.Size);

        await using var follower = await TileLog.OpenFollowingAsync(fixture.Signer, state, fixture.Store, cancel: None);
        Assert.Equal(10, follower.Head.Size);
        await follower.FollowAsync(None);
        Assert.Equal(10, follower.Head.Size);
        Assert.Equal(10, (await LogAuditor.AuditAsync(fixture.Store, fixture.Signer.Verifier, cancel: None)).Size);

        await follower.ResumeAsync(None);
        Assert.Equal(13, follower.Head.Size);
        var audit = await LogAuditor.AuditAsync(fixture.Store, fixture.Signer.Verifier, cancel: None);
        Assert.True(audit is { Ok: true, Size: 13 }, audit.Break?.ToString());
    }

    [Fact]
    public async Task A_follower_that_becomes_the_one_who_appends_goes_on_where_the_other_stopped()
    {
        using var fixture = new LogFixture();
        using var state = fixture.State();
        await using var one = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
        await using var two = await TileLog.OpenFollowingAsync(fixture.Signer, state, fixture.Store, cancel: None);
        for (var i = 0; i < 6; i++)
        {
            var results = await (i % 2 == 0 ? one : two).AppendAsync(LogFixture.Entries(i * 100, 100), None);
            Assert.Equal(i * 100, results[0].Index);
        }
        await one.FollowAsync(None);
        Assert.Equal(600, one.Head.Size);
        Assert.True((await LogAuditor.AuditAsync(fixture.Store, fixture.Signer.Verifier, cancel: None)).Ok);
    }

    /// <summary>State and tiles are put back to what they were, under processes that have seen more: a backup, a replica that missed the last commits.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public async Task An_older_state_under_a_running_process_is_refused_and_nothing_is_signed(int appendedElsewhere)
    {
        using var fixture = new LogFixture();
        using var replica = new LogFixture();
        using var state = fixture.State();
        using var older = replica.State();
        var (switching, switchingState) = (new Switch(fixture.Store), new SwitchState(state));
        await using var log = await TileLog.OpenAsync(fixture.Signer, switchingState, switching, cancel: None);
        await log.AppendAsync(LogFixture.Entries(0, 20), None);
        await using (var other = await TileLog.OpenAsync(fixture.Signer, older, replica.Store, cancel: None))
            await other.AppendAsync(LogFixture.Entries(0, 20), None);
        await log.AppendAsync(LogFixture.Entries(20, 2), None);
        await using var follower = await TileLog.OpenFollowingAsync(fixture.Signer, switchingState, switching, cancel: None);
        if (appendedElsewhere > 0)
        {
            // Another machine has gone on from there already, on another line.
            await using var other = await TileLog.OpenAsync(fixture.Signer, older, replica.Store, cancel: None);
            await other.AppendAsync(LogFixture.Entries(500, appendedElsewhere), None);
        }
        (switching.Inner, switchingState.Inner) = (replica.Store, older);
        var note = await replica.Store.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, None);

        await Assert.ThrowsAsync<LedgerDivergedException>(() => follower.FollowAsync(None));
        // The first failure of the step is the lost compare-and-set; reopening then finds what happened.
        await Assert.ThrowsAsync<LedgerDivergedException>(() => log.AppendAsync(LogFixture.Entries(22, 1), None));
        await Assert.ThrowsAsync<LedgerDivergedException>(() => log.ResumeAsync(None));
        Assert.NotNull(log.Corrupt);
        Assert.Equal(22, log.Head.Size);
        Assert.Equal(note, await replica.Store.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, None));
        Assert.Equal(20 + appendedElsewhere, (await older.LoadAsync(None))!.After.Size);
    }

    private sealed class Switch(ITileStore inner) : ITileStore
    {
        public ITileStore Inner { get; set; } = inner;

        public ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default) => Inner.ReadAsync(path, bytesMax, cancel);

        public ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default) => Inner.WriteAsync(files, cancel);

        public ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default) => Inner.DeletePartialsAsync(fullTilePath, cancel);
    }

    private sealed class SwitchState(ITreeState inner) : ITreeState
    {
        public ITreeState Inner { get; set; } = inner;

        public ValueTask<TreeStep?> LoadAsync(CancellationToken cancel = default) => Inner.LoadAsync(cancel);

        public ValueTask<bool> TryAdvanceAsync(TreeStep step, CancellationToken cancel = default) => Inner.TryAdvanceAsync(step, cancel);

        public ValueTask<IReadOnlyDictionary<Guid, long>> FindAsync(IReadOnlyCollection<Guid> ids, CancellationToken cancel = default) => Inner.FindAsync(ids, cancel);
    }
}
