using Gongzhi.Core.Due;

namespace Gongzhi.Node.Cluster;

/// <summary>Looking at what falls due.</summary>
internal sealed class ClockSeat(DueClock clock) : ISeatWork
{
    public string Kind => "clock";

    public Task RunAsync(CancellationToken cancel) => clock.RunAsync(cancel);
}
