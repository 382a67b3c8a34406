using System.Globalization;
using System.Text;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Catalog.ElementTypes;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Storage;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>Numbers that Excel turned into 1.1E+17 are refused in every format, and texts that only look a little like them are kept as they are.</summary>
public sealed class RoundedNumberTests
{
    private const string Definition = """
        {"owner":"office","schema":{"fields":[
          {"name":"whole","type":"integer"},{"name":"money","type":"number","scale":2},{"name":"number","type":"number"},{"name":"text","type":"string"},
          {"name":"person","type":"string","elementType":"identity-number"},{"name":"firm","type":"string","elementType":"unified-credit-code"},
          {"name":"listed","type":"string","constraints":{"enum":["1.1E+17","b"]}},{"name":"digits","type":"string","constraints":{"pattern":"[0-9]{18}"}},{"name":"formed","type":"string","constraints":{"pattern":"[0-9.E+]+"}},
          {"name":"year","type":"year"}]}}
        """;

    [Theory]
    [InlineData("whole", "1.1E+17")]
    [InlineData("whole", "1E+05")]
    [InlineData("whole", "1e3")]
    [InlineData("whole", "１.１E+17")]
    [InlineData("money", "1.23457E+11")]
    [InlineData("money", "1.5E+03")]
    [InlineData("number", "1.1E+17")]
    [InlineData("number", "-1.1E+17")]
    [InlineData("digits", "1.1E+17")]
    [InlineData("listed", "1.2E+17")]
    [InlineData("person", "1.10101E+17")]
    [InlineData("firm", "9.11101E+17")]
    public async Task Refused_in_text(string field, string value)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        Assert.Equal([(field, "inexact")], await ErrorsAsync(core, dataset, await CsvSource.OpenAsync(Utf8($"{field}\n\"{value}\"\n"))));
        Assert.Equal([(field, "inexact")], await ErrorsAsync(core, dataset, new NdjsonSource(Utf8($"{{\"{field}\":\"{value}\"}}"), RowReader.ColumnsOf(dataset))));
        var path = Path.GetTempFileName();
        using (var file = new ParquetSharp.ParquetFileWriter(path, [new ParquetSharp.Column<string>(field)]))
        {
            using (var group = file.AppendRowGroup())
            using (var column = group.NextColumn().LogicalWriter<string>())
                column.WriteBatch([value]);
            file.Close();
        }
        Assert.Equal([(field, "inexact")], await ErrorsAsync(core, dataset, ParquetSource.Open(path)));
        File.Delete(path);
    }

    [Theory]
    [InlineData("text", "21E2")]
    [InlineData("text", "1e5")]
    [InlineData("text", "1.1E+17")]
    [InlineData("text", "1E+10")]
    [InlineData("text", "6.02e+23")]
    [InlineData("text", "1.23456789012E+11")]
    [InlineData("text", "12.1E+17")]
    [InlineData("text", "x1.1E+17")]
    [InlineData("listed", "1.1E+17")]
    [InlineData("formed", "1.1E+17")]
    [InlineData("number", "6.02e23")]
    [InlineData("number", "1.5E-7")]
    [InlineData("whole", "110000000000000000")]
    [InlineData("whole", "3.0")]
    public async Task Kept_in_text(string field, string value)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        Assert.Empty(await ErrorsAsync(core, dataset, await CsvSource.OpenAsync(Utf8($"{field}\n{value}\n"))));
        if (field == "text")
            Assert.Equal([value], await core.ReadAsync(dataset, field));
    }

    [Theory]
    [InlineData("number", "1.5e3", null)]
    [InlineData("number", "1.1E+17", null)]
    [InlineData("money", "1.5e3", null)]
    [InlineData("whole", "1e3", null)]
    [InlineData("whole", "1.1E+17", "inexact")]
    [InlineData("money", "1.1e15", "inexact")]
    [InlineData("money", "1.23457e4", null)]
    [InlineData("text", "1.1E+17", null)]
    [InlineData("year", "2e03", "type")]
    public async Task A_JSON_number_says_what_it_is(string field, string literal, string? code)
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var errors = await ErrorsAsync(core, dataset, new NdjsonSource(Utf8($"{{\"{field}\":{literal}}}"), RowReader.ColumnsOf(dataset)));
        Assert.Equal(code is null ? [] : [(field, code)], errors);
    }

    [Theory]
    [InlineData("1.1E+17", true)]
    [InlineData("1E+11", true)]
    [InlineData("-9.99999E+102", true)]
    [InlineData("1E+10", false)]
    [InlineData("1.1e+17", false)]
    [InlineData("0.1E+17", false)]
    [InlineData("1.E+17", false)]
    [InlineData("11.1E+17", false)]
    [InlineData("1.12345678901E+11", false)]
    [InlineData("E+17", false)]
    [InlineData("21E2", false)]
    public void What_looks_rounded(string text, bool rounded) => Assert.Equal(rounded, ValueParser.LooksRounded(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public async Task A_birth_after_the_day_of_receipt_is_refused()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", Definition);
        var reader = RowReader.For(dataset, ["person"], new IntakeRules { Places = NoPlace, ElementTypes = ElementChecks.Find }).Value!;
        // 2026-07-01 20:00 UTC is the second in the dataset's zone.
        var received = Microseconds.From(new DateTimeOffset(2026, 7, 1, 20, 0, 0, TimeSpan.Zero));
        foreach (var (born, fault) in new[] { ("20260702", (ElementFault?)null), ("20260703", ElementFault.BirthDate), ("21990101", ElementFault.BirthDate) })
        {
            var number = "110101" + born + "001";
            number += IdentityNumber.CheckDigitOf(number);
            var source = await CsvSource.OpenAsync(Utf8($"person\n{number}\n"));
            var errors = new List<RowError>();
            using var chunk = await source.ReadAsync(TestContext.Current.CancellationToken);
            reader.Read(chunk!, received, errors);
            Assert.Equal(fault is null ? [] : [("element", fault.Value.English(), fault.Value.Chinese())], errors.Select(e => (e.Code, e.Why.English, e.Why.Chinese)));
        }
    }

    [Fact]
    public async Task Every_sentence_is_written_in_the_readers_language()
    {
        await using var core = await CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", """
            {"owner":"office","schema":{"primaryKey":["n"],"fields":[{"name":"n","type":"integer","constraints":{"minimum":1,"maximum":9}},{"name":"s","type":"string","constraints":{"enum":["a","b"]}}]}}
            """);
        const string Csv = "n,s\n0,a\n1,c\n1,a\nx,a\n2,a\n2,b\n3\n";
        var receipt = (await core.ContributeAsync(dataset, Csv, IntakeMode.Partial)).Value!;
        var path = RejectsFile.PathOf(core.World, receipt.Batch.Id);
        var before = CultureInfo.CurrentUICulture;
        try
        {
            var lists = new List<string[]>();
            foreach (var culture in new[] { "en", "zh-CN" })
            {
                CultureInfo.CurrentUICulture = new CultureInfo(culture);
                using var list = new MemoryStream();
                await RejectsFile.CopyAsync(path, list, CultureInfo.CurrentUICulture, TestContext.Current.CancellationToken);
                var lines = Encoding.UTF8.GetString(list.ToArray()).Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
                Assert.Equal("row,field,code,message", lines[0]);
                Assert.Equal(receipt.Errors.Select(e => e.Message), lines.Skip(1).Select(l => l.Split(',', 4)[3].Trim('"')));
                lists.Add(lines);
            }
            Assert.Equal(["1,n,range,\"The value lies outside the field's limits, 1 to 9.\"", "2,s,enum,\"The value is not in the field's code list: a, b.\""], lists[0].Skip(1).Take(2));
            Assert.Equal(["1,n,range,超出允许范围：1 至 9。", "2,s,enum,不在可选值之内：a、b。"], lists[1].Skip(1).Take(2));
            Assert.Equal(lists[0].Skip(1).Select(l => string.Join(',', l.Split(',').Take(3))), lists[1].Skip(1).Select(l => string.Join(',', l.Split(',').Take(3))));
        }
        finally
        {
            CultureInfo.CurrentUICulture = before;
        }
    }

    private static bool NoPlace(ReadOnlySpan<byte> code, Span<byte> stripped, out int length, out IReadOnlyList<Core.Territory.Place> dated)
    {
        (length, dated) = (0, []);
        return false;
    }

    private static MemoryStream Utf8(string text) => new(Encoding.UTF8.GetBytes(text));

    private static async Task<(string?, string)[]> ErrorsAsync(CoreFixture core, Dataset dataset, ICellSource source)
    {
        await using (source)
        {
            var outcome = await core.Intake.ContributeAsync(
                new Contribution { Dataset = dataset, Contributor = "c", Source = source, Origin = "test" }, TestContext.Current.CancellationToken);
            return outcome.Ok ? [] : [.. Assert.IsType<List<RowError>>(outcome.Problem.Extensions["errors"]).Select(e => (e.Field, e.Code))];
        }
    }
}
