using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// Objects, one a line. Reading only cuts the text into lines; parsing is left pending on each chunk, so that it runs beside the reading and on
/// several threads. Cells are slices of the very buffer the stream was read into.
/// </summary>
internal sealed class JsonLines
{
    private const int ReadBytes = 256 << 10;

    /// <summary>A report of one row should not pay for a chunk of thousands.</summary>
    private const int RowsAtFirst = 8;

    private readonly Stream _stream;
    private readonly JsonFields _fields;
    private readonly bool _collect;
    private readonly ChunkPool _pool;
    private readonly ConcurrentBag<JsonRowParser> _parsers = [];

    // The chunk being filled: unread bytes are [_at, _end) of its text; lines before _at are rows.
    private CellChunk? _chunk;
    private int _at;
    private int _end;
    private bool _ended;
    private long _rowsBefore;

    /// <param name="stream">Not owned.</param>
    /// <param name="read">What was read of it already.</param>
    /// <param name="ended">Nothing follows what was read.</param>
    public JsonLines(Stream stream, JsonFields fields, bool collect, ReadOnlySpan<byte> read, bool ended)
    {
        (_stream, _fields, _collect, _ended) = (stream, fields, collect, ended);
        _pool = new ChunkPool(fields.Header.Count, kinds: true, RowsAtFirst);
        _chunk = _pool.Rent(ended ? read.Length : Math.Max(read.Length, ReadBytes));
        read.CopyTo(_chunk.Text);
        _end = read.Length;
    }

    public async ValueTask<CellChunk?> ReadAsync(CancellationToken cancel)
    {
        while (_chunk is { } chunk)
        {
            cancel.ThrowIfCancellationRequested();
            Cut(chunk);
            if (_ended && _at == _end)
            {
                _chunk = null;
                if (chunk.Rows > 0) return Hand(chunk);
                chunk.Dispose();
                return null;
            }
            if (chunk.Rows == chunk.RowCapacity || (chunk.Rows > 0 && _at >= FormatLimits.ChunkBytes))
            {
                Advance(chunk);
                return Hand(chunk);
            }
            if (_end - _at > FormatLimits.RowBytesMax)
                throw new SourceFormatException("format.rowTooLong", "An object is longer than the row limit of 8 MiB.", _rowsBefore + chunk.Rows + 1);
            await FillAsync(chunk, cancel).ConfigureAwait(false);
        }
        return null;
    }

    /// <summary>After this, chunks still out are simply collected.</summary>
    public void Close()
    {
        _chunk = null;
        _pool.Close();
    }

    /// <summary>Finds whole lines. Where a line stands is kept in the place of its row's first cell until it is parsed.</summary>
    private void Cut(CellChunk chunk)
    {
        while (chunk.Rows < chunk.RowCapacity && _at < _end)
        {
            var rest = chunk.Text.AsSpan(_at, _end - _at);
            var length = rest.IndexOf((byte)'\n');
            if (length < 0)
            {
                if (!_ended) return;
                length = rest.Length;
            }
            var line = rest[..length];
            var blank = line.IndexOfAnyExcept(" \t\r"u8);
            if (blank >= 0)
            {
                chunk.Grow(chunk.Rows + 1);
                var i = chunk.Rows * chunk.Columns;
                chunk.Starts[i] = _at + blank;
                chunk.Lengths[i] = line.TrimEnd(" \t\r"u8).Length - blank;
                chunk.Rows++;
            }
            _at += Math.Min(length + 1, rest.Length);
        }
    }

