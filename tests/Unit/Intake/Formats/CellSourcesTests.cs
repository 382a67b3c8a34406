using System.IO.Compression;
using System.Text;
using CsCheck;
using Gongzhi.Core.Intake.Formats;
using Xunit;

namespace Gongzhi.Tests.Unit.Intake.Formats;

public sealed class CellSourcesTests : IDisposable
{
    private readonly DirectoryInfo _spool = Directory.CreateTempSubdirectory("gongzhi-spool");

    public void Dispose()
    {
        Assert.Empty(_spool.GetFiles());
        _spool.Delete();
    }

    private async Task<Read> Parse(byte[] body, SourceOptions? options = null, params int[] pieces) => await Read.All(await CellSources.OpenAsync(
        new PiecesStream(body, pieces), null, null, ["a", "b"], _spool.FullName, options ?? SourceOptions.Default, TestContext.Current.CancellationToken));

    private static string Flat(Read read) => string.Join("/", read.Rows.Select(r => string.Join("|", r)));

    private static byte[] Gzip(byte[] bytes)
    {
        var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize)) gzip.Write(bytes);
        return packed.ToArray();
    }

    [Fact]
    public async Task Reads_text_in_every_encoding()
    {
        const string Text = "a,b\r\n编号,\"𝄞 é\"\r\n朝阳区,2\r\n";
        var gb = CodePagesEncodingProvider.Instance.GetEncoding("GB18030")!;
        foreach (var body in new[]
        {
            Encoding.UTF8.GetBytes(Text),
            [.. Encoding.UTF8.GetPreamble(), .. Encoding.UTF8.GetBytes(Text)],
            [.. Encoding.Unicode.GetPreamble(), .. Encoding.Unicode.GetBytes(Text)],
            [.. Encoding.BigEndianUnicode.GetPreamble(), .. Encoding.BigEndianUnicode.GetBytes(Text)],
            gb.GetBytes(Text),
            Gzip(gb.GetBytes(Text)),
        })
        {
            foreach (var piece in new[] { 1, 7, 100_000 })
            {
                var read = await Parse(body, null, piece);
                Assert.Equal(["a", "b"], read.Header);
                Assert.Equal("编号|𝄞 é/朝阳区|2", Flat(read));
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100_000)]
    [InlineData(-1)]
    [InlineData(-2)]
    [InlineData(-600_000)]
    public async Task The_first_character_beyond_ASCII_decides_however_late_it_comes(int beyondHead)
    {
        var gb = CodePagesEncodingProvider.Instance.GetEncoding("GB18030")!;
        var text = new StringBuilder("a,b\n");
        while (text.Length < FormatLimits.EncodingHeadBytes + beyondHead - 20) text.Append("1234567,x\n");
        text.Append('9', FormatLimits.EncodingHeadBytes + beyondHead - 2 - text.Length).Append(",\"朝阳区编号\"\n2,联通\n");
        var tail = new StringBuilder();
        for (var i = 0; i < 30_000; i++) tail.Append("3,普通\n");
        foreach (var (encoding, more) in new[] { (gb, ""), (gb, tail.ToString()), (Encoding.UTF8, ""), (new UTF8Encoding(false), tail.ToString()) })
        {
            var body = encoding.GetBytes(text + more);
            foreach (var pieces in new[] { Array.Empty<int>(), [65_537, 3], [1 << 20] })
            {
                var read = await Parse(body, null, pieces);
                Assert.Contains(read.Rows, r => r[1] == "朝阳区编号");
                Assert.Contains(read.Rows, r => r[1] == "联通");
                Assert.Equal(more.Length > 0 ? "普通" : "联通", read.Rows[^1][1]);
            }
        }
        var broken = gb.GetBytes(text.ToString());
        broken[^2] = 0xFF;
        await Read.Fails("format.encoding", () => Parse(broken));
    }

    [Fact]
    public async Task Reads_GB18030_longer_than_the_head_and_refuses_what_breaks_behind_it()
    {
        var gb = CodePagesEncodingProvider.Instance.GetEncoding("GB18030")!;
        var text = new StringBuilder("a,b\n");
        for (var i = 0; i < 150_000; i++) text.Append("街道办事处,").Append(i).Append('\n');
        var body = gb.GetBytes(text.ToString());
        Assert.True(body.Length > FormatLimits.EncodingHeadBytes);
        var read = await Parse(body);
        Assert.Equal(150_000, read.Rows.Count);
        Assert.All(read.Rows, r => Assert.Equal("街道办事处", r[0]));
        body[^4] = 0xFF;
        await Read.Fails("format.encoding", () => Parse(body));
        await Read.Fails("format.encoding", () => Parse([.. "a,b\n"u8, 0xFF, 0xFF, (byte)'\n']));
        await Read.Fails("format.encoding", () => Parse([0xFF, 0xFE, (byte)'a', 0, (byte)'\n', 0, 0x00, 0xD8, (byte)'x', 0]));
    }

    [Fact]
    public async Task Reads_JSON_whatever_it_is_called()
    {
        Assert.Equal("1|/|2", Flat(await Parse("{\"a\":1}\n{\"b\":2}"u8.ToArray())));
        Assert.Equal("1|", Flat(await Parse(Gzip("[{\"a\":1}]"u8.ToArray()))));
        Assert.Equal("编|", Flat(await Parse([.. Encoding.Unicode.GetPreamble(), .. Encoding.Unicode.GetBytes("{\"a\":\"编\"}")])));
    }

    [Fact]
    public async Task Refuses_what_it_does_not_take()
    {
        await Read.Fails("format.empty", () => Parse([]));
        await Read.Fails("format.empty", () => Parse(Gzip([])));
        await Read.Fails("format.unsupported", () => Parse(Gzip(Gzip("a,b\n1,2"u8.ToArray()))));
        await Read.Fails("format.unsupported", () => Parse([.. "ARROW1\0\0"u8]));
        await Read.Fails("format.parquet", () => Parse([.. "PAR1 and no more"u8]));
        await Read.Fails("format.workbook", () => Parse([.. "PK\x03\x04 and no more"u8]));
        await Read.Fails("format.workbook", () => Parse([0xD0, 0xCF, 0x11, 0xE0, 1, 2, 3]));
        await Read.Fails("format.tooLarge", () => Parse([.. "PAR1"u8, .. new byte[200_000]], new() { ParquetBytesMax = 100_000 }));
        await Read.Fails("format.tooLarge", () => Parse([.. "PK\x03\x04"u8, .. new byte[200_000]], new() { WorkbookBytesMax = 100_000 }));
    }

    [Fact]
    public async Task Stops_gzip_bombs_and_truncated_gzip()
    {
        var zeros = new byte[64 << 20];
        zeros.AsSpan().Fill((byte)'1');
        "a,b\n"u8.CopyTo(zeros);
        await Read.Fails("format.bomb", () => Parse(Gzip(zeros)));
        var random = new byte[300_000];
        new Random(1).NextBytes(random);
        var text = Encoding.ASCII.GetBytes("a,b\n" + string.Join("\n", random.Chunk(100).Select(c => Convert.ToHexString(c) + ",1")));
        await Read.Fails("format.bomb", () => Parse(Gzip(text), new() { ExpandedBytesMax = 500_000 }));
        Assert.Equal(3_000, (await Parse(Gzip(text))).Rows.Count);
        await Read.Fails("format.gzip", () => Parse(Gzip(text)[..100_000]));
        foreach (var cut in (int[])[1, 4, 5, 8, 9, 30]) await Read.Fails("format.gzip", () => Parse(Gzip(text)[..^cut]));
        var damaged = Gzip(text);
        damaged[50_000] ^= 0x55;
        Assert.NotNull(await Record.ExceptionAsync(() => Parse(damaged)) as SourceFormatException);
    }

    [Theory]
    [InlineData("PAR1", DetectedFormat.Parquet)]
    [InlineData("PK\x03\x04", DetectedFormat.Xlsx)]
    [InlineData("ARROW1", DetectedFormat.Arrow)]
    [InlineData(" \r\n {", DetectedFormat.Json)]
    [InlineData("\uFEFF[", DetectedFormat.Json)]
    [InlineData("a,b", DetectedFormat.Csv)]
    [InlineData("", DetectedFormat.Csv)]
    public void Content_wins_over_name(string head, DetectedFormat format) =>
        Assert.Equal(format, FormatDetector.Detect(Encoding.UTF8.GetBytes(head), "application/vnd.ms-excel", "x.csv"));

    [Fact]
    public async Task Random_bodies_never_do_worse_than_a_format_error()
    {
        byte[][] starts = [[], [0x1F, 0x8B, 8, 0], [.. "PAR1"u8], [.. "PK\x03\x04"u8], [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1], [0xFF, 0xFE], [0xEF, 0xBB, 0xBF], [.. "["u8], Gzip("a,b\n1,2\n"u8.ToArray())];
        await Gen.Select(Gen.Int[0, starts.Length - 1], Gen.Byte.Array[0, 1_200]).SampleAsync(async (start, bytes) =>
        {
            try
            {
                await Parse([.. starts[start], .. bytes], new() { CollectFaults = true });
            }
            catch (SourceFormatException)
            {
            }
        }, iter: 1_000);
    }

    [Fact]
    public async Task Reads_a_real_gzip_file()
    {
        await using var source = await CellSources.OpenAsync(File.OpenRead(Read.TestData("mobility/skmob/geolife_sample.txt.gz")), null, "geolife_sample.txt.gz", [], _spool.FullName, SourceOptions.Default, TestContext.Current.CancellationToken);
        Assert.Equal(217_653, (await Read.All(source)).Rows.Count);
    }
}
