using System.Text;
using CsCheck;
using Gongzhi.Core.Intake.Formats;
using Xunit;

namespace Gongzhi.Tests.Unit.Intake.Formats;

public sealed class CsvSourceTests
{
    private static readonly SourceOptions Collect = new() { CollectFaults = true };

    private static ValueTask<CsvSource> Open(Stream stream, SourceOptions? options = null) =>
        CsvSource.OpenAsync(stream, options, TestContext.Current.CancellationToken);

    private static async Task<Read> Parse(string text, SourceOptions? options = null, params int[] pieces) =>
        await Read.All(await Open(new PiecesStream(Encoding.UTF8.GetBytes(text), pieces), options));

    private static string Flat(Read read) => string.Join("/", read.Rows.Select(r => string.Join("|", r)));

    [Theory]
    [InlineData("a,b\n1,2\n3,4\n", "1|2/3|4")]
    [InlineData("a,b\r\n1,2\r\n3,4", "1|2/3|4")]
    [InlineData("a,b\r1,2\r3,4\r", "1|2/3|4")]
    [InlineData("a,b\n1,2\n\n\n", "1|2")]
    [InlineData("a,b\r\n1,2\r\n\r\n", "1|2")]
    [InlineData("a,b\n,\n", "|")]
    [InlineData("a,b\n1,\n,2", "1|/|2")]
    [InlineData("a,b\n\"x\ny\",\"z\"\"q\"\"\"\n", "x\ny|z\"q\"")]
    [InlineData("a,b\n\"\",\"\"\"\"", "|\"")]
    [InlineData("\uFEFFa,b\n1,2", "1|2")]
    [InlineData("a\tb\n1,5\t2", "1,5|2")]
    [InlineData("a;b\n1,5;2", "1,5|2")]
    [InlineData("a\n1\n\n2\n", "1//2")]
    [InlineData("a\n\n\n\n1\n", "///1")]
    [InlineData("a\n\"\"\n", "")]
    [InlineData("a\n1\n\n", "1")]
    [InlineData("a\r\n1\r\n\r\n2\r\n", "1//2")]
    [InlineData("a,b\n", "")]
    [InlineData("a,b", "")]
    [InlineData("\"a,\"\"x\",b\n1,2", "1|2")]
    public async Task Reads(string text, string cells)
    {
        Assert.Equal(cells, Flat(await Parse(text)));
        Assert.Equal(cells, Flat(await Parse(text, null, 1)));
    }

    [Fact]
    public async Task Trims_header_names()
    {
        Assert.Equal(["编号", "b \"c\""], (await Parse("\uFEFF 编号 ,\" b \"\"c\"\"\"\r\n1,2\r\n")).Header);
    }

    [Theory]
    [InlineData("", "format.empty")]
    [InlineData("\uFEFF", "format.empty")]
    [InlineData("a,,b\n", "format.header")]
    [InlineData("a,a\n", "format.header")]
    [InlineData("a, a \n", "format.header")]
    [InlineData("\n1\n", "format.header")]
    [InlineData("a,\"b\n", "format.csv.quote")]
    [InlineData("a,b\n1,\"2\n", "format.csv.quote")]
    [InlineData("a,b\n1,\"2\"x\n", "format.csv.quote")]
    [InlineData("a,b\n1,2\"\n", "format.csv.quote")]
    [InlineData("a,b\n1\n", "format.csv.columns")]
    [InlineData("a,b\n1,2,3\n", "format.csv.columns")]
    [InlineData("a,b\n1,\0\n", "format.encoding")]
    public async Task Refuses(string text, string code) => await Read.Fails(code, () => Parse(text));

    [Fact]
    public async Task Names_the_row_of_an_error()
    {
        Assert.Equal(3, (await Read.Fails("format.csv.columns", () => Parse("a,b\n1,2\n3,4\n5\n"))).Row);
        Assert.Equal(2, (await Read.Fails("format.csv.quote", () => Parse("a,b\n1,2\n3,4\"\n"))).Row);
    }

