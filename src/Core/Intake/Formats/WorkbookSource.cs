using System.Buffers;
using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using System.Xml;
using ExcelDataReader;
using ExcelDataReader.Exceptions;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// One sheet of an .xlsx or .xls: the first row is the header, formulas count by their cached value, dates by the workbook's
/// own date system (1900 or 1904). Numbers of 1e15 and more are <see cref="CellKind.Inexact"/>: Excel keeps 15 digits, so
/// an identity number typed there as a number is already ruined, and so is text that looks like <c>1.1E+17</c>.
/// </summary>
public sealed class WorkbookSource : ICellSource
{
    /// <summary>Where doubles shown with 15 digits, as Excel does, stop being whole numbers told apart.</summary>
    private const double ExactMax = 1e15;

    private static readonly SearchValues<char> Decimal = SearchValues.Create("0123456789.");
    private static readonly Encoding ChineseAnsi = CodePagesEncodingProvider.Instance.GetEncoding(936)!;

    private readonly Stream _stream;
    private readonly IExcelDataReader _reader;
    private readonly ChunkWriter _writer;
    private readonly int _columns;
    // Blank rows seen and not yet written: they are rows only if something follows.
    private long _blank;
    private bool _unwritten;
    private bool _ended;

    // .xls files before Excel 97 hold text in the code page of the machine that wrote them.
    static WorkbookSource() => Encoding.RegisterProvider(CodePagesEncodingProvider.Instance);

    private WorkbookSource(Stream stream, IExcelDataReader reader, string[] header, bool collect)
    {
        _stream = stream;
        _reader = reader;
        _columns = header.Length;
        Header = header;
        _writer = new ChunkWriter(_columns, collect);
    }

    public IReadOnlyList<string> Header { get; }

    /// <param name="stream">Seekable; owned from here on, also when this throws.</param>
    /// <param name="options">Names the sheet.</param>
    /// <exception cref="SourceFormatException"><c>format.workbook</c>, <c>format.encrypted</c>, <c>format.bomb</c>, <c>format.sheet</c>, <c>format.header</c> or <c>format.empty</c>.</exception>
    public static WorkbookSource Open(Stream stream, SourceOptions? options = null)
    {
        IExcelDataReader? reader = null;
        try
        {
            var zip = IsZip(stream);
            if (zip) WorkbookArchive.Check(stream);
            else RefuseEncrypted(stream);
            stream.Position = 0;
            var configuration = new ExcelReaderConfiguration { LeaveOpen = true, FallbackEncoding = ChineseAnsi };
            var opened = reader = Guard(() => zip ? ExcelReaderFactory.CreateOpenXmlReader(stream, configuration) : ExcelReaderFactory.CreateBinaryReader(stream, configuration));
            var sheet = options?.Sheet;
            while (sheet is not null && !string.Equals(opened.Name, sheet, StringComparison.OrdinalIgnoreCase))
            {
                if (!Guard(opened.NextResult)) throw new SourceFormatException("format.sheet", $"The workbook has no sheet named \"{sheet}\".");
            }
            if (!Guard(opened.Read)) throw new SourceFormatException("format.empty", "The sheet is empty.");
            return new WorkbookSource(stream, opened, ReadHeader(opened), (options ?? SourceOptions.Default).CollectFaults);
        }
        catch
        {
            reader?.Dispose();
            stream.Dispose();
            throw;
        }
    }

    public ValueTask<CellChunk?> ReadAsync(CancellationToken cancel)
    {
        while (!_writer.Full)
        {
            if (_unwritten && _blank > 0)
            {
                // Rows that stand empty between others are rows whose every cell is missing.
                _blank--;
                _writer.EndRows(1);
                continue;
            }
            if (_unwritten)
            {
                Guard(WriteRow);
                _unwritten = false;
                continue;
            }
            if (_ended) break;
            cancel.ThrowIfCancellationRequested();
            if (!Guard(_reader.Read))
            {
                _ended = true;
                break;
            }
            if (_writer.RowNumber(_writer.Rows) + _blank > FormatLimits.SheetRowsMax)
                throw new SourceFormatException("format.rowsMax", "The sheet has more rows than Excel allows.");
            if (Guard(IsBlank)) _blank++;
            else _unwritten = true;
        }
        return new ValueTask<CellChunk?>(_writer.Finish());
    }

    public async ValueTask DisposeAsync()
    {
        _writer.Close();
        _reader.Dispose();
        await _stream.DisposeAsync().ConfigureAwait(false);
    }

    private static bool IsZip(Stream stream)
    {
        Span<byte> mark = stackalloc byte[2];
        stream.Position = 0;
        return stream.ReadAtLeast(mark, 2, throwOnEndOfStream: false) == 2 && mark.SequenceEqual("PK"u8);
    }

