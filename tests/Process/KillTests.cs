using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Gongzhi.Verifier;

namespace Gongzhi.Tests.Process;

/// <summary>
/// Kills the program at random moments while it takes contributions: what it acknowledged is there once, what it did not is there whole or not
/// at all, and the log still leads to what was signed. GONGZHI_KILLS says how often (default 3).
/// </summary>
public sealed class KillTests(ITestOutputHelper output)
{
    private const string Dataset = "payments";
    private const int Writers = 6;

    /// <summary>Sizes on both sides of what a contribution may have to stay in SQL, and one that takes several chunks to read.</summary>
    private static readonly int[] Sizes = [1, 40, 700, 2_500, 20_000];

    private sealed record Sent(string Key, int Rows);

    [Fact]
    public async Task What_was_acknowledged_survives_and_the_rest_is_whole_or_absent()
    {
        var kills = int.TryParse(Environment.GetEnvironmentVariable("GONGZHI_KILLS"), NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : 3;
        var seed = Random.Shared.Next();
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var data = Directory.CreateTempSubdirectory("gongzhi-kill-");
        var acknowledged = new ConcurrentDictionary<string, (Guid Receipt, int Rows)>();
        var open = new ConcurrentDictionary<string, Sent>();
        var (midway, midCommit, uploads) = (0, 0, 0);
        var node = await RunningNode.StartAsync(data.FullName);
        try
        {
            await DefineAsync(node);
            var key = Path.Combine(data.FullName, "trusted-vkey");
            await File.WriteAllTextAsync(key, await node.Http.GetStringAsync("/ledger/vkey"));
            var checkpoint = Path.Combine(data.FullName, "trusted-checkpoint");
            for (var kill = 0; kill < kills; kill++)
            {
                open.Clear();
                // Two triggers, neither of them a clock: so many receipts seen, or so many bytes of an upload sent.
                var upload = kill % 2 == 1;
                await RunUntilKilledAsync(node, kill, upload, random, acknowledged, open);
                node.Dispose();
                uploads += upload ? 1 : 0;
                midway += open.IsEmpty ? 0 : 1;

                node = await RunningNode.StartAsync(data.FullName);
                midCommit += await CheckAsync(node, acknowledged, open);
                if (File.Exists(checkpoint))
                    await VerifyLogAsync(data.FullName, key, "--from", checkpoint);
                await VerifyLogAsync(data.FullName, key);
                await File.WriteAllBytesAsync(checkpoint, await node.Http.GetByteArrayAsync("/ledger/checkpoint"));
            }
            output.WriteLine($"{kills} kills, {uploads} of them during an upload, {midway} with contributions on their way, {midCommit} contributions committed but not yet acknowledged; {acknowledged.Count} receipts");
        }
        finally
        {
            node.Dispose();
            data.Delete(recursive: true);
        }
    }

    private static async Task DefineAsync(RunningNode node)
    {
        using var put = await node.Http.PutAsJsonAsync("/api/v1/datasets/" + Dataset, new
        {
            title = new { en = "Payments" },
            owner = "node",
            schema = new { fields = new object[] { new { name = "key", type = "string" }, new { name = "n", type = "integer" } } },
        });
        Assert.True(put.StatusCode == HttpStatusCode.Created, await put.Content.ReadAsStringAsync());
        await node.PostAsync("/api/v1/grants", new { dataset = Dataset, grantee = new { party = "client:boot" }, purposes = new[] { "check" }, fields = new { key = "plain", n = "plain" } });
    }

    private static async Task RunUntilKilledAsync(
        RunningNode node, int round, bool upload, Random random, ConcurrentDictionary<string, (Guid Receipt, int Rows)> acknowledged, ConcurrentDictionary<string, Sent> open)
    {
        var (seen, target) = (0, random.Next(1, 60));
        var bytesTarget = random.Next(1, 1_200_000);
        var killed = 0;
        var seeds = Enumerable.Range(0, Writers).Select(_ => random.Next()).ToArray();
        var writers = seeds.Select((seed, writer) => Task.Run(async () =>
        {
            var mine = new Random(seed);
            for (var i = 0; Volatile.Read(ref killed) == 0; i++)
            {
                var sent = new Sent($"r{round}w{writer}i{i}", Sizes[mine.Next(Sizes.Length)]);
                var slow = upload && writer == 0 && i == 1;
                if (slow)
                    sent = sent with { Rows = 100_000 };
                open[sent.Key] = sent;
                try
                {
                    using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/datasets/{Dataset}/records") { Content = new CountedContent(Body(sent), slow ? bytesTarget : long.MaxValue, KillOnce) };
                    request.Headers.Add("Idempotency-Key", sent.Key);
                    using var response = await node.Http.SendAsync(request);
                    var text = await response.Content.ReadAsStringAsync();
                    Assert.True(response.StatusCode == HttpStatusCode.Created, text);
                    acknowledged[sent.Key] = (JsonDocument.Parse(text).RootElement.GetProperty("receipt").GetGuid(), sent.Rows);
                    open.TryRemove(sent.Key, out _);
                    if (Interlocked.Increment(ref seen) >= target && !upload)
                        KillOnce();
                }
                catch (Exception e) when (e is HttpRequestException or IOException && Volatile.Read(ref killed) != 0)
                {
                    return;
                }
            }
        })).ToArray();
        await Task.WhenAll(writers);

        void KillOnce()
        {
            if (Interlocked.Exchange(ref killed, 1) == 0)
                node.Kill();
        }
    }

    /// <summary>Answers how many contributions were committed without their acknowledgement having arrived.</summary>
    private static async Task<int> CheckAsync(RunningNode node, ConcurrentDictionary<string, (Guid Receipt, int Rows)> acknowledged, ConcurrentDictionary<string, Sent> open)
    {
        var found = await CountsAsync(node);
        foreach (var (key, (receipt, rows)) in acknowledged)
        {
            Assert.Equal(rows, (await node.GetAsync($"/api/v1/receipts/{receipt}")).GetProperty("accepted").GetInt64());
            Assert.True(found.Remove(key, out var kept) && kept == rows, $"{key}: {kept} of {rows} rows");
        }
        var committed = 0;
        foreach (var (key, rows) in found)
        {
            Assert.True(open.TryGetValue(key, out var sent) && sent.Rows == rows, $"{key}: {rows} rows that nobody sent whole");
            committed++;
        }
        // Sending again what got no answer ends with everything there once, whichever way each went.
        foreach (var sent in open.Values)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/datasets/{Dataset}/records") { Content = new CountedContent(Body(sent), long.MaxValue, () => { }) };
            request.Headers.Add("Idempotency-Key", sent.Key);
            using var response = await node.Http.SendAsync(request);
            var text = await response.Content.ReadAsStringAsync();
            Assert.True(response.StatusCode == (found.ContainsKey(sent.Key) ? HttpStatusCode.OK : HttpStatusCode.Created), $"{sent.Key}: {(int)response.StatusCode} {text}");
            acknowledged[sent.Key] = (JsonDocument.Parse(text).RootElement.GetProperty("receipt").GetGuid(), sent.Rows);
        }
        var all = await CountsAsync(node);
        Assert.Equal(acknowledged.Count, all.Count);
        Assert.All(acknowledged, a => Assert.Equal(a.Value.Rows, all[a.Key]));
        return committed;
    }

