using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Gongzhi.Core.Parties;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>Readers who do not read hold up nobody but themselves.</summary>
[Collection("Journeys")]
public sealed class SlowReaderTests
{
    private const int Rows = 150_000, Stalled = 8;

    [Fact]
    public async Task Answers_that_nobody_reads_hold_up_no_other_and_one_address_has_only_so_many()
    {
        await using var journey = await Journey.StartAsync(o => o with { QueriesRunningMax = 2, CallerAnswersMax = Stalled });
        await journey.DefineAsync("open", new
        {
            title = "o", owner = "node", opening = "open", @class = "general",
            schema = new { fields = new object[] { new { name = "n", type = "integer" }, new { name = "text", type = "string" } } },
        });
        var csv = new StringBuilder("n,text\n");
        for (var i = 0; i < Rows; i++)
            csv.Append(CultureInfo.InvariantCulture, $"{i},{i:D100}\n");
        await journey.ContributeAsync("open", csv.ToString(), Rows);
        using var reader = await journey.OtherPartyAsync("reader", Roles.Reader);
        var question = new { dataset = "open", purpose = "open-data" };

        var sockets = new List<TcpClient>();
        try
        {
            for (var i = 0; i < Stalled; i++)
                sockets.Add(await StallAsync(journey.Node.Address));
            // Of one address without an account no more is taken; whoever signed in is served, though more are open than may run.
            using var nobody = journey.Node.NewClient();
            var refused = await Journey.QueryAsync(nobody, question);
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.Status);
            Assert.Contains("\"query.share\"", refused.Text, StringComparison.Ordinal);
            for (var i = 0; i < 3; i++)
            {
                var (status, text) = await Journey.QueryAsync(reader, question, "text/csv");
                Assert.Equal(HttpStatusCode.OK, status);
                Assert.Equal(Rows + 1, text.Count(c => c == '\n'));
            }
            sockets[0].Dispose();
            // Its place comes back when the node notices; nothing else ends it.
            HttpStatusCode again;
            do
                again = (await Journey.QueryAsync(nobody, question)).Status;
            while (again == HttpStatusCode.TooManyRequests);
            Assert.Equal(HttpStatusCode.OK, again);
        }
        finally
        {
            foreach (var socket in sockets)
                socket.Dispose();
        }
    }

    /// <summary>Asks for all rows, reads the first line of the answer and then no more: the node's buffers fill and its writing waits.</summary>
    private static async Task<TcpClient> StallAsync(Uri node)
    {
        var client = new TcpClient { ReceiveBufferSize = 4_096 };
        await client.ConnectAsync(node.Host, node.Port);
        const string Body = """{"dataset":"open","purpose":"open-data"}""";
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST /api/v1/query HTTP/1.1\r\nHost: {node.Authority}\r\nContent-Type: application/json\r\nAccept: text/csv\r\nContent-Length: {Body.Length}\r\n\r\n{Body}"));
        var first = new byte["HTTP/1.1 200".Length];
        await stream.ReadExactlyAsync(first);
        Assert.Equal("HTTP/1.1 200", Encoding.ASCII.GetString(first));
        return client;
    }
}
