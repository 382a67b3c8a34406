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

    /// <summary>A dictionary makes one long text stand in every row for a few bits.</summary>
    [Fact]
    public async Task One_long_text_in_every_row_comes_in_chunks_of_bounded_size_until_it_is_a_bomb()
    {
        const int Rows = 5_400;
        var text = new string('x', 1 << 20);
        using (var builder = new WriterPropertiesBuilder())
        {
            using var file = new ParquetFileWriter(_path, [new Column<int>("n"), new Column<string>("s")], builder.DictionaryPagesizeLimit(8 << 20).DisableStatistics().Compression(Compression.Zstd).Build());
            using (var group = file.AppendRowGroup())
            {
                Put(group, Enumerable.Range(0, Rows).ToArray());
                Put(group, [.. Enumerable.Repeat("short", 5_000), .. Enumerable.Repeat(text, Rows - 5_000)]);
            }
            file.Close();
        }
        Assert.InRange(new FileInfo(_path).Length, 1, 4 << 20);
        await using var source = ParquetSource.Open(_path);
        long rows = 0, bytes = 0;
        var bomb = await Assert.ThrowsAsync<SourceFormatException>(async () =>
        {
            while (await source.ReadAsync(TestContext.Current.CancellationToken) is { } chunk)
            {
                using (chunk)
                {
                    Assert.InRange(chunk.TextLength, 0, FormatLimits.ChunkBytes + FormatLimits.CellBytesMax + 4_096);
                    Assert.InRange(chunk.Text.Length, 0, 4 * FormatLimits.ChunkBytes);
                    (rows, bytes) = (rows + chunk.Rows, bytes + chunk.TextLength);
                }
            }
        });
        Assert.Equal("format.bomb", bomb.Code);
        Assert.InRange(rows, 5_001, Rows - 1);
        Assert.InRange(bytes, FormatLimits.ParquetGraceBytes - 3 * FormatLimits.ChunkBytes, FormatLimits.ParquetGraceBytes);

        // The same within an honest limit of the caller's own.
        await using var limited = ParquetSource.Open(_path, new SourceOptions { ExpandedBytesMax = 8 << 20 });
        await Read.Fails("format.bomb", async () =>
        {
            while (await limited.ReadAsync(TestContext.Current.CancellationToken) is { } chunk) chunk.Dispose();
        });
    }

    /// <summary>A run of nulls takes a few bytes however long it is.</summary>
    [Fact]
    public async Task Rows_beyond_number_are_refused_before_any_is_read()
    {
        using (var duck = new DuckDB.NET.Data.DuckDBConnection("DataSource=:memory:"))
        {
            duck.Open();
            using var command = duck.CreateCommand();
            command.CommandText = $"COPY (SELECT NULL::VARCHAR AS a, NULL::INTEGER AS b FROM range(400_000_000)) TO '{_path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 100_000_000)";
            command.ExecuteNonQuery();
        }
        Assert.InRange(new FileInfo(_path).Length, 1, 700_000);
        Assert.Equal("format.bomb", Assert.Throws<SourceFormatException>(() => ParquetSource.Open(_path)).Code);
    }

    [Fact]
    public async Task A_row_that_is_too_long_in_all_is_named()
    {
        var columns = Enumerable.Range(0, 10).Select(c => new Column<string>($"c{c}")).ToArray();
        var text = new string('x', 1 << 20);
        Write([.. columns], g =>
        {
            for (var c = 0; c < columns.Length; c++) Put(g, "a", c == 3 ? text + "x" : "b", text, "d");
        });
        var read = await Parse(new() { CollectFaults = true });
        Assert.Equal([(2, "format.cellTooLong"), (3, "format.rowTooLong")], read.Faults);
        Assert.Equal([.. Enumerable.Repeat("d", 10)], read.Rows[3]);
        Assert.Equal(2, (await Read.Fails("format.cellTooLong", () => Parse())).Row);
    }

    [Fact]
    public async Task Text_of_every_encoding_with_missing_values_comes_as_it_was()
    {
        string?[] values = [.. Enumerable.Range(0, 5_000).Select(i => i % 7 == 0 ? null : i % 5 == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"共同前缀/{i / 3}/\uFFFD"))];
        foreach (var encoding in new[] { Encoding.Plain, Encoding.DeltaByteArray, Encoding.DeltaLengthByteArray, Encoding.RleDictionary })
        {
            using (var builder = new WriterPropertiesBuilder())
            {
                var properties = (encoding == Encoding.RleDictionary ? builder : builder.DisableDictionary().Encoding(encoding)).DataPagesize(2_000).Build();
                using var file = new ParquetFileWriter(_path, [new Column<string?>("s"), new Column<string>("t")], properties);
                using (var group = file.AppendRowGroup())
                {
                    Put(group, values);
                    Put(group, values.Select(v => v ?? "-").ToArray());
                }
                file.Close();
            }
            var read = await Parse();
            Assert.Equal(values.Select(v => new[] { v ?? "", v ?? "-" }), read.Rows);
            Assert.Equal(values.Select(v => v is null ? CellKind.Missing : CellKind.Text), read.Kinds.Select(k => k[0]));
        }
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
