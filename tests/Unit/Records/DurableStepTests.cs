using System.Collections.Concurrent;
using System.Globalization;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;
using Gongzhi.Ledger;
using Gongzhi.Tests.Shared;
using Microsoft.Data.Sqlite;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>
/// Every durable step of the core made to fail, before it did anything or after it did everything: files of segments and rejects, commits, the
/// fold's swap, places, the ledger's key, its compare-and-set, tiles and checkpoint. Then everything is tried again, after a restart where the
/// node asks for one: each contribution is there once, and the log is one history.
/// </summary>
public sealed class DurableStepTests
{
    /// <summary>How the step at hand ends.</summary>
    public enum Ending
    {
        Failed,
        FailedButPersisted,

        /// <summary>SQLite's own word that there is no room; files get the system's.</summary>
        NoRoom,
    }

    private const string Definition = """{"owner":"office","schema":{"fields":[{"name":"key","type":"string"},{"name":"n","type":"integer"}]}}""";

    private static readonly (string Key, int Rows, int Rejected)[] Script = [("tail-1", 3, 0), ("segment", 3_000, 0), ("tail-2", 40, 2), ("segment-rejects", 2_100, 3), ("tail-3", 5, 0)];

    [Theory]
    [InlineData(Ending.Failed, false)]
    [InlineData(Ending.Failed, true)]
    [InlineData(Ending.FailedButPersisted, false)]
    [InlineData(Ending.FailedButPersisted, true)]
    [InlineData(Ending.NoRoom, false)]
    [InlineData(Ending.NoRoom, true)]
    public async Task Each_step_may_fail_once(Ending ending, bool restart)
    {
        Assert.SkipWhen(TestStore.IsPostgres && ending == Ending.NoRoom, "There the server has its own disk; of the files it is as any failure.");
        // A first run counts the steps of each kind. How often the log is written depends on the moment, so a step is named by its kind and number.
        var counting = new Fault("", 0, ending);
        await RunAsync(counting, restart);
        Assert.Equal(
            ["close segment", "commit", "commit schema", "flush directory", "flush key", "flush rejects", "flush segment", "rename", "write checkpoint", "write tiles"],
            counting.Steps.Keys.Order(StringComparer.Ordinal));
        foreach (var (step, count) in counting.Steps)
        {
            for (var at = 0; at < count; at++)
            {
                var fault = new Fault(step, at, ending);
                await RunAsync(fault, restart);
                Assert.True(fault.Hit || at > 0, $"{step} was not reached");
            }
        }
    }

