namespace Gongzhi.Core.Records;

/// <summary>
/// Who is reading which segment file, so that a file that no list names any more is deleted when its last reader is done and not before. What is
/// left over by a crash is swept at the start.
/// </summary>
public sealed class SegmentUses
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _readers = new(StringComparer.Ordinal);
    private readonly HashSet<string> _retired = new(StringComparer.Ordinal);

    /// <summary>Keeps the files until the answer is disposed; null when one of them is gone or going, so that the list must be read again.</summary>
    public IDisposable? TryHold(IReadOnlyCollection<Segment> segments)
    {
        lock (_lock)
        {
            if (segments.Any(s => _retired.Contains(s.Path)))
                return null;
            foreach (var segment in segments)
                _readers[segment.Path] = _readers.GetValueOrDefault(segment.Path) + 1;
            return new Held(this, [.. segments.Select(s => s.Path)]);
        }
    }

    /// <summary>After the commit that took the segment from the list: nobody new may read it, and it goes with its last reader.</summary>
    public void Retire(Segment segment)
    {
        lock (_lock)
        {
            _retired.Add(segment.Path);
            if (!_readers.ContainsKey(segment.Path))
                File.Delete(segment.Path);
        }
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
                if (_retired.Contains(path))
                    File.Delete(path);
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
