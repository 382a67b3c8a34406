using Gongzhi.Core.Storage;
using Gongzhi.Tests.Unit.Policy;
using Xunit;

namespace Gongzhi.Tests.Unit.Storage;

public sealed class NodeWriterTests
{
    [Fact]
    public async Task A_full_queue_is_told_at_once_and_what_waits_in_it_is_done()
    {
        await using var world = new PolicyWorld();
        var (started, gate) = (new TaskCompletionSource(), new TaskCompletionSource());
        var blocking = world.Writer.RunAsync(_ =>
        {
            started.SetResult();
            gate.Task.GetAwaiter().GetResult();
        }, TestContext.Current.CancellationToken);
        await started.Task;
        var waiting = Enumerable.Range(0, NodeWriter.QueueMax).Select(i => world.Writer.RunAsync(_ => i)).ToList();
        Assert.DoesNotContain(waiting, t => t.IsCompleted);
        await Assert.ThrowsAsync<StoreUnavailableException>(() => world.Writer.RunAsync(_ => { }));
        gate.SetResult();
        await blocking;
        Assert.Equal(Enumerable.Range(0, NodeWriter.QueueMax), await Task.WhenAll(waiting));
        Assert.Equal(7, await world.Writer.RunAsync(_ => 7));
    }

    [Fact]
    public async Task A_closed_writer_says_that_it_stopped_and_not_that_one_should_try_again()
    {
        await using var world = new PolicyWorld();
        await world.Writer.DisposeAsync();
        await Assert.ThrowsAsync<WriterStoppedException>(() => world.Writer.RunAsync(_ => { }));
    }
}
