using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace Gongzhi.Tests.Process;

/// <summary>
/// A file far larger than the memory that the node may take, over HTTP to the real program. GONGZHI_STREAM_GB sets its size: 0.3 by default,
/// 10 for the size that the node takes at most by default (the disk needs about a third of it).
/// </summary>
[Collection("One node at a time")]
public sealed class StreamTests : IDisposable
{
    /// <summary>What the node may take at its peak, whatever the size of the file: a ninth of the largest.</summary>
    private const long PeakBytesMax = 1_100L << 20;

    private static readonly (string, string)[] Fields = [("id", "integer"), ("who", "string"), ("amount", "number"), ("note", "string"), ("day", "date")];
    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-stream-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task A_file_larger_than_the_memory_streams_through()
    {
        var bytes = (long)(double.Parse(Environment.GetEnvironmentVariable("GONGZHI_STREAM_GB") ?? "0.3", CultureInfo.InvariantCulture) * (1 << 30));
        // The frames of a body whose length is not announced count too.
        using var node = await RunningNode.StartAsync(_root, ("UploadBytesMax", (bytes + (bytes >> 4)).ToString(CultureInfo.InvariantCulture)));
        await node.DefineAsync("stream", personal: false, Fields);
        using var content = new GeneratedCsv(bytes);
        var started = TimeProvider.System.GetTimestamp();

        var (status, answer) = await node.ContributeAsync("stream", content, "one");

        Assert.True(status == 201, $"{status} {answer}");
        Assert.Equal(content.Rows, answer.GetProperty("accepted").GetInt64());
        var peak = node.PeakBytes();
        TestContext.Current.SendDiagnosticMessage(string.Create(CultureInfo.InvariantCulture,
            $"{bytes / 1e9:0.00} GB in {content.Rows:N0} rows took {TimeProvider.System.GetElapsedTime(started).TotalSeconds:0} s; the node's peak was {peak >> 20} MiB."));
        Assert.InRange(peak, 1, PeakBytesMax);
        var counted = await node.QueryAsync(new { dataset = "stream", purpose = "check", measures = new object[] { new { name = "n", function = "count" }, new { name = "last", function = "max", field = "id" } } });
        Assert.Equal([content.Rows.ToString(CultureInfo.InvariantCulture), content.Rows.ToString(CultureInfo.InvariantCulture)], Assert.Single(counted));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Beyond_the_limit_nothing_is_kept(bool declared)
    {
        const long Limit = 32L << 20;
        using var node = await RunningNode.StartAsync(_root, ("UploadBytesMax", Limit.ToString(CultureInfo.InvariantCulture)));
        await node.DefineAsync("stream", personal: false, Fields);
        using var within = new GeneratedCsv(Limit - 4_096);
        Assert.Equal(201, (await node.ContributeAsync("stream", within, "within")).Status);
        var files = Files();
        // As curl does with a large body: what is announced as too large is answered before it is sent.
        node.Http.DefaultRequestHeaders.ExpectContinue = true;

        using var beyond = new GeneratedCsv(Limit + (1 << 20), declared);
        var (status, answer) = await node.ContributeAsync("stream", beyond, "beyond");

        Assert.Equal((413, "request.too-large"), (status, answer.GetProperty("code").GetString()));
        Assert.Equal(within.Rows, (await node.GetAsync("/api/v1/datasets/stream")).GetProperty("records").GetInt64());
        Assert.Equal(files, Files());
        Assert.Empty(Directory.Exists(Path.Combine(_root, "spool")) ? Directory.GetFiles(Path.Combine(_root, "spool")) : []);
        // The same rows fit in two.
        using var again = new GeneratedCsv(Limit / 2);
        Assert.Equal(201, (await node.ContributeAsync("stream", again, "beyond")).Status);
    }

    private string[] Files() => [.. Directory.GetFiles(Path.Combine(_root, "segments")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];

    /// <summary>Rows that differ from one another, made while they are sent.</summary>
    private sealed class GeneratedCsv : HttpContent
    {
        private static readonly byte[] Header = "id,who,amount,note,day\n"u8.ToArray();
        private readonly long _bytes;
        private readonly bool _declared;

        public GeneratedCsv(long bytes, bool declared = false)
        {
            (_bytes, _declared) = (bytes, declared);
            Headers.ContentType = new MediaTypeHeaderValue("text/csv");
        }

        /// <summary>Rows sent.</summary>
        public long Rows { get; private set; }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            var buffer = new byte[1 << 20];
            Header.CopyTo(buffer, 0);
            var (n, left) = (Header.Length, _bytes);
            while (true)
            {
                while (n < buffer.Length - 256 && n < left - 256) n += Row(buffer.AsSpan(n), ++Rows);
                if (n >= left - 256 && _declared)
                {
                    // To the very byte that was announced.
                    buffer.AsSpan(n, (int)(left - n)).Fill((byte)'\n');
                    n = (int)left;
                }
                await stream.WriteAsync(buffer.AsMemory(0, n));
                left -= n;
                n = 0;
                if (left <= 256) return;
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _bytes;
            return _declared;
        }

        private static int Row(Span<byte> to, long row)
        {
            var mixed = (ulong)row * 0x9E3779B97F4A7C15;
            System.Text.Unicode.Utf8.TryWrite(to, CultureInfo.InvariantCulture,
                $"{row},居民{mixed % 200_003},{mixed % 1_000_000 / 8.0},{mixed:x16} {mixed >> 7:x16} 单位{mixed % 977},2026-{mixed % 12 + 1:00}-{mixed % 28 + 1:00}\n", out var n);
            return n;
        }
    }
}
