using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Gongzhi.Core.Territory;

/// <summary>
/// The code of a place, in one canonical form however it was written: whole trailing segments of zeros are stripped, so
/// <c>12</c>, <c>120000</c> and <c>120000000000</c> are the same code, shown as <c>120000000000</c> and stored and compared as
/// <c>12</c>. In the stripped form "inside" is "starts with". Segments are 2, 2, 2, 3, 3 and 3 digits wide (see <see cref="PlaceLevel"/>).
/// </summary>
/// <remarks>
/// A segment of zeros in the middle is kept: <c>441900003</c> is a street of Dongguan, a prefecture without counties, and its parent
/// is <c>4419</c>. The value is held as the fifteen-digit number padded with zeros. Padding loses nothing, since a canonical code
/// never ends in a segment of zeros, and numeric order of the padded numbers is ordinal order of the stripped texts.
/// </remarks>
[JsonConverter(typeof(PlaceCodeJsonConverter))]
public readonly record struct PlaceCode : IComparable<PlaceCode>, ISpanParsable<PlaceCode>, IUtf8SpanParsable<PlaceCode>
{
    /// <summary>Digits of the longest code, a grid cell.</summary>
    public const int DigitsMax = 15;

    private static ReadOnlySpan<byte> DigitsByLevel => [0, 2, 4, 6, 9, 12, 15];

    // How much one step at a level is worth in the padded fifteen-digit number.
    private static ReadOnlySpan<ulong> UnitByLevel =>
        [1_000_000_000_000_000, 10_000_000_000_000, 100_000_000_000, 1_000_000_000, 1_000_000, 1_000, 1];

    private readonly ulong _padded;

    private PlaceCode(ulong padded) => _padded = padded;

    /// <summary>The fifteen-digit padded number: a compact key that sorts as the text does. Zero means no place.</summary>
    public ulong Packed => _padded;

    /// <summary>True for <c>default</c>, which no text parses to.</summary>
    public bool IsNone => _padded == 0;

    /// <summary>The level the code stands at.</summary>
    public PlaceLevel Level
    {
        get
        {
            if (_padded == 0) return PlaceLevel.None;
            var units = UnitByLevel;
            var level = 1;
            while (_padded % units[level] != 0) level++;
            return (PlaceLevel)level;
        }
    }

    /// <summary>Digits of the stripped form: 2, 4, 6, 9, 12 or 15; 0 for none.</summary>
    public int Length => DigitsByLevel[(int)Level];

    /// <summary>
    /// The next place up by the digits alone; none above a province. Segments of zeros are passed over, so the parent of
    /// <c>441900003</c> is <c>4419</c>. Who administers a place may differ: see <see cref="TerritoryIndex.ParentOf"/>.
    /// </summary>
    public PlaceCode Parent
    {
        get
        {
            var level = (int)Level;
            if (level <= 1) return default;
            var unit = UnitByLevel[level - 1];
            return new PlaceCode(_padded / unit * unit);
        }
    }

    /// <summary>The code padded with zeros to 12 digits, as published and shown; a grid cell shows all its 15.</summary>
    public string Display12
    {
        get
        {
            if (_padded == 0) return "";
            return Level == PlaceLevel.Cell
                ? _padded.ToString("D15", CultureInfo.InvariantCulture)
                : (_padded / 1000).ToString("D12", CultureInfo.InvariantCulture);
        }
    }

    /// <summary>The smallest padded number above everything inside this place.</summary>
    internal ulong PackedEnd => _padded + UnitByLevel[(int)Level];

    /// <summary>True when this place is <paramref name="ancestor"/> or inside it by its digits. Nothing is within none.</summary>
    public bool IsWithin(PlaceCode ancestor) =>
        ancestor._padded != 0 && _padded >= ancestor._padded && _padded < ancestor.PackedEnd;

    /// <summary>The code cut to a level at or above its own; itself when it is already at or above that level.</summary>
    public PlaceCode At(PlaceLevel level)
    {
        if (level <= PlaceLevel.None || _padded == 0) return default;
        var unit = UnitByLevel[(int)level];
        return new PlaceCode(_padded / unit * unit);
    }

    /// <summary>The <paramref name="number"/>th grid cell (1–999) of a community.</summary>
    /// <exception cref="ArgumentException">The parent is not a community.</exception>
    public static PlaceCode Cell(PlaceCode parent, int number)
    {
        if (parent.Level != PlaceLevel.Community) throw new ArgumentException("Only a community has grid cells.", nameof(parent));
        ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(number, 999);
        return new PlaceCode(parent._padded + (ulong)number);
    }

    /// <summary>The code with this padded number, as <see cref="Packed"/> gave it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The number has more than 15 digits or a leading zero.</exception>
    public static PlaceCode FromPacked(ulong packed)
    {
        if (packed != 0) ArgumentOutOfRangeException.ThrowIfLessThan(packed, 100_000_000_000_000ul);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(packed, 999_999_999_999_999ul);
        return new PlaceCode(packed);
    }

    /// <summary>
    /// Reads 2, 4, 6, 9, 12 or 15 digits, padded with zeros or not. Anything else, including blanks and digits of other scripts,
    /// is refused without allocating.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> text, out PlaceCode code)
    {
        code = default;
        var unit = UnitOf(text.Length);
        if (unit == 0) return false;
        ulong value = 0;
        foreach (var character in text)
        {
            var digit = (uint)(character - '0');
            if (digit > 9) return false;
            value = value * 10 + digit;
        }

        return Finish(value * unit, text[0] == '0', out code);
    }

    /// <inheritdoc cref="TryParse(ReadOnlySpan{char}, out PlaceCode)"/>
    public static bool TryParse(ReadOnlySpan<byte> utf8Text, out PlaceCode code)
    {
        code = default;
        var unit = UnitOf(utf8Text.Length);
        if (unit == 0) return false;
        ulong value = 0;
        foreach (var character in utf8Text)
        {
            var digit = (uint)(character - (byte)'0');
            if (digit > 9) return false;
            value = value * 10 + digit;
        }

        return Finish(value * unit, utf8Text[0] == (byte)'0', out code);
    }

    /// <inheritdoc cref="TryParse(ReadOnlySpan{char}, out PlaceCode)"/>
    public static bool TryParse([NotNullWhen(true)] string? text, out PlaceCode code) => TryParse(text.AsSpan(), out code);

    /// <summary>Reads a code.</summary>
    /// <exception cref="FormatException">The text is not a code.</exception>
    public static PlaceCode Parse(string text) =>
        TryParse(text, out var code) ? code : throw new FormatException("A place code has 2, 4, 6, 9, 12 or 15 digits.");

    /// <summary>The stripped form, the one that is stored and compared.</summary>
    public override string ToString() => _padded == 0 ? "" : string.Create(Length, this, static (span, code) => code.TryFormat(span, out _));

    /// <summary>Writes the stripped form.</summary>
    public bool TryFormat(Span<char> destination, out int written)
    {
        written = 0;
        var level = (int)Level;
        int length = DigitsByLevel[level];
        if (destination.Length < length) return false;
        var value = _padded / UnitByLevel[level];
        if (_padded == 0) return true;
        for (var i = length - 1; i >= 0; i--, value /= 10) destination[i] = (char)('0' + value % 10);
        written = length;
        return true;
    }

    /// <summary>Writes the stripped form as ASCII.</summary>
    public bool TryFormat(Span<byte> utf8Destination, out int written)
    {
        Span<char> characters = stackalloc char[DigitsMax];
        TryFormat(characters, out written);
        if (utf8Destination.Length < written)
        {
            written = 0;
            return false;
        }

        for (var i = 0; i < written; i++) utf8Destination[i] = (byte)characters[i];
        return true;
    }

    /// <summary>Ordinal order of the stripped forms: a place comes before what is inside it.</summary>
    public int CompareTo(PlaceCode other) => _padded.CompareTo(other._padded);

    public static bool operator <(PlaceCode left, PlaceCode right) => left._padded < right._padded;
    public static bool operator >(PlaceCode left, PlaceCode right) => left._padded > right._padded;
    public static bool operator <=(PlaceCode left, PlaceCode right) => left._padded <= right._padded;
    public static bool operator >=(PlaceCode left, PlaceCode right) => left._padded >= right._padded;

    static PlaceCode IParsable<PlaceCode>.Parse(string s, IFormatProvider? provider) => Parse(s);
    static bool IParsable<PlaceCode>.TryParse(string? s, IFormatProvider? provider, out PlaceCode result) => TryParse(s, out result);
    static PlaceCode ISpanParsable<PlaceCode>.Parse(ReadOnlySpan<char> s, IFormatProvider? provider) => Parse(s.ToString());
    static bool ISpanParsable<PlaceCode>.TryParse(ReadOnlySpan<char> s, IFormatProvider? provider, out PlaceCode result) => TryParse(s, out result);
    static PlaceCode IUtf8SpanParsable<PlaceCode>.Parse(ReadOnlySpan<byte> utf8Text, IFormatProvider? provider) =>
        TryParse(utf8Text, out var code) ? code : throw new FormatException("A place code has 2, 4, 6, 9, 12 or 15 digits.");
    static bool IUtf8SpanParsable<PlaceCode>.TryParse(ReadOnlySpan<byte> utf8Text, IFormatProvider? provider, out PlaceCode result) => TryParse(utf8Text, out result);

    private static ulong UnitOf(int digits) => digits switch
    {
        2 => 10_000_000_000_000,
        4 => 100_000_000_000,
        6 => 1_000_000_000,
        9 => 1_000_000,
        12 => 1_000,
        15 => 1,
        _ => 0,
    };

    // No code begins with zero: GB/T 2260 numbers the regions from 1.
    private static bool Finish(ulong padded, bool leadingZero, out PlaceCode code)
    {
        code = leadingZero ? default : new PlaceCode(padded);
        return !leadingZero;
    }
}

/// <summary>Writes the shown form (12 digits) and reads any form, so that clients see published codes.</summary>
public sealed class PlaceCodeJsonConverter : JsonConverter<PlaceCode>
{
    public override PlaceCode Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String && PlaceCode.TryParse(reader.GetString(), out var code)) return code;
        throw new JsonException("A place code is a text of 2, 4, 6, 9, 12 or 15 digits.");
    }

    public override void Write(Utf8JsonWriter writer, PlaceCode value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.Display12);
    }
}
