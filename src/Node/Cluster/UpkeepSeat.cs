using Gongzhi.Core.Records;

namespace Gongzhi.Node.Cluster;

/// <summary>Folding tails, merging segments and sorted keys, sweeping what is left over, finishing interrupted erasures: one machine of the cluster does it at a time.</summary>
internal sealed class UpkeepSeat(RecordStore store, Erasures erasures) : ISeatWork
{
    public string Kind => "upkeep";

    public async Task RunAsync(CancellationToken cancel)
    {
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
