using Gongzhi.Core.Due;
using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Cluster;

/// <summary>Looking at what falls due.</summary>
internal sealed class ClockSeat(DueClock clock, WriteGate gate) : ISeatWork
{
    public string Kind => "clock";

    public Task RunAsync(CancellationToken cancel)
    {
        gate.Demand();
        return clock.RunAsync(cancel);
    }
}
