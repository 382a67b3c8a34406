using System.Globalization;
using CsCheck;
using Gongzhi.Core.Intake.Formats;
using ParquetSharp;
using Xunit;

namespace Gongzhi.Tests.Unit.Intake.Formats;

public sealed class ParquetSourceTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    private void Write(Column[] columns, params Action<RowGroupWriter>[] groups)
    {
        using var file = new ParquetFileWriter(_path, columns);
        foreach (var group in groups)
        {
            using var writer = file.AppendRowGroup();
            group(writer);
        }
        file.Close();
    }

    private static void Put<T>(RowGroupWriter group, params T[] values)
    {
        using var column = group.NextColumn().LogicalWriter<T>();
        column.WriteBatch(values);
    }

    private Task<Read> Parse(SourceOptions? options = null) => Read.All(ParquetSource.Open(_path, options));

    [Fact]
    public async Task Reads_every_flat_type_as_exact_text()
    {
        var moment = new DateTime(2024, 2, 29, 12, 30, 0, 500, DateTimeKind.Utc);
        Write(
            [
                new Column<long>("int64"), new Column<int?>("int32"), new Column<double>("double"), new Column<float>("float"), new Column<bool>("bool"), new Column<string?>("string"),
                new Column<decimal>("decimal", LogicalType.Decimal(29, 3)), new Column<Date>("date"), new Column<DateTime>("utc", LogicalType.Timestamp(true, TimeUnit.Micros)),
                new Column<DateTime>("local", LogicalType.Timestamp(false, TimeUnit.Millis)), new Column<DateTimeNanos>("nanos", LogicalType.Timestamp(true, TimeUnit.Nanos)), new Column<byte[]>("bytes"), new Column<ulong>("uint64"),
            ],
            g =>
            {
                Put(g, long.MinValue, 7);
                Put<int?>(g, null, 5);
                Put(g, 0.1, 1e300);
                Put(g, 0.1f, 16777216f);
                Put(g, true, false);
                Put<string?>(g, "编号", null);
                Put(g, 12.500m, -0.001m);
                Put(g, new Date(2024, 2, 29), new Date(1969, 12, 31));
                Put(g, moment, moment.Date);
                Put(g, moment, moment.Date);
                Put(g, new DateTimeNanos(-1), new DateTimeNanos(1_000_000_000));
                Put(g, "é"u8.ToArray(), []);
                Put(g, ulong.MaxValue, 0ul);
            });
        var read = await Parse();
        Assert.Equal(["int64", "int32", "double", "float", "bool", "string", "decimal", "date", "utc", "local", "nanos", "bytes", "uint64"], read.Header);
        Assert.Equal(["-9223372036854775808", "", "0.1", "0.1", "true", "编号", "12.5", "2024-02-29", "2024-02-29T12:30:00.5Z", "2024-02-29T12:30:00.5", "1969-12-31T23:59:59.999999999Z", "é", "18446744073709551615"], read.Rows[0]);
        Assert.Equal(["7", "5", "1E+300", "16777216", "false", "", "-0.001", "1969-12-31", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00", "1970-01-01T00:00:01Z", "", "0"], read.Rows[1]);
        Assert.Equal([CellKind.Number, CellKind.Missing, CellKind.Number, CellKind.Number, CellKind.Boolean, CellKind.Text, CellKind.Number, CellKind.Temporal, CellKind.Temporal, CellKind.Temporal, CellKind.Temporal, CellKind.Text, CellKind.Number], read.Kinds[0]);
        Assert.Equal(CellKind.Missing, read.Kinds[1][5]);
    }

    [Fact]
    public async Task Not_a_number_is_no_number()
    {
        Write([new Column<double>("x")], g => Put(g, double.NaN, double.PositiveInfinity, 1));
        var read = await Parse();
        Assert.Equal([[CellKind.Inexact], [CellKind.Inexact], [CellKind.Number]], read.Kinds);
        Assert.Equal("NaN", read.Rows[0][0]);
    }

    [Fact]
    public async Task Reads_row_groups_one_after_the_other()
    {
        var numbers = Enumerable.Range(0, 50_000).ToArray();
        Write([new Column<int>("n"), new Column<string>("s")], [.. numbers.Chunk(20_000).Select(part => (Action<RowGroupWriter>)(g =>
        {
            Put(g, part);
            Put(g, part.Select(n => $"第{n}").ToArray());
        }))]);
        var read = await Parse();
        Assert.Equal(numbers.Select(n => new[] { n.ToString(CultureInfo.InvariantCulture), $"第{n}" }), read.Rows);
    }

    [Fact]
    public async Task Refuses_nested_columns_and_bytes_that_are_not_text()
    {
        Write([new Column<int[]>("list")], g => Put(g, [1, 2], new[] { 3 }));
        await Read.Fails("format.parquet.nested", () => Parse());
        Write([new Column<byte[]>("b")], g => Put(g, [0xFF], "ok"u8.ToArray(), [0]));
        Assert.Equal([(1, "format.encoding"), (3, "format.nul")], (await Parse(new() { CollectFaults = true })).Faults);
        Assert.Equal(1, (await Read.Fails("format.encoding", () => Parse())).Row);
    }

    [Fact]
    public async Task Damaged_files_never_do_worse_than_a_format_error()
    {
        Write([new Column<int>("n"), new Column<string>("s")], g =>
        {
            Put(g, Enumerable.Range(0, 50).ToArray());
            Put(g, Enumerable.Range(0, 50).Select(n => $"{n}").ToArray());
        });
        var good = await File.ReadAllBytesAsync(_path, TestContext.Current.CancellationToken);
        await Gen.Select(Gen.Int[4, good.Length - 9], Gen.Byte, Gen.Int[0, 20]).SampleAsync(async (at, with, cut) =>
        {
            var bytes = good.ToArray();
            bytes[at] = with;
            await File.WriteAllBytesAsync(_path, cut == 0 ? bytes[..at] : bytes);
            try
            {
                await Parse();
            }
            catch (SourceFormatException)
            {
            }
        }, iter: 500, threads: 1);
    }
}
