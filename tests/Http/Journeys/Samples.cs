using System.Globalization;
using System.IO.Compression;
using System.Text;
using ParquetSharp;
using Encoding = System.Text.Encoding;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>One small table in every format a contribution may have.</summary>
internal static class Samples
{
    private static readonly string[] Names = ["王小明", "李华", "Zoë \"Z\" O'Neil", "赵,六", "陈\n换行"];

    public static object Definition => new
    {
        title = new { zh = "样例", en = "Sample" },
        owner = "node",
        schema = new
        {
            fields = new object[]
            {
                new { name = "name", type = "string", constraints = new { required = true, maxLength = 40 } },
                new { name = "amount", type = "number", scale = 2 },
                new { name = "day", type = "date" },
            },
        },
    };

    public static IEnumerable<(string Name, string Amount, string Day)> Rows(int count) => Enumerable.Range(0, count).Select(i =>
        (Names[i % Names.Length] + i.ToString(CultureInfo.InvariantCulture), ((i * 37 % 10_000) / 100m).ToString("0.00", CultureInfo.InvariantCulture), Day(i).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)));

    public static string Csv(int count) => "name,amount,day\r\n" + string.Concat(Rows(count).Select(r => $"\"{r.Name.Replace("\"", "\"\"", StringComparison.Ordinal)}\",{r.Amount},{r.Day}\r\n"));

    public static byte[] Gzip(byte[] content)
    {
        using var stream = new MemoryStream();
        using (var gzip = new GZipStream(stream, CompressionLevel.Fastest))
            gzip.Write(content);
        return stream.ToArray();
    }

    public static byte[] Ndjson(int count) => Encoding.UTF8.GetBytes(string.Concat(Rows(count).Select(r =>
        $$"""{"name":{{System.Text.Json.JsonSerializer.Serialize(r.Name)}},"amount":{{r.Amount}},"day":"{{r.Day}}"}""" + "\n")));

    public static byte[] Gb18030(int count)
    {
        Encoding.RegisterProvider(CodePagesEncodingProvider.Instance);
        return Encoding.GetEncoding("GB18030").GetBytes(Csv(count));
    }

    public static byte[] Xlsx(int count)
    {
        const string main = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";
        const string office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        const string package = "http://schemas.openxmlformats.org/package/2006/relationships";
        var sheet = new StringBuilder($"<worksheet {main}><sheetData><row>{Text("name")}{Text("amount")}{Text("day")}</row>");
        foreach (var (name, amount, day) in Rows(count))
            sheet.Append(CultureInfo.InvariantCulture, $"<row>{Text(name)}<c><v>{amount}</v></c>{Text(day)}</row>");
        sheet.Append("</sheetData></worksheet>");
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            Put("[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"xml\" ContentType=\"application/xml\"/></Types>");
            Put("_rels/.rels", $"<Relationships xmlns=\"{package}\"><Relationship Id=\"r1\" Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>");
            Put("xl/workbook.xml", $"<workbook {main} xmlns:r=\"{office}\"><sheets><sheet name=\"样例\" sheetId=\"1\" r:id=\"s1\"/></sheets></workbook>");
            Put("xl/_rels/workbook.xml.rels", $"<Relationships xmlns=\"{package}\"><Relationship Id=\"s1\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>");
            Put("xl/worksheets/sheet1.xml", sheet.ToString());

            void Put(string name, string text)
            {
                using var entry = zip.CreateEntry(name).Open();
                entry.Write(Encoding.UTF8.GetBytes(text));
            }
        }
        return stream.ToArray();

        static string Text(string text) => $"<c t=\"inlineStr\"><is><t xml:space=\"preserve\">{System.Security.SecurityElement.Escape(text)}</t></is></c>";
    }

    public static byte[] Parquet(int count)
    {
        var path = Path.GetTempFileName();
        try
        {
            Column[] columns = [new Column<string>("name"), new Column<decimal>("amount", LogicalType.Decimal(29, 2)), new Column<DateOnly>("day")];
            using (var file = new ParquetFileWriter(path, columns))
            {
                using (var group = file.AppendRowGroup())
                {
                    using (var names = group.NextColumn().LogicalWriter<string>())
                        names.WriteBatch([.. Rows(count).Select(r => r.Name)]);
                    using (var amounts = group.NextColumn().LogicalWriter<decimal>())
                        amounts.WriteBatch([.. Rows(count).Select(r => decimal.Parse(r.Amount, CultureInfo.InvariantCulture))]);
                    using (var days = group.NextColumn().LogicalWriter<DateOnly>())
                        days.WriteBatch([.. Enumerable.Range(0, count).Select(Day)]);
                }
                file.Close();
            }
            return File.ReadAllBytes(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static DateOnly Day(int i) => new DateOnly(2020, 1, 1).AddDays(i % 2_000);
}
