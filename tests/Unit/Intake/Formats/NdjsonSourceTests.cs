using System.Text;
using System.Text.Json;
using CsCheck;
using Gongzhi.Core.Intake.Formats;
using Xunit;

namespace Gongzhi.Tests.Unit.Intake.Formats;

public sealed class NdjsonSourceTests
{
    private static readonly SourceOptions Collect = new() { CollectFaults = true };

    private static Task<Read> Parse(string text, SourceOptions? options = null, params int[] pieces) => Parse(Encoding.UTF8.GetBytes(text), options, pieces);

    private static async Task<Read> Parse(byte[] text, SourceOptions? options = null, params int[] pieces) =>
        await Read.All(new NdjsonSource(new PiecesStream(text, pieces), ["a", "b"], options));

    private static string Flat(Read read) => string.Join("/", read.Rows.Select(r => string.Join("|", r)));

    [Theory]
    [InlineData("{\"a\":1,\"b\":\"x\"}\n{\"b\":2.50,\"a\":null}\n", "1|x/|2.50")]
    [InlineData("{\"a\":1}\r\n\r\n{\"b\":2}", "1|/|2")]
    [InlineData("[{\"a\":1},{\"b\":\"y\\n\\u7f16\"}]", "1|/|y\n编")]
    [InlineData(" \n[ {\"a\":1}\n , {\"b\":true} ] \n", "1|/|true")]
    [InlineData("\uFEFF{\"a\":1e400}", "1e400|")]
    [InlineData("{\"a\":12345678901234567890.10}", "12345678901234567890.10|")]
    [InlineData("{\"\\u0061\":\"\\ud834\\udd1e\"}", "𝄞|")]
    [InlineData("[]", "")]
    [InlineData("", "")]
    [InlineData("{}", "|")]
    public async Task Reads(string text, string cells)
    {
        Assert.Equal(cells, Flat(await Parse(text)));
        Assert.Equal(cells, Flat(await Parse(text, null, 1)));
    }

    [Fact]
    public async Task Tells_kinds_apart()
    {
        var read = await Parse("{\"a\":1,\"b\":\"1\"}\n{\"a\":false,\"b\":null}\n{}");
        Assert.Equal([CellKind.Number, CellKind.Text], read.Kinds[0]);
        Assert.Equal([CellKind.Boolean, CellKind.Missing], read.Kinds[1]);
        Assert.Equal([CellKind.Missing, CellKind.Missing], read.Kinds[2]);
    }

    [Theory]
    [InlineData("{\"c\":1}", "format.unknownField")]
    [InlineData("{\"a\":1,\"a\":2}", "format.json.duplicateKey")]
    [InlineData("{\"a\":1,\"\\u0061\":2}", "format.json.duplicateKey")]
    [InlineData("{\"a\":[1]}", "format.json.nested")]
    [InlineData("{\"a\":{}}", "format.json.nested")]
    [InlineData("{\"a\":1", "format.json.malformed")]
    [InlineData("{\"a\":1} {\"a\":2}", "format.json.malformed")]
    [InlineData("{\"a\":NaN}", "format.json.malformed")]
    [InlineData("{\"a\":01}", "format.json.malformed")]
    [InlineData("{'a':1}", "format.json.malformed")]
    [InlineData("\"a\"", "format.json.notObject")]
    [InlineData("17", "format.json.notObject")]
    [InlineData("{\"a\":\"\\ud800\"}", "format.json.surrogate")]
    [InlineData("{\"\\ud800\":1}", "format.json.surrogate")]
    [InlineData("{\"a\":\"x\\u0000\"}", "format.nul")]
    public async Task A_bad_line_costs_its_row(string line, string code)
    {
        var read = await Parse("{\"a\":1}\n" + line + "\n{\"b\":2}\n", Collect);
        Assert.Equal("1|/|/|2", Flat(read));
        Assert.Equal([(2, code)], read.Faults);
        Assert.Equal(2, (await Read.Fails(code, () => Parse("{\"a\":1}\n" + line + "\n"))).Row);
    }

