using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Cluster;

/// <summary>Putting entries into the ledger: one machine of the cluster does it at a time. Two that do lose steps to each other, and make one log.</summary>
internal sealed class SequencerSeat(Sequencer sequencer, WriteGate gate) : ISeatWork
{
    public string Kind => "sequencer";

    public Task RunAsync(CancellationToken cancel)
    {
        gate.Demand();
        return sequencer.RunAsync(cancel);
    }
}
