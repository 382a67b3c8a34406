using System.Text;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>Full-width digits, signs and points as Chinese input methods type them, for columns of numbers and identifiers.</summary>
public static class FullWidth
{
    /// <summary>
    /// Writes <paramref name="text"/> (UTF-8) to <paramref name="ascii"/> with full-width digits, <c>＋ － ． ， ： ／ Ｅ ｅ</c>
    /// and the ideographic space made ASCII and all else left alone. Never longer than the input, so a buffer of its length suffices
    /// (it may be the same memory).
    /// </summary>
    /// <returns>The bytes written.</returns>
    public static int Normalise(ReadOnlySpan<byte> text, Span<byte> ascii)
    {
        var to = 0;
        for (var i = 0; i < text.Length; i++)
        {
            // U+FF01..U+FF5E lie 0xFEE0 above their ASCII forms: EF BC 81..BF, EF BD 80..9E.
            if (text[i] == 0xEF && i + 2 < text.Length && text[i + 1] is 0xBC or 0xBD)
            {
                var rune = ((text[i + 1] & 0x3F) << 6) | (text[i + 2] & 0x3F);
                var plain = rune + 0xF000 - 0xFEE0;
                if (plain is >= '0' and <= '9' or '+' or '-' or '.' or ',' or ':' or '/' or 'E' or 'e')
                {
                    ascii[to++] = (byte)plain;
                    i += 2;
                    continue;
                }
            }
            if (text[i] == 0xE3 && i + 2 < text.Length && text[i + 1] == 0x80 && text[i + 2] == 0x80)
            {
                ascii[to++] = (byte)' ';
                i += 2;
                continue;
            }
            ascii[to++] = text[i];
        }
        return to;
    }

    /// <summary>The same for a string.</summary>
    public static string Normalise(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return Encoding.UTF8.GetString(bytes, 0, Normalise(bytes, bytes));
    }
}