    [Fact]
    public async Task Collects_ragged_rows_and_goes_on()
    {
        var read = await Parse("a,b\n1,2\n\"x\"\"y\"\n1,2,3,4,5,\"6\"\"\"\n3,4\n", Collect);
        Assert.Equal("1|2/|/|/3|4", Flat(read));
        Assert.Equal([(2, "format.csv.columns"), (3, "format.csv.columns")], read.Faults);
    }

    [Fact]
    public async Task Refuses_bytes_that_are_not_UTF8_wherever_they_stand()
    {
        for (var at = 4; at < 200; at++)
        {
            var bytes = Encoding.UTF8.GetBytes("a,b\n" + new string('x', 100) + "," + new string('编', 33) + "\n");
            if (at >= bytes.Length) break;
            bytes[at] = 0xC3;
            if (at + 1 < bytes.Length && (bytes[at + 1] & 0xC0) == 0x80) bytes[at + 1] = (byte)'q';
            await Read.Fails("format.encoding", async () => await Read.All(await Open(new PiecesStream(bytes, 7))));
        }
    }

    [Fact]
    public async Task Takes_a_cell_of_exactly_the_limit_and_no_longer()
    {
        var most = new string('x', FormatLimits.CellBytesMax);
        Assert.Equal(most, (await Parse("a,b\n1," + most + "\n")).Rows[0][1]);
        Assert.Equal(most, (await Parse("a,b\n1,\"" + most + "\"\n", null, 100_000)).Rows[0][1]);
        await Read.Fails("format.cellTooLong", () => Parse("a,b\n1," + most + "x\n"));
        Assert.Equal("|/1|2", Flat(await Parse("a,b\n1," + most + "x\n1,2\n", Collect)));
        await Read.Fails("format.rowTooLong", () => Parse("a,b\n1,2\n" + new string('y', FormatLimits.RowBytesMax + 1_000_000)));
        await Read.Fails("format.rowTooLong", () => Parse(new string('y', FormatLimits.RowBytesMax + 1_000_000)));
        await Read.Fails("format.columnsMax", () => Parse(string.Join(",", Enumerable.Range(0, FormatLimits.ColumnsMax + 1)) + "\n"));
    }

    [Fact]
    public async Task Reads_many_chunks_and_reuses_them()
    {
        var text = new StringBuilder("n,名\r\n");
        for (var i = 1; i <= 100_000; i++) text.Append(i).Append(",\"第 ").Append(i).Append(" 行\"\r\n");
        await using var source = await Open(new PiecesStream(Encoding.UTF8.GetBytes(text.ToString()), 1000, 3, 70_000));
        var seen = new HashSet<CellChunk>();
        var row = 0;
        while (await source.ReadAsync(TestContext.Current.CancellationToken) is { } chunk)
        {
            seen.Add(chunk);
            for (var r = 0; r < chunk.Rows; r++)
            {
                row++;
                Assert.True(chunk.Cell(r, 0).SequenceEqual(Encoding.UTF8.GetBytes($"{row}")));
                Assert.True(chunk.Cell(r, 1).SequenceEqual(Encoding.UTF8.GetBytes($"第 {row} 行")));
            }
            chunk.Dispose();
            chunk.Dispose();
        }
        Assert.Equal(100_000, row);
        Assert.InRange(seen.Count, 1, 3);
    }

    [Fact]
    public async Task Empty_lines_without_end_take_no_room()
    {
        var bytes = new byte[5 << 20];
        bytes.AsSpan().Fill((byte)'\n');
        "a,b\n"u8.CopyTo(bytes);
        "1,2"u8.CopyTo(bytes.AsSpan(bytes.Length - 3));
        Assert.Equal("1|2", Flat(await Read.All(await Open(new MemoryStream(bytes)))));
        "a\r\n\n"u8.CopyTo(bytes);
        "1.2"u8.CopyTo(bytes.AsSpan(bytes.Length - 3));
        var read = await Read.All(await Open(new MemoryStream(bytes)));
        Assert.Equal(bytes.Length - 3 - 3 + 1, read.Rows.Count);
        Assert.Equal("1.2", read.Rows[^1][0]);
    }

