using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Gongzhi.Core.Storage.Copying;

/// <summary>What a column holds, whichever database it is in.</summary>
public enum ColumnKind : byte
{
    /// <summary>A whole number, 64 bits.</summary>
    Number = 1,

    Text = 2,
    Bytes = 3,

    /// <summary>False or true.</summary>
    Truth = 4,

    /// <summary>A moment, to the microsecond.</summary>
    Time = 5,

    Real = 6,

    /// <summary>A JSON value: what it means, not how it was written, since a database may keep it in a form of its own.</summary>
    Json = 7,
}

/// <summary>A column and what it holds.</summary>
public sealed record TableColumn(string Name, ColumnKind Kind);

/// <summary>A table as it is copied.</summary>
public sealed record TableShape(string Name, IReadOnlyList<TableColumn> Columns);

/// <summary>How many rows, and one number for all of them in any order.</summary>
public sealed record TableSum(long Rows, string Digest);

/// <summary>
/// Values of any database in one form: null, long, string, byte[], bool, a moment as microseconds since 1970 UTC, double. Rows are summed as the SHA-256 of their form, added as whole
/// numbers modulo 2^256, so that the order in which a database gives them does not matter.
/// </summary>
internal static class TableForm
{
    /// <summary>A value as a database's driver gives it, in the one form.</summary>
    /// <exception cref="InvalidDataException">It is nothing that a column of this kind may hold.</exception>
    public static object? Of(ColumnKind kind, object? value) => (kind, value) switch
    {
        (_, null or DBNull) => null,
        (ColumnKind.Number, long or int or short) => Convert.ToInt64(value, CultureInfo.InvariantCulture),
        (ColumnKind.Text, string) => value,
        (ColumnKind.Text, Guid id) => id.ToString(),
        (ColumnKind.Bytes, byte[]) => value,
        (ColumnKind.Json, string text) => Json(text),
        (ColumnKind.Truth, bool) => value,
        (ColumnKind.Truth, long number) when number is 0 or 1 => number == 1,
        (ColumnKind.Time, DateTime time) => Microseconds.From(new DateTimeOffset(DateTime.SpecifyKind(time, DateTimeKind.Utc))),
        (ColumnKind.Time, DateTimeOffset time) => Microseconds.From(time),
        (ColumnKind.Time, long number) => number,
        // As EF Core writes it where the database has no type for it: with an offset, or without one and meant as UTC.
        (ColumnKind.Time, string text) when DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time) => Microseconds.From(time),
        (ColumnKind.Real, double) => value,
        (ColumnKind.Real, long or int) => Convert.ToDouble(value, CultureInfo.InvariantCulture),
        _ => throw new InvalidDataException($"A value of the type {value.GetType().Name} stands where {kind} is expected."),
    };

    /// <summary>The one way to write a JSON value: members in the order of their names, no spaces, numbers without needless digits.</summary>
    /// <exception cref="InvalidDataException">It is no JSON.</exception>
    private static string Json(string text)
    {
        try
        {
            using var parsed = JsonDocument.Parse(text);
            using var buffer = new MemoryStream();
            using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
                Json(writer, parsed.RootElement);
            return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException("A value that should be JSON is not.", e);
        }
    }

    private static void Json(Utf8JsonWriter to, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                to.WriteStartObject();
                // Of a name that comes twice the last counts, as it does in PostgreSQL.
                foreach (var member in value.EnumerateObject().GroupBy(m => m.Name, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal))
                {
                    to.WritePropertyName(member.Key);
                    Json(to, member.Last().Value);
                }
                to.WriteEndObject();
                break;
            case JsonValueKind.Array:
                to.WriteStartArray();
                foreach (var element in value.EnumerateArray())
                    Json(to, element);
                to.WriteEndArray();
                break;
            case JsonValueKind.Number when value.TryGetDecimal(out var number):
                to.WriteRawValue(number.ToString("0.############################", CultureInfo.InvariantCulture));
                break;
            default:
                value.WriteTo(to);
                break;
        }
    }

    /// <summary>Appends a row's form.</summary>
    public static void Write(MemoryStream to, IReadOnlyList<object?> row)
    {
        Span<byte> eight = stackalloc byte[8];
        foreach (var value in row)
        {
            switch (value)
            {
                case null:
                    to.WriteByte(0);
                    break;
                case long number:
                    to.WriteByte(1);
                    BinaryPrimitives.WriteInt64BigEndian(eight, number);
                    to.Write(eight);
                    break;
                case string text:
                    Long(to, 2, Encoding.UTF8.GetBytes(text), eight);
                    break;
                case byte[] bytes:
                    Long(to, 3, bytes, eight);
                    break;
                case bool truth:
                    to.WriteByte(truth ? (byte)5 : (byte)4);
                    break;
                case double real:
                    to.WriteByte(6);
                    BinaryPrimitives.WriteDoubleBigEndian(eight, real);
                    to.Write(eight);
                    break;
                default:
                    throw new ArgumentException("Not a value in the one form.", nameof(row));
            }
        }
    }

    private static void Long(MemoryStream to, byte kind, byte[] content, Span<byte> eight)
    {
        to.WriteByte(kind);
        BinaryPrimitives.WriteInt64BigEndian(eight, content.Length);
        to.Write(eight);
        to.Write(content);
    }
}

/// <summary>Sums rows as they pass.</summary>
internal sealed class TableSummer
{
    private readonly ulong[] _sum = new ulong[4];

    private MemoryStream Row { get; } = new();

    public long Rows { get; private set; }

    public void Add(IReadOnlyList<object?> row)
    {
        Row.SetLength(0);
        TableForm.Write(Row, row);
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(Row.GetBuffer().AsSpan(0, (int)Row.Length), hash);
        UInt128 carry = 0;
        for (var i = 0; i < 4; i++)
        {
            carry += (UInt128)_sum[i] + BinaryPrimitives.ReadUInt64LittleEndian(hash[(8 * i)..]);
            _sum[i] = (ulong)carry;
            carry >>= 64;
        }
        Rows++;
    }

    public TableSum Sum()
    {
        var bytes = new byte[32];
        for (var i = 0; i < 4; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8 * i), _sum[i]);
        return new(Rows, Convert.ToHexStringLower(bytes));
    }
}
