using System.Globalization;
using System.Text;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// CSV by RFC 4180 over UTF-8: cells are slices of the very buffer the stream was read into. Comma separated; tab or
/// semicolon where the header has one of those and no comma. Lines end in LF, CRLF or CR. Lines with nothing on them are
/// no rows (in a file of one column they are rows with an empty cell, except the last line).
/// </summary>
public sealed class CsvSource : ICellSource
{
    /// <summary>Bytes asked of the stream at a time. What is left over when a chunk fills is moved, so this stays well below a chunk's text.</summary>
    private const int ReadBytes = 256 << 10;

    private readonly Utf8CheckedStream _stream;
    private readonly bool _collect;
    private readonly ChunkPool _pool;
    private readonly CsvTokenizer _tokenizer;

    // The chunk being filled. Its Text holds unread bytes at [_at, _end); rows before _at are done.
    private CellChunk? _current;
    private int _at;
    private int _end;
    private bool _ended;
    private long _rowsBefore;

    private CsvSource(Utf8CheckedStream stream, string[] header, byte separator, bool collect, ReadOnlySpan<byte> rest, bool ended)
    {
        _stream = stream;
        _collect = collect;
        Header = header;
        Separator = (char)separator;
        _tokenizer = new CsvTokenizer(separator, header.Length);
        _pool = new ChunkPool(header.Length, kinds: false);
        _current = _pool.Rent(BufferBytes(rest.Length));
        rest.CopyTo(_current.Text);
        _end = rest.Length;
        _ended = ended;
        if (ended) EndLastLine();
    }

    public IReadOnlyList<string> Header { get; }

    /// <summary>The separator found: comma, tab or semicolon.</summary>
    public char Separator { get; }

