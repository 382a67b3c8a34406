using Gongzhi.Core.Signals;
using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Cluster;

/// <summary>The analyses on one shard of their partitions. Shards are spread over the machines; two machines at one shard lose steps to each other, and nothing else.</summary>
internal sealed class AnalysisSeat(AnalysisRunner runner, int shard, WriteGate gate) : ISeatWork
{
    public string Kind => $"analysis-{shard}";

    public bool Spread => true;

    public Task RunAsync(CancellationToken cancel)
    {
        gate.Demand();
        return runner.RunAsync(shard, cancel);
    }
}
