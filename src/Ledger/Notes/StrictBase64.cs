using System.Buffers;
using System.Buffers.Text;

namespace Gongzhi.Ledger;

/// <summary>RFC 4648 section 4 with padding and nothing else: no white space, no stray bits, so that one value has one spelling.</summary>
internal static class StrictBase64
{
    public static byte[]? Decode(ReadOnlySpan<byte> ascii, int bytesMax)
    {
        if (ascii.Length % 4 != 0 || ascii.Length / 4 * 3L > bytesMax + 2L) return null;
        var decoded = new byte[ascii.Length / 4 * 3];
        if (Base64.DecodeFromUtf8(ascii, decoded, out var consumed, out var written) != OperationStatus.Done) return null;
        if (consumed != ascii.Length || written > bytesMax) return null;
        Array.Resize(ref decoded, written);
        var again = new byte[ascii.Length];
        Base64.EncodeToUtf8(decoded, again, out _, out var length);
        return again.AsSpan(0, length).SequenceEqual(ascii) ? decoded : null;
    }
}
