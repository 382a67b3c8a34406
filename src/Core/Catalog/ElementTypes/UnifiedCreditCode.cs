namespace Gongzhi.Core.Catalog.ElementTypes;

/// <summary>
/// A unified social credit code after GB 32100-2015: eighteen characters of the digits and the capitals without I, O, S, V and Z —
/// registrar, kind, six digits of region, nine of organisation, and a check character modulo 31 with weights 3 to the power of the place.
/// </summary>
public static class UnifiedCreditCode
{
    public const int Length = 18;

    private const string Alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY";

    private static ReadOnlySpan<byte> Weights => [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

    /// <summary>Checks a code. Does not allocate. Lower-case letters pass; see <see cref="TryCanonical"/>.</summary>
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

    /// <summary>The form that is stored: all capitals.</summary>
    public static bool TryCanonical(string text, out string canonical)
    {
        canonical = text;
        if (!TryValidate(text.AsSpan(), out _)) return false;
        canonical = text.ToUpperInvariant();
        return true;
    }

    /// <summary>The check character for seventeen characters of the alphabet.</summary>
    /// <exception cref="ArgumentException">Not seventeen such characters.</exception>
    public static char CheckCharacterOf(ReadOnlySpan<char> seventeen)
    {
        if (seventeen.Length != Length - 1) throw new ArgumentException("Seventeen characters are needed.", nameof(seventeen));
        var check = Compute(seventeen);
        return check < 0 ? throw new ArgumentException("A character is not in the alphabet.", nameof(seventeen)) : Alphabet[check];
    }

    private static ElementFault Check(ReadOnlySpan<char> text)
    {
        if (text.Length != Length) return ElementFault.Length;
        var given = Alphabet.AsSpan().IndexOf(Ascii.Upper(text[17]));
        var check = Compute(text[..17]);
        if (given < 0 || check < 0) return ElementFault.Character;
        if (!Ascii.AllDigits(text.Slice(2, 6))) return ElementFault.Region;
        return given == check ? ElementFault.None : ElementFault.CheckDigit;
    }

    // The check character's place in the alphabet, or −1 for a character outside it.
    private static int Compute(ReadOnlySpan<char> seventeen)
    {
        var sum = 0;
        for (var i = 0; i < seventeen.Length; i++)
        {
            var value = Alphabet.AsSpan().IndexOf(Ascii.Upper(seventeen[i]));
            if (value < 0) return -1;
            sum += value * Weights[i];
        }

        return (31 - sum % 31) % 31;
    }
}