    private static async Task RunAsync(Fault fault, bool restart)
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-steps-").FullName;
        var receipts = new Dictionary<string, IntakeReceipt>();
        var notes = new List<byte[]>();
        var node = new Restarting(directory, fault, restart);
        try
        {
            var dataset = await node.TryAsync(core => core.Catalog.Find("d") is { } there ? Task.FromResult(there) : core.DefineAsync("d", Definition));
            foreach (var (key, rows, rejected) in Script)
            {
                receipts[key] = await node.TryAsync(async core =>
                {
                    var outcome = await core.ContributeAsync(dataset, Csv(key, rows, rejected), rejected > 0 ? IntakeMode.Partial : IntakeMode.All, key);
                    return outcome.Ok ? outcome.Value : throw new IOException(outcome.Problem.Code);
                });
                notes.Add((await node.TryAsync(core => Task.FromResult(core.Sequencer.Log.CurrentCheckpoint))).ToArray());
                if (key == "tail-2")
                    await node.TryAsync(core => core.Fold.FoldAsync(dataset));
            }
            await node.TryAsync(core => core.Territory.ImportAsync(Places, "steward", CancellationToken.None));
            foreach (var receipt in receipts.Values)
                await node.TryAsync(core => core.Sequencer.WaitAsync(receipt.Batch.Entry, Patience()));
            notes.Add((await node.TryAsync(core => Task.FromResult(core.Sequencer.Log.CurrentCheckpoint))).ToArray());
            await node.DisposeAsync();
            await CheckAsync(directory, receipts, notes);
        }
        finally
        {
            await node.DisposeAsync();
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>What a start after all this finds.</summary>
    private static async Task CheckAsync(string directory, Dictionary<string, IntakeReceipt> receipts, List<byte[]> notes)
    {
        await using var core = await CoreFixture.OpenAsync(directory);
        var dataset = core.Catalog.Find("d")!;
        Assert.Equal(Script.Sum(s => s.Rows), core.Store.Manifest(dataset.Number).Rows);
        Assert.Equal(Places.Length, core.Territory.Index.Places.Count);
        foreach (var (key, rows, rejected) in Script)
        {
            var batch = core.Store.FindBatch(receipts[key].Batch.Id);
            Assert.Equal((rows, rejected), ((int)batch!.Rows, (int)batch.Rejected));
            foreach (var row in new[] { 0, rows / 2, rows - 1 })
            {
                var proof = await core.Proofs.ProveRowAsync("d", RecordId.Of(batch.Id, (uint)row), CancellationToken.None);
                Assert.True(proof.Ok, proof.Problem?.Detail);
                Assert.True(MerkleTree.VerifyInclusion(MerkleTree.LeafHash([.. proof.Value.Row, .. proof.Value.Salt ?? []]), row, rows, proof.Value.Path, batch.Root));
            }
            Assert.Equal(rejected > 0, File.Exists(RejectsFile.PathOf(core.World, batch.Id)));
        }
        // Nothing lies about that no list names.
        Assert.Equal(core.Store.Manifest(dataset.Number).Segments.Select(s => s.Path).Order(), Directory.GetFiles(core.World.SegmentDirectory).Order());
        Assert.Equal(Script.Count(s => s.Rejected > 0), Directory.GetFiles(core.World.RejectDirectory).Length);
        using (var connection = NodeDatabase.OpenReader(core.World))
        {
            using var command = connection.CreateCommand();
            command.CommandText = "SELECT count(*) FROM batch";
            Assert.Equal((long)Script.Length, command.ExecuteScalar());
        }
        var log = LedgerFiles.Look(core.World);
        foreach (var note in notes.Where(n => n.Length > 0))
            Assert.Null((await LogAuditor.AuditAsync(log, core.Sequencer.Log.Verifier, note)).Break);
    }

    private static readonly Place[] Places = [new() { Code = PlaceCode.Parse("99"), Name = "云川省" }, new() { Code = PlaceCode.Parse("9901"), Name = "云川市" }];

    private static string Csv(string key, int rows, int rejected) =>
        "key,n\n" + string.Concat(Enumerable.Repeat($"{key},none\n", rejected)) + string.Concat(Enumerable.Range(0, rows).Select(i => string.Create(CultureInfo.InvariantCulture, $"{key},{i}\n")));

    private static CancellationToken Patience() => new CancellationTokenSource(TimeSpan.FromMilliseconds(200)).Token;

    /// <summary>One step of a kind, by number, and how it ends.</summary>
    private sealed class Fault(string step, int at, Ending ending)
    {
        public ConcurrentDictionary<string, int> Steps { get; } = new();

        public bool Hit { get; private set; }

        public string Step => $"{step} {at}";

        public void Take(string name, Action action)
        {
            if (Steps.AddOrUpdate(name, 1, (_, n) => n + 1) - 1 != at || name != step)
            {
                action();
                return;
            }
            Hit = true;
            if (ending == Ending.FailedButPersisted)
                action();
            throw ending == Ending.NoRoom ? name.StartsWith("commit", StringComparison.Ordinal) ? new SqliteException("full", 13) : new IOException("full", 28)
                : new IOException("The disk did not answer.");
        }
    }

    /// <summary>A core that is opened again when it asks for that, or after any failure.</summary>
    private sealed class Restarting(string directory, Fault fault, bool always) : IAsyncDisposable
    {
        private const int AttemptsMax = 50;
        private CoreFixture? _core;

        public async Task<T> TryAsync<T>(Func<CoreFixture, Task<T>> act)
        {
            for (var attempt = 0; ; attempt++)
            {
                try
                {
                    _core ??= await CoreFixture.OpenAsync(directory, fault.Take, new Impatient(), world => new FaultyTiles(LedgerFiles.Open(world), fault));
                    return await act(_core);
                }
                catch (Exception e) when (e is IOException or SqliteException or StoreUnavailableException or WriterStoppedException or OperationCanceledException or InvalidOperationException)
                {
                    Assert.True(attempt < AttemptsMax, $"does not recover from {fault.Step}: {e}");
                    if (_core is not null && (always || e is WriterStoppedException || _core.Writer.Broken is not null))
                        await DisposeAsync();
                }
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (_core is not null)
                await _core.DisposeAsync();
            _core = null;
        }
    }

    private sealed class FaultyTiles(ITileStore inner, Fault fault) : ITileStore
    {
        public ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default) => inner.ReadAsync(path, bytesMax, cancel);

        public ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default)
        {
            fault.Take(files.Any(f => f.Path == TilePath.Checkpoint) ? "write checkpoint" : "write tiles", () => inner.WriteAsync(files, cancel).AsTask().GetAwaiter().GetResult());
            return ValueTask.CompletedTask;
        }

        public ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default) => inner.DeletePartialsAsync(fullTilePath, cancel);
    }

    /// <summary>The system's time, whose waits are short: a sequencer that tries again in a second tries again now.</summary>
    private sealed class Impatient : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, dueTime > TimeSpan.FromMilliseconds(1) ? TimeSpan.FromMilliseconds(1) : dueTime, period);
    }
}