    /// <summary>
    /// An .xlsx under a password is a compound file with a member of this name. Looked for by hand, since the reader would
    /// decrypt the ones under Excel's default password, and nobody would have checked the archive inside for a bomb.
    /// </summary>
    private static void RefuseEncrypted(Stream stream)
    {
        const int Entry = 128;
        var name = MemoryMarshal.AsBytes("EncryptedPackage\0".AsSpan());
        var block = new byte[512 * Entry];
        stream.Position = 0;
        int length;
        do
        {
            length = stream.ReadAtLeast(block, block.Length, throwOnEndOfStream: false);
            // Directory entries are aligned to their size, so text that merely says this is not taken for one.
            for (var at = 0; at + name.Length <= length; at += Entry)
            {
                if (block.AsSpan(at).StartsWith(name)) throw Encrypted();
            }
        }
        while (length == block.Length);
    }

    private static SourceFormatException Encrypted() => new("format.encrypted", "The workbook is protected by a password; save it without one.");

    private static string[] ReadHeader(IExcelDataReader reader)
    {
        var width = Guard(() => reader.FieldCount);
        // Of the whole sheet: one cell in the last column would make each of a million rows 16,384 cells wide.
        if (width > FormatLimits.ColumnsMax) throw HeaderNames.TooMany();
        while (width > 0 && IsBlank(reader.GetValue(width - 1))) width--;
        return HeaderNames.Check([.. Enumerable.Range(0, width).Select(c => Convert.ToString(reader.GetValue(c), CultureInfo.InvariantCulture) ?? "")]);
    }

    private static bool IsBlank(object? value) => value is null || value is string { Length: 0 };

    private bool IsBlank()
    {
        for (var c = 0; c < _reader.FieldCount; c++)
        {
            if (!IsBlank(_reader.GetValue(c))) return false;
        }
        return true;
    }

    private bool WriteRow()
    {
        var row = _writer.Rows;
        for (var c = 0; c < _reader.FieldCount; c++)
        {
            var value = _reader.GetValue(c);
            if (c >= _columns)
            {
                if (IsBlank(value)) continue;
                _writer.Fault(row, "format.workbook.columns", new($"A cell stands in column {c + 1}, which has no name in the header.", $"第 {c + 1} 列有内容，但表头没有列名。"));
                break;
            }
            if (value is "#N/A" or "#DIV/0!" or "#VALUE!" or "#REF!" or "#NAME?" or "#NUM!" or "#NULL!")
                _writer.Fault(row, "format.workbook.error", new($"The cell under \"{Header[c]}\" holds the error {value}.", $"“{Header[c]}”列的单元格是错误值 {value}。"));
            else Write(row, c, value);
        }
        _writer.EndRows(1);
        return true;
    }

    private void Write(int row, int column, object? value)
    {
        switch (value)
        {
            case null or string { Length: 0 }:
                break;
            case string text:
                _writer.Set(row, column, LooksRounded(text) ? CellKind.Inexact : CellKind.Text, text);
                break;
            case double number:
                _writer.Format(row, column, Math.Abs(number) < ExactMax ? CellKind.Number : CellKind.Inexact, number);
                break;
            case int number:
                _writer.Format(row, column, CellKind.Number, number);
                break;
            case decimal number:
                _writer.Format(row, column, CellKind.Number, number);
                break;
            case bool truth:
                _writer.Set(row, column, CellKind.Boolean, truth ? "true"u8 : "false"u8);
                break;
            // Day 0 of the serial dates means a time alone.
            case DateTime { Year: < 1900 } time:
                _writer.Format(row, column, CellKind.Text, time, "HH:mm:ss.FFF");
                break;
            case DateTime moment:
                _writer.Format(row, column, CellKind.Temporal, moment, moment.TimeOfDay == TimeSpan.Zero ? "yyyy-MM-dd" : "yyyy-MM-ddTHH:mm:ss.FFF");
                break;
            case TimeSpan span:
                _writer.Set(row, column, CellKind.Text, string.Create(CultureInfo.InvariantCulture, $"{(long)span.TotalHours:00}:{Math.Abs(span.Minutes):00}:{Math.Abs(span.Seconds):00}"));
                break;
            default:
                _writer.Fault(row, "format.workbook", new($"The cell under \"{Header[column]}\" holds a kind of value that is not known.", $"“{Header[column]}”列的单元格是无法识别的类型。"));
                break;
        }
    }

