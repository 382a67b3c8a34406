using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>The keys a row may have, looked up by their bytes. Immutable; shared by the threads that parse one file.</summary>
internal sealed class JsonFields
{
    private readonly byte[][] _names;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _columns;

    public JsonFields(IReadOnlyList<string> header)
    {
        Header = header;
        _names = [.. header.Select(Encoding.UTF8.GetBytes)];
        _columns = header.Select((name, i) => (name, i)).ToDictionary(f => f.name, f => f.i, StringComparer.Ordinal).GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public IReadOnlyList<string> Header { get; }

    /// <summary>Keys mostly come in the same order, so <paramref name="next"/>, the one behind the last, is tried first. −1 for a key not asked for.</summary>
    public int Column(ref Utf8JsonReader reader, int next, ref char[]? scratch)
    {
        if (next < _names.Length && reader.ValueTextEquals(_names[next])) return next;
        if (reader.ValueSpan.Length > FormatLimits.NameBytesMax) return -1;
        var length = reader.CopyString(scratch ??= new char[FormatLimits.NameBytesMax]);
        return _columns.TryGetValue(scratch.AsSpan(0, length), out var column) ? column : -1;
    }
}

/// <summary>Where a parsed row's values go.</summary>
internal interface IJsonCells
{
    /// <summary>A value whose text stands as it is at <paramref name="offset"/> in the row's bytes.</summary>
    void Set(int column, CellKind kind, ReadOnlySpan<byte> text, long offset);

    /// <summary>A string with escapes, which the reader must undo; its text begins at <paramref name="offset"/> in the row's bytes.</summary>
    void Escaped(ref Utf8JsonReader reader, int column, long offset);

    void Fault(string code, Sentence why);
}

/// <summary>Parses one object. Holds scratch space, so each thread has its own.</summary>
internal sealed class JsonRowParser(JsonFields fields)
{
    // Made when a key stands out of order.
    private char[]? _key;

    // The last row in which a column was set, to find repeated keys without clearing.
    private readonly long[] _seen = new long[fields.Header.Count];
    private long _stamp;

    public void Parse<T>(ReadOnlySpan<byte> json, T cells) where T : struct, IJsonCells, allows ref struct
    {
        if (!Utf8.IsValid(json))
        {
            cells.Fault("format.encoding", new("The object holds bytes that are not UTF-8.", "该对象含有不是 UTF-8 的字节。"));
            return;
        }
        try
        {
            Object(json, ref cells);
        }
        catch (JsonException)
        {
            cells.Fault("format.json.malformed", new("The object is not well-formed JSON.", "该对象不是格式正确的 JSON。"));
        }
        catch (InvalidOperationException)
        {
            // What the reader throws for an escaped surrogate without its partner.
            cells.Fault("format.json.surrogate", new("A string holds half of a surrogate pair.", "有字符串只含代理对的一半。"));
        }
    }

    private void Object<T>(ReadOnlySpan<byte> json, ref T cells) where T : struct, IJsonCells, allows ref struct
    {
        var reader = new Utf8JsonReader(json, isFinalBlock: true, default);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            cells.Fault("format.json.notObject", new("The line is not a JSON object.", "该行不是 JSON 对象。"));
            return;
        }
        _stamp++;
        var next = 0;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var column = fields.Column(ref reader, next, ref _key);
            if (column < 0)
            {
                var key = Short(reader.GetString()!);
                cells.Fault("format.unknownField", new($"The key \"{key}\" is not a field of the dataset.", $"键“{key}”不是该数据集的字段。"));
                return;
            }
            if (_seen[column] == _stamp)
            {
                cells.Fault("format.json.duplicateKey", new($"The key \"{fields.Header[column]}\" stands twice in the object.", $"键“{fields.Header[column]}”在对象中出现了两次。"));
                return;
            }
            _seen[column] = _stamp;
            next = column + 1;
            reader.Read();
            if (!Cell(ref reader, ref cells, column)) return;
        }
        // Reads to the end, which throws for anything behind the object.
        reader.Read();
    }

    private bool Cell<T>(ref Utf8JsonReader reader, ref T cells, int column) where T : struct, IJsonCells, allows ref struct
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.String when !reader.ValueIsEscaped:
                cells.Set(column, CellKind.Text, reader.ValueSpan, reader.TokenStartIndex + 1);
                return true;
            case JsonTokenType.String:
                cells.Escaped(ref reader, column, reader.TokenStartIndex + 1);
                return true;
            case JsonTokenType.Number:
                cells.Set(column, CellKind.Number, reader.ValueSpan, reader.TokenStartIndex);
                return true;
            case JsonTokenType.True:
            case JsonTokenType.False:
                cells.Set(column, CellKind.Boolean, reader.ValueSpan, reader.TokenStartIndex);
                return true;
            case JsonTokenType.Null:
                return true;
            default:
                cells.Fault("format.json.nested", new($"The value of \"{fields.Header[column]}\" is an object or an array.", $"“{fields.Header[column]}”的值是对象或数组。"));
                return false;
        }
    }

    private static string Short(string key) => key.Length <= 64 ? key : string.Concat(key.AsSpan(0, char.IsHighSurrogate(key[63]) ? 63 : 64), "…");
}
