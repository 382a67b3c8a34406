using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Gongzhi.Core.Intake;

/// <summary>
/// Parses the texts of values into their canonical 64-bit forms without allocating. Each method answers null when it
/// succeeded, else the error code and sentence. Everything is culture-independent.
/// </summary>
internal static class ValueParser
{
    internal readonly record struct Fault(string Code, Sentence Why)
    {
        public Fault(string code, string english, string chinese) : this(code, new Sentence(english, chinese))
        {
        }
    }

    public static readonly long MicrosecondsPerDay = TimeSpan.MicrosecondsPerDay;

    /// <summary>1900-01-01 and 2100-12-31 in days since 1970-01-01: outside these a date is far likelier a mistake than a fact.</summary>
    public const int DayMin = -25_567;
    public const int DayMax = 47_846;

    /// <summary>Where a double shown with 15 digits, as spreadsheet programs do, stops telling whole numbers apart.</summary>
    private const decimal ExactMax = 1e15m;

    /// <summary>
    /// Text in the very form in which Excel shows and saves a number of more than eleven digits, <c>1.1E+17</c>: one digit, a point, fewer digits
    /// than the exponent promises. What people and programs write themselves (<c>21E2</c>, <c>1e5</c>, <c>6.02e+23</c>) is not of this form.
    /// </summary>
    public static bool LooksRounded(ReadOnlySpan<byte> text)
    {
        if (text.Length is < 5 or > 24)
            return false;
        var exponentDigits = text[^3] == '+' ? 2 : text[^4] == '+' ? 3 : 0;
        if (exponentDigits == 0 || text[^(exponentDigits + 2)] != 'E' || !Digits(text[^exponentDigits..], out var exponent) || exponent < 11)
            return false;
        var mantissa = text[..^(exponentDigits + 2)];
        if (mantissa.Length > 0 && mantissa[0] == '-')
            mantissa = mantissa[1..];
        return mantissa.Length > 0 && mantissa[0] is >= (byte)'1' and <= (byte)'9'
            && (mantissa.Length == 1 || (mantissa.Length > 2 && mantissa[1] == '.' && Digits(mantissa[2..], out _) && mantissa.Length - 2 < exponent));
    }

    /// <param name="text">Without white space around it.</param>
    /// <param name="value">The number.</param>
    /// <param name="exponents">Whether an exponent is to be believed.</param>
    public static Fault? Integer(ReadOnlySpan<byte> text, out long value, bool exponents = false)
    {
        value = 0;
        var negative = text.Length > 0 && text[0] == '-';
        var digits = negative || (text.Length > 0 && text[0] == '+') ? text[1..] : text;
        if (digits.Length is 0 or > 19)
            return digits.Length == 0 ? NotInteger : Exponent(text, 0, out value, NotInteger, exponents);
        ulong sum = 0;
        foreach (var c in digits)
        {
            var d = (uint)(c - '0');
            if (d > 9)
                return Exponent(text, 0, out value, NotInteger, exponents);
            sum = sum * 10 + d;
        }
        if (sum > (negative ? 1UL << 63 : long.MaxValue))
            return IntegerRange;
        value = negative ? unchecked(-(long)sum) : (long)sum;
        return null;
    }

    /// <summary>An exact decimal at <paramref name="scale"/>; zeros beyond the scale are harmless, other digits are refused.</summary>
    public static Fault? Decimal(ReadOnlySpan<byte> text, int scale, out long value, bool exponents = false)
    {
        value = 0;
        var negative = text.Length > 0 && text[0] == '-';
        var rest = negative || (text.Length > 0 && text[0] == '+') ? text[1..] : text;
        ulong sum = 0;
        int fraction = -1, seen = 0;
        for (var i = 0; i < rest.Length; i++)
        {
            var c = rest[i];
            if (c == '.' && fraction < 0)
            {
                fraction = 0;
                continue;
            }
            var d = (uint)(c - '0');
            if (d > 9)
                return Exponent(text, scale, out value, NotNumber, exponents);
            seen++;
            if (fraction >= scale)
            {
                if (d != 0)
                    return text.ContainsAny((byte)'e', (byte)'E') ? Exponent(text, scale, out value, NotNumber, exponents) : ExcessDigits;
                continue;
            }
            if (fraction >= 0)
                fraction++;
            if (sum > (ulong.MaxValue - d) / 10)
                return NumberRange;
            sum = sum * 10 + d;
        }
        if (seen == 0)
            return NotNumber;
        for (var i = Math.Max(fraction, 0); i < scale; i++)
        {
            if (sum > ulong.MaxValue / 10)
                return NumberRange;
            sum *= 10;
        }
        if (sum > (negative ? 1UL << 63 : long.MaxValue))
            return NumberRange;
        value = negative ? unchecked(-(long)sum) : (long)sum;
        return null;
    }

