using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>A file or object of the store, and when the store says it was written.</summary>
internal readonly record struct StoredItem(string Key, DateTimeOffset Modified);

/// <summary>Small marks beside the segments. What was put is seen by whoever lists after it, on every machine.</summary>
internal interface ISegmentMarks
{
    ValueTask PutAsync(string key, CancellationToken cancel);

    /// <summary>One that is not there is no error.</summary>
    ValueTask RemoveAsync(string key, CancellationToken cancel);

    /// <summary>The marks whose keys begin so, in no order.</summary>
    ValueTask<List<StoredItem>> ListAsync(string prefix, CancellationToken cancel);

    /// <summary>Writes down whose the store is, unless that was done before; answers what stands there.</summary>
    ValueTask<string> OwnAsync(string owner, CancellationToken cancel);
}

/// <summary>
/// Keeps several machines from deleting what another is about to list. Who writes a segment puts <c>intent/NAME.MACHINE.RUN</c> before its first byte and takes it
/// away after the commit that lists it, or when it will surely not be listed. Who deletes puts <c>deleting/NAME.MACHINE.RUN</c> first. Each then looks for the other's
/// mark: the writer waits, the deleter gives up. As both put before they look, at least one of two at once sees the other.
/// </summary>
/// <remarks>
/// So a segment that is there, then has no intent, then is not in SQL's list, was listed once or never will be: the order of these three looks is what makes the sweep safe.
/// An intent whose writer died stays. It counts as over when the writer is known to have ended (an earlier process of this machine, since a data directory has one at
/// a time; or its peers say so), or after <see cref="IntentAge"/> by the store's own clock. A writer stopped for so long and woken again cannot list: its promise ended after
/// <see cref="ListWithin"/>, which is looked at inside the listing transaction, and that transaction's own time limit is far shorter than what lies between the two.
/// </remarks>
internal sealed class SegmentClaims(ISegmentMarks marks, World world, ISegmentPeers peers, TimeProvider clock, ILogger log) : IAsyncDisposable
{
    /// <summary>A segment must be listed so soon after it was announced.</summary>
    public static readonly TimeSpan ListWithin = TimeSpan.FromHours(6);

    /// <summary>An announcement of somebody unknown counts for so long.</summary>
    public static readonly TimeSpan IntentAge = TimeSpan.FromHours(24);

    /// <summary>A segment without any intent is left over when two looks so far apart find it in no list: time to notice that SQL was restored from an older backup.</summary>
    public static readonly TimeSpan LooksApart = TimeSpan.FromHours(1);

    /// <summary>A deletion must have begun its last step within this; a mark of one that is ten times as old is nobody's.</summary>
    private static readonly TimeSpan DeleteWithin = TimeSpan.FromMinutes(2);

    /// <summary>A deletion that its process asked for before it ended has arrived by then, or never will.</summary>
    private static readonly TimeSpan InFlight = TimeSpan.FromSeconds(30);

    /// <summary>How long a writer waits for a deletion of the same name elsewhere.</summary>
    private static readonly TimeSpan DeletionWait = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    // Announced by this process and not yet listed or given up, with how many announced it.
    private readonly Dictionary<string, int> _open = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DateTimeOffset> _unlistedSince = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Turn> _turns = new(StringComparer.Ordinal);
    private readonly HashSet<Task> _ending = [];
    private long _looks;