    private static readonly Gen<string> Cell = Gen.Frequency(
        (4, Gen.Char["ab,;\t\"\n\r 编é"].Array[0, 12].Select(c => new string(c))),
        (3, Gen.Int.Select(i => $"{i}")),
        (1, Gen.Int[60, 200].Select(n => new string('长', n))),
        (1, Gen.Const("𝄞\"")),
        (2, Gen.Const("")));

    /// <summary>Quotes when it must, and sometimes when it need not.</summary>
    private static string Write(string[][] rows, string newline, bool last, int quoteEvery)
    {
        var text = new StringBuilder();
        var n = 0;
        for (var r = 0; r < rows.Length; r++)
        {
            for (var c = 0; c < rows[r].Length; c++)
            {
                var cell = rows[r][c];
                if (c > 0) text.Append(',');
                var must = cell.AsSpan().ContainsAny(",\"\r\n") || (rows[r].Length == 1 && cell.Length == 0);
                text.Append(must || n++ % quoteEvery == 0 ? '"' + cell.Replace("\"", "\"\"", StringComparison.Ordinal) + '"' : cell);
            }
            if (last || r < rows.Length - 1) text.Append(newline);
        }
        return text.ToString();
    }

    [Fact]
    public async Task Any_table_comes_back_through_any_pieces()
    {
        var gen = from columns in Gen.Int[1, 6]
                  from rows in Cell.Array[columns].Array[0, 40]
                  from newline in Gen.Int[0, 2].Select(i => new[] { "\n", "\r\n", "\r" }[i])
                  from last in Gen.Bool
                  from quote in Gen.Int[1, 5]
                  from pieces in Gen.Int[1, 300].Array[1, 6]
                  select (columns, rows, newline, last, quote, pieces);
        await gen.SampleAsync(async t =>
        {
            var header = Enumerable.Range(0, t.columns).Select(i => $"c{i}").ToArray();
            var read = await Parse(Write([header, .. t.rows], t.newline, t.last, t.quote), null, t.pieces);
            Assert.Equal(header, read.Header);
            Assert.Equal(t.rows, read.Rows);
        }, iter: 2_000);
    }

    [Fact]
    public async Task Random_bytes_never_do_worse_than_a_format_error()
    {
        var alphabet = ",;\t\"\"\n\r\rab1\0é"u8.ToArray();
        await Gen.OneOf(Gen.Byte, Gen.Int[0, alphabet.Length - 1].Select(i => alphabet[i])).Array[0, 400].Select(Gen.Int[1, 100]).SampleAsync(async (bytes, piece) =>
        {
            foreach (var options in new[] { SourceOptions.Default, Collect })
            {
                try
                {
                    await Read.All(await Open(new PiecesStream(bytes, piece), options));
                }
                catch (SourceFormatException)
                {
                }
            }
        }, iter: 2_000);
    }

    [Fact]
    public async Task Stops_when_cancelled()
    {
        await using var source = await Open(new MemoryStream("a,b\n1,2\n"u8.ToArray()));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await source.ReadAsync(new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task Reads_real_files()
    {
        var payments = await Read.All(await Open(File.OpenRead(Read.TestData("aml/benford/corporate.payment.csv"))));
        Assert.Equal(189_470, payments.Rows.Count);
        var lines = await File.ReadAllLinesAsync(Read.TestData("aml/benford/corporate.payment.csv"), TestContext.Current.CancellationToken);
        Assert.Equal(lines.Length - 1, payments.Rows.Count);
        var streets = await Read.All(await Open(File.OpenRead(Read.TestData("city/admin_china/streets.csv"))));
        Assert.Equal(41_352, streets.Rows.Count);
    }
}
