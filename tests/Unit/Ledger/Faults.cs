using Gongzhi.Ledger;

namespace Gongzhi.Tests.Unit.Ledger;

/// <summary>What happens to the action that the fault hits.</summary>
public enum FaultMode
{
    /// <summary>It did nothing and failed.</summary>
    Failed,

    /// <summary>It did everything and failed all the same.</summary>
    FailedButPersisted,

    /// <summary>It did the first half of its files and failed.</summary>
    FailedHalfWay,
}

/// <summary>Counts every I/O action and lets one of them, or a run of them, fail.</summary>
internal sealed class FaultPlan
{
    public int FailAt { get; set; } = -1;
    public int FailCount { get; set; } = 1;
    public FaultMode Mode { get; set; }
    public int Actions { get; private set; }
    public bool Fired { get; private set; }

    public bool Hits()
    {
        var at = Actions++;
        var hit = FailAt >= 0 && at >= FailAt && at < FailAt + FailCount;
        Fired |= hit;
        return hit;
    }

    public static IOException Fault() => new("The disk did not answer.");
}

/// <summary>A real store whose actions fail as planned.</summary>
internal sealed class FaultyStore(ITileStore inner, FaultPlan plan, Action<Checkpoint>? publishing = null) : ITileStore
{
    public ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default) =>
        plan.Hits() ? throw FaultPlan.Fault() : inner.ReadAsync(path, bytesMax, cancel);

    public async ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default)
    {
        foreach (var file in files.Where(file => file.Path == TilePath.Checkpoint))
        {
            if (SignedNote.TryParse(file.Content.Span, out var note) && Checkpoint.TryParse(note.Text.Span, out var checkpoint)) publishing?.Invoke(checkpoint);
        }
        var hit = plan.Hits();
        var persisted = !hit || plan.Mode == FaultMode.FailedButPersisted ? files.Count : plan.Mode == FaultMode.FailedHalfWay ? files.Count / 2 : 0;
        if (persisted > 0) await inner.WriteAsync([.. files.Take(persisted)], cancel);
        if (hit) throw FaultPlan.Fault();
    }

    public async ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default)
    {
        var hit = plan.Hits();
        if (!hit || plan.Mode != FaultMode.Failed) await inner.DeletePartialsAsync(fullTilePath, cancel);
        if (hit) throw FaultPlan.Fault();
    }
}

/// <summary>A real state whose actions fail as planned.</summary>
internal sealed class FaultyState(ITreeState inner, FaultPlan plan) : ITreeState
{
    public ValueTask<TreeStep?> LoadAsync(CancellationToken cancel = default) => plan.Hits() ? throw FaultPlan.Fault() : inner.LoadAsync(cancel);

    public async ValueTask<bool> TryAdvanceAsync(TreeStep step, CancellationToken cancel = default)
    {
        var hit = plan.Hits();
        var done = (!hit || plan.Mode == FaultMode.FailedButPersisted) && await inner.TryAdvanceAsync(step, cancel);
        return hit ? throw FaultPlan.Fault() : done;
    }

    public ValueTask<IReadOnlyDictionary<Guid, long>> FindAsync(IReadOnlyCollection<Guid> ids, CancellationToken cancel = default) =>
        plan.Hits() ? throw FaultPlan.Fault() : inner.FindAsync(ids, cancel);
}

/// <summary>Lets something happen before one of the I/O actions of whoever reads and writes through it.</summary>
internal sealed class Meanwhile(int at, Func<Task> happens)
{
    private int _actions;

    public bool Happened { get; private set; }

    public ITileStore Over(ITileStore store) => new Store(this, store);

    public ITreeState Over(ITreeState state) => new State(this, state);

    private async Task PassAsync()
    {
        if (_actions++ != at) return;
        Happened = true;
        await happens();
    }

    private sealed class Store(Meanwhile meanwhile, ITileStore inner) : ITileStore
    {
        public async ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default)
        {
            await meanwhile.PassAsync();
            return await inner.ReadAsync(path, bytesMax, cancel);
        }

        public async ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default)
        {
            await meanwhile.PassAsync();
            await inner.WriteAsync(files, cancel);
        }

        public async ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default)
        {
            await meanwhile.PassAsync();
            await inner.DeletePartialsAsync(fullTilePath, cancel);
        }
    }

    private sealed class State(Meanwhile meanwhile, ITreeState inner) : ITreeState
    {
        public async ValueTask<TreeStep?> LoadAsync(CancellationToken cancel = default)
        {
            await meanwhile.PassAsync();
            return await inner.LoadAsync(cancel);
        }

        public async ValueTask<bool> TryAdvanceAsync(TreeStep step, CancellationToken cancel = default)
        {
            await meanwhile.PassAsync();
            return await inner.TryAdvanceAsync(step, cancel);
        }

        public async ValueTask<IReadOnlyDictionary<Guid, long>> FindAsync(IReadOnlyCollection<Guid> ids, CancellationToken cancel = default)
        {
            await meanwhile.PassAsync();
            return await inner.FindAsync(ids, cancel);
        }
    }
}
