using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// Finds cells in a chunk's own text. 64 bytes at a time become one bit mask of the bytes that matter (separator, quote,
/// CR, LF), whose bits are then walked; the bytes between are never looked at. A row that is not complete is left for the
/// next run, and nothing of it is changed, so that it can be scanned again.
/// </summary>
internal sealed class CsvTokenizer(byte separator, int columns)
{
    /// <summary>Bytes past the text that may be read (never written to a cell): one block, and the newline given to a last line.</summary>
    public const int Slack = 80;

    // Where the CR stands that ended the last row, for the LF that may follow it, relative to the chunk's text.
    private int _carriageReturn = -2;

    // A file of one column: an empty line has been seen, and will be a row if another line follows.
    private bool _blankPending;

    /// <summary>Tells that the text up to <paramref name="by"/> was dropped from the front.</summary>
    public void Moved(int by) => _carriageReturn = Math.Max(-2, _carriageReturn - by);

    /// <summary>
    /// Adds complete rows of [at, end) to the chunk and returns where the first row that is not complete begins. When
    /// <paramref name="ended"/>, nothing follows and the last byte is a newline. <paramref name="rowsBefore"/> counts the
    /// rows of earlier chunks, to name rows in errors.
    /// </summary>
    public int Run(CellChunk chunk, int at, int end, bool ended, long rowsBefore)
    {
        if (chunk.Rows == chunk.RowCapacity) return at;
        var text = chunk.Text;
        ref var start = ref MemoryMarshal.GetArrayDataReference(text);
        var starts = chunk.Starts;
        var lengths = chunk.Lengths;
        var split = separator;
        var row = new Row { Begin = at, First = chunk.Rows * columns };
        // The cell being read: its index, which passes the row's end in a ragged row, and where it begins.
        var cell = row.First;
        var limit = row.First + columns;
        var begin = at;

        for (var position = at; position < end;)
        {
            var mask = Mask(ref Unsafe.Add(ref start, position), split);
            if (end - position < 64) mask &= (1UL << (end - position)) - 1;
            var block = position;
            position += 64;
            while (mask != 0)
            {
                var i = block + BitOperations.TrailingZeroCount(mask);
                mask &= mask - 1;
                var b = Unsafe.Add(ref start, i);
                if (b == '"')
                {
                    if (i != begin) throw Quote("A quote stands inside a cell that is not quoted.", rowsBefore, chunk);
                    var close = Close(text, i, end, out var doubled);
                    if (close < 0) return ended ? throw Quote("A quote is never closed.", rowsBefore, chunk) : row.Begin;
                    if (cell < limit)
                    {
                        starts[cell] = i + 1;
                        // Complemented: quotes to be undone once the row is complete.
                        lengths[cell] = doubled ? ~(close - i - 1) : close - i - 1;
                        row.Doubled |= doubled;
                    }
                    // Go on behind what follows the closing quote, in a block of its own.
                    i = close + 1;
                    b = text[i];
                    position = i + 1;
                    mask = 0;
                    if (b != split && b is not ((byte)'\n' or (byte)'\r')) throw Quote("Text follows a closing quote.", rowsBefore, chunk);
                }
                else if (i == row.Begin && b != split)
                {
                    SkipBlank(b, i, chunk, ref row);
                    if (chunk.Rows == chunk.RowCapacity) return row.Begin;
                    begin = i + 1;
                    cell = row.First;
                    limit = row.First + columns;
                    continue;
                }
                else if (cell < limit)
                {
                    starts[cell] = begin;
                    lengths[cell] = i - begin;
                }
                cell++;
                begin = i + 1;
                if (b == split) continue;

                var cells = cell - row.First;
                // A pending empty line becomes a row first; if that fills the chunk, this line is read again in the next.
                if (_blankPending && PendBecomesRow(chunk, ref row)) return row.Begin;
                if (b == '\r') _carriageReturn = i;
                EndRow(chunk, ref row, cells, i);
                if (chunk.Rows == chunk.RowCapacity) return row.Begin;
                cell = row.First;
                limit = cell + columns;
            }
        }
        return row.Begin;
    }

    /// <summary>Steps over an LF behind a CR, or an empty line.</summary>
    private void SkipBlank(byte b, int i, CellChunk chunk, ref Row row)
    {
        var pairs = b == '\n' && _carriageReturn == i - 1;
        if (b == '\r') _carriageReturn = i;
        row.Begin = i + 1;
        if (pairs || columns > 1) return;
        if (_blankPending) Blank(chunk, ref row);
        _blankPending = true;
    }

