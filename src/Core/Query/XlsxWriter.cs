using System.Buffers;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using Apache.Arrow.Types;

namespace Gongzhi.Core.Query;

/// <summary>An answer has a text that no cell of a workbook holds.</summary>
public sealed class WorkbookCellException(string column) : Exception($"A text in the column {column} is longer than the {XlsxWriter.TextMax} characters that a cell of a workbook holds; take another format.")
{
    public string Column { get; } = column;
}

/// <summary>
/// Writes a workbook (ECMA-376) for spreadsheet programs: one sheet, and further ones where the rows are more than a sheet holds. Values are exact: integers and decimals
/// of more than 15 digits, which such programs would round, are texts; so are moments, in ISO 8601. Days are dates. No cell is ever a formula: texts are
/// typed as such, and those that begin like formulas also carry the mark that keeps a program from taking them for one when they are edited.
/// </summary>
internal sealed class XlsxWriter : IDisposable
{
    /// <summary>Characters a cell holds (UTF-16); Excel's own limit, beyond which it calls the file damaged.</summary>
    public const int TextMax = 32_767;

    /// <summary>Rows of a sheet, the header among them.</summary>
    private const int SheetRows = 1_048_576;

    private const int FlushBytes = 64 * 1024, DigitsMax = 15;
    private const string Main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", Relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    private const string Types = "application/vnd.openxmlformats-officedocument.spreadsheetml.";

    /// <summary>The first day that means the same in every program: before it, one of them counts a 29 February 1900.</summary>
    private static readonly DateOnly FirstDay = new(1900, 3, 1), DayZero = new(1899, 12, 30);

    private readonly ZipArchive _zip;
    private readonly IReadOnlyList<string> _columns;
    private readonly ArrayBufferWriter<byte> _buffer = new(FlushBytes * 2);
    private Stream? _sheet;
    private int _sheets, _rows;

    /// <param name="output">Left open.</param>
    /// <param name="columns">Names for the first row of each sheet.</param>
    public XlsxWriter(Stream output, IReadOnlyList<string> columns)
    {
        _zip = new ZipArchive(output, ZipArchiveMode.Create, leaveOpen: true);
        _columns = columns;
        Begin();
    }

    /// <exception cref="WorkbookCellException">A text is too long.</exception>
    public void Row(ReadOnlySpan<CellText> cells, int row)
    {
        if (_rows == SheetRows)
        {
            End();
            Begin();
        }
        _rows++;
        _buffer.Write("<row>"u8);
        for (var i = 0; i < cells.Length; i++)
            Cell(cells[i], row, i);
        _buffer.Write("</row>"u8);
        if (_buffer.WrittenCount >= FlushBytes)
            Flush();
    }

    /// <summary>Writes what names the sheets. Without it the file is none.</summary>
    public void Finish()
    {
        End();
        var numbers = Enumerable.Range(1, _sheets).ToList();
        Part("[Content_Types].xml", $"""
            <Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{Types}sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="{Types}styles+xml"/>{string.Concat(numbers.Select(n => $"<Override PartName=\"/xl/worksheets/sheet{n}.xml\" ContentType=\"{Types}worksheet+xml\"/>"))}</Types>
            """);
        Part("_rels/.rels", $"""
            <Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="{Relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>
            """);
        Part("xl/_rels/workbook.xml.rels", $"""
            <Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="styles" Type="{Relations}/styles" Target="styles.xml"/>{string.Concat(numbers.Select(n => $"<Relationship Id=\"r{n}\" Type=\"{Relations}/worksheet\" Target=\"worksheets/sheet{n}.xml\"/>"))}</Relationships>
            """);
        Part("xl/workbook.xml", $"""
            <workbook xmlns="{Main}" xmlns:r="{Relations}"><sheets>{string.Concat(numbers.Select(n => $"<sheet name=\"{n}\" sheetId=\"{n}\" r:id=\"r{n}\"/>"))}</sheets></workbook>
            """);
        // Formats by number: 0 as it comes, 1 a day, 2 a text that begins like a formula.
        Part("xl/styles.xml", $"""
            <styleSheet xmlns="{Main}"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/></numFmts><fonts count="1"><font/></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="3"><xf xfId="0"/><xf xfId="0" numFmtId="164" applyNumberFormat="1"/><xf xfId="0" quotePrefix="1"/></cellXfs></styleSheet>
            """);
        _zip.Dispose();
    }

    public void Dispose()
    {
        _sheet?.Dispose();
        _zip.Dispose();
    }

    private void Begin()
    {
        _sheets++;
        _rows = 1;
        _sheet = _zip.CreateEntry(string.Create(CultureInfo.InvariantCulture, $"xl/worksheets/sheet{_sheets}.xml"), CompressionLevel.Fastest).Open();
        _buffer.Write(Encoding.UTF8.GetBytes($"<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?><worksheet xmlns=\"{Main}\"><sheetData><row>"));
        foreach (var column in _columns)
            Text(Encoding.UTF8.GetBytes(column));
        _buffer.Write("</row>"u8);
    }

