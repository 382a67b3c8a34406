using System.Buffers;
using System.Text;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>What makes a download safe to open in a spreadsheet program, which runs cells that begin like formulas.</summary>
public static class Spreadsheet
{
    /// <summary>
    /// Puts an apostrophe before text that begins with <c>= + - @</c>, TAB or CR. For text alone, never for numbers, and only
    /// in files made for spreadsheets: it changes the data.
    /// </summary>
    public static string Neutralise(string text) => text.Length > 0 && IsFormula(text[0]) ? "'" + text : text;

    /// <summary>Whether UTF-8 text begins like a formula.</summary>
    public static bool IsFormula(ReadOnlySpan<byte> text) => text.Length > 0 && IsFormula((char)text[0]);

    private static bool IsFormula(char first) => first is '=' or '+' or '-' or '@' or '\t' or '\r';
}

/// <summary>
/// Writes RFC 4180: UTF-8, CRLF, quotes only where needed. With <paramref name="spreadsheet"/> it begins with a byte order
/// mark (without which Excel takes Chinese text for the local code page) and neutralises text. Does not flush.
/// </summary>
public sealed class CsvWriter(IBufferWriter<byte> output, bool spreadsheet = false)
{
    private static readonly SearchValues<byte> Special = SearchValues.Create(",\"\r\n"u8);
    private bool _begun;
    private int _cells;
    private bool _emptyRow;

    /// <summary>A row of names.</summary>
    public void Header(IEnumerable<string> names)
    {
        foreach (var name in names) Cell(name);
        EndRow();
    }

    /// <summary>A cell of valid UTF-8. Numbers, dates and booleans are never neutralised.</summary>
    public void Cell(ReadOnlySpan<byte> text, CellKind kind = CellKind.Text)
    {
        Begin();
        if (_cells++ > 0) output.Write(","u8);
        _emptyRow = _cells == 1 && text.IsEmpty;
        var formula = spreadsheet && kind is (CellKind.Text or CellKind.Inexact) && Spreadsheet.IsFormula(text);
        // White space at the ends is quoted, as some readers trim what is not.
        if (!text.ContainsAny(Special) && (text.IsEmpty || (text[0] is not ((byte)' ' or (byte)'\t') && text[^1] is not ((byte)' ' or (byte)'\t'))))
        {
            if (formula) output.Write("'"u8);
            output.Write(text);
            return;
        }
        output.Write(formula ? "\"'"u8 : "\""u8);
        while (text.IndexOf((byte)'"') is var quote && quote >= 0)
        {
            output.Write(text[..(quote + 1)]);
            output.Write("\""u8);
            text = text[(quote + 1)..];
        }
        output.Write(text);
        output.Write("\""u8);
    }

    /// <summary>A cell of text.</summary>
    public void Cell(string text, CellKind kind = CellKind.Text)
    {
        var room = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        try
        {
            Cell(room.AsSpan(0, Encoding.UTF8.GetBytes(text, room)), kind);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(room);
        }
    }

    public void EndRow()
    {
        Begin();
        // One empty cell would be an empty line, which readers skip.
        if (_emptyRow) output.Write("\"\""u8);
        output.Write("\r\n"u8);
        _cells = 0;
        _emptyRow = false;
    }

    private void Begin()
    {
        if (_begun) return;
        _begun = true;
        if (spreadsheet) output.Write("\uFEFF"u8);
    }
}
