using System.Globalization;
using System.Text;

namespace Gongzhi.Privacy;

/// <summary>
/// Masks that keep the part of a text by which people recognise it. Characters are Unicode scalar values. A value that is too short for its mask,
/// and therefore not what the mask expects, is hidden whole. The same rules in words: docs/guide/permissions.md.
/// </summary>
public static class Masks
{
    /// <summary>What stands for a value that is hidden whole; three characters whatever the length.</summary>
    public const string Hidden = "***";

    /// <summary>Applies a mask by its name in grants: <c>name</c>, <c>phone</c>, <c>identity-number</c>, <c>card</c>, <c>all</c>; null stays null.</summary>
    /// <exception cref="ArgumentException">No mask has this name.</exception>
    public static string? Apply(string mask, string? value) => mask switch
    {
        "name" => value is null ? null : Name(value),
        "phone" => value is null ? null : Phone(value),
        "identity-number" => value is null ? null : IdentityNumber(value),
        "card" => value is null ? null : Card(value),
        "all" => value is null ? null : Hidden,
        _ => throw new ArgumentException($"There is no mask \"{mask}\".", nameof(mask)),
    };

    /// <summary>The first character, then two stars: 王小明 → 王**, Ada Lovelace → A**. The length is not told.</summary>
    public static string Name(string value) => Length(value) < 2 ? Hidden : Left(value, 1) + "**";

    /// <summary>First three and last four of at least eleven: 13812345678 → 138****5678.</summary>
    public static string Phone(string value) => Ends(value, 11, 3, "****", 4);

    /// <summary>First six (the division) and last one of at least fifteen: 110101199003071234 → 110101***********4; always eleven stars.</summary>
    public static string IdentityNumber(string value) => Ends(value, 15, 6, "***********", 1);

    /// <summary>The last four of at least twelve: 6222020200012345678 → ****5678.</summary>
    public static string Card(string value) => Ends(value, 12, 0, "****", 4);

    private static string Ends(string value, int least, int first, string middle, int last)
    {
        var length = Length(value);
        return length < least ? Hidden : Left(value, first) + middle + string.Concat(value.EnumerateRunes().Skip(length - last).Select(r => r.ToString()));
    }

    private static int Length(string value) => value.EnumerateRunes().Count();

    private static string Left(string value, int count) => string.Concat(value.EnumerateRunes().Take(count).Select(r => r.ToString()));
}

/// <summary>Making values coarser. Everything rounds down, so that a value and its class are in one order. Canonical forms as in docs/contracts/canonical.md.</summary>
public static class Generalise
{
    /// <summary>The first day of the month (<c>month</c>) or year (<c>year</c>).</summary>
    /// <exception cref="ArgumentException">Neither month nor year.</exception>
    public static DateOnly Date(DateOnly value, string to) => to switch
    {
        "month" => new DateOnly(value.Year, value.Month, 1),
        "year" => new DateOnly(value.Year, 1, 1),
        _ => throw new ArgumentException("A date becomes its month or its year.", nameof(to)),
    };

    /// <summary>The first day of a moment's month or year, as calendars of the zone show it.</summary>
    /// <exception cref="ArgumentException">Neither month nor year.</exception>
    public static DateOnly Moment(long microsecondsUtc, string to, TimeZoneInfo zone) =>
        Date(DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(DateTimeOffset.UnixEpoch.AddTicks(checked(microsecondsUtc * TimeSpan.TicksPerMicrosecond)), zone).DateTime), to);

    /// <summary>A month (year * 12 + month − 1) becomes January of its year, still as a month.</summary>
    public static long YearMonth(long value) => value - (((value % 12) + 12) % 12);

    /// <summary>The first digits of a code: 2 province, 4 prefecture, 6 county, 9 township, 12 village. A shorter code stays as it is.</summary>
    public static string Place(string code, string digits)
    {
        var count = int.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);
        return code.Length <= count ? code : code[..count];
    }

    /// <summary>The greatest multiple of the step that is not above the value (−1 with step 10 is −10). Decimals: value and step both in scaled integers.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The step is not positive.</exception>
    /// <exception cref="OverflowException">The multiple lies below the least 64-bit integer.</exception>
    public static long Number(long value, long step)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        var rest = value % step;
        return rest == 0 ? value : checked(value - rest - (value < 0 ? step : 0));
    }

    /// <summary>floor(value / step) · step in double arithmetic; −0 becomes 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The step is not positive.</exception>
    public static double Number(double value, double step)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        return (Math.Floor(value / step) * step) + 0.0;
    }
}
