using System.Net;
using System.Net.Sockets;
using System.Text;
using Gongzhi.Verifier;
using Xunit;

namespace Gongzhi.Tests.Conformance;

/// <summary>Servers that answer badly: the verifier says that it could not read, and ends.</summary>
public sealed class FetchedTests
{
    private static async Task<Verdict?> ReadAsync(string answer, TimeSpan? limit = null)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var reading = Fetched.ReadAsync($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/proof", 1_000, TestContext.Current.CancellationToken, limit);
        using var server = await listener.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        await server.GetStream().WriteAsync(Encoding.ASCII.GetBytes(answer), TestContext.Current.CancellationToken);
        // The connection stays open: only a limit of the reader's own ends an answer that is not whole.
        var (bytes, unread) = await reading.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        Assert.Null(bytes);
        return unread;
    }

    [Fact]
    public async Task A_body_that_is_not_the_gzip_it_is_said_to_be_cannot_be_read() =>
        Assert.Equal(Outcome.Unusable, (await ReadAsync("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot a zip"))!.Outcome);

    [Fact]
    public async Task A_body_that_does_not_end_is_given_up() =>
        Assert.Equal(Outcome.Unusable, (await ReadAsync("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", TimeSpan.FromMilliseconds(300)))!.Outcome);
}
