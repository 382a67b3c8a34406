namespace Gongzhi.Core.Records;

/// <summary>
/// Who is reading which segment file, so that a file that no list names any more is deleted when its last reader is done and not before. What is
/// left over by a crash is swept at the start.
/// </summary>
public sealed class SegmentUses
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _readers = new(StringComparer.Ordinal);
    // Paths nobody new may read, and what completes when the file is gone.
    private readonly Dictionary<string, TaskCompletionSource> _retired = new(StringComparer.Ordinal);

    /// <summary>Keeps the files until the answer is disposed; null when one of them is gone or going, so that the list must be read again.</summary>
    public IDisposable? TryHold(IReadOnlyCollection<Segment> segments)
    {
        lock (_lock)
        {
            if (segments.Any(s => _retired.ContainsKey(s.Path)))
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
            if (!_retired.TryGetValue(path, out var gone))
                _retired[path] = gone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            if (!_readers.ContainsKey(path))
                Delete(path, gone);
            return gone.Task;
        }
    }

    private static void Delete(string path, TaskCompletionSource gone)
    {
        File.Delete(path);
        gone.TrySetResult();
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
                if (_retired.TryGetValue(path, out var gone))
                    Delete(path, gone);
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
