using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// Objects, one a line (application/x-ndjson) or in one JSON array. A row's keys are those asked for; missing ones are
/// <see cref="CellKind.Missing"/>. Numbers keep their literal text. A bad line is a fault of its row; a bad array is fatal,
/// as nothing says where the next object begins.
/// </summary>
public sealed class NdjsonSource : ICellSource
{
    private const int ReadBytes = 256 << 10;

    private readonly Stream _stream;
    private readonly byte[][] _names;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _columns;
    private readonly ChunkWriter _writer;
    // The last row in which a column was set, to find repeated keys without clearing.
    private readonly long[] _seen;
    private readonly char[] _key = new char[FormatLimits.NameBytesMax];
    private long _stamp;

    // Unread bytes are [_at, _end).
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(ReadBytes);
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
        _names = [.. fields.Select(Encoding.UTF8.GetBytes)];
        _columns = fields.Select((name, i) => (name, i)).ToDictionary(f => f.name, f => f.i, StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
        _writer = new ChunkWriter(fields.Count, (options ?? SourceOptions.Default).CollectFaults);
        _seen = new long[fields.Count];
    }

    private enum Place
    {
        Start,
        Lines,
        ArrayFirst,
        ArrayNext,
        Done,
    }

    public IReadOnlyList<string> Header { get; }

    public async ValueTask<CellChunk?> ReadAsync(CancellationToken cancel)
    {
        while (!_writer.Full)
        {
            cancel.ThrowIfCancellationRequested();
            if (Step()) continue;
            if (_ended) break;
            if (_end - _at > FormatLimits.RowBytesMax)
                throw new SourceFormatException("format.rowTooLong", "An object is longer than the row limit of 8 MiB.", _writer.RowNumber(_writer.Rows));
            await FillAsync(cancel).ConfigureAwait(false);
        }
        return _writer.Finish();
    }

    public async ValueTask DisposeAsync()
    {
        _writer.Close();
        if (_buffer.Length > 0) ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        await _stream.DisposeAsync().ConfigureAwait(false);
    }

    private async ValueTask FillAsync(CancellationToken cancel)
    {
        var left = _end - _at;
        var want = Math.Max(ReadBytes, left);
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
                    _place = Place.Lines;
                }
                return true;
            case Place.Lines:
                return Line();
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

    private bool Line()
    {
        var rest = _buffer.AsSpan(_at, _end - _at);
        var length = rest.IndexOf((byte)'\n');
        if (length < 0)
        {
            if (!_ended || rest.IsEmpty) return false;
            length = rest.Length;
        }
        _at += Math.Min(length + 1, rest.Length);
        var line = rest[..length].Trim(" \t\r"u8);
        if (!line.IsEmpty) Row(line);
        return true;
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
        if (json.Length > FormatLimits.RowBytesMax) _writer.Fault(row, "format.rowTooLong", "The object is longer than the row limit of 8 MiB.");
        else if (!Utf8.IsValid(json)) _writer.Fault(row, "format.encoding", "The object holds bytes that are not UTF-8.");
        else Object(json, row);
        _writer.EndRows(1);
    }

    private void Object(ReadOnlySpan<byte> json, int row)
    {
        try
        {
            var reader = new Utf8JsonReader(json, isFinalBlock: true, default);
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                _writer.Fault(row, "format.json.notObject", "The line is not a JSON object.");
                return;
            }
            _stamp++;
            var next = 0;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var column = Column(ref reader, next);
                if (column < 0)
                {
                    _writer.Fault(row, "format.unknownField", $"The key \"{Short(reader.GetString()!)}\" is not a field of the dataset.");
                    return;
                }
                if (_seen[column] == _stamp)
                {
                    _writer.Fault(row, "format.json.duplicateKey", $"The key \"{Header[column]}\" stands twice in the object.");
                    return;
                }
                _seen[column] = _stamp;
                next = column + 1;
                reader.Read();
                if (!Cell(ref reader, row, column)) return;
            }
            // Reads to the end, which throws for anything behind the object.
            reader.Read();
        }
        catch (JsonException)
        {
            _writer.Fault(row, "format.json.malformed", "The object is not well-formed JSON.");
        }
        catch (InvalidOperationException)
        {
            // What the reader throws for an escaped surrogate without its partner.
            _writer.Fault(row, "format.json.surrogate", "A string holds half of a surrogate pair.");
        }
    }

    private bool Cell(ref Utf8JsonReader reader, int row, int column)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.String when !reader.ValueIsEscaped:
                _writer.Set(row, column, CellKind.Text, reader.ValueSpan);
                return true;
            case JsonTokenType.String:
                var n = reader.CopyString(_writer.Room(row, reader.ValueSpan.Length));
                _writer.Take(row, column, CellKind.Text, n);
                return true;
            case JsonTokenType.Number:
                _writer.Set(row, column, CellKind.Number, reader.ValueSpan);
                return true;
            case JsonTokenType.True:
                _writer.Set(row, column, CellKind.Boolean, "true"u8);
                return true;
            case JsonTokenType.False:
                _writer.Set(row, column, CellKind.Boolean, "false"u8);
                return true;
            case JsonTokenType.Null:
                return true;
            default:
                _writer.Fault(row, "format.json.nested", $"The value of \"{Header[column]}\" is an object or an array.");
                return false;
        }
    }

    /// <summary>Keys mostly come in the same order, so the one behind the last is tried first.</summary>
    private int Column(ref Utf8JsonReader reader, int next)
    {
        if (next < _names.Length && reader.ValueTextEquals(_names[next])) return next;
        if (reader.ValueSpan.Length > FormatLimits.NameBytesMax) return -1;
        var length = reader.CopyString(_key);
        return _columns.TryGetValue(_key.AsSpan(0, length), out var column) ? column : -1;
    }

    private static string Short(string key) => key.Length <= 64 ? key : string.Concat(key.AsSpan(0, char.IsHighSurrogate(key[63]) ? 63 : 64), "…");
}