    /// <summary>Reads the header. Takes the stream over, also when it throws.</summary>
    /// <exception cref="SourceFormatException"><c>format.empty</c>, <c>format.header</c>, <c>format.csv.quote</c>, <c>format.encoding</c> or a limit.</exception>
    public static async ValueTask<CsvSource> OpenAsync(Stream stream, SourceOptions? options = null, CancellationToken cancel = default)
    {
        var text = Utf8CheckedStream.Over(stream);
        try
        {
            var head = new byte[ReadBytes];
            var length = 0;
            while (true)
            {
                var want = head.Length - length;
                var n = await text.ReadAtLeastAsync(head.AsMemory(length), want, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
                length += n;
                var ended = n < want;
                var start = head.AsSpan(0, length).StartsWith("\uFEFF"u8) ? 3 : 0;
                if (ended && length == start) throw new SourceFormatException("format.empty", "The file is empty.");
                if (CsvHeader.TryParse(head.AsSpan(start, length - start), ended, out var names, out var separator, out var used))
                    return new CsvSource(text, names, separator, (options ?? SourceOptions.Default).CollectFaults, head.AsSpan(start + used, length - start - used), ended);
                if (length >= FormatLimits.RowBytesMax) throw RowTooLong(0);
                Array.Resize(ref head, head.Length * 2);
            }
        }
        catch
        {
            await text.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask<CellChunk?> ReadAsync(CancellationToken cancel)
    {
        while (_current is { } chunk)
        {
            cancel.ThrowIfCancellationRequested();
            Tokenise(chunk);
            if (_ended && _at == _end)
            {
                _current = null;
                if (chunk.Rows > 0) return Hand(chunk, _at);
                chunk.Dispose();
                return null;
            }
            if (chunk.Rows == chunk.RowCapacity || (chunk.Rows > 0 && _at >= FormatLimits.ChunkBytes) || (chunk.Rows > 0 && _ended))
            {
                var used = _at;
                Advance(chunk);
                return Hand(chunk, used);
            }
            await FillAsync(chunk, cancel).ConfigureAwait(false);
        }
        return null;
    }

    public async ValueTask DisposeAsync()
    {
        _current = null;
        _pool.Close();
        await _stream.DisposeAsync().ConfigureAwait(false);
    }

    private void Tokenise(CellChunk chunk)
    {
        _at = _tokenizer.Run(chunk, _at, _end, _ended, _rowsBefore);
        if (chunk.Faults is { } faults && !_collect)
            throw new SourceFormatException(faults[0].Code, faults[0].Why, _rowsBefore + faults[0].Row + 1);
        if (_end - _at > FormatLimits.RowBytesMax && chunk.Rows < chunk.RowCapacity) throw RowTooLong(_rowsBefore + chunk.Rows + 1);
    }

    /// <summary>Reads more behind what is there. Doubling keeps the rescanning of one very long row linear.</summary>
    private async ValueTask FillAsync(CellChunk chunk, CancellationToken cancel)
    {
        if (chunk.Rows == 0 && _at > 0)
        {
            // Nothing but empty lines so far: no cell points at them, so they need not be kept.
            chunk.Text.AsSpan(_at, _end - _at).CopyTo(chunk.Text);
            _tokenizer.Moved(_at);
            (_at, _end) = (0, _end - _at);
        }
        var want = Math.Max(ReadBytes, _end - _at);
        if (chunk.Text.Length < BufferBytes(_end + want))
        {
            var larger = GC.AllocateUninitializedArray<byte>(Math.Max(BufferBytes(_end + want), chunk.Text.Length * 2));
            chunk.Text.AsSpan(0, _end).CopyTo(larger);
            chunk.Text = larger;
        }
        var n = await _stream.ReadAtLeastAsync(chunk.Text.AsMemory(_end, want), want, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        _end += n;
        if (n == want) return;
        _ended = true;
        EndLastLine();
    }

    /// <summary>A file may stop without a newline; give it one, so that the tokenizer has a single rule.</summary>
    private void EndLastLine()
    {
        if (_end > _at && _current!.Text[_end - 1] != '\n') _current.Text[_end++] = (byte)'\n';
    }

    /// <summary>Moves what is unread to a fresh chunk.</summary>
    private void Advance(CellChunk full)
    {
        var left = _end - _at;
        var next = _pool.Rent(BufferBytes(Math.Max(left, ReadBytes)));
        full.Text.AsSpan(_at, left).CopyTo(next.Text);
        _tokenizer.Moved(_at);
        _current = next;
        _at = 0;
        _end = left;
    }

    private CellChunk Hand(CellChunk chunk, int used)
    {
        chunk.FirstRow = _rowsBefore + 1;
        chunk.TextLength = used;
        _rowsBefore += chunk.Rows;
        return chunk;
    }

    private static int BufferBytes(int text) => text + CsvTokenizer.Slack;

    private static SourceFormatException RowTooLong(long row) => new("format.rowTooLong",
        string.Create(CultureInfo.InvariantCulture, $"A row is longer than {FormatLimits.RowBytesMax} bytes."), row == 0 ? null : row);
}

/// <summary>The first line of a CSV file, which decides its separator and columns.</summary>
internal static class CsvHeader
{
    /// <summary>False when the line is not complete yet.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, bool atEnd, out string[] names, out byte separator, out int used)
    {
        names = [];
        separator = (byte)',';
        used = 0;
        var line = LineLength(bytes, atEnd, out used);
        if (line < 0) return false;
        separator = Detect(bytes[..line]);
        names = HeaderNames.Check(Split(bytes[..line], separator));
        return true;
    }

    /// <summary>Length of the line without its end, or -1; quotes may hold newlines.</summary>
    private static int LineLength(ReadOnlySpan<byte> bytes, bool atEnd, out int used)
    {
        var quoted = false;
        for (var i = 0; i < bytes.Length; i++)
        {
            var b = bytes[i];
            if (b == '"') quoted = !quoted;
            if (quoted || b is not ((byte)'\n' or (byte)'\r')) continue;
            used = i + 1;
            if (b == '\r')
            {
                if (i + 1 < bytes.Length) used += bytes[i + 1] == '\n' ? 1 : 0;
                else if (!atEnd) return -1;
            }
            return i;
        }
        used = bytes.Length;
        if (!atEnd) return -1;
        return quoted ? throw new SourceFormatException("format.csv.quote", "A quote opened in the header is never closed.") : bytes.Length;
    }

    private static byte Detect(ReadOnlySpan<byte> line)
    {
        bool tab = false, semicolon = false, quoted = false;
        foreach (var b in line)
        {
            if (b == '"') quoted = !quoted;
            if (quoted) continue;
            if (b == ',') return (byte)',';
            tab |= b == '\t';
            semicolon |= b == ';';
        }
        return (byte)(tab ? '\t' : semicolon ? ';' : ',');
    }

    private static List<string> Split(ReadOnlySpan<byte> line, byte separator)
    {
        var names = new List<string>();
        var cell = new List<byte>();
        var i = 0;
        while (true)
        {
            cell.Clear();
            if (i < line.Length && line[i] == '"')
            {
                for (i++; ; i++)
                {
                    if (i >= line.Length) throw Stray();
                    if (line[i] != '"') cell.Add(line[i]);
                    else if (i + 1 < line.Length && line[i + 1] == '"') cell.Add(line[i++]);
                    else break;
                }
                i++;
                if (i < line.Length && line[i] != separator) throw Stray();
            }
            else
            {
                for (; i < line.Length && line[i] != separator; i++)
                {
                    if (line[i] == '"') throw Stray();
                    cell.Add(line[i]);
                }
            }
            names.Add(Encoding.UTF8.GetString(cell.ToArray()));
            if (names.Count > FormatLimits.ColumnsMax) throw HeaderNames.TooMany();
            if (i >= line.Length) return names;
            i++;
        }
    }

    private static SourceFormatException Stray() => new("format.csv.quote", "A quote in the header stands where none may.");
}

/// <summary>The rules every format's header keeps.</summary>
internal static class HeaderNames
{
    /// <summary>Trims, and refuses empty and repeated names.</summary>
    public static string[] Check(IReadOnlyList<string> found)
    {
        if (found.Count > FormatLimits.ColumnsMax) throw TooMany();
        var seen = new HashSet<string>(found.Count, StringComparer.Ordinal);
        var names = new string[found.Count];
        for (var i = 0; i < names.Length; i++)
        {
            var name = names[i] = found[i].Trim();
            if (name.Length == 0) throw new SourceFormatException("format.header", string.Create(CultureInfo.InvariantCulture, $"Column {i + 1} has no name in the header."));
            if (Encoding.UTF8.GetByteCount(name) > FormatLimits.NameBytesMax)
                throw new SourceFormatException("format.header", string.Create(CultureInfo.InvariantCulture, $"The name of column {i + 1} is longer than {FormatLimits.NameBytesMax} bytes."));
            if (!seen.Add(name)) throw new SourceFormatException("format.header", $"Two columns are named \"{name}\".");
        }
        return names.Length > 0 ? names : throw new SourceFormatException("format.header", "The file has no columns.");
    }

    public static SourceFormatException TooMany() => new("format.columnsMax",
        string.Create(CultureInfo.InvariantCulture, $"The file has more than {FormatLimits.ColumnsMax} columns."));
}
