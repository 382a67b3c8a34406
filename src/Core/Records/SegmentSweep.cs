using Gongzhi.Core.Storage.Segments;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Records;

/// <summary>
/// Looks from time to time for segments in a shared store that no list names: what a crash or a failed deletion left, of this machine or another. A world's own
/// directory needs none, since it is swept at the start. One per world.
/// </summary>
public sealed class SegmentSweep : IAsyncDisposable
{
    private static readonly TimeSpan Every = SegmentClaims.LooksApart + TimeSpan.FromMinutes(5);
    private readonly CancellationTokenSource _stop = new();
    private readonly RecordStore _store;
    private readonly TimeProvider _clock;
    private readonly ILogger<SegmentSweep> _log;
    private readonly Task _loop;

    public SegmentSweep(RecordStore store, TimeProvider clock, ILogger<SegmentSweep> log)
    {
        (_store, _clock, _log) = (store, clock, log);
        _loop = store.Segments.Shared ? Task.Run(RunAsync) : Task.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        while (true)
        {
            await Task.Delay(Every, _clock, _stop.Token).ConfigureAwait(false);
            try
            {
                if (_store.KeepsUp && await _store.SweepAsync(_stop.Token).ConfigureAwait(false) is > 0 and var swept)
                    _log.LogInformation("{Count} segments that no list names were removed", swept);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                _log.LogWarning(e, "The segment store could not be swept; it is tried again later");
            }
        }
    }
}
