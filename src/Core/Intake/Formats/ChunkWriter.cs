using System.Globalization;
using System.Text;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>Fills chunks cell by cell, in any order within a chunk, for formats whose text is not already lying there as in CSV.</summary>
internal sealed class ChunkWriter(int columns, bool collect)
{
    /// <summary>Most text in one chunk: array lengths end at 2 GiB, and doubling must stay under that.</summary>
    private const int TextMax = 1 << 30;

    /// <summary>Room a chunk begins with: most contributions over HTTP are a row or a few, and pay for these alone.</summary>
    private const int RowsAtFirst = 64, TextAtFirst = 8 << 10;

    private readonly ChunkPool _pool = new(columns, kinds: true, RowsAtFirst);
    private readonly SortedDictionary<int, RowFault> _faults = [];
    private CellChunk? _chunk;
    private long _rowsBefore;

    private CellChunk Chunk
    {
        get
        {
            if (_chunk is null)
            {
                _chunk = _pool.Rent(TextAtFirst);
                _chunk.Starts.AsSpan().Clear();
                _chunk.Lengths.AsSpan().Clear();
                _chunk.Kinds.AsSpan().Clear();
            }
            return _chunk;
        }
    }

    /// <summary>Rows finished in the chunk being filled: the index of the row to write next.</summary>
    public int Rows => _chunk?.Rows ?? 0;

    public bool Full => _chunk is { } c && (c.Rows == c.RowCapacity || c.TextLength >= FormatLimits.ChunkBytes);

    public int RowCapacity => FormatLimits.RowsPerChunk(columns);

    /// <summary>The 1-based number in the file of a row of this chunk.</summary>
    public long RowNumber(int row) => _rowsBefore + row + 1;

    public void EndRows(int count)
    {
        Chunk.Grow(Chunk.Rows + count);
        Chunk.Rows += count;
    }

    public void Set(int row, int column, CellKind kind, ReadOnlySpan<byte> text)
    {
        text.CopyTo(Room(row, text.Length));
        Take(row, column, kind, text.Length);
    }

    public void Set(int row, int column, CellKind kind, ReadOnlySpan<char> text)
    {
        var n = Encoding.UTF8.GetBytes(text, Room(row, Encoding.UTF8.GetMaxByteCount(Math.Min(text.Length, TextMax / 4))));
        Take(row, column, kind, n);
    }

    /// <summary>Text from native memory; false, and nothing set, when it is not UTF-8.</summary>
    public bool TrySetUtf8(int row, int column, IntPtr text, int bytes)
    {
        Room(row, bytes);
        var chunk = Chunk;
        if (bytes > 0) System.Runtime.InteropServices.Marshal.Copy(text, chunk.Text, chunk.TextLength, bytes);
        if (!System.Text.Unicode.Utf8.IsValid(chunk.Text.AsSpan(chunk.TextLength, bytes))) return false;
        Take(row, column, CellKind.Text, bytes);
        return true;
    }

    /// <summary>Bytes of text in the chunk being filled.</summary>
    public int TextLength => _chunk?.TextLength ?? 0;

    /// <summary>A value of at most 64 characters.</summary>
    public void Format<T>(int row, int column, CellKind kind, T value, ReadOnlySpan<char> format = default) where T : IUtf8SpanFormattable
    {
        if (!value.TryFormat(Room(row, 512), out var n, format, CultureInfo.InvariantCulture)) throw new InvalidOperationException("A value formats to more than 512 bytes.");
        Take(row, column, kind, n);
    }

    /// <summary>Space at the end of the text, to be claimed by <see cref="Take"/>.</summary>
    public Span<byte> Room(int row, int bytes)
    {
        var chunk = Chunk;
        if ((long)chunk.TextLength + bytes > TextMax)
            throw new SourceFormatException("format.rowTooLong", "The rows of this file are too long to be read together.", RowNumber(row));
        if (chunk.Text.Length - chunk.TextLength < bytes)
        {
            var larger = GC.AllocateUninitializedArray<byte>(Math.Max(chunk.Text.Length * 2, chunk.TextLength + bytes));
            chunk.Text.AsSpan(0, chunk.TextLength).CopyTo(larger);
            chunk.Text = larger;
        }
        return chunk.Text.AsSpan(chunk.TextLength);
    }

    /// <summary>Makes the first bytes of the room a cell.</summary>
    public void Take(int row, int column, CellKind kind, int bytes)
    {
        var chunk = Chunk;
        var text = chunk.Text.AsSpan(chunk.TextLength, bytes);
        if (bytes > FormatLimits.CellBytesMax)
        {
            Fault(row, "format.cellTooLong", RowSentences.CellTooLong);
            return;
        }
        if (kind == CellKind.Text && text.Contains((byte)0))
        {
            Fault(row, "format.nul", RowSentences.Nul);
            return;
        }
        chunk.Grow(row + 1);
        var i = row * columns + column;
        chunk.Starts[i] = chunk.TextLength;
        chunk.Lengths[i] = bytes;
        chunk.Kinds![i] = kind;
        chunk.TextLength += bytes;
    }

    /// <summary>Refuses a row: the first reason counts.</summary>
    public void Fault(int row, string code, Sentence why)
    {
        if (!collect) throw new SourceFormatException(code, why, RowNumber(row));
        _faults.TryAdd(row, new RowFault(row, code, why));
    }

    /// <summary>The chunk, if it has rows; a new one begins.</summary>
    public CellChunk? Finish()
    {
        if (_chunk is not { Rows: > 0 } chunk) return null;
        foreach (var row in _faults.Keys)
        {
            chunk.Starts.AsSpan(row * columns, columns).Clear();
            chunk.Lengths.AsSpan(row * columns, columns).Clear();
            chunk.Kinds.AsSpan(row * columns, columns).Clear();
        }
        if (_faults.Count > 0) chunk.Faults = [.. _faults.Values];
        _faults.Clear();
        chunk.FirstRow = _rowsBefore + 1;
        _rowsBefore += chunk.Rows;
        _chunk = null;
        return chunk;
    }

    public void Close() => _pool.Close();
}
