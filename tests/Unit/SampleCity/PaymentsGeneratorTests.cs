using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.SampleCity;
using Xunit;

namespace Gongzhi.Tests.Unit.SampleCity;

public class PaymentsGeneratorTests
{
    [Fact]
    public void Bytes_are_the_recorded_ones() =>
        Assert.Equal("95cdbfadf7fd5a30", Convert.ToHexStringLower(SHA256.HashData(Write(10_000, 1)))[..16]);

    [Fact]
    public void Rows_keep_the_schema_and_the_order_of_time()
    {
        var rows = Encoding.UTF8.GetString(Write(50_000, 2)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(50_001, rows.Length);
        using var json = JsonDocument.Parse(PaymentsGenerator.TableSchemaJson);
        DatasetTests.CheckRows(json.RootElement.GetProperty("schema"), rows);
        var times = rows.Skip(1).Select(row => row.Split(',')[5]).ToList();
        Assert.Equal(times.Order(StringComparer.Ordinal), times);
        Assert.True(rows.Skip(1).Select(row => row.Split(',')[2]).Distinct().Count() > 5_000);
    }

    [Fact]
    public void Rows_are_about_86_bytes() => Assert.InRange(Write(100_000, 3).Length / 100_000.0, 82, 90);

    [Fact]
    public void No_rows_is_a_header() => Assert.Equal("id,card,merchant,category,amount,paid_at,place\n", Encoding.UTF8.GetString(Write(0, 1)));

    [Fact]
    public void A_negative_number_of_rows_is_refused() => Assert.Throws<ArgumentOutOfRangeException>(() => Write(-1, 1));

    private static byte[] Write(int rows, ulong seed)
    {
        using var stream = new MemoryStream();
        PaymentsGenerator.WriteCsv(stream, rows, seed);
        return stream.ToArray();
    }
}
