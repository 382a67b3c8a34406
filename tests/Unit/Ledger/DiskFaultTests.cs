using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Unit.Ledger;

/// <summary>
/// Every action on the disk (write, fsync, rename, fsync of a directory, its creation) made to fail before or after it was done, then the
/// log used further, reopened, or reopened after a power cut that takes back every name not yet flushed; at the end the power is cut in any case.
/// Never a fork, never a lost acknowledged entry.
/// </summary>
public sealed class DiskFaultTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    // On a log that is just short of a block of ids and of a full bundle: the second step fills both.
    private const int Before = 4_090;
    private static readonly int[] Script = [3, 10, 1];

    public enum Afterwards
    {
        GoesOn,
        Reopened,
        PowerCut,
    }

    [Theory]
    [InlineData(false, Afterwards.GoesOn)]
    [InlineData(true, Afterwards.GoesOn)]
    [InlineData(true, Afterwards.Reopened)]
    [InlineData(false, Afterwards.PowerCut)]
    [InlineData(true, Afterwards.PowerCut)]
    public async Task Each_action_on_the_disk_may_fail(bool persisted, Afterwards afterwards)
    {
        using var seed = new LogFixture();
        using (var state = seed.State())
        {
            await using var log = await TileLog.OpenAsync(seed.Signer, state, seed.Store, cancel: None);
            await log.AppendAsync(LogFixture.Entries(0, Before), None);
        }
        var kinds = new HashSet<string>();
        var fired = true;
        var at = 0;
        for (; fired; at++)
        {
            var disk = new Disk(at, persisted);
            await RunAsync(seed, disk, afterwards);
            fired = disk.Failed is not null;
            if (disk.Failed is { } kind) kinds.Add(kind);
        }
        Assert.Equal(["create directory", "fsync", "fsync directory", "rename", "write"], kinds.Order());
        Assert.True(at > 40, $"only {at} actions were seen");
    }

    [Fact]
    public void A_directory_whose_flush_failed_is_flushed_when_asked_again()
    {
        var root = Directory.CreateTempSubdirectory("gongzhi-ledger-").FullName;
        var flushed = new List<string>();
        var fail = true;
        var files = new DurableFiles((action, act) =>
        {
            if (action.Kind == "fsync directory" && fail) throw FaultPlan.Fault();
            act();
            if (action.Kind == "fsync directory") flushed.Add(action.Path);
        });
        var inner = Path.Combine(root, "a", "b");
        Assert.Throws<IOException>(() => files.CreateDirectory(inner));
        fail = false;
        files.CreateDirectory(inner);
        Assert.Equal([root, Path.Combine(root, "a")], flushed.TakeLast(2));
        flushed.Clear();
        files.CreateDirectory(inner);
        Assert.Empty(flushed);
        Directory.Delete(root, recursive: true);
    }

    private static async Task RunAsync(LogFixture seed, Disk disk, Afterwards afterwards)
    {
        using var fixture = new LogFixture();
        TileLogTests.CopyAll(seed.LogDirectory, fixture.LogDirectory);
        TileLogTests.CopyAll(seed.StateDirectory, fixture.StateDirectory);
        var acknowledged = LogFixture.Entries(0, Before).Select((entry, i) => (entry, i)).ToDictionary(pair => (long)pair.i, pair => pair.entry.Entry.ToArray());
        var notes = new List<byte[]>();
        FileTreeState? state = null;
        TileLog? log = null;
        try
        {
            var first = Before;
            foreach (var count in Script)
            {
                var entries = LogFixture.Entries(first, count);
                first += count;
                for (var attempt = 0; ; attempt++)
                {
                    Assert.True(attempt < 5, "does not recover");
                    try
                    {
                        state ??= new FileTreeState(fixture.StateDirectory, new DurableFiles(disk.Do));
                        log ??= await TileLog.OpenAsync(fixture.Signer, state, new FileTileStore(fixture.LogDirectory, new DurableFiles(disk.Do)), cancel: None);
                        var results = await log.AppendAsync(entries, None);
                        for (var i = 0; i < count; i++) Assert.True(acknowledged.TryAdd(results[i].Index, entries[i].Entry.ToArray()));
                        notes.Add(log.CurrentCheckpoint.ToArray());
                        break;
                    }
                    catch (Exception failure) when (failure is LedgerStepException or IOException)
                    {
                        if (afterwards == Afterwards.GoesOn) continue;
                        await CloseAsync();
                        if (afterwards == Afterwards.PowerCut) disk.CutPower();
                    }
                }
            }
            await CloseAsync();
            disk.CutPower();
            state = fixture.State();
            log = await TileLog.OpenAsync(fixture.Signer, state, fixture.Store, cancel: None);
            Assert.Equal(first, log.Head.Size);
            Assert.Equal(MerkleRoot.Compute(MerkleTree.LeafHashes([.. acknowledged.OrderBy(pair => pair.Key).Select(pair => (ReadOnlyMemory<byte>)pair.Value)])), log.Head.Root.ToArray());
            foreach (var note in notes) Assert.Null((await LogAuditor.AuditAsync(fixture.Store, fixture.Signer.Verifier, note, None)).Break);
            var there = await state.FindAsync([.. LogFixture.Entries(0, first).Select(entry => entry.Id)], None);
            Assert.Equal(first, there.Count);
        }
        finally
        {
            await CloseAsync();
        }

        async Task CloseAsync()
        {
            if (log is not null) await log.DisposeAsync();
            state?.Dispose();
            (log, state) = (null, null);
        }
    }

    /// <summary>A disk that fails once, and remembers which names a power cut would take back.</summary>
    private sealed class Disk(int failAt, bool persisted)
    {
        private readonly Lock _lock = new();
        // What stood under a name before it was given anew, in order, until its directory is flushed.
        private readonly List<(string Path, byte[]? Before)> _loose = [];
        private int _actions;

        /// <summary>The kind of action that failed.</summary>
        public string? Failed { get; private set; }

        public void Do(DiskAction action, Action act)
        {
            bool fails;
            lock (_lock)
            {
                fails = _actions++ == failAt;
                if (fails) Failed = action.Kind;
                if (action.Kind == "rename" && (!fails || persisted)) _loose.Add((action.Path, File.Exists(action.Path) ? File.ReadAllBytes(action.Path) : null));
            }
            if (!fails || persisted) act();
            if (fails) throw FaultPlan.Fault();
            if (action.Kind == "fsync directory")
            {
                lock (_lock) _loose.RemoveAll(name => Path.GetDirectoryName(name.Path) == action.Path);
            }
        }

        /// <summary>Takes back each name that may not have been on the disk. Nobody may have the files open.</summary>
        public void CutPower()
        {
            foreach (var (path, before) in Enumerable.Reverse(_loose))
            {
                if (before is not null) File.WriteAllBytes(path, before);
                else File.Delete(path);
            }
            _loose.Clear();
        }
    }
}
