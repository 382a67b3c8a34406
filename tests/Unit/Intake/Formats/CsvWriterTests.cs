using System.Buffers;
using System.Text;
using CsCheck;
using Gongzhi.Core.Intake.Formats;
using Xunit;

namespace Gongzhi.Tests.Unit.Intake.Formats;

public sealed class CsvWriterTests
{
    private static byte[] Write(bool spreadsheet, params string[][] rows)
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new CsvWriter(output, spreadsheet);
        foreach (var row in rows)
        {
            foreach (var cell in row) writer.Cell(cell);
            writer.EndRow();
        }
        return output.WrittenSpan.ToArray();
    }

    [Fact]
    public void Quotes_only_what_needs_it()
    {
        Assert.Equal("a,b\r\n\"x,y\",\"q\"\"\"\r\n\" z\",\r\n"u8.ToArray(), Write(false, ["a", "b"], ["x,y", "q\""], [" z", ""]));
        Assert.Equal("a\r\n\"\"\r\n"u8.ToArray(), Write(false, ["a"], [""]));
    }

    [Fact]
    public void For_spreadsheets_text_cannot_be_a_formula_and_numbers_stay()
    {
        var output = new ArrayBufferWriter<byte>();
        var writer = new CsvWriter(output, spreadsheet: true);
        writer.Header(["=a"]);
        foreach (var cell in (string[])["=1+1", "+86", "-2", "@x", "\tx", "\rx", "x=1", "=\"q\""]) writer.Cell(cell);
        writer.Cell("-2", CellKind.Number);
        writer.EndRow();
        Assert.Equal("\uFEFF'=a\r\n'=1+1,'+86,'-2,'@x,\"'\tx\",\"'\rx\",x=1,\"'=\"\"q\"\"\",-2\r\n", Encoding.UTF8.GetString(output.WrittenSpan));
        Assert.Equal("'=1", Spreadsheet.Neutralise("=1"));
        Assert.Equal("1", Spreadsheet.Neutralise("1"));
        Assert.Equal("", Spreadsheet.Neutralise(""));
    }

    [Fact]
    public async Task What_is_written_is_read_back()
    {
        var cell = Gen.Char["a,\"\r\n\t 编="].Array[0, 8].Select(c => new string(c));
        await cell.Array[3].Array[0, 20].SampleAsync(async rows =>
        {
            var bytes = Write(false, [["x", "y", "z"], .. rows]);
            var read = await Read.All(await CsvSource.OpenAsync(new MemoryStream(bytes), null, TestContext.Current.CancellationToken));
            Assert.Equal(rows, read.Rows);
        }, iter: 500);
    }

    [Theory]
    [InlineData("１２３．５", "123.5")]
    [InlineData("－１，０００", "-1,000")]
    [InlineData("＋１Ｅ５", "+1E5")]
    [InlineData("2024／01／02　１２：３０", "2024/01/02 12:30")]
    [InlineData("１２号Ａ", "12号Ａ")]
    [InlineData("编号", "编号")]
    [InlineData("", "")]
    public void Full_width_becomes_ASCII(string text, string ascii) => Assert.Equal(ascii, FullWidth.Normalise(text));
}
