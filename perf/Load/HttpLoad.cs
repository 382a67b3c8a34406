using System.Diagnostics;
using System.Net;

namespace Gongzhi.Perf.Load;

/// <summary>What a number of clients saw, each sending its next request once the last was answered.</summary>
/// <param name="Milliseconds">Of every answered request, sorted.</param>
public sealed record LoadOutcome(long Requests, long Failed, double Seconds, double[] Milliseconds, string? FirstFailure)
{
    public double PerSecond => Requests / Seconds;
    public double P50 => At(0.50);
    public double P99 => At(0.99);
    public double Worst => At(1);

    private double At(double share) => Milliseconds.Length == 0 ? double.NaN : Milliseconds[(int)Math.Min(Milliseconds.Length - 1, share * Milliseconds.Length)];
}

/// <summary>A closed loop of clients on keep-alive connections, in this process: it shares the machine's cores with what it loads, equally for everyone it is pointed at.</summary>
public static class HttpLoad
{
    /// <param name="clients">One connection each.</param>
    /// <param name="warmUp">Sent the same way first and not counted.</param>
    /// <param name="duration">From the end of the warm-up.</param>
    /// <param name="request">Makes the n-th request; called from many threads.</param>
    public static async Task<LoadOutcome> RunAsync(Uri address, int clients, TimeSpan warmUp, TimeSpan duration, Func<long, HttpRequestMessage> request)
    {
        using var handler = new SocketsHttpHandler { MaxConnectionsPerServer = clients, PooledConnectionLifetime = Timeout.InfiniteTimeSpan, UseProxy = false, UseCookies = false };
        using var http = new HttpMessageInvoker(handler);
        long next = 0, failed = 0;
        string? failure = null;
        var start = Stopwatch.GetTimestamp();
        var measured = await Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(ClientAsync)));
        var all = measured.SelectMany(m => m).ToArray();
        Array.Sort(all);
        return new(all.Length, failed, duration.TotalSeconds, all, failure);

        async Task<List<double>> ClientAsync()
        {
            var times = new List<double>(1 << 14);
            while (true)
            {
                using var message = request(Interlocked.Increment(ref next));
                message.RequestUri = new Uri(address, message.RequestUri!);
                var sent = Stopwatch.GetTimestamp();
                using var response = await http.SendAsync(message, CancellationToken.None);
                var body = await response.Content.ReadAsByteArrayAsync();
                var since = Stopwatch.GetElapsedTime(start);
                if (since > warmUp + duration)
                    return times;
                if (response.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.Created))
                {
                    Interlocked.Increment(ref failed);
                    Interlocked.CompareExchange(ref failure, $"{(int)response.StatusCode} {System.Text.Encoding.UTF8.GetString(body)}", null);
                }
                else if (since > warmUp)
                {
                    times.Add(Stopwatch.GetElapsedTime(sent).TotalMilliseconds);
                }
            }
        }
    }
}