    [Fact]
    public async Task Bytes_that_are_not_UTF8_cost_their_row()
    {
        byte[] text = [.. "{\"a\":1}\n{\"a\":\""u8, 0xFF, .. "\"}\n{\"a\":3}"u8];
        var read = await Parse(text, Collect);
        Assert.Equal("1|/|/3|", Flat(read));
        Assert.Equal([(2, "format.encoding")], read.Faults);
    }

    [Theory]
    [InlineData("[{\"a\":1}")]
    [InlineData("[{\"a\":1},]")]
    [InlineData("[{\"a\":1}{\"a\":1}]")]
    [InlineData("[{\"a\":1}] x")]
    [InlineData("[1]")]
    [InlineData("[")]
    [InlineData("[{\"a\":tru}]")]
    [InlineData("[,{\"a\":1}]")]
    public async Task A_bad_array_is_fatal(string text)
    {
        await Read.Fails("format.json.malformed", () => Parse(text, Collect));
        await Read.Fails("format.json.malformed", () => Parse(text, Collect, 1));
    }

    [Fact]
    public async Task Long_cells_and_rows_are_bounded()
    {
        var most = new string('x', FormatLimits.CellBytesMax);
        Assert.Equal(most, (await Parse("{\"a\":\"" + most + "\"}")).Rows[0][0]);
        await Read.Fails("format.cellTooLong", () => Parse("{\"a\":\"" + most + "x\"}"));
        await Read.Fails("format.rowTooLong", () => Parse("{\"a\":\"" + new string('x', 2 * FormatLimits.RowBytesMax)));
        await Read.Fails("format.rowTooLong", () => Parse("[{\"a\":\"" + new string('x', 2 * FormatLimits.RowBytesMax) + "\"}]"));
    }

    [Fact]
    public async Task Any_table_comes_back_through_any_pieces()
    {
        var text = Gen.Char["ab\"\\\n\t编é "].Array[0, 10].Select(c => new string(c));
        var gen = from rows in Gen.Select(text, Gen.Long).Array[0, 40]
                  from array in Gen.Bool
                  from swap in Gen.Bool
                  from pieces in Gen.Int[1, 300].Array[1, 5]
                  select (rows, array, swap, pieces);
        await gen.SampleAsync(async t =>
        {
            var lines = t.rows.Select(r => t.swap ? $"{{\"b\":{r.Item2},\"a\":{JsonSerializer.Serialize(r.Item1)}}}" : $"{{\"a\": {JsonSerializer.Serialize(r.Item1)} , \"b\":{r.Item2}}}");
            var read = await Parse(t.array ? "[" + string.Join(",", lines) + "]" : string.Join("\n", lines), null, t.pieces);
            Assert.Equal(t.rows.Select(r => new[] { r.Item1, $"{r.Item2}" }), read.Rows);
        }, iter: 1_000);
    }

    [Fact]
    public async Task Random_bytes_never_do_worse_than_a_format_error()
    {
        var start = "[{\"a\":1,\"b\":\"x\\u00e9\"},{\"b\":[null,true]}]\n{\"a\":\"\\ud834\\udd1e\"}\n"u8.ToArray();
        await Gen.Select(Gen.Int[0, start.Length - 1].Array[0, 6], Gen.Byte.Array[6], Gen.Int[0, 10], Gen.Int[1, 50]).SampleAsync(async (at, with, from, piece) =>
        {
            var bytes = start.ToArray();
            for (var i = 0; i < at.Length; i++) bytes[at[i]] = with[i] > 200 ? (byte)"[]{}\",:\\\n0"[with[i] % 10] : with[i];
            foreach (var options in new[] { SourceOptions.Default, Collect })
            {
                try
                {
                    await Parse(bytes[from..], options, piece);
                }
                catch (SourceFormatException)
                {
                }
            }
        }, iter: 3_000);
    }
}
