namespace Gongzhi.Core.Storage.Segments;

/// <summary>
/// Whole segment files of an object storage on this machine's disk. A file that somebody reads stays; of the others, those that were read longest ago go when
/// there are more bytes than allowed. What readers need at one time is kept beyond the limit.
/// </summary>
internal sealed class SegmentCache(string directory, long bytesMax)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    // Files that nobody reads, the one that was read longest ago first.
    private readonly LinkedList<Entry> _idle = new();
    private long _bytes;

    /// <summary>Bytes of whole files that are here.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _bytes;
        }
    }

    public string PathOf(string name) => Path.Combine(directory, name + ISegmentStore.Extension);

    /// <summary>Takes over what an earlier process left, but for what no list names any more. Only whole files have such a name: they were verified and flushed before.</summary>
    public void Open(IReadOnlySet<string> listed)
    {
        Directory.CreateDirectory(directory);
        DurableFile.Sweep(directory, name => name.EndsWith(ISegmentStore.Extension, StringComparison.Ordinal) && listed.Contains(Path.GetFileNameWithoutExtension(name)));
        lock (_lock)
        {
            foreach (var file in new DirectoryInfo(directory).EnumerateFiles("*" + ISegmentStore.Extension).OrderBy(f => f.LastWriteTimeUtc))
                Arrived(Get(Path.GetFileNameWithoutExtension(file.Name)), file.Length);
            Evict();
        }
    }

    /// <summary>Holds the files; those that are not here are brought by <paramref name="fetch"/>, each once however many wait for it.</summary>
    /// <param name="names">The segments.</param>
    /// <param name="fetch">Leaves a verified file at <see cref="PathOf"/> and answers its length. Ends by itself.</param>
    /// <param name="cancel">Ends the wait; what is being fetched is fetched.</param>
    public async Task<IDisposable> HoldAsync(IEnumerable<string> names, Func<string, Task<long>> fetch, CancellationToken cancel)
    {
        var held = new List<Entry>();
        var coming = new List<Task>();
        try
        {
            lock (_lock)
            {
                foreach (var name in names)
                {
                    var entry = Get(name);
                    if (entry.Going is not null)
                        throw new SegmentStoreException($"The segment {name} is being deleted.");
                    Busy(entry);
                    // Somebody made room by hand.
                    if (entry is { Present: true, Readers: 0 } && !File.Exists(PathOf(name)))
                        (_bytes, entry.Present) = (_bytes - entry.Bytes, false);
                    entry.Readers++;
                    held.Add(entry);
                    if (!entry.Present)
                        coming.Add(entry.Fetching ??= Task.Run(() => BringAsync(entry, fetch), CancellationToken.None));
                }
            }
            await Task.WhenAll(coming).WaitAsync(cancel).ConfigureAwait(false);
            return new Held(this, held);
        }
        catch
        {
            Release(held);
            throw;
        }
    }

    /// <summary>Takes a file that was stored from here: it need not be fetched again.</summary>
    public void Adopt(string temporary, string name)
    {
        var bytes = new FileInfo(temporary).Length;
        File.Move(temporary, PathOf(name), overwrite: true);
        lock (_lock)
        {
            Arrived(Get(name), bytes);
            Evict();
        }
    }

    /// <summary>Removes the file; completes when its last reader is done and it is gone.</summary>
    public Task DropAsync(string name)
    {
        lock (_lock)
        {
            if (!_entries.TryGetValue(name, out var entry))
            {
                File.Delete(PathOf(name));
                return Task.CompletedTask;
            }
            if (entry.Readers > 0 || entry.Fetching is not null)
                return (entry.Going ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            Forget(entry);
            return Task.CompletedTask;
        }
    }

    /// <summary>Removes the file that was read longest ago; false when all are being read.</summary>
    public bool EvictOne()
    {
        lock (_lock)
        {
            if (_idle.First is not { } oldest)
                return false;
            Forget(oldest.Value);
            return true;
        }
    }

    private async Task BringAsync(Entry entry, Func<string, Task<long>> fetch)
    {
        try
        {
            var bytes = await fetch(entry.Name).ConfigureAwait(false);
            lock (_lock)
            {
                Arrived(entry, bytes);
                entry.Fetching = null;
                Evict();
            }
        }
        catch
        {
            lock (_lock)
            {
                entry.Fetching = null;
                if (entry.Readers == 0)
                    Forget(entry);
            }
            throw;
        }
    }

    private Entry Get(string name)
    {
        if (!_entries.TryGetValue(name, out var entry))
            _entries[name] = entry = new Entry(name);
        return entry;
    }

    private void Arrived(Entry entry, long bytes)
    {
        if (!entry.Present)
            _bytes += bytes;
        (entry.Present, entry.Bytes) = (true, bytes);
        if (entry.Readers == 0)
            Settle(entry);
    }

    private void Release(List<Entry> held)
    {
        lock (_lock)
        {
            foreach (var entry in held)
            {
                if (--entry.Readers == 0)
                    Settle(entry);
            }
            Evict();
        }
    }

    /// <summary>Nobody reads it any more.</summary>
    private void Settle(Entry entry)
    {
        // While it is still being fetched, that decides.
        if (entry.Fetching is not null && !entry.Present)
            return;
        if (entry.Going is not null || !entry.Present)
            Forget(entry);
        else
            entry.Idle ??= _idle.AddLast(entry);
    }

    private void Evict()
    {
        while (_bytes > bytesMax && EvictOne())
        {
        }
    }

    private void Forget(Entry entry)
    {
        Busy(entry);
        File.Delete(PathOf(entry.Name));
        if (entry.Present)
            _bytes -= entry.Bytes;
        _entries.Remove(entry.Name);
        entry.Going?.TrySetResult();
    }

    private void Busy(Entry entry)
    {
        if (entry.Idle is { } idle)
            _idle.Remove(idle);
        entry.Idle = null;
    }

    private sealed class Entry(string name)
    {
        public string Name { get; } = name;
        public bool Present { get; set; }
        public long Bytes { get; set; }
        public int Readers { get; set; }
        public Task? Fetching { get; set; }
        public LinkedListNode<Entry>? Idle { get; set; }

        /// <summary>Set when it is to go with its last reader.</summary>
        public TaskCompletionSource? Going { get; set; }
    }

    private sealed class Held(SegmentCache cache, List<Entry> entries) : IDisposable
    {
        private List<Entry>? _entries = entries;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _entries, null) is { } held)
                cache.Release(held);
        }
    }
}
