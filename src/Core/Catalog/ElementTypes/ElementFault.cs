namespace Gongzhi.Core.Catalog.ElementTypes;

/// <summary>Why a value of a checked element type was refused.</summary>
public enum ElementFault
{
    None = 0,
    /// <summary>Not as long as the type requires.</summary>
    Length,
    /// <summary>The fifteen-digit identity number of before 1999, which has no check digit.</summary>
    OldForm,
    /// <summary>A character the type does not allow, at any place.</summary>
    Character,
    /// <summary>The part that names a region cannot.</summary>
    Region,
    /// <summary>The part that gives a birth date is no date, or no date a living person can have.</summary>
    BirthDate,
    /// <summary>The check digit does not fit the rest: most often a typing error.</summary>
    CheckDigit,
    /// <summary>No number of this shape is given out.</summary>
    Range,
}

/// <summary>Sentences for the faults, for problem bodies and pages.</summary>
public static class ElementFaults
{
    /// <summary>A stable code for scripts and translation: <c>element.check-digit</c>.</summary>
    public static string Code(this ElementFault fault) => fault switch
    {
        ElementFault.None => "element.ok",
        ElementFault.Length => "element.length",
        ElementFault.OldForm => "element.old-form",
        ElementFault.Character => "element.character",
        ElementFault.Region => "element.region",
        ElementFault.BirthDate => "element.birth-date",
        ElementFault.CheckDigit => "element.check-digit",
        ElementFault.Range => "element.range",
        _ => throw new ArgumentOutOfRangeException(nameof(fault)),
    };

    public static string English(this ElementFault fault) => fault switch
    {
        ElementFault.None => "The value is well formed.",
        ElementFault.Length => "The value is too short or too long.",
        ElementFault.OldForm => "This is a fifteen-digit identity number of the old form; give the eighteen-digit number.",
        ElementFault.Character => "The value contains a character that is not allowed here.",
        ElementFault.Region => "The part that names a region is not a region code.",
        ElementFault.BirthDate => "The part that gives the birth date is not a possible date.",
        ElementFault.CheckDigit => "The check digit does not fit the other characters; please look for a typing error.",
        ElementFault.Range => "No number of this shape is given out.",
        _ => throw new ArgumentOutOfRangeException(nameof(fault)),
    };

    public static string Chinese(this ElementFault fault) => fault switch
    {
        ElementFault.None => "格式正确。",
        ElementFault.Length => "长度不对。",
        ElementFault.OldForm => "这是旧版十五位身份证号，请填写十八位公民身份号码。",
        ElementFault.Character => "含有不允许的字符。",
        ElementFault.Region => "地区部分不是有效的行政区划代码。",
        ElementFault.BirthDate => "出生日期部分不是可能的日期。",
        ElementFault.CheckDigit => "校验位不符，请检查是否输入有误。",
        ElementFault.Range => "没有这种号段的号码。",
        _ => throw new ArgumentOutOfRangeException(nameof(fault)),
    };
}

/// <summary>UTF-8 values are checked as characters. All types here are ASCII, so widening byte by byte is exact for what can pass.</summary>
internal static class Ascii
{
    /// <summary>More than any type here is long; a longer value is refused before it is looked at.</summary>
    public const int LengthMax = 32;

    /// <summary>Copies bytes to characters; a byte beyond ASCII becomes U+FFFF, which no type allows.</summary>
    public static ReadOnlySpan<char> Widen(ReadOnlySpan<byte> utf8, Span<char> buffer)
    {
        for (var i = 0; i < utf8.Length; i++) buffer[i] = utf8[i] < 0x80 ? (char)utf8[i] : '\uFFFF';
        return buffer[..utf8.Length];
    }

    // A plain loop: over so few characters the vectorised search costs more, and before it is optimised it allocates.
    public static bool AllDigits(ReadOnlySpan<char> text)
    {
        foreach (var character in text)
        {
            if (character is < '0' or > '9') return false;
        }

        return true;
    }

    public static char Upper(char character) => character is >= 'a' and <= 'z' ? (char)(character - 32) : character;
}
