using Gongzhi.Node.Cli;
using Orleans.Runtime;

namespace Gongzhi.Node.Cluster;

/// <summary>What happens when this silo may not go on: the others declared it dead, or its own part in the cluster broke. Ends the process, unless a test says otherwise.</summary>
/// <param name="sentence">For the operator, in the reader's language.</param>
internal delegate void SiloLost(string sentence);

/// <summary>
/// A silo that was declared dead has already been replaced, so it must not go on as if it still held anything: it says so in one sentence and the process ends at once, without waiting
/// for requests. What it had acknowledged is durable, and what it had not is what a crash would have lost.
/// </summary>
internal sealed partial class SiloLoss(SiloLost lost, ILogger<SiloLoss> log) : IFatalErrorHandler
{
    /// <summary>A process that is asked to end and does not within this time is killed.</summary>
    private static readonly TimeSpan ExitLimit = TimeSpan.FromSeconds(5);

    private int _told;

    public bool IsUnexpected(Exception exception) => true;

    public void OnFatalException(object? sender = null, string? context = null, Exception? exception = null)
    {
        if (Interlocked.Exchange(ref _told, 1) != 0)
            return;
        Lost(exception, context);
        // The membership table's own words for it; everything else that comes here is a fault inside the silo.
        lost(context?.Contains("told I am dead", StringComparison.Ordinal) == true
            ? Say.In(
                "The other machines of the cluster declared this one dead, because it did not answer for too long or was cut off. It stops now, since another has taken its place; start it again.",
                "集群中的其他机器已判定本机失效（长时间无应答或网络中断）。本机的工作已由其他机器接替，现在停止运行；请重新启动。")
            : Say.In(
                "This machine's part in the cluster failed and the node stops; the log says why. Start it again.",
                "本机的集群部分发生故障，节点停止运行，原因见日志。请重新启动。"));
    }

    /// <summary>Says the sentence and ends the process with <see cref="ExitCode.Unavailable"/>.</summary>
    public static void EndProcess(string sentence)
    {
        Console.Error.WriteLine(sentence);
        // On threads of their own: whoever found out is inside the silo, and may be what ending would wait for.
        new Thread(() => Environment.Exit(ExitCode.Unavailable)) { IsBackground = true }.Start();
        new Thread(() =>
        {
            using var never = new ManualResetEventSlim();
            never.Wait(ExitLimit);
            Environment.FailFast(sentence);
        })
        { IsBackground = true }.Start();
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "The silo may not go on: {Reason}")]
    private partial void Lost(Exception? exception, string? reason);
}
