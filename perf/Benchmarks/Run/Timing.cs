using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Gongzhi.Perf;

/// <summary>Seconds of several runs of the same work.</summary>
internal sealed class Times
{
    private readonly List<double> _seconds = [];

    public void Add(double seconds) => _seconds.Add(seconds);

    public double Median
    {
        get
        {
            var sorted = _seconds.Order().ToArray();
            return sorted.Length == 0 ? double.NaN : sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
        }
    }

    /// <summary>Median, and the least and the most when there was more than one run.</summary>
    public override string ToString() => _seconds.Count < 2 ? Text.Seconds(Median) : $"{Text.Seconds(Median)} ({Text.Seconds(_seconds.Min())}–{Text.Seconds(_seconds.Max())})";
}

internal static partial class Clock
{
    /// <summary>What earlier work left for the disk and for the collector is done first, so that nobody pays for somebody else.</summary>
    public static void Settle()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        FlushDisks();
    }

    public static Task<double> TimeAsync<T>(Func<Task<T>> work) => TimeAsync((Func<Task>)work);

    public static async Task<double> TimeAsync(Func<Task> work)
    {
        Settle();
        var start = Stopwatch.GetTimestamp();
        await work();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    public static Task<double> TimeAsync(Action work) => TimeAsync(() =>
    {
        work();
        return Task.CompletedTask;
    });

    /// <summary>Processor time of this process so far, over all cores.</summary>
    public static double CpuSeconds()
    {
        using var process = Process.GetCurrentProcess();
        return process.TotalProcessorTime.TotalSeconds;
    }

    [LibraryImport("libc", EntryPoint = "sync")]
    private static partial void FlushDisks();
}

internal static class Growth
{
    /// <summary>The slope of log(cost) over log(size): 1 is proportional, 2 quadratic.</summary>
    public static double Exponent(params (double Size, double Cost)[] points)
    {
        var x = points.Select(p => Math.Log(p.Size)).ToArray();
        var y = points.Select(p => Math.Log(p.Cost)).ToArray();
        var (mx, my) = (x.Average(), y.Average());
        return x.Zip(y, (a, b) => (a - mx) * (b - my)).Sum() / x.Sum(a => (a - mx) * (a - mx));
    }
}

internal static class Text
{
    public static string Seconds(double s) => s switch
    {
        double.NaN => "—",
        >= 10 => Invariant($"{s:0.0} s"),
        >= 0.1 => Invariant($"{s:0.00} s"),
        >= 0.001 => Invariant($"{s * 1e3:0.0} ms"),
        _ => Invariant($"{s * 1e6:0.0} µs"),
    };

    public static string Ratio(double r) => double.IsNaN(r) ? "—" : r >= 10 ? Invariant($"{r:0.0}×") : Invariant($"{r:0.00}×");

    public static string Percent(double r) => Invariant($"{r * 100:0} %");

    public static string Count(double n) => n.ToString("#,0", CultureInfo.InvariantCulture);

    public static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
