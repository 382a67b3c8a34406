using System.Text;

namespace Gongzhi.Core.Territory;

/// <summary>
/// The first letters of the pinyin of a name, for finding 东华门街道 by <c>dhm</c>. The 3,755 common characters of GB/T 2312 level 1
/// stand in the order of their pinyin, so their letter follows from where they stand; a table adds the rarer characters that
/// division names use, and the second readings that matter in place names.
/// </summary>
public static partial class PinyinInitials
{
    /// <summary>Stands for a character without a known letter; searching passes over it.</summary>
    public const char Unknown = '?';

    // The first code of each letter's run in level 1 (no syllable begins with i, u or v); the level ends at D7F9.
    private static readonly (ushort First, char Letter)[] Runs =
    [
        (0xB0A1, 'a'), (0xB0C5, 'b'), (0xB2C1, 'c'), (0xB4EE, 'd'), (0xB6EA, 'e'), (0xB7A2, 'f'), (0xB8C1, 'g'), (0xB9FE, 'h'),
        (0xBBF7, 'j'), (0xBFA6, 'k'), (0xC0AC, 'l'), (0xC2E8, 'm'), (0xC4C3, 'n'), (0xC5B6, 'o'), (0xC5BE, 'p'), (0xC6DA, 'q'),
        (0xC8BB, 'r'), (0xC8F6, 's'), (0xCBFA, 't'), (0xCDDA, 'w'), (0xCEF4, 'x'), (0xD1B9, 'y'), (0xD4D1, 'z'),
    ];

    private const ushort Level1Last = 0xD7F9;

    private static readonly byte[] LetterByCharacter = BuildLetters();

    /// <summary>One letter for each UTF-16 unit: a to z, an ASCII digit as itself, or <see cref="Unknown"/>.</summary>
    public static string Of(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return string.Create(name.Length, name, static (letters, name) =>
        {
            for (var i = 0; i < name.Length; i++)
            {
                var letter = LetterByCharacter[name[i]];
                letters[i] = letter == 0 ? Unknown : (char)letter;
            }
        });
    }

    /// <summary>Whether a name's initials begin with the letters given, in any of its characters' readings.</summary>
    /// <param name="initials">What <see cref="Of"/> gave for the name.</param>
    /// <param name="name">The name, for its characters with two readings.</param>
    /// <param name="letters">Lower-case letters.</param>
    public static bool StartsWith(string initials, string name, string letters)
    {
        ArgumentNullException.ThrowIfNull(initials);
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(letters);
        var at = 0;
        foreach (var letter in letters)
        {
            while (at < initials.Length && initials[at] == Unknown) at++;
            if (at >= initials.Length || (initials[at] != letter && !HasOtherReading(name[at], letter))) return false;
            at++;
        }

        return true;
    }

    private static bool HasOtherReading(char character, char letter) =>
        OtherReadings.TryGetValue(character, out var others) && others.Contains(letter);

    private static byte[] BuildLetters()
    {
        var letters = new byte[char.MaxValue + 1];
        var encoding = CodePagesEncodingProvider.Instance.GetEncoding(936)
            ?? throw new InvalidOperationException("The runtime has no GB 2312 table.");
        Span<byte> bytes = stackalloc byte[2];
        Span<char> character = stackalloc char[2];
        var run = 0;
        for (var code = (int)Runs[0].First; code <= Level1Last; code++)
        {
            if ((code & 0xFF) is < 0xA1 or > 0xFE) continue;
            while (run + 1 < Runs.Length && Runs[run + 1].First <= code) run++;
            (bytes[0], bytes[1]) = ((byte)(code >> 8), (byte)code);
            if (encoding.GetChars(bytes, character) == 1) letters[character[0]] = (byte)Runs[run].Letter;
        }

        foreach (var (letter, characters) in Supplement)
        {
            foreach (var extra in characters) letters[extra] = (byte)letter;
        }

        for (var digit = '0'; digit <= '9'; digit++) letters[digit] = (byte)digit;
        for (var letter = 'a'; letter <= 'z'; letter++) letters[letter] = letters[char.ToUpperInvariant(letter)] = (byte)letter;
        return letters;
    }
}