    /// <summary>Text such as 1.1E+17: a long number that was shown by Excel and pasted, or saved through CSV.</summary>
    private static bool LooksRounded(string text)
    {
        var digits = text.AsSpan().Trim();
        var e = digits.IndexOfAny('E', 'e');
        return e > 0 && e + 2 < digits.Length && digits[e + 1] == '+' && !digits[(e + 2)..].ContainsAnyExceptInRange('0', '9')
            && !digits[..e].TrimStart("+-").ContainsAnyExcept(Decimal);
    }

    /// <summary>The reader throws whatever a broken file makes it throw (null references included); all of it means the file is broken.</summary>
    private static T Guard<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (InvalidPasswordException)
        {
            throw Encrypted();
        }
        catch (Exception e) when (e is not SourceFormatException and not OutOfMemoryException and not OperationCanceledException)
        {
            throw new SourceFormatException("format.workbook", "The file is not a readable workbook, or is damaged.");
        }
    }
}

/// <summary>What the directory of an .xlsx promises, looked at before anything is expanded.</summary>
internal static class WorkbookArchive
{
    public static void Check(Stream stream)
    {
        var count = EntryCount(stream);
        if (count > FormatLimits.WorkbookEntriesMax) throw Bomb();
        try
        {
            stream.Position = 0;
            using var zip = new ZipArchive(stream, ZipArchiveMode.Read, leaveOpen: true);
            if (zip.Entries.Count > FormatLimits.WorkbookEntriesMax) throw Bomb();
            var worksheets = Worksheets(zip);
            long expanded = 0;
            foreach (var entry in zip.Entries)
            {
                if (entry.Length > FormatLimits.WorkbookPartBytesMax && !(worksheets.Contains(entry.FullName) && !IsHeld(entry.FullName))) throw Bomb();
                // Members cannot exceed what is declared here: the archive reader stops there.
                expanded += entry.Length;
                if (entry.Length < 0 || expanded > FormatLimits.WorkbookExpandedBytesMax) throw Bomb();
            }
            // Against the file, not the members' sizes, which may overlap. Small files of repeated XML are honest.
            if (expanded > FormatLimits.ExpansionGraceBytes && expanded / FormatLimits.ExpansionRatioMax > stream.Length) throw Bomb();
            if (zip.GetEntry("xl/workbook.xml") is null && zip.GetEntry("xl/workbook.bin") is null)
                throw new SourceFormatException("format.workbook", "The zip archive is not an Excel workbook.");
        }
        catch (Exception e) when (e is InvalidDataException or XmlException or IOException or NotSupportedException or ArgumentException or OverflowException)
        {
            throw new SourceFormatException("format.workbook", "The file is not a readable workbook, or is damaged.");
        }
    }

    /// <summary>Members that the reader opens by these names, whatever the workbook calls them, and holds in memory whole.</summary>
    private static readonly string[] Held = ["xl/sharedStrings.", "xl/styles.", "xl/workbook."];

    /// <summary>The members that the workbook names as worksheets and as nothing else: only those are read as a stream.</summary>
    private static HashSet<string> Worksheets(ZipArchive zip)
    {
        var found = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        var others = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var name in (ReadOnlySpan<string>)["xl/_rels/workbook.xml.rels", "xl/_rels/workbook.bin.rels"])
        {
            if (zip.GetEntry(name) is not { Length: <= FormatLimits.WorkbookPartBytesMax } entry) continue;
            using var stream = entry.Open();
            using var xml = XmlReader.Create(stream, new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit, XmlResolver = null });
            while (xml.Read())
            {
                if (xml is not { NodeType: XmlNodeType.Element, LocalName: "Relationship" } || xml.GetAttribute("Target") is not { } target) continue;
                var path = target.StartsWith('/') ? target[1..] : "xl/" + target;
                (xml.GetAttribute("Type")?.EndsWith("/worksheet", StringComparison.Ordinal) == true ? found : others).Add(path);
            }
        }
        found.ExceptWith(others);
        return found;
    }

    private static bool IsHeld(string name)
    {
        var path = name.Replace('\\', '/').TrimStart('/');
        return Array.Exists(Held, h => path.StartsWith(h, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>Entries according to the end record, read by hand so that a directory of millions is never loaded.</summary>
    private static int EntryCount(Stream stream)
    {
        var tail = new byte[(int)Math.Min(stream.Length, 22 + ushort.MaxValue)];
        stream.Position = stream.Length - tail.Length;
        stream.ReadExactly(tail);
        var at = tail.AsSpan().LastIndexOf("PK\x05\x06"u8);
        return at < 0 || at + 12 > tail.Length
            ? throw new SourceFormatException("format.workbook", "The file is not a readable workbook, or is damaged.")
            : tail[at + 10] | (tail[at + 11] << 8);
    }

    private static SourceFormatException Bomb() => new("format.bomb", "The workbook expands beyond the limit.");
}
