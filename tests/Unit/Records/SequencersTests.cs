using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;
using Gongzhi.Tests.Shared;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>Several sequencers over one PostgreSQL database: one that appends and others that follow, and two that append at once, which they should not.</summary>
public sealed class SequencersTests : IAsyncLifetime
{
    private CoreFixture _core = null!;
    private readonly List<Sequencer> _others = [];
    private readonly List<Freezing> _frozen = [];

    private readonly List<string> _directories = [];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipUnless(PostgresServer.Missing is null, PostgresServer.Missing ?? "");
        _core = await CoreFixture.OpenAsync(postgres: true);
    }

    public async ValueTask DisposeAsync()
    {
        // A failed test must not wait for what it froze.
        _frozen.ForEach(f => f.Go.TrySetResult());
        foreach (var other in _others)
            await other.DisposeAsync();
        if (_core is not null)
            await _core.DisposeAsync();
        _directories.ForEach(d => Directory.Delete(d, recursive: true));
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task Another_machine_serves_the_log_and_answers_who_waits_there()
    {
        var follower = await AnotherAsync();
        var dataset = await _core.DefineAsync("d", "{\"owner\":\"office\",\"schema\":{\"fields\":[{\"name\":\"n\",\"type\":\"integer\"}]}}");
        var batches = await Task.WhenAll(Enumerable.Range(0, 300).Select(i => _core.ContributeAsync(dataset, $"n\n{i}\n")));
        var waiting = batches.Select(b => follower.WaitAsync(b.Value!.Batch.Entry, Cancel)).ToList();
        foreach (var batch in batches)
            await _core.Sequencer.WaitAsync(batch.Value!.Batch.Entry, Cancel);
        await FollowAsync(follower);
        Assert.Equal(_core.Sequencer.Log.CurrentCheckpoint.ToArray(), follower.Log.CurrentCheckpoint.ToArray());
        var indexes = await Task.WhenAll(waiting);
        Assert.Equal(300, indexes.Distinct().Count());
        foreach (var (batch, index) in batches.Zip(indexes))
            Assert.Equal(await _core.Sequencer.WaitAsync(batch.Value!.Batch.Entry, Cancel), index);
        Assert.True((await follower.Log.ProveEntryAsync(indexes[17], Cancel)).Verify(MerkleTree.LeafHash((await follower.Log.ReadEntryAsync(indexes[17], Cancel)).Span), follower.Log.Verifier, out _));
        // Nothing of the log is a file.
        Assert.False(Directory.Exists(_core.World.LedgerDirectory));
        await CheckAsync(301);
    }

    [Fact]
    public async Task Many_may_wait_for_one_entry_that_is_there_already()
    {
        var dataset = await _core.DefineAsync("d", "{\"owner\":\"office\",\"schema\":{\"fields\":[{\"name\":\"n\",\"type\":\"integer\"}]}}");
        var entry = (await _core.ContributeAsync(dataset, "n\n1\n")).Value!.Batch.Entry;
        var index = await _core.Sequencer.WaitAsync(entry, Cancel);
        // The first begins to look, and the others are looked for together.
        Assert.All(await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => _core.Sequencer.WaitAsync(entry, Cancel))), i => Assert.Equal(index, i));
        Assert.False(_core.Sequencer.IsAwaited);
    }

    [Fact]
    public async Task Two_that_append_at_once_under_load_make_one_log()
    {
        var other = await AnotherAsync();
        other.Start();
        var dataset = await _core.DefineAsync("d", "{\"owner\":\"office\",\"schema\":{\"fields\":[{\"name\":\"n\",\"type\":\"integer\"}]}}");
        // Each learns of what the other has published as machines do: by looking.
        using var done = new StopAtEnd();
        var looking = Task.WhenAll(((Sequencer[])[_core.Sequencer, other]).Select(async sequencer =>
        {
            while (!done.IsCancellationRequested)
                await FollowAsync(sequencer);
        }));
        var indexes = await Task.WhenAll(Enumerable.Range(0, 8).Select(async hand =>
        {
            var mine = new List<long>();
            for (var i = 0; i < 40; i++)
            {
                var batch = (await _core.ContributeAsync(dataset, $"n\n{i}\n")).Value!.Batch;
                // Told by either, whichever of the two has appended it.
                mine.Add(await (i % 2 == 0 ? other : _core.Sequencer).WaitAsync(batch.Entry, Cancel));
            }
            return mine;
        }));
        await done.CancelAsync();
        await looking;
        Assert.Equal(320, indexes.SelectMany(i => i).Distinct().Count());
        await CheckAsync(321);
    }

    [Fact]
    public async Task One_that_is_frozen_between_commit_and_publication_does_not_put_an_older_checkpoint_back()
    {
        var dataset = await _core.DefineAsync("d", "{\"owner\":\"office\",\"schema\":{\"fields\":[{\"name\":\"n\",\"type\":\"integer\"}]}}");
        await _core.Sequencer.WaitAsync((await _core.ContributeAsync(dataset, "n\n1\n")).Value!.Batch.Entry, Cancel);
        // The only one that appends now is one that will be frozen; what the first would do, another does afterwards.
        await _core.Sequencer.DisposeAsync();
        foreach (var part in (string[])["tiles", "checkpoint"])
        {
            var frozen = new Freezing(LedgerFiles.Open(_core.World), part);
            _frozen.Add(frozen);
            var one = await AnotherAsync(frozen);
            one.Start();
            var entry = (await _core.ContributeAsync(dataset, "n\n2\n")).Value!.Batch.Entry;
            await frozen.Reached.Task.WaitAsync(Cancel);
            var committed = (await new SqlTreeState(_core.World, _core.Writer).LoadAsync(Cancel))!.After.Size;
            var two = await AnotherAsync();
            Assert.Equal(committed - 1, two.Log.Head.Size);
            two.Start();
            // The step of the frozen one is completed by the other, which then goes on.
            Assert.Equal(committed - 1, await two.WaitAsync(entry, Cancel));
            await Task.WhenAll(Enumerable.Range(0, 300).Select(i => _core.ContributeAsync(dataset, $"n\n{i}\n")));
            await two.WaitAsync((await _core.ContributeAsync(dataset, "n\n3\n")).Value!.Batch.Entry, Cancel);
            var note = two.Log.CurrentCheckpoint.ToArray();
            frozen.Go.SetResult();
            await frozen.Written.Task.WaitAsync(Cancel);
            Assert.Equal(note, await LedgerFiles.Look(_core.World).ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, Cancel));
            Assert.Equal(committed - 1, await one.WaitAsync(entry, Cancel));
            // It goes on by itself.
            await two.DisposeAsync();
            await one.WaitAsync((await _core.ContributeAsync(dataset, "n\n4\n")).Value!.Batch.Entry, Cancel);
            await one.DisposeAsync();
        }
        await CheckAsync(2 + (2 * 303));
    }

    /// <summary>The database is put back to a backup; the machine's own directory is not, and remembers.</summary>
    [Fact]
    public async Task An_older_database_under_a_machine_that_has_signed_more_is_refused()
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-restore-").FullName;
        var backup = directory + "-backup";
        try
        {
            byte[] note;
            await using (var core = await CoreFixture.OpenAsync(directory, postgres: true))
            {
                await core.DefineAsync("d", "{\"owner\":\"office\",\"schema\":{\"fields\":[{\"name\":\"n\",\"type\":\"integer\"}]}}");
                await GrowAsync(core, 3);
            }
            TestStore.Copy(directory, backup);
            await using (var core = await CoreFixture.OpenAsync(directory, postgres: true))
            {
                await GrowAsync(core, 2);
                note = core.Sequencer.Log.CurrentCheckpoint.ToArray();
            }
            // What is there continues what was kept: nothing is refused.
            await using (var core = await CoreFixture.OpenAsync(directory, postgres: true))
                Assert.Equal(note, core.Sequencer.Log.CurrentCheckpoint.ToArray());
            TestStore.Drop(directory);
            TestStore.Copy(backup, directory);
            var before = await StoredAsync(directory);
            await using (var core = await CoreFixture.OpenAsync(directory, postgres: true))
            {
                Assert.Contains("older state", core.Writer.Gate.Shut!.Reason, StringComparison.Ordinal);
                await Assert.ThrowsAsync<ReadOnlyException>(() => GrowAsync(core, 1));
                Assert.Equal(before, core.Sequencer.Log.CurrentCheckpoint.ToArray());
            }
            // Nothing was signed on it.
            Assert.Equal(before, await StoredAsync(directory));
        }
        finally
        {
            TestStore.Drop(directory);
            TestStore.Drop(backup);
            Directory.Delete(directory, recursive: true);
        }

        async Task<byte[]?> StoredAsync(string of) => await LedgerFiles.Look(_core.World with { DataDirectory = of, Database = TestStore.Postgres(of) }).ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, Cancel);

        static async Task GrowAsync(CoreFixture core, int batches)
        {
            for (var i = 0; i < batches; i++)
                await core.Sequencer.WaitAsync((await core.ContributeAsync(core.Catalog.Find("d")!, $"n\n{i}\n")).Value!.Batch.Entry, Cancel);
        }
    }

    private async Task FollowAsync(Sequencer follower) => await follower.FollowAsync(await follower.PublishedSizeAsync(Cancel), Cancel);

    /// <summary>The sequencer of another machine: memory of its own over the same database.</summary>
    private async Task<Sequencer> AnotherAsync(ITileStore? tiles = null)
    {
        // Its own directory too, with the world's key in it.
        var own = _core.World with { DataDirectory = $"{_core.World.DataDirectory}-{_others.Count}" };
        Directory.CreateDirectory(own.KeyDirectory);
        File.Copy(Path.Combine(_core.World.KeyDirectory, "ledger.skey"), Path.Combine(own.KeyDirectory, "ledger.skey"));
        _directories.Add(own.DataDirectory);
        var other = new Sequencer(own, _core.Writer, TimeProvider.System, NullLogger<Sequencer>.Instance) { Tiles = tiles };
        _others.Add(other);
        await other.OpenAsync(Cancel);
        return other;
    }

    /// <summary>The log verifies from its first entry, has so many of them, and is what the database says in every entry.</summary>
    private async Task CheckAsync(long entries)
    {
        using (var connection = NodeDatabase.OpenReader(_core.World))
        using (var command = connection.Command("SELECT count(*) FROM ledger_pending WHERE log_index IS NULL"))
            Assert.Equal(0L, command.ExecuteScalar());
        using var key = new NoteSignerOf(_core);
        var audit = await LogAuditor.AuditAsync(LedgerFiles.Look(_core.World), key.Verifier, cancel: Cancel);
        Assert.True(audit.Ok, audit.Break?.ToString());
        Assert.Equal(entries, audit.Size);
        var report = await RecordCheck.RunAsync(_core.World, new RecordCheckOptions { Model = _core.Model }, null, Cancel);
        Assert.True(report.Ok, string.Join('\n', report.Findings));
        Assert.Equal(entries, report.Entries);
    }

    private sealed class NoteSignerOf(CoreFixture core) : IDisposable
    {
        private readonly NoteSigner _signer = NoteSigner.TryParse(File.ReadAllText(Path.Combine(core.World.KeyDirectory, "ledger.skey")).Trim(), out var signer) ? signer : throw new InvalidDataException();

        public NoteVerifier Verifier => _signer.Verifier;

        public void Dispose() => _signer.Dispose();
    }

    /// <summary>Stops before one writing, until it is told to go on.</summary>
    private sealed class Freezing(ITileStore inner, string part) : ITileStore
    {
        private int _done;

        public TaskCompletionSource Reached { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Go { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Written { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default) => inner.ReadAsync(path, bytesMax, cancel);

        public async ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default)
        {
            var isCheckpoint = files.Any(f => f.Path == TilePath.Checkpoint);
            if (isCheckpoint == (part == "checkpoint") && Interlocked.Exchange(ref _done, 1) == 0)
            {
                Reached.SetResult();
                await Go.Task;
                await inner.WriteAsync(files, cancel);
                Written.SetResult();
                return;
            }
            await inner.WriteAsync(files, cancel);
        }

        public ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default) => inner.DeletePartialsAsync(fullTilePath, cancel);
    }
}
