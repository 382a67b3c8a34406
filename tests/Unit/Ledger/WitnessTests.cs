using System.Collections.Concurrent;
using System.Text;
using Gongzhi.Ledger;

namespace Gongzhi.Tests.Unit.Ledger;

public sealed class WitnessTests : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-witness-");
    private readonly NoteSigner _signer = NoteSigner.Generate("log.example/one");
    private readonly NoteSigner _witness = NoteSigner.Generate("witness.example/w", NoteKeyType.CosignatureV1);

    public void Dispose()
    {
        _signer.Dispose();
        _witness.Dispose();
        _root.Delete(recursive: true);
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private async Task<TileLog> OpenAsync(string name = "log", NoteSigner? signer = null) =>
        await TileLog.OpenAsync(signer ?? _signer, new FileTreeState(Path.Combine(_root.FullName, name + "-state")), new FileTileStore(Path.Combine(_root.FullName, name)), cancel: Stop);

    private Witness Make(IWitnessState state) => new(_witness, [_signer.Verifier], state, TimeProvider.System);

    private static List<PendingEntry> Entries(int from, int count) =>
        [.. Enumerable.Range(from, count).Select(i => new PendingEntry(new Guid(i + 1, 0, 0, new byte[8]), Encoding.UTF8.GetBytes($"entry {i}")))];

    private static async Task<byte[]> RequestAsync(TileLog log, long old, long proofFrom) =>
        new WitnessRequest(old, await log.ProveConsistencyAsync(proofFrom, log.Head.Size, Stop), log.CurrentCheckpoint).Encode();

    [Fact]
    public async Task A_growing_log_is_cosigned_and_each_cosignature_verifies()
    {
        var (witness, state) = (Make(new Memory()), 0L);
        await using var log = await OpenAsync();
        foreach (var count in new[] { 1, 2, 300, 700 })
        {
            await log.AppendAsync(Entries((int)log.Head.Size, count), Stop);
            var answer = await witness.AddCheckpointAsync(await RequestAsync(log, state, state), Stop);
            Assert.Equal(WitnessOutcome.Cosigned, answer.Outcome);
            Assert.True(SignedNote.TryParse(Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(log.CurrentCheckpoint.Span) + answer.Body), out var note));
            Assert.True(note.IsSignedBy(_witness.Verifier));
            state = log.Head.Size;
        }
        // The same once more.
        Assert.Equal(WitnessOutcome.Cosigned, (await witness.AddCheckpointAsync(await RequestAsync(log, state, state), Stop)).Outcome);
    }

    [Fact]
    public async Task What_does_not_continue_the_newest_is_not_cosigned()
    {
        var witness = Make(new Memory());
        await using var log = await OpenAsync();
        await log.AppendAsync(Entries(0, 50), Stop);
        Assert.Equal(WitnessOutcome.Cosigned, (await witness.AddCheckpointAsync(await RequestAsync(log, 0, 0), Stop)).Outcome);

        // A guess that is wrong is told the size.
        Assert.Equal(new WitnessAnswer(WitnessOutcome.Conflict, "50\n"), await witness.AddCheckpointAsync(await RequestAsync(log, 0, 0), Stop));
        // An older state of the same log, and another history of the same length, and of a greater.
        await using var fork = await OpenAsync("fork");
        await fork.AppendAsync(Entries(0, 40), Stop);
        Assert.Equal(new WitnessAnswer(WitnessOutcome.Conflict, "50\n"), await witness.AddCheckpointAsync(await RequestAsync(fork, 40, 40), Stop));
        await fork.AppendAsync(Entries(900, 10), Stop);
        Assert.Equal(new WitnessAnswer(WitnessOutcome.Conflict, "50\n"), await witness.AddCheckpointAsync(await RequestAsync(fork, 50, 50), Stop));
        await fork.AppendAsync(Entries(950, 10), Stop);
        Assert.Equal(WitnessOutcome.NotContinued, (await witness.AddCheckpointAsync(await RequestAsync(fork, 50, 50), Stop)).Outcome);
        // Under another key, and of another log.
        using var thief = NoteSigner.Generate("log.example/one");
        await using var stolen = await OpenAsync("stolen", thief);
        await stolen.AppendAsync(Entries(0, 60), Stop);
        Assert.Equal(WitnessOutcome.NotSigned, (await witness.AddCheckpointAsync(await RequestAsync(stolen, 50, 50), Stop)).Outcome);
        using var stranger = NoteSigner.Generate("log.example/two");
        await using var other = await OpenAsync("other", stranger);
        await other.AppendAsync(Entries(0, 60), Stop);
        Assert.Equal(WitnessOutcome.UnknownLog, (await witness.AddCheckpointAsync(await RequestAsync(other, 0, 0), Stop)).Outcome);
        // The log itself goes on.
        await log.AppendAsync(Entries(50, 5), Stop);
        Assert.Equal(WitnessOutcome.Cosigned, (await witness.AddCheckpointAsync(await RequestAsync(log, 50, 50), Stop)).Outcome);
    }

    [Theory]
    [InlineData("")]
    [InlineData("old\n\n")]
    [InlineData("old 01\n\n")]
    [InlineData("old -1\n\n")]
    [InlineData("old 0\nAAAA\n\n")]
    [InlineData("old 0 \n\n")]
    [InlineData("old 0\n")]
    public async Task Malformed_bodies_are_refused(string head)
    {
        await using var log = await OpenAsync();
        await log.AppendAsync(Entries(0, 3), Stop);
        byte[] body = [.. Encoding.UTF8.GetBytes(head), .. log.CurrentCheckpoint.Span];
        Assert.Equal(WitnessOutcome.Malformed, (await Make(new Memory()).AddCheckpointAsync(body, Stop)).Outcome);
    }

    [Fact]
    public async Task Limits_hold()
    {
        await using var log = await OpenAsync();
        await log.AppendAsync(Entries(0, 3), Stop);
        var hash = new byte[32];
        Assert.True(WitnessRequest.TryParse(new WitnessRequest(1, [.. Enumerable.Repeat(hash, 63)], log.CurrentCheckpoint).Encode(), out _));
        Assert.False(WitnessRequest.TryParse(new WitnessRequest(1, [.. Enumerable.Repeat(hash, 64)], log.CurrentCheckpoint).Encode(), out _));
        Assert.False(WitnessRequest.TryParse(new byte[WitnessRequest.BytesMax + 1], out _));
        // An old size above the checkpoint's, and a proof from nothing.
        Assert.Equal(WitnessOutcome.Malformed, (await Make(new Memory()).AddCheckpointAsync(new WitnessRequest(4, [], log.CurrentCheckpoint).Encode(), Stop)).Outcome);
        Assert.Equal(WitnessOutcome.Malformed, (await Make(new Memory()).AddCheckpointAsync(new WitnessRequest(0, [hash], log.CurrentCheckpoint).Encode(), Stop)).Outcome);
    }

    [Fact]
    public async Task Of_two_that_come_at_once_the_newest_never_goes_back()
    {
        var memory = new Memory();
        var witness = Make(memory);
        await using var log = await OpenAsync();
        await log.AppendAsync(Entries(0, 10), Stop);
        var first = await RequestAsync(log, 0, 0);
        await log.AppendAsync(Entries(10, 10), Stop);
        var second = await RequestAsync(log, 0, 0);
        // The second is kept between the first's look and its own keeping.
        memory.BeforeReplacing = async () =>
        {
            memory.BeforeReplacing = null;
            Assert.Equal(WitnessOutcome.Cosigned, (await witness.AddCheckpointAsync(second, Stop)).Outcome);
        };
        Assert.Equal(new WitnessAnswer(WitnessOutcome.Conflict, "20\n"), await witness.AddCheckpointAsync(first, Stop));
    }

    [Fact]
    public void A_succession_is_signed_by_both_and_says_what_it_says()
    {
        using var next = NoteSigner.Generate("log.example/one/2");
        var made = new Succession(_signer.Verifier, 17, new byte[32], next.Verifier, new DateTimeOffset(2026, 3, 4, 5, 6, 7, TimeSpan.Zero), "从备份恢复");
        var note = made.Sign(_signer, next);
        Assert.True(Succession.TryOpen(note, out var read));
        Assert.Equal((17, "从备份恢复", made.Time, next.Verifier.ToString(), _signer.Verifier.ToString()), (read.Size, read.Reason, read.Time, read.New.ToString(), read.Old.ToString()));
        var text = Encoding.UTF8.GetString(note);
        Assert.False(Succession.TryOpen(Encoding.UTF8.GetBytes(text.Replace("size 17", "size 18", StringComparison.Ordinal)), out _));
        // One signature is not enough, whichever it is.
        var lines = text.TrimEnd('\n').Split('\n');
        Assert.False(Succession.TryOpen(Encoding.UTF8.GetBytes(string.Join('\n', lines[..^1]) + "\n"), out _));
        Assert.False(Succession.TryOpen(Encoding.UTF8.GetBytes(string.Join('\n', [.. lines[..^2], lines[^1]]) + "\n"), out _));
        Assert.Throws<ArgumentException>(() => (made with { Reason = "two\nlines" }).Sign(_signer, next));
    }

    /// <summary>A state that says when it is about to change.</summary>
    private sealed class Memory : IWitnessState
    {
        private readonly ConcurrentDictionary<string, (long Size, ReadOnlyMemory<byte> Note)> _newest = new();

        public Func<Task>? BeforeReplacing { get; set; }

        public ValueTask<ReadOnlyMemory<byte>?> FindAsync(string origin, CancellationToken cancel = default) =>
            ValueTask.FromResult(_newest.TryGetValue(origin, out var kept) ? (ReadOnlyMemory<byte>?)kept.Note : null);

        public async ValueTask<bool> TryReplaceAsync(string origin, long sizeBefore, long size, ReadOnlyMemory<byte> note, CancellationToken cancel = default)
        {
            if (BeforeReplacing is { } before)
                await before();
            return sizeBefore == 0 ? _newest.TryAdd(origin, (size, note)) : _newest.TryGetValue(origin, out var kept) && kept.Size == sizeBefore && _newest.TryUpdate(origin, (size, note), kept);
        }
    }
}
