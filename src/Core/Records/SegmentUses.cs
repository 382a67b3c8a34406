using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Records;

/// <summary>
/// Who is reading which segment on this machine, so that a file that no list names any more is deleted when its last reader is done and not before. Other machines
/// that use the same store are asked first. What is left over by a crash is swept.
/// </summary>
public sealed class SegmentUses(ISegmentStore store, ISegmentPeers peers)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _readers = new(StringComparer.Ordinal);
    // Names that nobody new may read: they have readers still, or are being removed.
    private readonly Dictionary<string, Leaving> _leaving = new(StringComparer.Ordinal);

    // The last segments that went, so that who read a list just before it changed is sent back to it. A list is read microseconds before its files
    // are held, so the oldest are safely forgotten.
    private readonly HashSet<string> _gone = new(StringComparer.Ordinal);
    private Queue<string> _goneInOrder = new();

    /// <summary>Segments remembered as gone.</summary>
    public const int GoneMax = 1_024;

    /// <summary>Keeps the files until the answer is disposed; null when one of them is gone or going, so that the list must be read again.</summary>
    public IDisposable? TryHold(IReadOnlyCollection<Segment> segments)
    {
        lock (_lock)
        {
            if (segments.Any(s => _leaving.ContainsKey(s.Name) || _gone.Contains(s.Name)))
                return null;
            foreach (var segment in segments)
                _readers[segment.Name] = _readers.GetValueOrDefault(segment.Name) + 1;
            return new Held(this, [.. segments.Select(s => s.Name)]);
        }
    }

    /// <summary>
    /// After the commit that took the segment from the list: nobody new may read it, and it goes with its last reader, here and on other machines. Completes when
    /// every copy is gone; fails when one could not be removed, which is then done by a sweep, or by asking again.
    /// </summary>
    public Task Retire(string name) => Leave(name, deletes: true);

    /// <summary>
    /// What a machine does when another one asks it (<see cref="ISegmentPeers.ReleaseAsync"/>), once its own list no longer names the segment: completes when
    /// nobody reads it here any more and no copy of it is kept here. The store's own file is the other's to delete.
    /// </summary>
    public Task ReleaseAsync(string name) => Leave(name, deletes: false);

    /// <summary>Takes back files that were written and will surely not be listed. What cannot be removed now is swept.</summary>
    public void Discard(IEnumerable<Segment> segments)
    {
        foreach (var segment in segments)
            _ = Retire(segment.Name);
    }

    /// <summary>
    /// Before a file is given this name: one that waits for its last reader under the same name holds the same rows, so it stays; one that is being removed
    /// is waited for. An erasure can leave of a merged segment just what one of its parts was.
    /// </summary>
    public async ValueTask ClaimAsync(string name)
    {
        Task? removing;
        lock (_lock)
        {
            if (!_leaving.TryGetValue(name, out var leaving))
                return;
            removing = leaving.Removing;
            if (removing is null)
            {
                _leaving.Remove(name);
                leaving.Done.TrySetResult();
                return;
            }
        }
        await removing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Completes when all that is being removed now is gone; fails when one of it could not be removed.</summary>
    public Task RemovedAsync()
    {
        lock (_lock)
            return Task.WhenAll(_leaving.Values.Where(l => l.Removing is not null).Select(l => l.Done.Task));
    }

    /// <summary>When the list names these: they are there, whatever became of earlier files of their names.</summary>
    public void Listed(IEnumerable<Segment> segments)
    {
        lock (_lock)
        {
            if (_gone.Count == 0)
                return;
            foreach (var segment in segments)
            {
                // Rarely: a file that is there again, whose old place in the order would forget it too early should it go once more.
                if (_gone.Remove(segment.Name))
                    _goneInOrder = new(_goneInOrder.Where(_gone.Contains));
            }
        }
    }

    private Task Leave(string name, bool deletes)
    {
        lock (_lock)
        {
            if (_leaving.TryGetValue(name, out var leaving))
            {
                // Asked to go from here alone, and now from the store too: once more when that is done.
                if (deletes && leaving is { Deletes: false, Removing: { } removing })
                    return AgainAsync(removing, name);
                leaving.Deletes |= deletes;
                return leaving.Done.Task;
            }
            leaving = new Leaving { Deletes = deletes };
            if (_readers.ContainsKey(name))
                _leaving[name] = leaving;
            else
                Remove(name, leaving);
            return leaving.Done.Task;
        }
    }

    private async Task AgainAsync(Task before, string name)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Leave(name, deletes: true).ConfigureAwait(false);
    }

    /// <summary>With the lock: a file of this machine goes at once, another one in its own time, during which the name stays barred.</summary>
    private void Remove(string name, Leaving leaving)
    {
        var removing = RemoveAsync(name, leaving.Deletes);
        if (removing.IsCompleted)
        {
            Removed(name, leaving, removing);
            return;
        }
        _leaving[name] = leaving;
        leaving.Removing = FinishAsync();

        async Task FinishAsync()
        {
            await removing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            lock (_lock)
                Removed(name, leaving, removing);
        }
    }

    /// <summary>Where another machine is asked, not on the thread of a commit.</summary>
    private Task RemoveAsync(string name, bool deletes) => store.Shared ? Task.Run(() => RemoveNowAsync(name, deletes)) : RemoveNowAsync(name, deletes);

    private async Task RemoveNowAsync(string name, bool deletes)
    {
        if (!deletes)
        {
            await store.DropAsync(name).ConfigureAwait(false);
            return;
        }
        await peers.ReleaseAsync(name, CancellationToken.None).ConfigureAwait(false);
        await store.DeleteAsync(name, CancellationToken.None).ConfigureAwait(false);
    }

    private void Removed(string name, Leaving leaving, Task removing)
    {
        _leaving.Remove(name);
        // Also when it failed: no list names it, and what is left of it is for the sweep.
        if (_gone.Add(name))
            _goneInOrder.Enqueue(name);
        while (_goneInOrder.Count > GoneMax)
            _gone.Remove(_goneInOrder.Dequeue());
        if (removing.Exception is { } failed)
        {
            leaving.Done.TrySetException(failed.InnerExceptions);
            // Whoever waits is told; that nobody may wait is no fault of its own.
            _ = leaving.Done.Task.Exception;
        }
        else
        {
            leaving.Done.TrySetResult();
        }
    }

    private void Release(List<string> names)
    {
        lock (_lock)
        {
            foreach (var name in names)
            {
                if (--_readers[name] > 0)
                    continue;
                _readers.Remove(name);
                if (_leaving.TryGetValue(name, out var leaving) && leaving.Removing is null)
                    Remove(name, leaving);
            }
        }
    }

    /// <summary>Guarded by the lock.</summary>
    private sealed class Leaving
    {
        /// <summary>From the store, and not from this machine alone.</summary>
        public bool Deletes { get; set; }

        /// <summary>Set once nobody reads it any more.</summary>
        public Task? Removing { get; set; }

        /// <summary>Completes when the file is gone, or is wanted again.</summary>
        public TaskCompletionSource Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private sealed class Held(SegmentUses uses, List<string> names) : IDisposable
    {
        private List<string>? _names = names;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _names, null) is { } held)
                uses.Release(held);
        }
    }
}
