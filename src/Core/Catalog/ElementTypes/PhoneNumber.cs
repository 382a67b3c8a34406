namespace Gongzhi.Core.Catalog.ElementTypes;

/// <summary>
/// A telephone number: a mainland mobile number (eleven digits, 13 to 19 in front) or an international one after ITU-T E.164,
/// a plus and at most fifteen digits. Blanks and hyphens are for people and are refused here.
/// </summary>
public static class PhoneNumber
{
    // E.164 sets the most; the shortest numbers in use with a country code have seven digits.
    private const int InternationalDigitsMin = 7;
    private const int InternationalDigitsMax = 15;
    private const int MobileDigits = 11;

    /// <summary>Checks a number. Does not allocate.</summary>
    public static bool TryValidate(ReadOnlySpan<char> text, out ElementFault fault)
    {
        fault = Check(text);
        return fault == ElementFault.None;
    }

    /// <inheritdoc cref="TryValidate(ReadOnlySpan{char}, out ElementFault)"/>
    public static bool TryValidate(ReadOnlySpan<byte> utf8Text, out ElementFault fault)
    {
        if (utf8Text.Length > Ascii.LengthMax)
        {
            fault = ElementFault.Length;
            return false;
        }

        return TryValidate(Ascii.Widen(utf8Text, stackalloc char[Ascii.LengthMax]), out fault);
    }

    /// <summary>The form that is stored: E.164, so that a mobile number is the same with and without its country code.</summary>
    public static bool TryCanonical(string text, out string canonical)
    {
        canonical = text;
        if (!TryValidate(text.AsSpan(), out _)) return false;
        if (text[0] != '+') canonical = "+86" + text;
        return true;
    }

    private static ElementFault Check(ReadOnlySpan<char> text)
    {
        if (text.IsEmpty) return ElementFault.Length;
        if (text[0] != '+')
        {
            if (!Ascii.AllDigits(text)) return ElementFault.Character;
            return text.Length == MobileDigits ? Mobile(text) : ElementFault.Length;
        }

        var digits = text[1..];
        if (!Ascii.AllDigits(digits)) return ElementFault.Character;
        if (digits.Length is < InternationalDigitsMin or > InternationalDigitsMax) return ElementFault.Length;
        if (digits[0] == '0') return ElementFault.Range;

        // Area codes begin with 10 or with 2 to 9, so 86 1x, x from 3 up, can only be a mobile number.
        if (digits.StartsWith("861") && digits[3] >= '3')
            return digits.Length == 2 + MobileDigits ? Mobile(digits[2..]) : ElementFault.Length;
        return ElementFault.None;
    }

    private static ElementFault Mobile(ReadOnlySpan<char> digits) =>
        digits[0] == '1' && digits[1] is >= '3' and <= '9' ? ElementFault.None : ElementFault.Range;
}

/// <summary>A postal code of China: six digits, the first two a province or part of one and never 00.</summary>
public static class PostalCode
{
    public const int Length = 6;

    /// <summary>Checks a code. Does not allocate.</summary>
    public static bool TryValidate(ReadOnlySpan<char> text, out ElementFault fault)
    {
        fault = text.Length != Length ? ElementFault.Length
            : !Ascii.AllDigits(text) ? ElementFault.Character
            : text.StartsWith("00") ? ElementFault.Range
            : ElementFault.None;
        return fault == ElementFault.None;
    }

    /// <inheritdoc cref="TryValidate(ReadOnlySpan{char}, out ElementFault)"/>
    public static bool TryValidate(ReadOnlySpan<byte> utf8Text, out ElementFault fault)
    {
        if (utf8Text.Length > Ascii.LengthMax)
        {
            fault = ElementFault.Length;
            return false;
        }

        return TryValidate(Ascii.Widen(utf8Text, stackalloc char[Ascii.LengthMax]), out fault);
    }
}
