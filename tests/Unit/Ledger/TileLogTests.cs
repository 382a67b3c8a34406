using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Unit.Ledger;

public sealed class TileLogTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task A_log_grows_and_reopens_and_an_auditor_agrees()
    {
        using var fixture = new LogFixture();
        var appended = new List<PendingEntry>();
        byte[]? older = null;
        foreach (var count in new[] { 1, 4, 250, 1, 1, 600, 256, 3, 5000, 70_000 })
        {
            using var state = fixture.State();
            await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            var results = await log.AppendAsync(LogFixture.Entries(appended.Count, count), None);
            Assert.Equal(Enumerable.Range(appended.Count, count).Select(i => (long)i), results.Select(result => result.Index));
            appended.AddRange(LogFixture.Entries(appended.Count, count));
            Assert.Equal(MerkleRoot.Compute(MerkleTree.LeafHashes([.. appended.Select(e => e.Entry)])), log.Head.Root.ToArray());

            foreach (var index in new long[] { 0, appended.Count / 3, appended.Count - 1 })
            {
                Assert.Equal(appended[(int)index].Entry.ToArray(), (await log.ReadEntryAsync(index, None)).ToArray());
                var proof = await log.ProveEntryAsync(index, None);
                Assert.True(TlogProof.TryParse(proof.Encode(), out var read));
                Assert.True(read.Verify(MerkleTree.LeafHash(appended[(int)index].Entry.Span), fixture.Signer.Verifier, out var checkpoint));
                Assert.Equal(appended.Count, checkpoint.Size);
            }
            if (older is not null)
            {
                Assert.True(Checkpoint.TryOpen(older, fixture.Signer.Verifier, out var then));
                var consistency = await log.ProveConsistencyAsync(then.Size, log.Head.Size, None);
                Assert.True(MerkleTree.VerifyConsistency(then.Size, log.Head.Size, then.Root.Span, log.Head.Root.Span, consistency));
            }
            var report = await LogAuditor.AuditAsync(new DirectoryTileSource(fixture.LogDirectory), fixture.Signer.Verifier, older, None);
            Assert.Null(report.Break);
            Assert.Equal(appended.Count, report.EntriesHashed);
            Assert.Equal(File.ReadAllBytes(fixture.FileOf("checkpoint")), log.CurrentCheckpoint.ToArray());
            older = log.CurrentCheckpoint.ToArray();
        }
        Assert.False(Directory.Exists(fixture.FileOf("tile/0/000.p")));
        Assert.False(Directory.Exists(fixture.FileOf("tile/entries/000.p")));
    }

    [Fact]
    public async Task The_same_id_is_never_doubled_within_a_call_or_across_a_reopening()
    {
        using var fixture = new LogFixture();
        for (var round = 0; round < 3; round++)
        {
            using var state = fixture.State();
            await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            var results = await log.AppendAsync([LogFixture.Entry(1), LogFixture.Entry(2), LogFixture.Entry(1)], None);
            Assert.Equal([0L, 1L, 0L], results.Select(result => result.Index));
            Assert.Equal(round > 0, results.All(result => result.AlreadyThere));
            Assert.Equal(2, log.Head.Size);
        }
    }

    [Fact]
    public async Task Many_callers_at_once_each_get_their_own_index()
    {
        using var fixture = new LogFixture();
        using var state = fixture.State();
        await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, new TileLogOptions { StepEntriesMax = 64 }, None);
        var tasks = Enumerable.Range(0, 500).Select(i => log.AppendAsync([LogFixture.Entry(i)], None)).ToArray();
        var indexes = (await Task.WhenAll(tasks)).Select(results => results[0].Index).ToArray();
        Assert.Equal(500, indexes.Distinct().Count());
        for (var i = 0; i < 500; i += 37)
            Assert.Equal(LogFixture.Entry(i).Entry.ToArray(), (await log.ReadEntryAsync(indexes[i], None)).ToArray());
    }

    [Fact]
    public async Task A_second_process_is_kept_out_of_the_state()
    {
        using var fixture = new LogFixture();
        using var state = fixture.State();
        Assert.Throws<IOException>(() => fixture.State());
        await Task.CompletedTask;
    }

    [Theory]
    [InlineData("checkpoint")]
    [InlineData("tile/0/002.p/88")]
    [InlineData("tile/1/000.p/2")]
    [InlineData("tile/entries/002.p/88")]
    public async Task A_changed_or_missing_file_at_the_edge_is_named_and_nothing_is_signed_over_it(string path)
    {
        foreach (var remove in new[] { false, true })
        {
            using var fixture = new LogFixture();
            using (var state = fixture.State())
            {
                await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
                await log.AppendAsync(LogFixture.Entries(0, 600), None);
            }
            var file = fixture.FileOf(path);
            var bytes = File.ReadAllBytes(file);
            bytes[bytes.Length / 2] ^= 0x40;
            if (remove) File.Delete(file);
            else File.WriteAllBytes(file, bytes);
            var checkpoint = remove && path == "checkpoint" ? null : File.ReadAllBytes(fixture.FileOf("checkpoint"));
            using (var state = fixture.State())
            {
                var broken = await Assert.ThrowsAsync<LedgerCorruptException>(() => TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None));
                Assert.Equal(path, broken.File);
            }
            if (checkpoint is not null) Assert.Equal(checkpoint, File.ReadAllBytes(fixture.FileOf("checkpoint")));
            var report = await LogAuditor.AuditAsync(new DirectoryTileSource(fixture.LogDirectory), fixture.Signer.Verifier, cancel: None);
            Assert.False(report.Ok);
        }
    }

    [Fact]
    public async Task A_state_restored_from_before_the_published_checkpoint_is_refused()
    {
        using var fixture = new LogFixture();
        byte[] old;
        using (var state = fixture.State())
        {
            await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            await log.AppendAsync(LogFixture.Entries(0, 5), None);
            old = File.ReadAllBytes(Path.Combine(fixture.StateDirectory, "tree"));
            await log.AppendAsync(LogFixture.Entries(5, 5), None);
        }
        File.WriteAllBytes(Path.Combine(fixture.StateDirectory, "tree"), old);
        using var restored = fixture.State();
        var broken = await Assert.ThrowsAsync<LedgerDivergedException>(() => TileLog.OpenAsync(fixture.Signer, restored, fixture.Store, cancel: None));
        Assert.Equal(("checkpoint", 10), (broken.File, broken.Seen));
        // It may be read.
        await using var following = await TileLog.OpenFollowingAsync(fixture.Signer, restored, fixture.Store, cancel: None);
        Assert.NotNull(following.Ahead);
        Assert.Equal(10, following.Head.Size);
        await Assert.ThrowsAsync<LedgerDivergedException>(() => following.ResumeAsync(None));
    }

    [Fact]
    public async Task Ids_written_before_a_step_that_never_was_are_not_believed()
    {
        using var fixture = new LogFixture();
        var step = Path.Combine(fixture.StateDirectory, "tree");
        byte[] before;
        using (var state = fixture.State())
        {
            await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            await log.AppendAsync(LogFixture.Entries(0, 4_090), None);
            before = File.ReadAllBytes(step);
        }
        using var copy = new LogFixture();
        CopyAll(fixture.LogDirectory, copy.LogDirectory);
        using (var state = fixture.State())
        {
            await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            await log.AppendAsync(LogFixture.Entries(4_090, 20), None);
        }
        // A crash between the block of ids and the step that fills it: the ids of entries that are not in the log.
        CopyAll(fixture.StateDirectory, copy.StateDirectory);
        File.WriteAllBytes(Path.Combine(copy.StateDirectory, "tree"), before);
        Assert.Single(Directory.GetFiles(Path.Combine(copy.StateDirectory, "ids")));
        using (var reopened = copy.State())
        {
            await using var again = await TileLog.OpenAsync(copy.Signer, reopened, copy.Store, cancel: None);
            Assert.Equal([new AppendResult(4_090, false), new AppendResult(1, true)], await again.AppendAsync([LogFixture.Entry(9_000), LogFixture.Entry(1)], None));
            await again.AppendAsync(LogFixture.Entries(5_000, 5), None);
        }
        using var last = copy.State();
        await using var found = await TileLog.OpenAsync(copy.Signer, last, copy.Store, cancel: None);
        Assert.Equal([new AppendResult(4_095, true), new AppendResult(4_096, false), new AppendResult(0, true)],
            await found.AppendAsync([LogFixture.Entry(5_004), LogFixture.Entry(4_095), LogFixture.Entry(0)], None));
    }

    [Fact]
    public async Task The_window_of_ids_is_found_again_over_many_blocks()
    {
        using var fixture = new LogFixture();
        const int Count = 70_000;
        using (var state = fixture.State())
        {
            await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            for (var from = 0; from < Count; from += 7_000) await log.AppendAsync(LogFixture.Entries(from, 7_000), None);
        }
        using var reopened = fixture.State();
        int[] wanted = [Count - TileLogOptions.IdWindow, 20_000, 49_151, 49_152, 65_536, Count - 1];
        var there = await reopened.FindAsync([.. wanted.Select(i => LogFixture.Entry(i).Id), LogFixture.Entry(Count).Id], None);
        Assert.Equal(wanted.Select(i => (long)i), wanted.Select(i => there[LogFixture.Entry(i).Id]));
        Assert.Equal(wanted.Length, there.Count);
    }

    [Theory]
    [InlineData("tree", 0)]
    [InlineData("tree", -1)]
    [InlineData("ids/0000000000", 0)]
    [InlineData("ids/0000000000", -1)]
    [InlineData("ids/0000000001", 0)]
    [InlineData("ids/0000000001", int.MinValue)]
    public async Task A_damaged_state_file_is_named(string name, int change)
    {
        using var fixture = new LogFixture();
        using (var state = fixture.State())
        {
            await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            await log.AppendAsync(LogFixture.Entries(0, 5_000), None);
            await log.AppendAsync(LogFixture.Entries(5_000, 4_000), None);
        }
        var file = Path.Combine(fixture.StateDirectory, name);
        var bytes = File.ReadAllBytes(file);
        // A changed bit keeps the length.
        if (change == 0) bytes[bytes.Length / 2] ^= 1;
        if (change == int.MinValue) File.Delete(file);
        else File.WriteAllBytes(file, bytes[..^-Math.Min(0, change)]);
        using var damaged = fixture.State();
        var broken = await Assert.ThrowsAsync<LedgerCorruptException>(() => TileLog.OpenAsync(fixture.Signer, damaged, fixture.Store, cancel: None));
        Assert.Equal("state/" + name, broken.File);
    }

    internal static void CopyAll(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var directory in Directory.GetDirectories(from, "*", SearchOption.AllDirectories)) Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, directory)));
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories)) File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)), overwrite: true);
    }

    [Fact]
    public async Task An_oversized_entry_is_refused_and_the_largest_is_taken()
    {
        using var fixture = new LogFixture();
        using var state = fixture.State();
        await using var log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
        await Assert.ThrowsAsync<ArgumentException>(() => log.AppendAsync([LogFixture.Entry(1, 65_536)], None));
        Assert.Equal(0, (await log.AppendAsync([LogFixture.Entry(1, 65_535)], None))[0].Index);
        Assert.Equal(65_535, (await log.ReadEntryAsync(0, None)).Length);
    }
}
