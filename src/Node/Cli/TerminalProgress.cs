using Spectre.Console;

namespace Gongzhi.Node.Cli;

/// <summary>A progress bar on standard error, drawn only where somebody can see it: on a terminal, and not for <c>--json</c>.</summary>
internal static class TerminalProgress
{
    public static bool Shown(bool json) => !json && !Console.IsErrorRedirected;

    /// <summary>Runs the work with a bar of bytes.</summary>
    /// <param name="title">What is being done.</param>
    /// <param name="bytes">How many there are; null when nobody knows.</param>
    /// <param name="json">Whether a script reads along.</param>
    /// <param name="work">Is given the function to call with each further number of bytes.</param>
    public static Task BytesAsync(string title, long? bytes, bool json, Func<Action<long>, Task> work) =>
        RunAsync(title, bytes, json, work, new DownloadedColumn(), new TransferSpeedColumn());

    /// <summary>Runs the work with a bar of things counted one by one.</summary>
    public static Task CountAsync(string title, long? count, bool json, Func<Action<long>, Task> work) =>
        RunAsync(title, count, json, work, new PercentageColumn(), new ElapsedTimeColumn());

    /// <summary>Runs the work with a bar for each stage it tells of; the function takes the stage's name, how much is done, and of how much.</summary>
    public static async Task StagesAsync(bool json, Func<Action<string, long, long>, Task> work)
    {
        if (!Shown(json))
        {
            await work((_, _, _) => { }).ConfigureAwait(false);
            return;
        }
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        await console.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn()).StartAsync(async progress =>
        {
            var stages = new System.Collections.Concurrent.ConcurrentDictionary<string, ProgressTask>(StringComparer.Ordinal);
            await work((stage, done, total) =>
            {
                var task = stages.GetOrAdd(stage, name => progress.AddTask(Markup.Escape(name)));
                task.MaxValue = Math.Max(1, total);
                task.Value = total == 0 ? 1 : done;
            }).ConfigureAwait(false);
            foreach (var task in stages.Values)
                task.StopTask();
        }).ConfigureAwait(false);
    }

    private static async Task RunAsync(string title, long? most, bool json, Func<Action<long>, Task> work, params ProgressColumn[] figures)
    {
        if (!Shown(json))
        {
            await work(_ => { }).ConfigureAwait(false);
            return;
        }
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        await console.Progress().Columns([new TaskDescriptionColumn(), new ProgressBarColumn(), .. figures]).StartAsync(async progress =>
        {
            var task = progress.AddTask(Markup.Escape(title), maxValue: Math.Max(1, most ?? 1));
            task.IsIndeterminate = most is null;
            await work(n => task.Increment(n)).ConfigureAwait(false);
            task.StopTask();
        }).ConfigureAwait(false);
    }
}

/// <summary>Tells how many bytes were read through it; owns nothing.</summary>
internal sealed class CountingStream(Stream inner, Action<long> count) : Stream
{
    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count1)
    {
        var n = inner.Read(buffer, offset, count1);
        count(n);
        return n;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var n = await inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
        count(n);
        return n;
    }

    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count1) => throw new NotSupportedException();
}