    /// <summary>A double that loses nothing: up to 15 significant digits always, more only if the double prints back the same.</summary>
    public static Fault? Double(ReadOnlySpan<byte> text, out long bits)
    {
        bits = 0;
        if (text.Length > 0 && text[0] == '+')
            text = text[1..];
        if (text.IsEmpty || text[0] is (byte)'N' or (byte)'n' or (byte)'I' or (byte)'i')
            return NotNumber;
        if (!Utf8Parser.TryParse(text, out double number, out var used) || used != text.Length)
            return NotNumber;
        if (!double.IsFinite(number))
            return NumberRange;
        if (SignificantDigits(text) > 15)
        {
            Span<byte> printed = stackalloc byte[32];
            if (!number.TryFormat(printed, out var n, default, CultureInfo.InvariantCulture) || !SameDigits(text, printed[..n]))
                return new("digits", "This number has more digits than can be kept exactly; declare a scale for the field, or round at the source.", "位数过多，无法精确保存；请为字段声明小数位数，或在来源处四舍五入。");
        }
        bits = BitConverter.DoubleToInt64Bits(number == 0 ? 0.0 : number);
        return null;
    }

    public static Fault? Boolean(ReadOnlySpan<byte> text, out long value)
    {
        value = 0;
        if (text.SequenceEqual("1"u8) || Ascii.EqualsIgnoreCase(text, "true"u8) || text.SequenceEqual("是"u8))
        {
            value = 1;
            return null;
        }
        return text.SequenceEqual("0"u8) || Ascii.EqualsIgnoreCase(text, "false"u8) || text.SequenceEqual("否"u8)
            ? null
            : new("type", "This is neither true nor false.", "这不是“是”或“否”。");
    }

    /// <summary>2026-07-01, 2026/7/1, 20260701, 2026年7月1日; a time of exactly midnight may follow (workbooks add it).</summary>
    public static Fault? Date(ReadOnlySpan<byte> text, out long days)
    {
        var fault = Day(text, out days, out var used);
        if (fault is not null)
            return fault;
        var rest = text[used..];
        return rest.IsEmpty || rest.SequenceEqual("T00:00:00"u8) || rest.SequenceEqual(" 00:00:00"u8) || rest.SequenceEqual("T00:00"u8)
            ? null
            : NotDate;
    }

    /// <summary>A day, then <c>T</c> or blanks, then a time, then <c>Z</c>, an offset, or nothing (the zone's own time).</summary>
    public static Fault? DateTime(ReadOnlySpan<byte> text, LocalClock zone, out long microseconds)
    {
        microseconds = 0;
        if (Day(text, out var days, out var used) is { } fault)
            return fault with { Why = fault.Code == "type" ? NotDateTime.Why : fault.Why };
        var rest = text[used..];
        long time = 0;
        if (!rest.IsEmpty)
        {
            if (rest[0] is not ((byte)'T' or (byte)' '))
                return NotDateTime;
            rest = rest[1..].TrimStart((byte)' ');
            if (ClockTime(rest, out time, out used) is { } timeFault)
                return timeFault with { Why = timeFault.Code == "type" ? NotDateTime.Why : timeFault.Why };
            rest = rest[used..];
        }
        var local = days * MicrosecondsPerDay + time;
        if (rest.IsEmpty)
            return zone.ToUtc(days, local, out microseconds) ? null : new("time", "This local time does not exist: clocks were put forward over it.", "该当地时间不存在：夏令时调整跳过了它。");
        if (rest is [(byte)'Z'] or [(byte)'z'])
        {
            microseconds = local;
            return null;
        }
        if (!Offset(rest, out var offset))
            return NotDateTime;
        microseconds = local - offset;
        return null;
    }

    public static Fault? Time(ReadOnlySpan<byte> text, out long microseconds)
    {
        var fault = ClockTime(text, out microseconds, out var used);
        return fault ?? (used == text.Length ? null : NotTime);
    }

    public static Fault? Year(ReadOnlySpan<byte> text, out long year)
    {
        if (Integer(text, out year) is not null || text.Length != 4)
            return new("type", "This is not a year of four digits.", "这不是四位数的年份。");
        return year is >= 1900 and <= 2100 ? null : OutOfTime;
    }