    /// <summary>Reads more behind what is there. Doubling keeps the rescanning of one very long line linear.</summary>
    private async ValueTask FillAsync(CellChunk chunk, CancellationToken cancel)
    {
        if (chunk.Rows == 0 && _at > 0)
        {
            // Nothing but empty lines so far: they need not be kept.
            chunk.Text.AsSpan(_at, _end - _at).CopyTo(chunk.Text);
            (_at, _end) = (0, _end - _at);
        }
        var want = Math.Max(ReadBytes, _end - _at);
        if (chunk.Text.Length < _end + want)
        {
            var larger = GC.AllocateUninitializedArray<byte>(Math.Max(_end + want, chunk.Text.Length * 2));
            chunk.Text.AsSpan(0, _end).CopyTo(larger);
            chunk.Text = larger;
        }
        var n = await _stream.ReadAtLeastAsync(chunk.Text.AsMemory(_end, want), want, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        _end += n;
        _ended = n < want;
    }

    /// <summary>Moves what is unread to a fresh chunk.</summary>
    private void Advance(CellChunk full)
    {
        var left = _end - _at;
        var next = _pool.Rent(Math.Max(left, ReadBytes));
        full.Text.AsSpan(_at, left).CopyTo(next.Text);
        full.TextLength = _at;
        _chunk = next;
        _at = 0;
        _end = left;
    }

    private CellChunk Hand(CellChunk chunk)
    {
        if (_chunk is null) chunk.TextLength = _end;
        chunk.FirstRow = _rowsBefore + 1;
        _rowsBefore += chunk.Rows;
        chunk.Pending = Parse;
        return chunk;
    }

    private void Parse(CellChunk chunk)
    {
        if (!_parsers.TryTake(out var parser)) parser = new JsonRowParser(_fields);
        for (var r = 0; r < chunk.Rows; r++)
        {
            var first = r * chunk.Columns;
            var (start, length) = (chunk.Starts[first], chunk.Lengths[first]);
            var cells = new Cells(chunk, r, start, _collect);
            Clear(chunk, r);
            if (length > FormatLimits.RowBytesMax) cells.Fault("format.rowTooLong", RowSentences.RowTooLong);
            else parser.Parse(chunk.Text.AsSpan(start, length), cells);
            // Values behind the one at fault may have been set.
            if (chunk.Faults is [.., var last] && last.Row == r) Clear(chunk, r);
        }
        _parsers.Add(parser);
    }

    private static void Clear(CellChunk chunk, int row)
    {
        var (first, count) = (row * chunk.Columns, chunk.Columns);
        chunk.Starts.AsSpan(first, count).Clear();
        chunk.Lengths.AsSpan(first, count).Clear();
        chunk.Kinds!.AsSpan(first, count).Clear();
    }

    /// <summary>Points the row's cells at where their values stand in the chunk.</summary>
    private readonly struct Cells(CellChunk chunk, int row, int start, bool collect) : IJsonCells
    {
        public void Set(int column, CellKind kind, ReadOnlySpan<byte> text, long offset) => Put(column, kind, start + (int)offset, text.Length);

        public void Escaped(ref Utf8JsonReader reader, int column, long offset)
        {
            // Text without escapes is never longer than with them, so it fits where it stood.
            var scratch = System.Buffers.ArrayPool<byte>.Shared.Rent(reader.ValueSpan.Length);
            var length = reader.CopyString(scratch);
            var at = start + (int)offset;
            scratch.AsSpan(0, length).CopyTo(chunk.Text.AsSpan(at));
            System.Buffers.ArrayPool<byte>.Shared.Return(scratch);
            if (chunk.Text.AsSpan(at, length).Contains((byte)0)) Fault("format.nul", RowSentences.Nul);
            else Put(column, CellKind.Text, at, length);
        }

        public void Fault(string code, Sentence why)
        {
            if (!collect) throw new SourceFormatException(code, why, chunk.FirstRow + row);
            var faults = chunk.Faults ??= [];
            // The first reason counts.
            if (faults.Count == 0 || faults[^1].Row != row) faults.Add(new RowFault(row, code, why));
        }

        private void Put(int column, CellKind kind, int at, int length)
        {
            if (length > FormatLimits.CellBytesMax)
            {
                Fault("format.cellTooLong", RowSentences.CellTooLong);
                return;
            }
            var i = row * chunk.Columns + column;
            chunk.Starts[i] = at;
            chunk.Lengths[i] = length;
            chunk.Kinds![i] = kind;
        }
    }
}
