using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Cluster;

/// <summary>Keeps looking at what the other machines change, also when nobody asks.</summary>
internal sealed class FeedLoop(NodeWriter writer, TimeProvider clock) : BackgroundService
{
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => writer.Feed.RunAsync(clock, stoppingToken);
}