    /// <summary>2026-07, 2026/7, 202607, 2026年7月.</summary>
    public static Fault? YearMonth(ReadOnlySpan<byte> text, out long months)
    {
        months = 0;
        if (text.Length < 5 || !Digits(text[..4], out var year))
            return NotYearMonth;
        var rest = text[4..];
        if (rest[0] is (byte)'-' or (byte)'/')
            rest = rest[1..];
        else if (rest.StartsWith("年"u8))
            rest = rest["年"u8.Length..];
        if (rest.EndsWith("月"u8))
            rest = rest[..^"月"u8.Length];
        if (rest.Length is 0 or > 2 || !Digits(rest, out var month) || month is < 1 or > 12)
            return NotYearMonth;
        months = year * 12L + month - 1;
        return year is >= 1900 and <= 2100 ? null : OutOfTime;
    }

    private static Fault? Day(ReadOnlySpan<byte> text, out long days, out int used)
    {
        days = 0;
        used = 0;
        if (text.Length < 8 || !Digits(text[..4], out var year))
            return NotDate;
        int month, day;
        if (text[4] is (byte)'-' or (byte)'/' or (byte)'.')
        {
            var separator = text[4];
            var at = 5;
            if (!ShortNumber(text, ref at, out month) || at >= text.Length || text[at] != separator)
                return NotDate;
            at++;
            if (!ShortNumber(text, ref at, out day))
                return NotDate;
            used = at;
        }
        else if (text[4..].StartsWith("年"u8))
        {
            var at = 4 + "年"u8.Length;
            if (!ShortNumber(text, ref at, out month) || !text[at..].StartsWith("月"u8))
                return NotDate;
            at += "月"u8.Length;
            if (!ShortNumber(text, ref at, out day) || !text[at..].StartsWith("日"u8))
                return NotDate;
            used = at + "日"u8.Length;
        }
        else
        {
            if (!Digits(text[4..6], out month) || !Digits(text[6..8], out day))
                return NotDate;
            used = 8;
        }
        if (year < 1 || month is < 1 or > 12 || day < 1 || day > System.DateTime.DaysInMonth(year, month))
            return NotDate;
        days = DaysFromCivil(year, month, day);
        return days is >= DayMin and <= DayMax ? null : OutOfTime;
    }

    /// <summary>Days since 1970-01-01 by counting in 400-year eras that begin in March (proleptic Gregorian).</summary>
    private static long DaysFromCivil(int year, int month, int day)
    {
        var y = month <= 2 ? year - 1 : year;
        var era = y / 400;
        var yearOfEra = y - era * 400;
        var dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
        var dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
        return era * 146_097L + dayOfEra - 719_468;
    }

    private static Fault? ClockTime(ReadOnlySpan<byte> text, out long microseconds, out int used)
    {
        microseconds = 0;
        used = 0;
        var at = 0;
        if (!ShortNumber(text, ref at, out var hour) || at >= text.Length || text[at] != ':')
            return NotTime;
        at++;
        if (text.Length - at < 2 || !Digits(text.Slice(at, 2), out var minute))
            return NotTime;
        at += 2;
        int second = 0;
        long micro = 0;
        if (at < text.Length && text[at] == ':')
        {
            if (text.Length - at < 3 || !Digits(text.Slice(at + 1, 2), out second))
                return NotTime;
            at += 3;
            if (at < text.Length && text[at] is (byte)'.' or (byte)',' && at < text.Length)
            {
                at++;
                var start = at;
                long unit = 100_000;
                while (at < text.Length && (uint)(text[at] - '0') <= 9)
                {
                    if (unit == 0 && text[at] != '0')
                        return new("scale", "Times are kept to the microsecond; this one is finer.", "时间保存到微秒，这个值更细。");
                    micro += unit * (text[at] - '0');
                    unit /= 10;
                    at++;
                }
                if (at == start)
                    return NotTime;
            }
        }
        if (hour > 23 || minute > 59 || second > 59)
            return NotTime;
        microseconds = ((hour * 60L + minute) * 60 + second) * 1_000_000 + micro;
        used = at;
        return null;
    }

    private static bool Offset(ReadOnlySpan<byte> text, out long microseconds)
    {
        microseconds = 0;
        if (text.Length is not (3 or 5 or 6) || text[0] is not ((byte)'+' or (byte)'-') || !Digits(text.Slice(1, 2), out var hours))
            return false;
        var minutes = 0;
        if (text.Length == 5 && !Digits(text.Slice(3, 2), out minutes))
            return false;
        if (text.Length == 6 && (text[3] != ':' || !Digits(text.Slice(4, 2), out minutes)))
            return false;
        if (hours > 14 || minutes > 59)
            return false;
        microseconds = (hours * 60L + minutes) * 60_000_000 * (text[0] == '-' ? -1 : 1);
        return true;
    }

