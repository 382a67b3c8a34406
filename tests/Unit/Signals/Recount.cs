using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;
using Gongzhi.Core.Signals;

namespace Gongzhi.Tests.Unit.Signals;

/// <summary>Numbers the batches of each dataset, and raises each number: loss and doubling both show.</summary>
internal sealed class Recount : IAnalysis
{
    public string Name => "recount";
    public int Version { get; init; } = 1;
    public int Bytes { get; init; } = 8;
    public bool Watches(Dataset dataset) => true;
    public IEnumerable<string> Partitions(AnalysisBatch batch, RowColumns? rows) => [batch.Dataset.Id];
    public IAnalysisState Open(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions) =>
        new Counter(snapshot is null ? 0 : BitConverter.ToInt64(snapshot), Bytes, (_, _) => { });
}

internal sealed class Counter(long count, int bytes, Action<long, AnalysisBatch> check) : IAnalysisState
{
    private long _count = count;

    public DateTimeOffset? Due => null;

    public void Process(AnalysisBatch batch, RowColumns? rows, SignalSink sink)
    {
        check(++_count, batch);
        sink.Raise("recount.batch", SignalSeverity.Notice, batch.Dataset.Number, null, null, $"{_count}", batch.Index, batch.Index, batch.Received, new Dictionary<string, Figure> { ["count"] = _count });
    }

    public void Tick(DateTimeOffset now, SignalSink sink)
    {
    }

    public byte[] Snapshot()
    {
        var state = new byte[bytes];
        BitConverter.TryWriteBytes(state, _count);
        return state;
    }
}