    /// <summary>Writes the pending empty line of a one-column file in front of the row just read. True when that filled the chunk.</summary>
    private bool PendBecomesRow(CellChunk chunk, ref Row row)
    {
        _blankPending = false;
        if (row.First + 1 < chunk.Starts.Length)
        {
            chunk.Starts[row.First + 1] = chunk.Starts[row.First];
            chunk.Lengths[row.First + 1] = chunk.Lengths[row.First];
        }
        Blank(chunk, ref row);
        return chunk.Rows == chunk.RowCapacity;
    }

    private static void Blank(CellChunk chunk, ref Row row)
    {
        chunk.Starts[row.First] = chunk.Lengths[row.First] = 0;
        chunk.Rows++;
        row.First = chunk.Rows;
    }

    private void EndRow(CellChunk chunk, ref Row row, int cells, int newline)
    {
        if (newline - row.Begin > FormatLimits.RowBytesMax)
        {
            Fault(chunk, row.First, "format.rowTooLong", RowSentences.RowTooLong);
        }
        else if (cells != columns)
        {
            Fault(chunk, row.First, "format.csv.columns", new($"The row has {cells} cells; the header has {columns}.", $"该行有 {cells} 个单元格，而表头有 {columns} 个。"));
        }
        else
        {
            if (row.Doubled) Undouble(chunk, row.First);
            if (newline - row.Begin > FormatLimits.CellBytesMax && chunk.Lengths.AsSpan(row.First, columns).ContainsAnyExceptInRange(0, FormatLimits.CellBytesMax))
                Fault(chunk, row.First, "format.cellTooLong", RowSentences.CellTooLong);
        }
        chunk.Rows++;
        row.Begin = newline + 1;
        row.First += columns;
        row.Doubled = false;
    }

    private void Fault(CellChunk chunk, int first, string code, Sentence why)
    {
        chunk.Starts.AsSpan(first, columns).Clear();
        chunk.Lengths.AsSpan(first, columns).Clear();
        (chunk.Faults ??= []).Add(new RowFault(chunk.Rows, code, why));
    }

    /// <summary>Turns "" into " in place, in the cells marked by a complemented length.</summary>
    private void Undouble(CellChunk chunk, int first)
    {
        for (var c = first; c < first + columns; c++)
        {
            if (chunk.Lengths[c] >= 0) continue;
            var cell = chunk.Text.AsSpan(chunk.Starts[c], ~chunk.Lengths[c]);
            var to = 0;
            for (var from = 0; from < cell.Length; from++)
            {
                cell[to++] = cell[from];
                if (cell[from] == '"') from++;
            }
            chunk.Lengths[c] = to;
        }
    }

    /// <summary>Where the quote that closes the one at <paramref name="open"/> stands, with a byte behind it; -1 when not here yet.</summary>
    private static int Close(byte[] text, int open, int end, out bool doubled)
    {
        doubled = false;
        var i = open + 1;
        while (true)
        {
            var found = text.AsSpan(i, end - i).IndexOf((byte)'"');
            if (found < 0) return -1;
            i += found;
            if (i + 1 >= end) return -1;
            if (text[i + 1] != '"') return i;
            doubled = true;
            i += 2;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Mask(ref byte at, byte split)
    {
        var low = Vector256.LoadUnsafe(ref at);
        var high = Vector256.LoadUnsafe(ref at, 32);
        return Special(low, split) | ((ulong)Special(high, split) << 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Special(Vector256<byte> bytes, byte split) =>
        (Vector256.Equals(bytes, Vector256.Create(split)) | Vector256.Equals(bytes, Vector256.Create((byte)'"'))
        | Vector256.Equals(bytes, Vector256.Create((byte)'\n')) | Vector256.Equals(bytes, Vector256.Create((byte)'\r'))).ExtractMostSignificantBits();

    private static SourceFormatException Quote(string message, long rowsBefore, CellChunk chunk) =>
        new("format.csv.quote", message, rowsBefore + chunk.Rows + 1);

    private struct Row
    {
        /// <summary>Where the row begins in the text.</summary>
        public int Begin;

        /// <summary>Index of the row's first cell.</summary>
        public int First;

        /// <summary>A cell of the row has doubled quotes to undo.</summary>
        public bool Doubled;
    }
}