    private static bool Digits(ReadOnlySpan<byte> text, out int value)
    {
        value = 0;
        foreach (var c in text)
        {
            var d = (uint)(c - '0');
            if (d > 9)
                return false;
            value = value * 10 + (int)d;
        }
        return true;
    }

    /// <summary>One or two digits at <paramref name="at"/>, which moves behind them.</summary>
    private static bool ShortNumber(ReadOnlySpan<byte> text, ref int at, out int value)
    {
        value = 0;
        var start = at;
        while (at < text.Length && at - start < 2 && (uint)(text[at] - '0') <= 9)
            value = value * 10 + (text[at++] - '0');
        return at > start;
    }

    /// <summary>The slow way for numbers with an exponent or a fraction where none is kept: exact through System.Decimal or not at all.</summary>
    private static Fault? Exponent(ReadOnlySpan<byte> text, int scale, out long value, Fault otherwise, bool exponents)
    {
        value = 0;
        if (text.Length > 64 || text.ContainsAnyExcept(NumberCharacters)
            || !decimal.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
            return otherwise;
        if (text.ContainsAny((byte)'e', (byte)'E') && (!exponents || Math.Abs(number) >= ExactMax))
            return exponents ? Rounded : WithExponent;
        // System.Decimal rounds beyond 28 digits; a text that long cannot be trusted to be exact.
        if (SignificantDigits(text) > 28)
            return ExcessDigits;
        try
        {
            for (var i = 0; i < scale; i++)
                number *= 10;
            if (number != decimal.Truncate(number))
                return scale == 0 ? NotInteger : ExcessDigits;
            value = decimal.ToInt64(number);
            return null;
        }
        catch (OverflowException)
        {
            return NumberRange;
        }
    }

    private static int SignificantDigits(ReadOnlySpan<byte> text)
    {
        int count = 0, zeros = 0;
        foreach (var c in text)
        {
            if (c is (byte)'e' or (byte)'E')
                break;
            var d = (uint)(c - '0');
            if (d > 9)
                continue;
            if (d == 0)
            {
                if (count > 0)
                    zeros++;
                continue;
            }
            count += zeros + 1;
            zeros = 0;
        }
        return count;
    }

    private static bool SameDigits(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        Span<byte> x = stackalloc byte[64];
        Span<byte> y = stackalloc byte[64];
        return Significant(a, x, out var nx) && Significant(b, y, out var ny) && x[..nx].SequenceEqual(y[..ny]);

        static bool Significant(ReadOnlySpan<byte> text, Span<byte> to, out int n)
        {
            n = 0;
            foreach (var c in text)
            {
                if (c is (byte)'e' or (byte)'E')
                    break;
                if ((uint)(c - '0') > 9 || (c == '0' && n == 0))
                    continue;
                if (n == to.Length)
                    return false;
                to[n++] = c;
            }
            while (n > 0 && to[n - 1] == '0')
                n--;
            return true;
        }
    }

    private static readonly System.Buffers.SearchValues<byte> NumberCharacters = System.Buffers.SearchValues.Create("0123456789.eE+-"u8);

    public static readonly Fault Rounded = new("inexact",
        "This is a long number as spreadsheet programs round it (1.1E+17): its last digits are lost. Format the column as text at the source and enter it again.",
        "这是电子表格对长数字的取整显示（如 1.1E+17），末尾数字已丢失；请在来源处将该列设为文本格式后重新填写。");

    private static readonly Fault WithExponent = new("inexact",
        "A number with an exponent may have lost digits in a spreadsheet program; write it out in full.", "带指数的数字可能已被电子表格取整；请完整写出各位数字。");

    private static readonly Fault NotInteger = new("type", "This is not a whole number.", "这不是整数。");
    private static readonly Fault IntegerRange = new("range", "This whole number is too large to keep.", "整数过大，无法保存。");
    private static readonly Fault NotNumber = new("type", "This is not a number.", "这不是数字。");
    private static readonly Fault NumberRange = new("range", "This number is too large to keep at the field's scale.", "按该字段的小数位数，这个数过大，无法保存。");
    private static readonly Fault ExcessDigits = new("scale", "This number has more digits after the point than the field keeps.", "小数位数超过该字段的精度。");
    private static readonly Fault NotDate = new("type", "This is not a date.", "这不是日期。");
    private static readonly Fault NotDateTime = new("type", "This is not a date with a time.", "这不是日期时间。");
    private static readonly Fault NotTime = new("type", "This is not a time of day.", "这不是一天中的时刻。");
    private static readonly Fault NotYearMonth = new("type", "This is not a month of a year.", "这不是年月。");
    private static readonly Fault OutOfTime = new("time", "This date lies outside 1900 to 2100.", "日期不在 1900 至 2100 年之间。");
}
