using System.IO.Compression;
using System.Text;
using CsCheck;
using Gongzhi.Core.Intake.Formats;
using Xunit;

namespace Gongzhi.Tests.Unit.Intake.Formats;

public sealed class WorkbookSourceTests
{
    private static Task<Read> Parse(byte[] bytes, SourceOptions? options = null) => Read.All(WorkbookSource.Open(new MemoryStream(bytes), options));

    private static string Flat(Read read) => string.Join("/", read.Rows.Select(r => string.Join("|", r)));

    /// <summary>The least XML that is a workbook. Style 1 is a date, style 2 a date with time.</summary>
    internal static byte[] Xlsx(string rows, bool date1904 = false, string? second = null, Action<ZipArchive>? more = null)
    {
        const string Main = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"";
        const string Office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        const string Package = "http://schemas.openxmlformats.org/package/2006/relationships";
        var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            void Put(string name, string text)
            {
                using var stream = zip.CreateEntry(name).Open();
                stream.Write(Encoding.UTF8.GetBytes(text));
            }
            Put("[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"xml\" ContentType=\"application/xml\"/></Types>");
            Put("_rels/.rels", $"<Relationships xmlns=\"{Package}\"><Relationship Id=\"r1\" Type=\"{Office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>");
            Put("xl/workbook.xml", $"<workbook {Main} xmlns:r=\"{Office}\"><workbookPr date1904=\"{(date1904 ? 1 : 0)}\"/><sheets><sheet name=\"One\" sheetId=\"1\" r:id=\"s1\"/>"
                + (second is null ? "" : "<sheet name=\"二\" sheetId=\"2\" state=\"hidden\" r:id=\"s2\"/>") + "</sheets></workbook>");
            Put("xl/_rels/workbook.xml.rels", $"<Relationships xmlns=\"{Package}\"><Relationship Id=\"s1\" Type=\"{Office}/worksheet\" Target=\"worksheets/sheet1.xml\"/>"
                + $"<Relationship Id=\"s2\" Type=\"{Office}/worksheet\" Target=\"worksheets/sheet2.xml\"/><Relationship Id=\"st\" Type=\"{Office}/styles\" Target=\"styles.xml\"/></Relationships>");
            Put("xl/styles.xml", $"<styleSheet {Main}><cellXfs count=\"3\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"22\"/></cellXfs></styleSheet>");
            Put("xl/worksheets/sheet1.xml", $"<worksheet {Main}><sheetData>{rows}</sheetData></worksheet>");
            if (second is not null) Put("xl/worksheets/sheet2.xml", $"<worksheet {Main}><sheetData>{second}</sheetData></worksheet>");
            more?.Invoke(zip);
        }
        return bytes.ToArray();
    }

    private static string Text(string at, string text) => $"<c r=\"{at}\" t=\"inlineStr\"><is><t>{text}</t></is></c>";

    private static string Number(string at, string value, int style = 0) => $"<c r=\"{at}\" s=\"{style}\"><v>{value}</v></c>";

    private static string Row(int row, params string[] cells) => $"<row r=\"{row}\">{string.Concat(cells)}</row>";

    private static string Header(int row = 1) => Row(row, Text("A1", " 编号 "), Text("B1", "b"));

    [Fact]
    public async Task Reads_text_numbers_and_booleans()
    {
        var read = await Parse(Xlsx(Header() + Row(2, Text("A2", "１２3"), Number("B2", "12.5")) + Row(3, Number("A3", "0.1"), "<c r=\"B3\" t=\"b\"><v>1</v></c>")
            + Row(5, "<c r=\"A5\"><f>1+1</f><v>2</v></c>") + Row(6) + Row(9, "<c r=\"A9\"/>")));
        Assert.Equal(["编号", "b"], read.Header);
        Assert.Equal("１２3|12.5/0.1|true/|/2|", Flat(read));
        Assert.Equal([CellKind.Text, CellKind.Number], read.Kinds[0]);
        Assert.Equal([CellKind.Number, CellKind.Boolean], read.Kinds[1]);
        Assert.Equal([CellKind.Missing, CellKind.Missing], read.Kinds[2]);
    }

    [Theory]
    [InlineData("45292", 1, false, "2024-01-01")]
    [InlineData("43830", 1, true, "2024-01-01")]
    [InlineData("45292.5", 2, false, "2024-01-01T12:00:00")]
    [InlineData("43830.25", 2, true, "2024-01-01T06:00:00")]
    [InlineData("61", 1, false, "1900-03-01")]
    public async Task Reads_dates_of_both_systems(string serial, int style, bool date1904, string text)
    {
        var read = await Parse(Xlsx(Header() + Row(2, Number("A2", serial, style)), date1904));
        Assert.Equal(text, read.Rows[0][0]);
        Assert.Equal(CellKind.Temporal, read.Kinds[0][0]);
    }

    [Theory]
    [InlineData("110101199003070000", "1.1010119900307E+17")]
    [InlineData("1.1E+17", "1.1E+17")]
    [InlineData("1000000000000000", "1000000000000000")]
    public async Task Long_numbers_are_inexact(string value, string text)
    {
        var read = await Parse(Xlsx(Header() + Row(2, Number("A2", value), Text("B2", "1.1E+17")) + Row(3, Number("A3", "999999999999999"), Text("B3", "E+17"))));
        Assert.Equal([CellKind.Inexact, CellKind.Inexact], read.Kinds[0]);
        Assert.Equal([CellKind.Number, CellKind.Text], read.Kinds[1]);
        Assert.Equal(text, read.Rows[0][0]);
        Assert.Equal("999999999999999", read.Rows[1][0]);
    }

    [Fact]
    public async Task Reads_the_sheet_named()
    {
        var bytes = Xlsx(Header(), second: Row(1, Text("A1", "x")) + Row(2, Text("A2", "hidden")));
        Assert.Equal("hidden", Flat(await Parse(bytes, new() { Sheet = "二" })));
        Assert.Empty((await Parse(bytes)).Rows);
        await Read.Fails("format.sheet", () => Parse(bytes, new() { Sheet = "三" }));
    }

    [Fact]
    public async Task Refuses_bad_headers_and_cells_without_one()
    {
        await Read.Fails("format.header", () => Parse(Xlsx(Row(1, Text("A1", "a"), Text("B1", "a")))));
        await Read.Fails("format.header", () => Parse(Xlsx(Row(1, Text("A1", "a"), Text("C1", "c")))));
        await Read.Fails("format.empty", () => Parse(Xlsx("")));
        await Read.Fails("format.columnsMax", () => Parse(Xlsx(Header() + Row(2, Text("XFD2", "1")))));
        var read = await Parse(Xlsx(Header() + Row(2, Text("A2", "1"), Text("D2", "stray")) + Row(3, Text("A3", "2"))), new() { CollectFaults = true });
        Assert.Equal([(1, "format.workbook.columns")], read.Faults);
        Assert.Equal("|/2|", Flat(read));
    }

    [Fact]
    public async Task Refuses_zip_bombs_before_opening_them()
    {
        await Read.Fails("format.bomb", () => Parse(Xlsx(Header(), more: zip =>
        {
            using var stream = zip.CreateEntry("xl/media/bomb", CompressionLevel.SmallestSize).Open();
            var zeros = new byte[1 << 20];
            for (var i = 0; i < 40; i++) stream.Write(zeros);
        })));
        await Read.Fails("format.bomb", () => Parse(Xlsx(Header(), more: zip =>
        {
            for (var i = 0; i <= FormatLimits.WorkbookEntriesMax; i++) zip.CreateEntry($"{i}");
        })));
        var other = new MemoryStream();
        using (var zip = new ZipArchive(other, ZipArchiveMode.Create, true)) zip.CreateEntry("a.csv");
        await Read.Fails("format.workbook", () => Parse(other.ToArray()));
    }

    [Fact]
    public async Task Refuses_workbooks_under_a_password()
    {
        var compound = new byte[8_192];
        ((ReadOnlySpan<byte>)[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]).CopyTo(compound);
        await Read.Fails("format.workbook", () => Parse(compound));
        Encoding.Unicode.GetBytes("EncryptedPackage").CopyTo(compound, 1_024 + 128);
        await Read.Fails("format.encrypted", () => Parse(compound));
    }

    [Fact]
    public async Task Refuses_entities()
    {
        await Read.Fails("format.workbook", () => Parse(Xlsx(Header() + "<!DOCTYPE x [<!ENTITY y \"z\">]>")));
    }

    [Fact]
    public async Task Damaged_workbooks_never_do_worse_than_a_format_error()
    {
        var good = Xlsx(Header() + Row(2, Text("A2", "1"), Number("B2", "45292", 1)) + Row(3, Number("A3", "1e999")));
        await Gen.Select(Gen.Int[0, good.Length - 1].Array[1, 4], Gen.Byte.Array[4], Gen.Int[0, 40]).SampleAsync(async (at, with, cut) =>
        {
            var bytes = good.ToArray();
            for (var i = 0; i < at.Length; i++) bytes[at[i]] = with[i];
            try
            {
                await Parse(cut == 0 ? bytes[..at[0]] : bytes);
            }
            catch (SourceFormatException)
            {
            }
        }, iter: 1_000);
        // Broken XML inside a whole archive.
        var rows = Header() + Row(2, Text("A2", "1"), Number("B2", "45292", 1));
        await Gen.Select(Gen.Int[0, rows.Length - 1], Gen.Char["<>/\"&;A9 -"]).SampleAsync(async (at, with) =>
        {
            try
            {
                await Parse(Xlsx(rows[..at] + with + rows[(at + 1)..]));
            }
            catch (SourceFormatException)
            {
            }
        }, iter: 500);
    }

    [Fact]
    public async Task Reads_a_real_workbook()
    {
        await using var source = WorkbookSource.Open(File.OpenRead(Read.TestData("forecasting/m4/published/Evaluation_and_Ranks.xlsx")), new() { CollectFaults = true });
        Assert.NotEmpty(source.Header);
    }
}
