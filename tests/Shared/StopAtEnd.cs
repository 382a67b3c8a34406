namespace Gongzhi.Tests.Shared;

/// <summary>Stops what a test runs in the background when the test ends, however it ends: a loop that nobody stops takes the processor from every test after it.</summary>
public sealed class StopAtEnd : CancellationTokenSource
{
    protected override void Dispose(bool disposing)
    {
        if (disposing && !IsCancellationRequested)
            Cancel();
        base.Dispose(disposing);
    }
}
