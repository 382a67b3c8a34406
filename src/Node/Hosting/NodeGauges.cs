using System.Diagnostics.Metrics;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Cluster;
using Orleans.Runtime;

namespace Gongzhi.Node.Hosting;

/// <summary>What stands in the node at the moment somebody looks: the ledger, and what waits for it and for the writer.</summary>
internal sealed class NodeGauges : IHostedService, IDisposable
{
    public const string MeterName = "Gongzhi.Node";

    private readonly Meter _meter = new(MeterName);
    private readonly Core.World _world;
    private readonly TimeProvider _clock;

    public NodeGauges(Core.World world, Sequencer sequencer, NodeWriter writer, SeatWorks seats, IClusterMembershipService members, TimeProvider clock)
    {
        (_world, _clock) = (world, clock);
        _meter.CreateObservableGauge("gongzhi.ledger.size", () => sequencer.IsOpen ? sequencer.Log.Head.Size : 0, description: "Entries in the ledger.");
        _meter.CreateObservableGauge("gongzhi.ledger.stopped", () => writer.Gate.Shut is not null || (sequencer.IsOpen && sequencer.Log.Corrupt is not null) ? 1 : 0, description: "1 while nothing is put into the ledger, because what is stored is not what was signed or does not continue it.");
        _meter.CreateObservableGauge("gongzhi.ledger.waiting", () => Waiting().Count, description: "Entries that are kept and wait to be put into the ledger.");
        _meter.CreateObservableGauge("gongzhi.ledger.lag", () => Waiting().Seconds, "s", "Age of the oldest entry that waits.");
        _meter.CreateObservableGauge("gongzhi.writer.queue", () => writer.Waiting, description: "Changes that wait for the writer.");
        _meter.CreateObservableGauge("gongzhi.cluster.machines", () => members.CurrentSnapshot.Members.Values.Count(m => m.Status == SiloStatus.Active), description: "Machines of the cluster that this one takes for alive.");
        _meter.CreateObservableGauge("gongzhi.cluster.seat", () => seats.Kinds.Select(kind => new Measurement<int>(seats.Held.ContainsKey(kind) ? 1 : 0, new KeyValuePair<string, object?>("kind", kind))), description: "1 on the machine that does what one machine does at a time.");
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _meter.Dispose();

    private (long Count, double Seconds) Waiting()
    {
        using var connection = NodeDatabase.OpenReader(_world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT count(*), min(created) FROM ledger_pending WHERE log_index IS NULL";
        using var row = command.ExecuteReader();
        return row.Read() && !row.IsDBNull(1) ? (row.GetInt64(0), Math.Max(0, (_clock.GetUtcNow() - Microseconds.ToTime(row.GetInt64(1))).TotalSeconds)) : (0, 0);
    }
}
