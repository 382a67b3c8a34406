using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>C2SP tlog-cosignature, the Ed25519 form: a big-endian u64 of POSIX seconds, then 64 bytes of signature.</summary>
public static class Cosignature
{
    /// <summary>When the witness says it cosigned; meaningful only once the signature has been verified.</summary>
    public static bool TryReadTime(NoteSignature signature, out DateTimeOffset time)
    {
        time = default;
        if (signature is null || !TrySplit(signature.Signature.Span, out var seconds, out _)) return false;
        if (seconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds()) return false;
        time = DateTimeOffset.FromUnixTimeSeconds(seconds);
        return true;
    }

    internal static byte[] Message(long seconds, ReadOnlySpan<byte> checkpointText)
    {
        var header = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"cosignature/v1\ntime {seconds}\n"));
        return [.. header, .. checkpointText];
    }

    internal static byte[] Join(long seconds, ReadOnlySpan<byte> ed25519)
    {
        var joined = new byte[8 + ed25519.Length];
        BinaryPrimitives.WriteInt64BigEndian(joined, seconds);
        ed25519.CopyTo(joined.AsSpan(8));
        return joined;
    }

    internal static bool TrySplit(ReadOnlySpan<byte> bytes, out long seconds, out ReadOnlySpan<byte> ed25519)
    {
        seconds = 0;
        ed25519 = default;
        if (bytes.Length != 8 + Ed25519Signature.SignatureBytes) return false;
        seconds = BinaryPrimitives.ReadInt64BigEndian(bytes);
        ed25519 = bytes[8..];
        return seconds >= 0;
    }
}
