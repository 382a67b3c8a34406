using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Http.Json;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Cluster.Faults;

/// <summary>
/// Clients that report one record after another, and ask again elsewhere under the same key until it is acknowledged, as clients behind a load balancer do; and readers who look, on any machine,
/// whether all that was acknowledged before they asked is there.
/// </summary>
internal sealed class SteadyLoad : IAsyncDisposable
{
    /// <summary>Longer than any answer of a healthy machine here, and short enough for a frozen one to be left.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Whoever asks a balancer waits, also while a starting program takes the processors.</summary>
    private static readonly TimeSpan PatienceThrough = TimeSpan.FromSeconds(30);

    private readonly FaultCluster _cluster;
    private readonly HttpClient? _through;
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _clients = [];
    private readonly ConcurrentQueue<string> _faults = new();
    private long _acknowledged, _reads, _longest, _longestReading;

    /// <param name="cluster">Whose machines are asked.</param>
    /// <param name="writers">How many clients report.</param>
    /// <param name="readers">How many look.</param>
    /// <param name="through">A load balancer that all ask instead. Nobody asks twice then: what is not answered as it should be is a fault.</param>
    public SteadyLoad(FaultCluster cluster, int writers, int readers, HttpClient? through = null)
    {
        (_cluster, _through) = (cluster, through);
        for (var w = 0; w < writers; w++)
            _clients.Add(WriteAsync(w));
        for (var r = 0; r < readers; r++)
            _clients.Add(ReadAsync(r));
    }

    public ConcurrentBag<string> Acknowledged { get; } = [];

    public long Count => Interlocked.Read(ref _acknowledged);

    public long Reads => Interlocked.Read(ref _reads);

    /// <summary>The longest that one client waited for one acknowledgement since <see cref="Forget"/>.</summary>
    public TimeSpan LongestPause => TimeSpan.FromTicks(Interlocked.Read(ref _longest));

    /// <summary>The longest that one reader waited for one answer since <see cref="Forget"/>, asked again elsewhere until it came.</summary>
    public TimeSpan LongestReading => TimeSpan.FromTicks(Interlocked.Read(ref _longestReading));

    public void Forget()
    {
        Interlocked.Exchange(ref _longest, 0);
        Interlocked.Exchange(ref _longestReading, 0);
    }

    /// <summary>Waits until so many more are acknowledged.</summary>
    public async Task MoreAsync(int count, TimeSpan limit)
    {
        var clock = TimeProvider.System;
        var (target, began) = (Count + count, clock.GetTimestamp());
        while (Count < target && clock.GetElapsedTime(began) < limit && _faults.IsEmpty)
            await Task.Delay(TimeSpan.FromMilliseconds(20), clock);
        Assert.Empty(_faults);
        Assert.True(Count >= target, $"Only {Count} of {target} reports were acknowledged within {limit}.\n" + string.Join("\n\n", _cluster.Machines.Select(m => m.Said)));
    }

    /// <summary>Lets every client finish the report it is at.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_clients);
        Assert.Empty(_faults);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_clients).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task WriteAsync(int number)
    {
        await Task.Yield();
        var clock = TimeProvider.System;
        for (var i = 0; !_stop.IsCancellationRequested && _faults.IsEmpty; i++)
        {
            var value = string.Create(CultureInfo.InvariantCulture, $"w{number}-{i}");
            var began = clock.GetTimestamp();
            for (var attempt = 0; ; attempt++)
            {
                if (clock.GetElapsedTime(began) > TimeSpan.FromMinutes(2))
                {
                    _faults.Enqueue($"{value} was not acknowledged in two minutes.");
                    return;
                }
                var machine = Pick(number + i + attempt);
                try
                {
                    using var end = new CancellationTokenSource(_through is null ? Patience : PatienceThrough);
                    using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/datasets/{FaultCluster.Dataset}/records") { Content = new StringContent($"v\r\n{value}\r\n", null, "text/csv") };
                    request.Headers.Add("Idempotency-Key", value);
                    using var response = await machine.SendAsync(request, end.Token);
                    var text = await response.Content.ReadAsStringAsync(end.Token);
                    if (response.IsSuccessStatusCode)
                        break;
                    if (_through is not null || (int)response.StatusCode < 500 && (int)response.StatusCode != 429)
                    {
                        _faults.Enqueue($"{value}: {(int)response.StatusCode} {text}");
                        return;
                    }
                }
                catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
                {
                    // Gone, frozen or cut off: the next one.
                    if (_through is not null)
                        _faults.Enqueue($"{value}: {e.Message}");
                }
                await Task.Delay(TimeSpan.FromMilliseconds(20), clock);
            }
            Acknowledged.Add(value);
            Interlocked.Increment(ref _acknowledged);
            Raise(ref _longest, clock.GetElapsedTime(began).Ticks);
        }
    }

    private async Task ReadAsync(int number)
    {
        await Task.Yield();
        var asked = TimeProvider.System.GetTimestamp();
        for (var i = 0; !_stop.IsCancellationRequested && _faults.IsEmpty; i++)
        {
            var machine = Pick(number + i);
            var before = Count;
            try
            {
                using var end = new CancellationTokenSource(_through is null ? Patience : PatienceThrough);
                using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query")
                {
                    Content = JsonContent.Create(new { dataset = FaultCluster.Dataset, purpose = "check", groupBy = Array.Empty<string>(), measures = new[] { new { name = "n", function = "count" } } }),
                };
                request.Headers.Accept.ParseAdd("text/csv");
                using var response = await machine.SendAsync(request, end.Token);
                var text = await response.Content.ReadAsStringAsync(end.Token);
                if (response.IsSuccessStatusCode)
                {
                    var shown = long.Parse(text.Split("\r\n", StringSplitOptions.RemoveEmptyEntries)[1].Trim('"'), CultureInfo.InvariantCulture);
                    Interlocked.Increment(ref _reads);
                    Raise(ref _longestReading, TimeProvider.System.GetElapsedTime(asked).Ticks);
                    asked = TimeProvider.System.GetTimestamp();
                    if (shown < before)
                        _faults.Enqueue($"A machine showed {shown} records when {before} had been acknowledged before it was asked.");
                }
                else if (_through is not null || (int)response.StatusCode < 500 && (int)response.StatusCode != 429)
                {
                    _faults.Enqueue($"A reading was answered {(int)response.StatusCode} {text}");
                }
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException or IOException)
            {
                if (_through is not null)
                    _faults.Enqueue($"A reading was not answered: {e.Message}");
            }
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        }
    }

    private static void Raise(ref long highest, long value)
    {
        for (long seen; value > (seen = Interlocked.Read(ref highest)) && Interlocked.CompareExchange(ref highest, value, seen) != seen;)
        {
        }
    }

    private HttpClient Pick(int number)
    {
        if (_through is not null)
            return _through;
        var machines = _cluster.Machines;
        return machines[number % machines.Count].Http;
    }
}
