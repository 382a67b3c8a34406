namespace Gongzhi.Tests.Unit.Records;

/// <summary>Makes the durable step of one number fail while it is armed, before or after it took effect.</summary>
internal sealed class OneFault(int at, bool persisted)
{
    private volatile bool _armed;
    private int _seen;

    /// <summary>The step that was made to fail, or null when there were fewer.</summary>
    public string? Hit { get; private set; }

    public void Interpose(string step, Action action)
    {
        if (!_armed || Interlocked.Increment(ref _seen) != at + 1)
        {
            action();
            return;
        }
        Hit = step;
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
        catch (Exception) when (Hit is not null)
        {
            // The restart shows what was kept.
        }
        finally
        {
            _armed = false;
        }
    }
}
