using System.Collections.Concurrent;
using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;

namespace Gongzhi.Node.Pages;

/// <summary>What has been found in a file that is still being checked.</summary>
/// <param name="Rows">Rows looked at.</param>
/// <param name="Rejected">Of these.</param>
/// <param name="Faults">Values or rows that are wrong; one row may have several.</param>
/// <param name="First">The first of them, in the reader's language.</param>
/// <param name="Done">Nothing more will be said.</param>
internal sealed record LiveReport(long Rows, long Rejected, long Faults, IReadOnlyList<LiveFault> First, bool Done);

/// <summary>One thing that is wrong.</summary>
internal sealed record LiveFault(string Where, string What);

/// <summary>
/// Uploads whose pages are watching them, by party and a number the page made up. A page asks to watch before it sends, so that nothing is kept
/// for those that do not; the answer to the upload itself never depends on anybody watching.
/// </summary>
internal sealed class LiveUploads(TimeProvider clock)
{
    /// <summary>Watched at once; more are told to do without.</summary>
    private const int WatchedMax = 500, WatchedByOneMax = 8;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>A line is tried this often, so that one that broke in silence is noticed.</summary>
    private static readonly TimeSpan Beat = TimeSpan.FromSeconds(20);
    private readonly ConcurrentDictionary<(string Party, Guid Upload), Watched> _watched = new();

    public sealed class Watched : IProgress<IntakeProgress>
    {
        private volatile LiveReport _now = new(0, 0, 0, [], Done: false);
        private Func<RowError, LiveFault> _say = e => new(e.Field ?? "", e.Code);

        public LiveReport Now => _now;

        /// <summary>Before anything is reported: how a fault is told to this reader.</summary>
        public void Say(Func<RowError, LiveFault> say) => _say = say;

        // The intake reports in order, from one thread at a time.
        public void Report(IntakeProgress value)
        {
            var first = _now.First.Count < value.First.Count ? [.. value.First.Select(_say)] : _now.First;
            _now = new(value.Rows, value.Rejected, value.Faults, first, Done: false);
        }

        public void Finish() => _now = _now with { Done = true };
    }

    /// <summary>The upload as somebody watches it, or null when nobody does.</summary>
    public Watched? Find(string party, Guid upload) => _watched.GetValueOrDefault((party, upload));

    /// <summary>What is found from now on, each time it changes, until the upload ends or the watcher goes; null when there are too many.</summary>
    public IAsyncEnumerable<SseItem<LiveReport>>? Watch(string party, Guid upload, CancellationToken cancel)
    {
        if (_watched.Count >= WatchedMax || _watched.Keys.Count(k => k.Party == party) >= WatchedByOneMax)
            return null;
        return _watched.TryAdd((party, upload), new Watched()) ? ReportsAsync((party, upload), cancel) : null;
    }

    private async IAsyncEnumerable<SseItem<LiveReport>> ReportsAsync((string, Guid) key, [EnumeratorCancellation] CancellationToken cancel)
    {
        try
        {
            var watched = _watched[key];
            LiveReport? told = null;
            var last = clock.GetTimestamp();
            while (told is not { Done: true })
            {
                // The first tells the page that it is watching and may send.
                if (!ReferenceEquals(told, watched.Now) || clock.GetElapsedTime(last) > Beat)
                {
                    told = watched.Now;
                    last = clock.GetTimestamp();
                    yield return new SseItem<LiveReport>(told);
                    continue;
                }
                await Task.Delay(Pause, clock, cancel).ConfigureAwait(false);
            }
        }
        finally
        {
            _watched.TryRemove(key, out _);
        }
    }
}

/// <summary><c>GET /upload/live/{upload}</c>: server-sent events for the page that sends a file.</summary>
internal static class LiveUploadRoute
{
    public static void MapLiveUploads(this IEndpointRouteBuilder pages) =>
        pages.MapGet("/upload/live/{upload:guid}", (Guid upload, HttpContext http, CallerAccessor callers, LiveUploads uploads, CancellationToken cancel) =>
        {
            if (uploads.Watch(callers.Required.Party, upload, cancel) is not { } reports)
                return HostProblems.RateLimited.ToResult();
            // Proxies that gather answers would hold the events back.
            http.Response.Headers["X-Accel-Buffering"] = "no";
            return TypedResults.ServerSentEvents(reports);
        })
            .WithName("page-upload-live").RequireCaller(Core.Parties.Roles.Contributor, Core.Parties.Roles.Steward).AnswersLong().ExcludeFromDescription();
}
