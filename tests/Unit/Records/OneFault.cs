using System.Collections.Concurrent;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>
/// Lets one durable step fail, once, either before it did anything or after it did everything. A step is named by its kind and its number among
/// those of its kind: what runs beside, such as the sequencer, moves the order of kinds from run to run.
/// </summary>
internal sealed class OneFault(string step, int at, bool persisted)
{
    private readonly ConcurrentDictionary<string, int> _counts = new();
    private volatile bool _armed;

    public bool Hit { get; private set; }

    /// <summary>Runs once to count the steps, then once for each of them; answers the kinds of step that there were.</summary>
    public static async Task<IEnumerable<string>> EachAsync(bool persisted, Func<OneFault, Task> run)
    {
        var counting = new OneFault("", 0, persisted);
        await run(counting);
        foreach (var (step, count) in counting._counts)
        {
            for (var at = 0; at < count; at++)
            {
                var fault = new OneFault(step, at, persisted);
                await run(fault);
                Assert.True(fault.Hit || at > 0, $"{step} was not reached");
            }
        }
        return counting._counts.Keys.Order(StringComparer.Ordinal);
    }

    public void Interpose(string name, Action action)
    {
        if (!_armed || _counts.AddOrUpdate(name, 1, (_, n) => n + 1) - 1 != at || name != step)
        {
            action();
            return;
        }
        Hit = true;
        if (persisted)
            action();
        throw new IOException("This step was made to fail.");
    }

    /// <summary>Runs what is to meet the fault. It may fail only where something did, be it a step of the sequencer beside it.</summary>
    public async Task DuringAsync(Func<Task> run)
    {
        _armed = true;
        try
        {
            await run();
        }
        catch (Exception) when (Hit)
        {
            // The restart shows what was kept.
        }
        finally
        {
            _armed = false;
        }
    }
}
