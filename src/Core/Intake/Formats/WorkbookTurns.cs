namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// How many workbooks are read at once: other formats stream, but a workbook's shared strings are held whole, so that a dozen at a time could take
/// all the memory of the node. Who comes when all turns are taken waits a little and is then told to try again.
/// </summary>
/// <param name="atOnce">Turns.</param>
/// <param name="wait">How long one waits for a turn.</param>
public sealed class WorkbookTurns(int atOnce, TimeSpan wait) : IDisposable
{
    private readonly SemaphoreSlim _turns = new(atOnce, atOnce);

    /// <summary>A turn, to be disposed when the workbook has been read.</summary>
    /// <exception cref="IntakeBusyException">None became free in time.</exception>
    public async ValueTask<IDisposable> EnterAsync(CancellationToken cancel) =>
        await _turns.WaitAsync(wait, cancel).ConfigureAwait(false) ? new Turn(_turns) : throw new IntakeBusyException();

    public void Dispose() => _turns.Dispose();

    private sealed class Turn(SemaphoreSlim turns) : IDisposable
    {
        private SemaphoreSlim? _turns = turns;

        public void Dispose() => Interlocked.Exchange(ref _turns, null)?.Release();
    }
}

/// <summary>Too much is being read already; nothing is wrong with the file.</summary>
public sealed class IntakeBusyException() : Exception("Too many workbooks are being read at the moment.")
{
    /// <summary>What the contributor is told.</summary>
    public static Problem Problem { get; } = new("intake.busy", 503, "Too many workbooks are being read at the moment; nothing was kept. Try again shortly, or send CSV.");
}
