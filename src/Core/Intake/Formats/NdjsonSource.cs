using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// Objects, one a line (application/x-ndjson; see <see cref="JsonLines"/>) or in one JSON array. A row's keys are those asked for; missing ones are
/// <see cref="CellKind.Missing"/>. Numbers keep their literal text. A bad line is a fault of its row; a bad array is fatal,
/// as nothing says where the next object begins.
/// </summary>
public sealed class NdjsonSource : ICellSource
{
    private const int ReadBytes = 256 << 10;

    /// <summary>A report of one row holds its buffer until it is answered, and many are on their way at once.</summary>
    private const int ReadBytesAtFirst = 16 << 10;

    private readonly Stream _stream;
    private readonly JsonFields _fields;
    private readonly JsonRowParser _parser;
    private readonly ChunkWriter _writer;
    private readonly bool _collect;
    private JsonLines? _lines;

    // Unread bytes are [_at, _end).
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(ReadBytesAtFirst);
    private int _at;
    private int _end;
    private bool _ended;
    private Place _place = Place.Start;

    /// <param name="stream">UTF-8; owned from here on.</param>
    /// <param name="fields">The keys asked for, which become the header.</param>
    /// <param name="options">How to treat faults.</param>
    public NdjsonSource(Stream stream, IReadOnlyList<string> fields, SourceOptions? options = null)
    {
        // Rows are checked here one by one, so that a bad byte costs its row and not the file.
        _stream = stream is Utf8CheckedStream checkedStream ? checkedStream.Unchecked : stream;
        Header = [.. fields];
        _fields = new JsonFields(Header);
        _parser = new JsonRowParser(_fields);
        _collect = (options ?? SourceOptions.Default).CollectFaults;
        _writer = new ChunkWriter(fields.Count, _collect);
    }

    private enum Place
    {
        Start,
        ArrayFirst,
        ArrayNext,
        Done,
    }

    public IReadOnlyList<string> Header { get; }

    public async ValueTask<CellChunk?> ReadAsync(CancellationToken cancel)
    {
        while (_lines is null && !_writer.Full)
        {
            cancel.ThrowIfCancellationRequested();
            if (Step()) continue;
            if (_ended) break;
            if (_end - _at > FormatLimits.RowBytesMax)
                throw new SourceFormatException("format.rowTooLong", "An object is longer than the row limit of 8 MiB.", _writer.RowNumber(_writer.Rows));
            await FillAsync(cancel).ConfigureAwait(false);
        }
        return _lines is null ? _writer.Finish() : await _lines.ReadAsync(cancel).ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        _writer.Close();
        _lines?.Close();
        if (_buffer.Length > 0) ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        await _stream.DisposeAsync().ConfigureAwait(false);
    }

    private async ValueTask FillAsync(CancellationToken cancel)
    {
        var left = _end - _at;
        var want = _end == 0 && _at == 0 ? ReadBytesAtFirst : Math.Max(ReadBytes, left);
        if (_buffer.Length < left + want)
        {
            var larger = ArrayPool<byte>.Shared.Rent(left + want);
            _buffer.AsSpan(_at, left).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
        else
        {
            _buffer.AsSpan(_at, left).CopyTo(_buffer);
        }
        (_at, _end) = (0, left);
        var n = await _stream.ReadAtLeastAsync(_buffer.AsMemory(_end, want), want, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        _end += n;
        _ended = n < want;
    }

    /// <summary>Takes one line, one element or one mark of punctuation. False when more bytes are needed, or none are left.</summary>
    private bool Step()
    {
        switch (_place)
        {
            case Place.Start:
                if (_at == 0 && _buffer.AsSpan(_at, _end - _at).StartsWith("\uFEFF"u8)) _at = 3;
                if (!SkipSpace()) return false;
                if (_buffer[_at] == '[')
                {
                    _at++;
                    _place = Place.ArrayFirst;
                }
                else
                {
                    _lines = new JsonLines(_stream, _fields, _collect, _buffer.AsSpan(_at, _end - _at), _ended);
                    (_at, _ended) = (_end, true);
                }
                return true;
            case Place.Done:
                if (SkipSpace()) throw Malformed("Text follows the end of the array.");
                return false;
            default:
                return Element();
        }
    }

    private bool SkipSpace()
    {
        var skip = _buffer.AsSpan(_at, _end - _at).IndexOfAnyExcept(" \t\r\n"u8);
        _at = skip < 0 ? _end : _at + skip;
        return _at < _end;
    }

    private bool Element()
    {
        if (!SkipSpace()) return _ended ? throw Malformed("The array is not closed.") : false;
        var b = _buffer[_at];
        if (b == ']')
        {
            _at++;
            _place = Place.Done;
            return true;
        }
        if (_place == Place.ArrayNext)
        {
            if (b != ',') throw Malformed("A comma is missing between two objects.");
            // The comma is taken together with what follows it, so that "[{},]" is refused.
            var ahead = _buffer.AsSpan(_at + 1, _end - _at - 1).IndexOfAnyExcept(" \t\r\n"u8);
            if (ahead < 0) return _ended ? throw Malformed("The array is not closed.") : false;
            if (_buffer[_at + 1 + ahead] == ']') throw Malformed("A comma stands before the end of the array.");
            var at = _at + 1 + ahead;
            if (!TakeElement(at)) return false;
        }
        else if (!TakeElement(_at))
        {
            return false;
        }
        _place = Place.ArrayNext;
        return true;
    }

    private bool TakeElement(int at)
    {
        if (_buffer[at] != '{') throw Malformed("The array holds something that is not an object.");
        var bytes = _buffer.AsSpan(at, _end - at);
        var reader = new Utf8JsonReader(bytes, isFinalBlock: _ended, default);
        try
        {
            if (!reader.Read() || !reader.TrySkip()) return _ended ? throw Malformed("The array is not closed.") : false;
        }
        catch (JsonException)
        {
            throw Malformed("The array is not well-formed JSON.");
        }
        var length = (int)reader.BytesConsumed;
        _at = at + length;
        Row(bytes[..length]);
        return true;
    }

    private SourceFormatException Malformed(string message) => new("format.json.malformed", message, _writer.RowNumber(_writer.Rows));

    private void Row(ReadOnlySpan<byte> json)
    {
        var row = _writer.Rows;
        if (json.Length > FormatLimits.RowBytesMax) _writer.Fault(row, "format.rowTooLong", RowSentences.RowTooLong);
        else _parser.Parse(json, new Cells(_writer, row));
        _writer.EndRows(1);
    }

    /// <summary>Copies values into the chunk being filled: the buffer they stand in is read over.</summary>
    private readonly struct Cells(ChunkWriter writer, int row) : IJsonCells
    {
        public void Set(int column, CellKind kind, ReadOnlySpan<byte> text, long offset) => writer.Set(row, column, kind, text);

        public void Escaped(ref Utf8JsonReader reader, int column, long offset) =>
            writer.Take(row, column, CellKind.Text, reader.CopyString(writer.Room(row, reader.ValueSpan.Length)));

        public void Fault(string code, Sentence why) => writer.Fault(row, code, why);
    }
}
