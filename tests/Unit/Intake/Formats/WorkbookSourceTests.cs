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

    /// <summary>Shared strings are held whole; under whatever name, and also when called a worksheet besides.</summary>
    [Theory]
    [InlineData("xl/sharedStrings.xml", "")]
    [InlineData("xl/sharedStrings.xml", "<Relationship Id='ss' Type='x/worksheet' Target='sharedStrings.xml'/>")]
    [InlineData("xl/other.xml", "<Relationship Id='ss' Type='x/sharedStrings' Target='other.xml'/>")]
    [InlineData("xl/worksheets/s3.xml", "<Relationship Id='ss' Type='x/sharedStrings' Target='/xl/worksheets/s3.xml'/><Relationship Id='s3' Type='x/worksheet' Target='worksheets/s3.xml'/>")]
    public async Task Refuses_shared_strings_that_would_fill_the_memory(string name, string relationships)
    {
        byte[] Book(long bytes)
        {
            var book = Xlsx(Header() + Row(2, Text("A2", "1")), more: zip =>
            {
                using var stream = zip.CreateEntry(name, CompressionLevel.Fastest).Open();
                // Random enough not to be a bomb by its ratio.
                var block = new byte[1 << 20];
                for (long left = bytes; left > 0; left -= block.Length)
                {
                    Random.Shared.NextBytes(block.AsSpan(0, 1 << 14));
                    stream.Write(block.AsSpan(0, (int)Math.Min(left, block.Length)));
                }
            });
            using var edited = new MemoryStream();
            edited.Write(book);
            using (var zip = new ZipArchive(edited, ZipArchiveMode.Update, leaveOpen: true))
            {
                var entry = zip.GetEntry("xl/_rels/workbook.xml.rels")!;
                string text;
                using (var reader = new StreamReader(entry.Open())) text = reader.ReadToEnd();
                entry.Delete();
                using var stream = zip.CreateEntry("xl/_rels/workbook.xml.rels").Open();
                stream.Write(Encoding.UTF8.GetBytes(text.Replace("</Relationships>", relationships + "</Relationships>", StringComparison.Ordinal)));
            }
            return edited.ToArray();
        }
        await Read.Fails("format.bomb", () => Parse(Book(FormatLimits.WorkbookPartBytesMax + 1)));
    }

    [Fact]
    public async Task A_long_worksheet_is_streamed_and_may_be_larger()
    {
        var rows = new StringBuilder();
        for (var r = 2; rows.Length < (68 << 20); r++) rows.Append(Row(r, Text($"A{r}", $"{r}{new string((char)('a' + (r % 26)), 2_000)}"), Number($"B{r}", $"{r * 7}")));
        await using var source = WorkbookSource.Open(new MemoryStream(Xlsx(Header() + rows)));
        long count = 0;
        while (await source.ReadAsync(TestContext.Current.CancellationToken) is { } chunk)
        {
            count += chunk.Rows;
            chunk.Dispose();
        }
        Assert.InRange(count, 30_000, 40_000);
    }

    [Fact]
    public async Task Workbooks_take_turns()
    {
        var spool = Directory.CreateTempSubdirectory("gongzhi-spool");
        using var turns = new WorkbookTurns(2, TimeSpan.Zero);
        var options = new SourceOptions { Workbooks = turns };
        ValueTask<ICellSource> Open(byte[] body) => CellSources.OpenAsync(new MemoryStream(body), null, null, [], spool.FullName, options, TestContext.Current.CancellationToken);
        var book = Xlsx(Header());
        var (one, two) = (await Open(book), await Open(book));
        await Assert.ThrowsAsync<IntakeBusyException>(() => Open(book).AsTask());
        Assert.Equal(2, spool.GetFiles().Length);
        await (await Open("a,b\n1,2\n"u8.ToArray())).DisposeAsync();
        await one.DisposeAsync();
        await one.DisposeAsync();
        // What cannot be opened gives its turn back.
        await Assert.ThrowsAsync<SourceFormatException>(() => Open("PK\x03\x04"u8.ToArray()).AsTask());
        var three = await Open(book);
        await Assert.ThrowsAsync<IntakeBusyException>(() => Open(book).AsTask());
        await two.DisposeAsync();
        await three.DisposeAsync();
        Assert.Empty(spool.GetFiles());
        spool.Delete();
    }

    /// <summary>An .xls of Excel 97 and later, with the dates of either system, text in full-width digits and a number beyond what Excel keeps.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Reads_old_workbooks(bool date1904)
    {
        var sheet = new OldWorkbook(date1904);
        sheet.Row("编号", "日期", "时刻", "n", "身份证");
        // The same days by serial in each system: 1,462 days lie between them.
        double shift = date1904 ? 1_462 : 0;
        sheet.Row("１２3", (45_292 - shift, 1), (45_292.5 - shift, 2), 12.5, 110_101_199_003_070_011d);
        sheet.Row("甲", (61 - shift + (date1904 ? 1_462 : 0), 1), (0.25, 2), -1e14, "1.1E+17");
        var read = await Parse(sheet.ToArray());
        Assert.Equal(["编号", "日期", "时刻", "n", "身份证"], read.Header);
        Assert.Equal(["１２3", "2024-01-01", "2024-01-01T12:00:00", "12.5"], read.Rows[0][..4]);
        Assert.Equal([CellKind.Text, CellKind.Temporal, CellKind.Temporal, CellKind.Number, CellKind.Inexact], read.Kinds[0]);
        Assert.Equal(["甲", date1904 ? "1904-03-02" : "1900-03-01"], read.Rows[1][..2]);
        Assert.Equal("-100000000000000", read.Rows[1][3]);
        Assert.Equal(CellKind.Inexact, read.Kinds[1][4]);
    }

    [Fact]
    public async Task Full_width_digits_of_an_old_workbook_are_numbers_to_the_node()
    {
        var sheet = new OldWorkbook(date1904: false);
        sheet.Row("n", "day");
        sheet.Row("－１２", (45_292d, 1));
        await using var core = await Records.CoreFixture.OpenAsync();
        var dataset = await core.DefineAsync("d", """{"owner":"office","schema":{"fields":[{"name":"n","type":"integer"},{"name":"day","type":"date"}]}}""");
        await using var source = WorkbookSource.Open(new MemoryStream(sheet.ToArray()));
        var receipt = await core.Intake.ContributeAsync(
            new Core.Intake.Contribution { Dataset = dataset, Contributor = "c", Source = source, Origin = "test" }, TestContext.Current.CancellationToken);
        Assert.True(receipt.Ok, receipt.Problem?.Detail);
        Assert.Equal(["-12"], await core.ReadAsync(dataset, "n"));
        Assert.Equal(["2024-01-01"], await core.ReadAsync(dataset, "day"));
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
