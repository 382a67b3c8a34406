using System.Buffers.Text;
using System.Runtime.InteropServices;
using Apache.Arrow;
using Apache.Arrow.Types;

namespace Gongzhi.Core.Query;

/// <summary>
/// The text of one column's values in one batch: numbers without exponent save doubles, days and moments after ISO 8601 in UTC
/// with a fraction only where there is one. Texts stay the bytes they are.
/// </summary>
internal readonly struct CellText
{
    /// <summary>Longest text of a value that is not a text: a 38-digit decimal with sign and point.</summary>
    public const int MaxLength = 48;

    private const long SecondMicros = 1_000_000;
    private readonly IArrowArray _array;
    private readonly int _scale;

    public CellText(IArrowArray array)
    {
        _array = array;
        Kind = array.Data.DataType.TypeId;
        _scale = array.Data.DataType is Decimal128Type d ? d.Scale : 0;
    }

    public ArrowTypeId Kind { get; }
    public bool IsText => Kind == ArrowTypeId.String;
    public bool IsBoolean => Kind == ArrowTypeId.Boolean;

    /// <summary>Whether the text is a JSON number as it stands.</summary>
    public bool IsNumber => Kind is ArrowTypeId.Int32 or ArrowTypeId.Int64 or ArrowTypeId.Double or ArrowTypeId.Decimal128;

    /// <summary>Infinities, which sums of doubles may reach, count as no value: JSON has none and CSV readers disagree.</summary>
    public bool IsNull(int row) => _array.IsNull(row) || (_array is DoubleArray d && !double.IsFinite(d.Values[row]));

    public ReadOnlySpan<byte> Text(int row) => ((StringArray)_array).GetBytes(row);

    public int Format(int row, Span<byte> to)
    {
        int written;
        switch (_array)
        {
            case Int64Array a:
                Utf8Formatter.TryFormat(a.Values[row], to, out written);
                return written;
            case Int32Array a:
                Utf8Formatter.TryFormat(a.Values[row], to, out written);
                return written;
            case DoubleArray a:
                var value = a.Values[row];
                Utf8Formatter.TryFormat(value == 0 ? 0d : value, to, out written);
                return written;
            case Decimal128Array a:
                return Exact(MemoryMarshal.Cast<byte, Int128>(a.ValueBuffer.Span)[a.Offset + row], to);
            case BooleanArray a:
                var word = a.GetValue(row) == true ? "true"u8 : "false"u8;
                word.CopyTo(to);
                return word.Length;
            case Date32Array a:
                return Day(a.Values[row], to);
            case TimestampArray a:
                return Moment(a.Values[row], to);
            case Time64Array a:
                return Clock(a.Values[row], to);
            default:
                throw new InvalidOperationException($"A query cannot give a column of type {Kind}.");
        }
    }

    private int Exact(Int128 value, Span<byte> to)
    {
        var at = 0;
        if (value < 0)
        {
            to[at++] = (byte)'-';
            value = -value;
        }
        Span<byte> digits = stackalloc byte[MaxLength];
        int count;
        if (value <= long.MaxValue)
            Utf8Formatter.TryFormat((long)value, digits, out count);
        else
            value.TryFormat(digits, out count, default, System.Globalization.CultureInfo.InvariantCulture);
        var whole = count - _scale;
        if (whole <= 0)
            to[at++] = (byte)'0';
        else
        {
            digits[..whole].CopyTo(to[at..]);
            at += whole;
        }
        if (_scale == 0)
            return at;
        to[at++] = (byte)'.';
        for (; whole < 0; whole++)
            to[at++] = (byte)'0';
        digits[(count - Math.Min(_scale, count))..count].CopyTo(to[at..]);
        return at + Math.Min(_scale, count);
    }

    private static int Day(int days, Span<byte> to)
    {
        var day = DateOnly.FromDayNumber(days + DateOnly.FromDateTime(DateTime.UnixEpoch).DayNumber);
        Digits(day.Year, 4, to);
        to[4] = to[7] = (byte)'-';
        Digits(day.Month, 2, to[5..]);
        Digits(day.Day, 2, to[8..]);
        return 10;
    }

    private static int Moment(long micros, Span<byte> to)
    {
        const long DayMicros = 86_400 * SecondMicros;
        var days = Math.DivRem(micros, DayMicros, out var rest);
        if (rest < 0)
            (days, rest) = (days - 1, rest + DayMicros);
        var at = Day((int)days, to);
        to[at++] = (byte)'T';
        at += Clock(rest, to[at..]);
        to[at++] = (byte)'Z';
        return at;
    }

    private static int Clock(long micros, Span<byte> to)
    {
        var seconds = (int)(micros / SecondMicros);
        Digits(seconds / 3600, 2, to);
        to[2] = to[5] = (byte)':';
        Digits(seconds / 60 % 60, 2, to[3..]);
        Digits(seconds % 60, 2, to[6..]);
        var fraction = (int)(micros % SecondMicros);
        if (fraction == 0)
            return 8;
        to[8] = (byte)'.';
        Digits(fraction, 6, to[9..]);
        return 15;
    }

    private static void Digits(int value, int count, Span<byte> to)
    {
        for (var i = count - 1; i >= 0; i--, value /= 10)
            to[i] = (byte)('0' + (value % 10));
    }
}