    private static async Task<Dictionary<string, long>> CountsAsync(RunningNode node)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query")
        {
            Content = JsonContent.Create(new { dataset = Dataset, purpose = "check", groupBy = new[] { "key" }, measures = new[] { new { name = "rows", function = "count" } } }),
        };
        request.Headers.Accept.ParseAdd("text/csv");
        using var response = await node.Http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        return text.Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(l => l.Split(','))
            .ToDictionary(c => c[0].Trim('"'), c => long.Parse(c[1], CultureInfo.InvariantCulture));
    }

    private static async Task VerifyLogAsync(string data, string key, params string[] more)
    {
        using var said = new StringWriter(CultureInfo.InvariantCulture);
        var exit = await Doors.RunAsync(["log", Path.Combine(data, "ledger"), "--vkey", key, "--lang", "en", .. more], said, said);
        Assert.True(exit == 0, said.ToString());
    }

    private static byte[] Body(Sent sent)
    {
        var text = new StringBuilder("key,n\n");
        for (var i = 0; i < sent.Rows; i++)
            text.Append(CultureInfo.InvariantCulture, $"{sent.Key},{i}\n");
        return Encoding.ASCII.GetBytes(text.ToString());
    }

    /// <summary>Sends in pieces and says when so many bytes have gone out.</summary>
    private sealed class CountedContent : HttpContent
    {
        private const int Piece = 16_384;
        private readonly byte[] _body;
        private readonly long _target;
        private readonly Action _reached;

        public CountedContent(byte[] body, long target, Action reached)
        {
            (_body, _target, _reached) = (body, target, reached);
            Headers.ContentType = new("text/csv");
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            for (var at = 0; at < _body.Length; at += Piece)
            {
                var length = Math.Min(Piece, _body.Length - at);
                await stream.WriteAsync(_body.AsMemory(at, length));
                if (at < _target && at + length >= _target)
                {
                    await stream.FlushAsync();
                    _reached();
                }
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
