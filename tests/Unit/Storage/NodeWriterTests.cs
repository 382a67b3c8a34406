using Gongzhi.Core.Storage;
using Gongzhi.Tests.Unit.Policy;
using Gongzhi.Tests.Unit.Records;
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

    [Fact]
    public async Task What_a_lost_connection_was_doing_is_done_again_once_on_a_new_one()
    {
        await using var core = await CoreFixture.OpenAsync(postgres: true);
        var (runs, rows) = (0, 0);
        // Another work of the same group, which was done before the connection went.
        var (started, gate) = (new TaskCompletionSource(), new TaskCompletionSource());
        var first = core.Writer.RunAsync(_ =>
        {
            started.TrySetResult();
            gate.Task.GetAwaiter().GetResult();
        });
        await started.Task;
        var beside = core.Writer.RunAsync(scope => Interlocked.Increment(ref rows));
        var losing = core.Writer.RunAsync(scope =>
        {
            if (Interlocked.Increment(ref runs) == 1)
                Lose(scope);
            return "kept";
        });
        gate.SetResult();
        await first;
        Assert.Equal("kept", await losing);
        await beside;
        Assert.Equal(2, runs);
        Assert.True(rows >= 1);
        Assert.Null(core.Writer.Refusing);

        // Whoever loses it every time is told so, and the writer goes on.
        var refused = await Assert.ThrowsAsync<StoreUnavailableException>(() => core.Writer.RunAsync(Lose));
        Assert.IsAssignableFrom<System.Data.Common.DbException>(refused.InnerException);
        Assert.Equal(7, await core.Writer.RunAsync(_ => 7));
        Assert.Null(core.Writer.Refusing);
    }

    private static void Lose(WriteScope scope)
    {
        using var command = scope.Connection.CreateCommand();
        (command.CommandText, command.Transaction) = ("SELECT pg_terminate_backend(pg_backend_pid())", scope.Transaction);
        command.ExecuteNonQuery();
    }
}