    /// <summary>Tells this process from every other, also from earlier ones of this machine.</summary>
    public string Run { get; } = Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(8));

    /// <summary>Tells this machine from the others. Made when first needed: who only looks leaves nothing behind.</summary>
    public string Machine => field ??= MachineMark.Of(world);

    private string Me => Machine + "." + Run;

    /// <summary>One at a time for each name in this process; dispose the answer to let the next one in.</summary>
    public async Task<IDisposable> EnterAsync(string name, CancellationToken cancel)
    {
        Turn? turn;
        lock (_lock)
        {
            if (!_turns.TryGetValue(name, out turn))
                _turns[name] = turn = new Turn(this, name);
            turn.Wanted++;
        }
        try
        {
            await turn.Gate.WaitAsync(cancel).ConfigureAwait(false);
            return turn;
        }
        catch
        {
            turn.Leave(held: false);
            throw;
        }
    }

    /// <summary>Before the first byte is stored under its final name; in the name's turn.</summary>
    public async Task<SegmentPromise> AnnounceAsync(string name, CancellationToken cancel)
    {
        var until = clock.GetUtcNow() + ListWithin;
        lock (_lock)
            _open[name] = _open.GetValueOrDefault(name) + 1;
        try
        {
            await marks.PutAsync($"intent/{name}.{Me}", cancel).ConfigureAwait(false);
            await AwaitDeletionsAsync(name, cancel).ConfigureAwait(false);
        }
        catch
        {
            await GiveUpAsync(name).ConfigureAwait(false);
            throw;
        }
        return new SegmentPromise(name, until, clock, () => End(name));
    }

    /// <summary>It was not stored whole, or will surely not be listed; in the name's turn.</summary>
    public async Task GiveUpAsync(string name)
    {
        try
        {
            await EndAsync(name).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            log.LogWarning(e, "The mark of segment {Segment} could not be removed; the segment is swept later", name);
        }
    }

    /// <summary>Deletes by <paramref name="delete"/> while no other machine can begin to list it; in the name's turn.</summary>
    /// <exception cref="SegmentStoreException">Somebody is about to list it.</exception>
    public async Task DeleteAsync(string name, Func<Task> delete, CancellationToken cancel)
    {
        // Published by this process and never listed: nobody else can be about to.
        bool own;
        lock (_lock)
            own = _open.ContainsKey(name);
        if (own)
            await EndAsync(name).ConfigureAwait(false);
        var mark = $"deleting/{name}.{Me}";
        var began = clock.GetTimestamp();
        await marks.PutAsync(mark, cancel).ConfigureAwait(false);
        try
        {
            foreach (var intent in await marks.ListAsync($"intent/{name}.", cancel).ConfigureAwait(false))
            {
                if (!await IsOverAsync(intent, mark, cancel).ConfigureAwait(false))
                    throw new SegmentStoreException($"The segment {name} is being written by another machine, so it is not deleted now.");
                await marks.RemoveAsync(intent.Key, cancel).ConfigureAwait(false);
            }
            if (clock.GetElapsedTime(began) > DeleteWithin)
                throw new SegmentStoreException($"The segment store answers too slowly to delete the segment {name} now.");
            await delete().ConfigureAwait(false);
        }
        finally
        {
            await marks.RemoveAsync(mark, CancellationToken.None).ConfigureAwait(false);
        }
        lock (_lock)
            _unlistedSince.Remove(name);
    }

    /// <summary>Of the segments that lay in the store before this was asked, those that no list names and nobody is about to list.</summary>
    public async Task<List<string>> OrphansAsync(IReadOnlySet<string> stored, Func<IReadOnlySet<string>> listed, bool atOnce, CancellationToken cancel)
    {
        if (stored.Count == 0)
            return [];
        var intents = (await marks.ListAsync("intent/", cancel).ConfigureAwait(false)).ToLookup(i => Split(i.Key).Name, StringComparer.Ordinal);
        // Last: what had no intent above and is to be listed at all is in it by now.
        var names = listed();
        var orphans = new List<string>();
        var now = clock.GetUtcNow();
        var unlisted = new HashSet<string>(StringComparer.Ordinal);
        foreach (var name in stored.Where(n => !names.Contains(n)))
        {
            if (intents[name].Any())
            {
                var over = true;
                foreach (var intent in intents[name])
                    over = over && await IsOverAsync(intent, null, cancel).ConfigureAwait(false);
                if (over)
                    orphans.Add(name);
                continue;
            }
            unlisted.Add(name);
            lock (_lock)
            {
                if ((!_unlistedSince.TryAdd(name, now) && now - _unlistedSince[name] >= LooksApart) || atOnce)
                    orphans.Add(name);
            }
        }
        lock (_lock)
        {
            foreach (var name in _unlistedSince.Keys.Where(n => !unlisted.Contains(n)).ToList())
                _unlistedSince.Remove(name);
        }
        // Marks of listed segments, and of ones that never came to be, whose writers are gone.
        foreach (var intent in intents.Where(g => names.Contains(g.Key) || !stored.Contains(g.Key)).SelectMany(g => g))
        {
            if (await IsOverAsync(intent, null, cancel).ConfigureAwait(false))
                await marks.RemoveAsync(intent.Key, cancel).ConfigureAwait(false);
        }
        return orphans;
    }

    /// <summary>Waits for marks that are being removed.</summary>
    public async ValueTask DisposeAsync()
    {
        Task[] left;
        lock (_lock)
            left = [.. _ending];
        await Task.WhenAll(left).ConfigureAwait(false);
    }

    private async Task AwaitDeletionsAsync(string name, CancellationToken cancel)
    {
        var began = clock.GetTimestamp();
        for (var wait = TimeSpan.FromMilliseconds(50); ; wait = wait < TimeSpan.FromSeconds(2) ? wait * 2 : wait)
        {
            var deleting = await marks.ListAsync($"deleting/{name}.", cancel).ConfigureAwait(false);
            if (deleting.Count > 0)
            {
                // Its own mark is the youngest thing there, so it tells the store's time.
                var now = await NowAsync(cancel).ConfigureAwait(false);
                foreach (var old in deleting.ToList())
                {
                    if (now - old.Modified <= DeleteWithin * 10 && !(now - old.Modified > InFlight && await HasEndedAsync(old, cancel).ConfigureAwait(false)))
                        continue;
                    await marks.RemoveAsync(old.Key, cancel).ConfigureAwait(false);
                    deleting.Remove(old);
                }
            }
            if (deleting.Count == 0)
                return;
            if (clock.GetElapsedTime(began) > DeletionWait)
                throw new SegmentStoreException($"The segment {name} is being deleted by another machine; try again.");
            await Task.Delay(wait, clock, cancel).ConfigureAwait(false);
        }
    }

    /// <summary>Whether whoever put a mark is known to have ended: an earlier process of this machine, or one that its peers know of.</summary>
    private async ValueTask<bool> HasEndedAsync(StoredItem mark, CancellationToken cancel)
    {
        var (_, owner, run) = Split(mark.Key);
        return owner == Machine ? run != Run : await peers.HasEndedAsync(owner, run, cancel).ConfigureAwait(false);
    }

    /// <summary>Whether what an intent announces will never be listed. <paramref name="justPut"/> tells the store's time; without it, a mark is put to learn it.</summary>
    private async Task<bool> IsOverAsync(StoredItem intent, string? justPut, CancellationToken cancel)
    {
        var (name, owner, run) = Split(intent.Key);
        if (owner == Machine)
        {
            lock (_lock)
                return run != Run || !_open.ContainsKey(name);
        }
        if (await peers.HasEndedAsync(owner, run, cancel).ConfigureAwait(false))
            return true;
        var now = justPut is null
            ? await NowAsync(cancel).ConfigureAwait(false)
            : (await marks.ListAsync(justPut, cancel).ConfigureAwait(false)).Select(m => m.Modified).DefaultIfEmpty(DateTimeOffset.MinValue).Max();
        return now - intent.Modified > IntentAge;
    }

    /// <summary>The store's own time: clocks of machines need not agree.</summary>
    private async Task<DateTimeOffset> NowAsync(CancellationToken cancel)
    {
        var key = $"clock/{Me}.{Interlocked.Increment(ref _looks)}";
        await marks.PutAsync(key, cancel).ConfigureAwait(false);
        try
        {
            return (await marks.ListAsync(key, cancel).ConfigureAwait(false)).Select(m => m.Modified).DefaultIfEmpty(DateTimeOffset.MinValue).Max();
        }
        finally
        {
            await marks.RemoveAsync(key, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private static (string Name, string Machine, string Run) Split(string key) =>
        key[(key.IndexOf('/', StringComparison.Ordinal) + 1)..].Split('.') is [var name, var machine, var run] ? (name, machine, run) : (key, "", "");

    private void End(string name)
    {
        // The commit's thread must not wait for the store; a mark that stays is found over by whoever looks.
        var ending = Task.Run(async () =>
        {
            using (await EnterAsync(name, CancellationToken.None).ConfigureAwait(false))
                await GiveUpAsync(name).ConfigureAwait(false);
        });
        lock (_lock)
            _ending.Add(ending);
        ending.ContinueWith(done =>
        {
            lock (_lock)
                _ending.Remove(done);
        }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private async Task EndAsync(string name)
    {
        lock (_lock)
        {
            if (!_open.TryGetValue(name, out var count))
                return;
            if (count > 1)
            {
                _open[name] = count - 1;
                return;
            }
            _open.Remove(name);
        }
        await marks.RemoveAsync($"intent/{name}.{Me}", CancellationToken.None).ConfigureAwait(false);
    }

    private sealed class Turn(SegmentClaims claims, string name) : IDisposable
    {
        public SemaphoreSlim Gate { get; } = new(1);

        /// <summary>Guarded by the claims' lock.</summary>
        public int Wanted { get; set; }

        public void Dispose() => Leave(held: true);

        public void Leave(bool held)
        {
            lock (claims._lock)
            {
                if (held)
                    Gate.Release();
                if (--Wanted == 0)
                    claims._turns.Remove(name);
            }
        }
    }
}
