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
        var memory = new Memory();
        var (witness, state) = (Make(memory), 0L);
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
        // The same once more, by whoever: the same answer, and nothing is kept anew.
        var (once, kept) = (await witness.AddCheckpointAsync(await RequestAsync(log, state, state), Stop), memory.Replaced);
        Assert.Equal(once, await witness.AddCheckpointAsync(await RequestAsync(log, state, state), Stop));
        Assert.Equal((WitnessOutcome.Cosigned, kept), (once.Outcome, memory.Replaced));
        // With the log's own line as often as a note may have lines.
        await log.AppendAsync(Entries((int)log.Head.Size, 1), Stop);
        Assert.True(SignedNote.TryParse(log.CurrentCheckpoint.Span, out var own));
        var repeated = SignedNote.Create(own.Text.Span, [.. Enumerable.Repeat(own.Signatures[0], 64)]).Encode();
        Assert.Equal(WitnessOutcome.Cosigned, (await witness.AddCheckpointAsync(new WitnessRequest(state, await log.ProveConsistencyAsync(state, log.Head.Size, Stop), repeated).Encode(), Stop)).Outcome);
        Assert.True(SignedNote.TryParse((await memory.FindAsync(_signer.Verifier.Name, Stop))!.Value.Span, out var cosigned));
        Assert.Equal(2, cosigned.Signatures.Count);
    }

    [Fact]
    public async Task An_answer_says_what_the_witness_knew_before_and_is_the_whole_of_what_it_says()
    {
        await using var log = await OpenAsync();
        await log.AppendAsync(Entries(0, 20), Stop);
        var witness = Make(new Memory());
        using var honest = new HttpClient(new Answering(async body => (await witness.AddCheckpointAsync(body, Stop)) is var answer && answer.Outcome == WitnessOutcome.Conflict
            ? (System.Net.HttpStatusCode.Conflict, WitnessRequest.SizeMediaType, answer.Body) : (System.Net.HttpStatusCode.OK, "text/plain", answer.Body)));
        WitnessClient Client(HttpClient http) => new(http, new Uri("http://witness.example/"), _witness.Verifier);
        Assert.Equal(0, (await Client(honest).SubmitAsync(log, cancel: Stop)).Before);
        await log.AppendAsync(Entries(20, 20), Stop);
        // Another client, which has to be told what the witness knows.
        Assert.Equal((40L, 20L), await Client(honest).SubmitAsync(log, cancel: Stop) is { Cosignature: not null } word ? (word.Size, word.Before) : default);

        // A true cosignature of our checkpoint, with lines before it that are no signatures.
        Assert.True(SignedNote.TryParse(log.CurrentCheckpoint.Span, out var own));
        var line = _witness.Cosign(own.Text.Span, TimeProvider.System.GetUtcNow());
        using var sly = new HttpClient(new Answering(_ => Task.FromResult((System.Net.HttpStatusCode.OK, "text/plain", (string?)("\nmore\n\n" + line + "\n")))));
        await Assert.ThrowsAsync<HttpRequestException>(() => Client(sly).SubmitAsync(log, cancel: Stop));
        // One that begins to answer and does not go on.
        using var slow = new HttpClient(new Answering(_ => Task.FromResult((System.Net.HttpStatusCode.OK, "text/plain", (string?)null)))) { Timeout = TimeSpan.FromMilliseconds(200) };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Client(slow).SubmitAsync(log, cancel: Stop));
    }

    /// <summary>What a server of the protocol would answer, without a network; with no body, one that never comes.</summary>
    private sealed class Answering(Func<byte[], Task<(System.Net.HttpStatusCode Status, string Type, string? Body)>> answer) : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var (status, type, body) = await answer(await request.Content!.ReadAsByteArrayAsync(cancellationToken));
            var content = body is null ? new StreamContent(new System.IO.Pipelines.Pipe().Reader.AsStream()) : (HttpContent)new ByteArrayContent(Encoding.UTF8.GetBytes(body));
            content.Headers.ContentType = new(type);
            return new HttpResponseMessage(status) { Content = content };
        }
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

        public int Replaced { get; private set; }

        public ValueTask<ReadOnlyMemory<byte>?> FindAsync(string origin, CancellationToken cancel = default) =>
            ValueTask.FromResult(_newest.TryGetValue(origin, out var kept) ? (ReadOnlyMemory<byte>?)kept.Note : null);

        public async ValueTask<bool> TryReplaceAsync(string origin, long sizeBefore, long size, ReadOnlyMemory<byte> note, CancellationToken cancel = default)
        {
            if (BeforeReplacing is { } before)
                await before();
            Replaced++;
            return sizeBefore == 0 ? _newest.TryAdd(origin, (size, note)) : _newest.TryGetValue(origin, out var kept) && kept.Size == sizeBefore && _newest.TryUpdate(origin, (size, note), kept);
        }
    }
}
