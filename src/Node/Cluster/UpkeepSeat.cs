using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Cluster;

/// <summary>Folding tails, merging segments and sorted keys, sweeping what is left over, finishing interrupted erasures: one machine of the cluster does it at a time.</summary>
internal sealed class UpkeepSeat(RecordStore store, Erasures erasures, WriteGate gate) : ISeatWork
{
    public string Kind => "upkeep";

    public async Task RunAsync(CancellationToken cancel)
    {
        gate.Demand();
        try
        {
            store.KeepsUp = true;
            await erasures.OpenAsync(cancel).ConfigureAwait(false);
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancel).ConfigureAwait(false);
        }
        finally
        {
            store.KeepsUp = false;
        }
    }
}
