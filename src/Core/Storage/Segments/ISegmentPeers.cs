namespace Gongzhi.Core.Storage.Segments;

/// <summary>
/// The other machines that use the same segment store: how this one asks them before a file goes. A cluster brings its own; on one machine there is nobody
/// to ask (<see cref="NoSegmentPeers"/>).
/// </summary>
public interface ISegmentPeers
{
    /// <summary>
    /// Completes when every other machine has confirmed that it reads the segment no more, will not begin to, and has no copy of it. Each does so by
    /// <see cref="Records.SegmentUses.ReleaseAsync"/>, once its own list no longer names the segment. A machine that is known
    /// to be down is not waited for: before anything else it deletes, at its next start, the copies that no list names. One that only does not answer is.
    /// </summary>
    /// <exception cref="Exception">Somebody did not confirm; the file stays and is asked about again.</exception>
    Task ReleaseAsync(string name, CancellationToken cancel);

    /// <summary>Whether a process has ended for sure, so that what it announced will never be listed. False when it runs, and when nobody knows.</summary>
    /// <param name="machine">The machine's mark.</param>
    /// <param name="run">The mark of one of its processes.</param>
    /// <param name="cancel">Gives up.</param>
    ValueTask<bool> HasEndedAsync(string machine, string run, CancellationToken cancel);
}

/// <summary>No other machine uses the store. Of a process that is not known, it is not said that it has ended.</summary>
public sealed class NoSegmentPeers : ISegmentPeers
{
    public static readonly NoSegmentPeers Instance = new();

    public Task ReleaseAsync(string name, CancellationToken cancel) => Task.CompletedTask;

    public ValueTask<bool> HasEndedAsync(string machine, string run, CancellationToken cancel) => ValueTask.FromResult(false);
}
