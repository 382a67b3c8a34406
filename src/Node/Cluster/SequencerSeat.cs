using Gongzhi.Core.Records;

namespace Gongzhi.Node.Cluster;

/// <summary>Putting entries into the ledger: one machine of the cluster does it at a time. Two that do lose steps to each other, and make one log.</summary>
internal sealed class SequencerSeat(Sequencer sequencer) : ISeatWork
{
    public string Kind => "sequencer";

    public Task RunAsync(CancellationToken cancel) => sequencer.RunAsync(cancel);
}
