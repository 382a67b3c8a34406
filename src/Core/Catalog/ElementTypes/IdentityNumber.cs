namespace Gongzhi.Core.Catalog.ElementTypes;

/// <summary>
/// A citizen's identity number after GB 11643-1999: six digits of region, eight of birth date, three of order, and a check digit by
/// ISO 7064 MOD 11-2, which is X for ten.
/// </summary>
public static class IdentityNumber
{
    public const int Length = 18;

    /// <summary>The earliest year of birth taken for real. The oldest person on record lived 122 years; the system began in 1984.</summary>
    public const int BirthYearMin = 1860;

    private const string CheckDigits = "10X98765432";

    private static ReadOnlySpan<byte> Weights => [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

    /// <summary>Checks a number. Does not allocate. A lower-case x passes; see <see cref="TryCanonical"/>.</summary>
    /// <param name="text">The number without blanks.</param>
    /// <param name="fault">Why it was refused.</param>
    /// <param name="latestBirth">Today, where the caller knows it; without it any date up to 2199 passes.</param>
    public static bool TryValidate(ReadOnlySpan<char> text, out ElementFault fault, DateOnly? latestBirth = null)
    {
        fault = Check(text, latestBirth ?? new DateOnly(2199, 12, 31));
        return fault == ElementFault.None;
    }

    /// <inheritdoc cref="TryValidate(ReadOnlySpan{char}, out ElementFault, DateOnly?)"/>
    public static bool TryValidate(ReadOnlySpan<byte> utf8Text, out ElementFault fault, DateOnly? latestBirth = null)
    {
        if (utf8Text.Length > Ascii.LengthMax)
        {
            fault = ElementFault.Length;
            return false;
        }

        return TryValidate(Ascii.Widen(utf8Text, stackalloc char[Ascii.LengthMax]), out fault, latestBirth);
    }

    /// <summary>The form that is stored: with a capital X.</summary>
    public static bool TryCanonical(string text, out string canonical)
    {
        canonical = text;
        if (!TryValidate(text.AsSpan(), out _)) return false;
        if (text[^1] == 'x') canonical = string.Concat(text.AsSpan(0, Length - 1), "X");
        return true;
    }

    /// <summary>The check digit for seventeen digits.</summary>
    /// <exception cref="ArgumentException">Not seventeen digits.</exception>
    public static char CheckDigitOf(ReadOnlySpan<char> seventeen)
    {
        if (seventeen.Length != Length - 1 || !Ascii.AllDigits(seventeen)) throw new ArgumentException("Seventeen digits are needed.", nameof(seventeen));
        return Compute(seventeen);
    }

    private static ElementFault Check(ReadOnlySpan<char> text, DateOnly latestBirth)
    {
        if (text.Length == 15 && Ascii.AllDigits(text)) return ElementFault.OldForm;
        if (text.Length != Length) return ElementFault.Length;
        if (!Ascii.AllDigits(text[..17]) || (!char.IsAsciiDigit(text[17]) && text[17] is not ('X' or 'x'))) return ElementFault.Character;
        if (text[0] == '0') return ElementFault.Region;
        if (!IsBirthDate(text.Slice(6, 8), latestBirth)) return ElementFault.BirthDate;
        return Compute(text[..17]) == Ascii.Upper(text[17]) ? ElementFault.None : ElementFault.CheckDigit;
    }

    private static bool IsBirthDate(ReadOnlySpan<char> digits, DateOnly latest)
    {
        var year = Number(digits[..4]);
        var month = Number(digits.Slice(4, 2));
        var day = Number(digits.Slice(6, 2));
        return year is >= BirthYearMin and <= 9999 && month is >= 1 and <= 12 && day >= 1 && day <= DateTime.DaysInMonth(year, month)
            && new DateOnly(year, month, day) <= latest;
    }

    private static int Number(ReadOnlySpan<char> digits)
    {
        var value = 0;
        foreach (var digit in digits) value = value * 10 + (digit - '0');
        return value;
    }

    private static char Compute(ReadOnlySpan<char> seventeen)
    {
        var sum = 0;
        for (var i = 0; i < seventeen.Length; i++) sum += (seventeen[i] - '0') * Weights[i];
        return CheckDigits[sum % 11];
    }
}
