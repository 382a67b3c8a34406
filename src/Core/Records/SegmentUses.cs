namespace Gongzhi.Core.Records;

/// <summary>
/// Who is reading which segment file, so that a file that no list names any more is deleted when its last reader is done and not before. What is
/// left over by a crash is swept at the start.
/// </summary>
public sealed class SegmentUses
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _readers = new(StringComparer.Ordinal);
    // Paths that nobody new may read and that have readers still; what completes when the file is gone, or is wanted again.
    private readonly Dictionary<string, TaskCompletionSource> _retired = new(StringComparer.Ordinal);

    // The last files that went, so that who read a list just before it changed is sent back to it. A list is read microseconds before its files
    // are held, so the oldest are safely forgotten.
    private readonly HashSet<string> _gone = new(StringComparer.Ordinal);
    private Queue<string> _goneInOrder = new();

    /// <summary>Files remembered as gone.</summary>
    public const int GoneMax = 1_024;

    /// <summary>Keeps the files until the answer is disposed; null when one of them is gone or going, so that the list must be read again.</summary>
    public IDisposable? TryHold(IReadOnlyCollection<Segment> segments)
    {
        lock (_lock)
        {
            if (segments.Any(s => _retired.ContainsKey(s.Path) || _gone.Contains(s.Path)))
                return null;
            foreach (var segment in segments)
                _readers[segment.Path] = _readers.GetValueOrDefault(segment.Path) + 1;
            return new Held(this, [.. segments.Select(s => s.Path)]);
        }
    }

    /// <summary>After the commit that took the segment from the list: nobody new may read it, and it goes with its last reader. Completes when it is gone.</summary>
    public Task Retire(string path)
    {
        lock (_lock)
        {
            if (!_readers.ContainsKey(path))
            {
                Delete(path);
                return Task.CompletedTask;
            }
            if (!_retired.TryGetValue(path, out var gone))
                _retired[path] = gone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return gone.Task;
        }
    }

    /// <summary>
    /// Before a file is given this name: one that waits for its last reader under the same name holds the same rows, so it stays. An erasure can
    /// leave of a merged segment just what one of its parts was.
    /// </summary>
    public void Claim(string path)
    {
        lock (_lock)
        {
            if (_retired.Remove(path, out var waiting))
                waiting.TrySetResult();
        }
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
                if (_gone.Remove(segment.Path))
                    _goneInOrder = new(_goneInOrder.Where(_gone.Contains));
            }
        }
    }

    private void Delete(string path)
    {
        File.Delete(path);
        if (!_gone.Add(path))
            return;
        _goneInOrder.Enqueue(path);
        while (_goneInOrder.Count > GoneMax)
            _gone.Remove(_goneInOrder.Dequeue());
    }

    private void Release(List<string> paths)
    {
        lock (_lock)
        {
            foreach (var path in paths)
            {
                if (--_readers[path] > 0)
                    continue;
                _readers.Remove(path);
                if (!_retired.Remove(path, out var waiting))
                    continue;
                Delete(path);
                waiting.TrySetResult();
            }
        }
    }

    private sealed class Held(SegmentUses uses, List<string> paths) : IDisposable
    {
        private List<string>? _paths = paths;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _paths, null) is { } held)
                uses.Release(held);
        }
    }
}
