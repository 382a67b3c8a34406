namespace Gongzhi.Ledger;

/// <summary>How a <see cref="TileLog"/> groups what it is given.</summary>
public sealed record TileLogOptions
{
    /// <summary>A tree state finds the index of an id among at least this many last entries.</summary>
    public const int IdWindow = 65_536;

    /// <summary>Most entries in one step, 1 to 65,536; more wait for the next.</summary>
    public int StepEntriesMax { get; init; } = 8192;

    /// <summary>Most entry bytes in one step (a single larger entry still goes alone), up to 128 MiB.</summary>
    public int StepBytesMax { get; init; } = 32 * 1024 * 1024;

    /// <summary>Most requests waiting; further callers wait to be let in.</summary>
    public int WaitingMax { get; init; } = 4096;

    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(StepEntriesMax, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(StepEntriesMax, IdWindow);
        ArgumentOutOfRangeException.ThrowIfLessThan(StepBytesMax, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(StepBytesMax, 128 * 1024 * 1024);
        ArgumentOutOfRangeException.ThrowIfLessThan(WaitingMax, 1);
    }
}
