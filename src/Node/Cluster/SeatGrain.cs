using Gongzhi.Core.Storage;
using Orleans.Placement;
using Orleans.Runtime;

namespace Gongzhi.Node.Cluster;

/// <summary>
/// The seat of one kind of work; see <see cref="ISeatWork"/>. It settles on the silo that first asks for it, which is one that has the work, and stays until that silo leaves or dies.
/// A cluster is one world's, so the kind alone names it.
/// </summary>
[PreferLocalPlacement, KeepAlive]
internal sealed class SeatGrain(SeatWorks works, WriteGate gate, ILocalSiloDetails silo, TimeProvider clock, ILogger<SeatGrain> log) : Grain, ISeatGrain, IDisposable
{
    private SeatLoop? _loop;

    public Task<string> KeepAsync() => Task.FromResult(silo.SiloAddress.ToParsableString());

    public async Task LeaveAsync()
    {
        // Asked by a silo that left meanwhile: somebody else's seat stays.
        if (!works.Leaving && gate.Shut is null && !works.Misplaced.ContainsKey(this.GetPrimaryKeyString()))
            return;
        if (_loop is not null)
            await _loop.StopAsync(CancellationToken.None);
        DeactivateOnIdle();
    }

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        var kind = this.GetPrimaryKeyString();
        if (works.Leaving)
            throw new InvalidOperationException($"This silo is leaving and takes no seat {kind} any more.");
        // Somebody who takes changes has it.
        gate.Demand();
        _loop = new SeatLoop(works.Find(kind) ?? throw new InvalidOperationException($"This silo has no work of the kind {kind}."), clock, log);
        works.Held[kind] = true;
        return Task.CompletedTask;
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        if (_loop is null)
            return;
        await _loop.StopAsync(cancellationToken);
        works.Held.TryRemove(this.GetPrimaryKeyString(), out _);
    }

    public void Dispose() => _loop?.Dispose();
}
