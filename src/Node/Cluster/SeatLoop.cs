using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Cluster;

/// <summary>A work that runs until it is told to stop: when it fails or ends by itself it is started again, after a pause that doubles with each failure in a row.</summary>
internal sealed partial class SeatLoop : IDisposable
{
    private static readonly TimeSpan RestartMin = TimeSpan.FromMilliseconds(250), RestartMax = TimeSpan.FromSeconds(30);

    /// <summary>A work that ran this long before it failed begins again with the shortest pause.</summary>
    private static readonly TimeSpan Healthy = TimeSpan.FromMinutes(1);

    /// <summary>How long stopping waits for a work that was told to stop.</summary>
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(10);

    private readonly ISeatWork _work;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;

    public SeatLoop(ISeatWork work, TimeProvider clock, ILogger log)
    {
        (_work, _clock, _log) = (work, clock, log);
        // Off the scheduler of whoever starts it: a grain answers calls while its work runs.
        _running = Task.Run(RunAsync);
    }

    public async Task StopAsync(CancellationToken cancel)
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        try
        {
            await _running.WaitAsync(StopLimit, _clock, cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            // The seat goes on to another silo all the same; the store protects what the two do.
            DoesNotStop(_log, _work.Kind);
        }
    }

    public void Dispose() => _stop.Dispose();

    private async Task RunAsync()
    {
        var cancel = _stop.Token;
        var pause = RestartMin;
        while (!cancel.IsCancellationRequested)
        {
            var began = _clock.GetTimestamp();
            try
            {
                await _work.RunAsync(cancel).ConfigureAwait(false);
                if (!cancel.IsCancellationRequested)
                    EndedByItself(_log, _work.Kind);
            }
            catch (OperationCanceledException) when (cancel.IsCancellationRequested)
            {
                return;
            }
            catch (ReadOnlyException)
            {
                // For the life of this process; it was said when it began.
                await Task.Delay(Timeout.InfiniteTimeSpan, _clock, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                return;
            }
            catch (Exception e)
            {
                Failed(_log, e, _work.Kind);
            }
            if (_clock.GetElapsedTime(began) >= Healthy)
                pause = RestartMin;
            await Task.Delay(pause, _clock, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            pause = pause * 2 < RestartMax ? pause * 2 : RestartMax;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The work of the seat {Kind} failed; it is started again")]
    private static partial void Failed(ILogger log, Exception exception, string kind);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The work of the seat {Kind} ended by itself; it is started again")]
    private static partial void EndedByItself(ILogger log, string kind);

    [LoggerMessage(Level = LogLevel.Error, Message = "The work of the seat {Kind} did not stop in time; the seat is given up while it may still run")]
    private static partial void DoesNotStop(ILogger log, string kind);
}