    private void End()
    {
        _buffer.Write("</sheetData></worksheet>"u8);
        Flush();
        _sheet!.Dispose();
        _sheet = null;
    }

    private void Flush()
    {
        _sheet!.Write(_buffer.WrittenSpan);
        _buffer.ResetWrittenCount();
    }

    private void Part(string name, string content)
    {
        using var part = _zip.CreateEntry(name, CompressionLevel.Fastest).Open();
        part.Write("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>"u8);
        part.Write(Encoding.UTF8.GetBytes(content));
    }

    // Cells stand one after the other, so an empty one has to be there too.
    private void Cell(in CellText cell, int row, int column)
    {
        if (cell.IsNull(row))
        {
            _buffer.Write("<c/>"u8);
            return;
        }
        if (cell.IsText)
        {
            var text = cell.Text(row);
            if (text.Length > TextMax && Encoding.UTF8.GetCharCount(text) > TextMax)
                throw new WorkbookCellException(_columns[column]);
            Text(text);
            return;
        }
        Span<byte> value = stackalloc byte[CellText.MaxLength];
        value = value[..cell.Format(row, value)];
        if (cell.IsBoolean)
            Value(" t=\"b\""u8, value.SequenceEqual("true"u8) ? "1"u8 : "0"u8);
        else if (cell.Kind == ArrowTypeId.Double || (cell.IsNumber && Digits(value) <= DigitsMax))
            Value(""u8, value);
        else if (cell.Kind is ArrowTypeId.Date32 && DateOnly.TryParseExact(Encoding.ASCII.GetString(value), "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var day) && day >= FirstDay)
            Value(" s=\"1\""u8, Encoding.ASCII.GetBytes((day.DayNumber - DayZero.DayNumber).ToString(CultureInfo.InvariantCulture)));
        else
            Text(value);
    }

    private void Value(ReadOnlySpan<byte> attributes, ReadOnlySpan<byte> value)
    {
        _buffer.Write("<c"u8);
        _buffer.Write(attributes);
        _buffer.Write("><v>"u8);
        _buffer.Write(value);
        _buffer.Write("</v></c>"u8);
    }

    private static int Digits(ReadOnlySpan<byte> number)
    {
        var digits = 0;
        foreach (var b in number)
        {
            if (b is >= (byte)'0' and <= (byte)'9' && (digits > 0 || b != '0'))
                digits++;
        }
        return digits;
    }

    private void Text(ReadOnlySpan<byte> text)
    {
        _buffer.Write(text.Length > 0 && QueryWriter.FormulaStarts.Contains(text[0]) ? "<c s=\"2\" t=\"inlineStr\"><is><t xml:space=\"preserve\">"u8 : "<c t=\"inlineStr\"><is><t xml:space=\"preserve\">"u8);
        for (var from = 0; from < text.Length;)
        {
            var rest = text[from..];
            var plain = rest.IndexOfAny(Special);
            if (plain != 0)
            {
                var run = plain < 0 ? rest : rest[..plain];
                _buffer.Write(run);
                from += run.Length;
                continue;
            }
            from += Escaped(rest);
        }
        _buffer.Write("</t></is></c>"u8);
    }

    /// <summary>Bytes that XML, or the escapes of ECMA-376 (<c>_xHHHH_</c>), may not have as they are. U+FFFE and U+FFFF begin with 0xEF.</summary>
    private static readonly SearchValues<byte> Special = SearchValues.Create([.. Enumerable.Range(0, 32).Select(i => (byte)i), (byte)'&', (byte)'<', (byte)'>', (byte)'_', 0xEF]);

    private static readonly SearchValues<byte> Hex = SearchValues.Create("0123456789abcdefABCDEF"u8);

    private int Escaped(ReadOnlySpan<byte> text)
    {
        switch (text[0])
        {
            case (byte)'&':
                _buffer.Write("&amp;"u8);
                return 1;
            case (byte)'<':
                _buffer.Write("&lt;"u8);
                return 1;
            case (byte)'>':
                _buffer.Write("&gt;"u8);
                return 1;
            case (byte)'_':
                // Only what would be read as an escape is one.
                _buffer.Write(text.Length >= 7 && text[1] == 'x' && text[6] == '_' && text[2..6].IndexOfAnyExcept(Hex) < 0 ? "_x005F_"u8 : "_"u8);
                return 1;
            case 0xEF:
                var last = text.Length >= 3 && text[1] == 0xBF && text[2] is 0xBE or 0xBF;
                _buffer.Write(!last ? text[..1] : text[2] == 0xBE ? "_xFFFE_"u8 : "_xFFFF_"u8);
                return last ? 3 : 1;
            case (byte)'\t' or (byte)'\n':
                _buffer.Write(text[..1]);
                return 1;
            default:
                _buffer.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"_x{(int)text[0]:X4}_")));
                return 1;
        }
    }
}
