using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Gongzhi.Tests.Process;

/// <summary>How the program leaves when it is told to: it says so, takes what comes until the balancer has noticed, finishes what it took, and is gone.</summary>
public sealed class StopTests : IDisposable
{
    private const string Dataset = "reports";

    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-stop-");

    [Fact]
    public async Task It_says_that_it_leaves_takes_what_comes_meanwhile_and_finishes_what_it_took()
    {
        using var node = await RunningNode.StartAsync(Data, ("DrainSeconds", "15"));
        await node.DefineAsync(Dataset, personal: false, ("v", "string"));
        using var slow = new HalfSent("v\nfirst\n", "second\n");
        var underWay = node.ContributeAsync(Dataset, slow);
        await slow.Half.WaitAsync(Limit);

        await node.TerminateAsync();
        await UntilAsync(async () => await ReadyAsync(node) == HttpStatusCode.ServiceUnavailable);
        using (var ready = await node.Http.GetAsync("/health/ready"))
        {
            var health = await ready.Content.ReadFromJsonAsync<JsonElement>();
            Assert.Equal("unavailable", health.GetProperty("status").GetString());
            Assert.Equal("unavailable", health.GetProperty("checks").GetProperty("serving").GetString());
            Assert.Equal("ok", health.GetProperty("checks").GetProperty("store").GetString());
        }
        using (var live = await node.Http.GetAsync("/health/live"))
        {
            Assert.Equal(HttpStatusCode.OK, live.StatusCode);
            Assert.True(live.Headers.ConnectionClose);
        }
        // Whoever has not noticed yet is served as ever.
        using var late = new StringContent("v\nlate\n", null, "text/csv");
        Assert.Equal(201, (await node.ContributeAsync(Dataset, late)).Status);

        // Then nothing new is taken, and what was is finished.
        var address = node.Http.BaseAddress!;
        await UntilAsync(async () => !await TakesConnectionsAsync(address));
        Assert.False(node.HasExited);
        Assert.False(underWay.IsCompleted);
        slow.Finish();
        var (status, answer) = await underWay.WaitAsync(Limit);
        Assert.Equal((201, 2), (status, answer.GetProperty("accepted").GetInt32()));
        Assert.Equal(0, await node.ExitAsync().WaitAsync(Limit));

        using var again = await RunningNode.StartAsync(Data);
        Assert.Equal(["first", "late", "second"], (await again.QueryAsync(new { dataset = Dataset, purpose = "check", fields = new[] { "v" } })).Select(r => r[0]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Without_a_time_for_the_balancer_it_finishes_what_it_took_all_the_same()
    {
        using var node = await RunningNode.StartAsync(Data);
        await node.DefineAsync(Dataset, personal: false, ("v", "string"));
        using var slow = new HalfSent("v\nfirst\n", "second\n");
        var underWay = node.ContributeAsync(Dataset, slow);
        await slow.Half.WaitAsync(Limit);
        await node.TerminateAsync();
        var address = node.Http.BaseAddress!;
        await UntilAsync(async () => !await TakesConnectionsAsync(address));
        slow.Finish();
        Assert.Equal(201, (await underWay.WaitAsync(Limit)).Status);
        Assert.Equal(0, await node.ExitAsync().WaitAsync(Limit));
    }

    [Fact]
    public async Task What_does_not_end_is_broken_off_and_nothing_of_it_is_kept()
    {
        using (var node = await RunningNode.StartAsync(Data))
        {
            await node.DefineAsync(Dataset, personal: false, ("v", "string"));
            using var endless = new HalfSent("v\nfirst\n", "");
            var underWay = node.ContributeAsync(Dataset, endless);
            await endless.Half.WaitAsync(Limit);
            await node.TerminateAsync();
            var told = TimeProvider.System.GetTimestamp();
            Assert.Equal(0, await node.ExitAsync().WaitAsync(2 * Limit));
            Assert.True(TimeProvider.System.GetElapsedTime(told) > TimeSpan.FromSeconds(29), "It was not given its time.");
            endless.Finish();
            await Assert.ThrowsAnyAsync<Exception>(() => underWay);
            // It had time left for what comes after the server.
            Assert.DoesNotContain("Nobody answered for the seat", node.Said, StringComparison.Ordinal);
        }
        using var again = await RunningNode.StartAsync(Data);
        Assert.Empty(await again.QueryAsync(new { dataset = Dataset, purpose = "check", fields = new[] { "v" } }));
    }

    /// <summary>Whoever connects anew for each request, as a load balancer does, is answered or refused: a connection that breaks after a request was sent leaves him not knowing.</summary>
    [Fact]
    public async Task In_the_moment_of_stopping_everybody_is_answered_or_refused()
    {
        for (var round = 0; round < 3; round++)
        {
            using var node = await RunningNode.StartAsync(Data);
            var address = node.Http.BaseAddress!;
            var (answered, stopping) = (0, false);
            var clients = Enumerable.Range(0, 16).Select(_ => Task.Run(async () =>
            {
                while (true)
                {
                    using var http = new HttpClient { BaseAddress = address, Timeout = Limit };
                    try
                    {
                        using var content = new StringContent("grant_type=none", null, "application/x-www-form-urlencoded");
                        using var answer = await http.PostAsync("/connect/token", content);
                        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
                        Interlocked.Increment(ref answered);
                    }
                    catch (HttpRequestException e) when (Volatile.Read(ref stopping) && e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionRefused })
                    {
                        return;
                    }
                }
            })).ToArray();
            await UntilAsync(() => Task.FromResult(Volatile.Read(ref answered) > 200 || clients.Any(c => c.IsCompleted)));
            Volatile.Write(ref stopping, true);
            await node.TerminateAsync();
            await Task.WhenAll(clients).WaitAsync(Limit);
            Assert.Equal(0, await node.ExitAsync().WaitAsync(Limit));
        }
    }

    public void Dispose() => _place.Delete(recursive: true);

    private string Data => Path.Combine(_place.FullName, "data");

    private static async Task<HttpStatusCode> ReadyAsync(RunningNode node)
    {
        using var answer = await node.Http.GetAsync("/health/ready");
        return answer.StatusCode;
    }

    private static async Task<bool> TakesConnectionsAsync(Uri address)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(address.Host, address.Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        for (var began = TimeProvider.System.GetTimestamp(); !await holds(); await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System))
            Assert.True(TimeProvider.System.GetElapsedTime(began) < Limit, "It did not come to that.");
    }

    /// <summary>A file of which the second half waits.</summary>
    private sealed class HalfSent : HttpContent
    {
        private readonly string _first, _second;
        private readonly TaskCompletionSource _half = new(TaskCreationOptions.RunContinuationsAsynchronously), _rest = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public HalfSent(string first, string second)
        {
            (_first, _second) = (first, second);
            Headers.ContentType = new("text/csv");
        }

        public Task Half => _half.Task;

        public void Finish() => _rest.SetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(Encoding.UTF8.GetBytes(_first));
            await stream.FlushAsync();
            _half.SetResult();
            await _rest.Task;
            await stream.WriteAsync(Encoding.UTF8.GetBytes(_second));
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
