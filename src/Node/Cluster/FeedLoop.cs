using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Cli;

namespace Gongzhi.Node.Cluster;

/// <summary>
/// Keeps looking at what the other machines change, also when nobody asks. A machine whose writer has stopped, or that cannot follow the others any more, ends its process: a start puts it right, and the others
/// go on meanwhile.
/// </summary>
internal sealed class FeedLoop(NodeWriter writer, Sequencer sequencer, SiloLost lost, TimeProvider clock) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var advanced = false;
        writer.Feed.Advanced += () => Volatile.Write(ref advanced, true);
        while (!stoppingToken.IsCancellationRequested)
        {
            var look = writer.Feed.CurrentAsync(stoppingToken);
            await look.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if ((writer.Broken ?? writer.Feed.Lost) is { } why && !stoppingToken.IsCancellationRequested)
            {
                lost(Say.In($"This machine must start again, and stops now; the others go on. {why.Message}", $"本机须重新启动，现在停止运行；其他机器照常工作。{why.Message}"));
                return;
            }
            // Entries may wait here to be sequenced, or somebody here for an entry that is sequenced elsewhere.
            var soon = Interlocked.Exchange(ref advanced, false) || look.IsCompletedSuccessfully && sequencer.IsAwaited;
            await Task.Delay(soon ? ChangeFeed.PollSoon : ChangeFeed.Poll, clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }
}
