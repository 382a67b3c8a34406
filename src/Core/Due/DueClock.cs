using Gongzhi.Core.Storage;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Due;

/// <summary>
/// Looks every few seconds at what fell due, and has it dealt with: each item once, by its line in <c>due_done</c>, which one transaction alone can add. Any number of clocks may run.
/// </summary>
public sealed class DueClock(World world, NodeWriter writer, IEnumerable<IDueWork> works, TimeProvider clock, ILogger<DueClock> log)
{
    /// <summary>Between two looks.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    /// <summary>Items of one work in one look.</summary>
    public const int ItemsMax = 200;

    private readonly IReadOnlyList<IDueWork> _works = [.. works.OrderBy(w => w.Name, StringComparer.Ordinal)];

    /// <summary>Looks until it is told to stop.</summary>
    public async Task RunAsync(CancellationToken cancel)
    {
        while (!cancel.IsCancellationRequested)
        {
            var done = await LookAsync(cancel).ConfigureAwait(false);
            if (done < ItemsMax)
                await Task.Delay(Interval, TimeProvider.System, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>One look. A work that fails is tried again with the next one and holds up no other.</summary>
    /// <returns>How many items were dealt with here.</returns>
    public async Task<int> LookAsync(CancellationToken cancel)
    {
        var done = 0;
        foreach (var work in _works)
        {
            try
            {
                var now = clock.GetUtcNow();
                IReadOnlyList<DueItem> due;
                using (var connection = NodeDatabase.OpenReader(world))
                    due = work.Find(connection, now, ItemsMax);
                foreach (var item in due)
                    done += await writer.RunAsync(scope => Act(scope, work, item, now), cancel).ConfigureAwait(false) ? 1 : 0;
            }
            catch (Exception e) when (e is not OperationCanceledException and not WriterStoppedException)
            {
                log.LogError(e, "What fell due of the kind {Work} could not be dealt with; it is tried again", work.Name);
            }
        }
        return done;
    }

    private static bool Act(WriteScope scope, IDueWork work, DueItem item, DateTimeOffset now)
    {
        using var take = scope.Command("INSERT INTO due_done(work, item, time) VALUES (@work, @item, @time) ON CONFLICT DO NOTHING");
        if (take.Set("@work", work.Name).Set("@item", item.Item).Set("@time", Microseconds.From(now)).ExecuteNonQuery() != 1)
            return false;
        work.Act(scope, item, now);
        return true;
    }
}
