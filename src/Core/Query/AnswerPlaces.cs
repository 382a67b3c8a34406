namespace Gongzhi.Core.Query;

/// <summary>
/// Who may have how many answers open, and how many of them work at once. DuckDB's working places are held only while it works, never while an answer is being written,
/// so that slow readers keep nobody waiting; nobody has all of them, and those without an account together leave one.
/// </summary>
internal sealed class AnswerPlaces(DuckEngineOptions options, TimeProvider time) : IDisposable
{
    private readonly SemaphoreSlim _running = new(options.ConcurrentQueries);

    /// <summary>Places of everybody without an account together.</summary>
    private readonly SemaphoreSlim _nobody = new(Math.Max(1, options.ConcurrentQueries - 1));
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Share> _shares = new(StringComparer.Ordinal);
    private int _open, _openNobody;

    /// <summary>One caller's answers; gone with the last of them.</summary>
    internal sealed class Share(int running) : IDisposable
    {
        public readonly SemaphoreSlim Running = new(running);
        public int Open;

        public void Dispose() => Running.Dispose();
    }

    /// <summary>An answer's place among those open; gives it back when disposed.</summary>
    internal sealed class Place(AnswerPlaces places, string key, bool anonymous, Share share) : IDisposable
    {
        private int _left;

        public Share Share => share;
        public bool Anonymous => anonymous;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
                places.Leave(key, anonymous, share);
        }
    }

    /// <summary>A place for one more answer of this caller; <c>query.share</c> (429) when he has his share open, <c>query.busy</c> (503) when all are taken.</summary>
    public Result<Place> Open(string key, bool anonymous)
    {
        lock (_lock)
        {
            var share = _shares.GetValueOrDefault(key);
            if (share?.Open >= options.AnswersPerCaller)
            {
                return new Problem("query.share", 429, $"You have {options.AnswersPerCaller} answers open; read one to its end, or close it, before you ask again.")
                {
                    Extensions = new Dictionary<string, object?> { ["retryAfterSeconds"] = 5, ["max"] = options.AnswersPerCaller },
                };
            }
            if (_open >= options.OpenAnswers || (anonymous && _openNobody >= Math.Max(1, options.OpenAnswers / 2)))
                return DuckEngine.Busy();
            if (share is null)
                _shares[key] = share = new Share(Math.Max(1, options.ConcurrentQueries / 2));
            share.Open++;
            _open++;
            _openNobody += anonymous ? 1 : 0;
            return new Place(this, key, anonymous, share);
        }
    }

    /// <summary>Waits until DuckDB may work for this answer; false after <paramref name="wait"/>. What is entered must be left.</summary>
    public async Task<bool> EnterAsync(Place? place, TimeSpan wait, CancellationToken cancel)
    {
        // Always in this order, so that nobody waits for one who waits for him.
        var gates = Gates(place);
        var started = time.GetTimestamp();
        for (var i = 0; i < gates.Length; i++)
        {
            var entered = false;
            try
            {
                var left = wait == Timeout.InfiniteTimeSpan ? wait : TimeSpan.FromMilliseconds(Math.Max(0, (wait - time.GetElapsedTime(started)).TotalMilliseconds));
                entered = await gates[i].WaitAsync(left, cancel).ConfigureAwait(false);
            }
            finally
            {
                for (var j = entered ? -1 : i - 1; j >= 0; j--)
                    gates[j].Release();
            }
            if (!entered)
                return false;
        }
        return true;
    }

    public void Exit(Place? place)
    {
        foreach (var gate in Gates(place))
            gate.Release();
    }

    private SemaphoreSlim[] Gates(Place? place) => place is null ? [_running] : place.Anonymous ? [place.Share.Running, _nobody, _running] : [place.Share.Running, _running];

    private void Leave(string key, bool anonymous, Share share)
    {
        lock (_lock)
        {
            _open--;
            _openNobody -= anonymous ? 1 : 0;
            if (--share.Open > 0)
                return;
            _shares.Remove(key);
            share.Dispose();
        }
    }

    public void Dispose()
    {
        _running.Dispose();
        _nobody.Dispose();
    }
}
