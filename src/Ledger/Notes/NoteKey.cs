using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>The signature types of C2SP signed-note that this ledger speaks.</summary>
public enum NoteKeyType
{
    /// <summary>0x01: Ed25519 over the note text (a log's own signature).</summary>
    Ed25519 = 0x01,

    /// <summary>0x04: timestamped Ed25519 cosignature over a checkpoint (a witness's signature).</summary>
    CosignatureV1 = 0x04,
}

/// <summary>What verifier and signer share: names, key ids and the one-line encodings of C2SP signed-note.</summary>
internal static class NoteKey
{
    public const int NameBytesMax = 255;

    public static bool IsName(string name) =>
        name.Length > 0 && Encoding.UTF8.GetByteCount(name) <= NameBytesMax
        && !name.Any(c => c == '+' || char.IsWhiteSpace(c) || c < 0x20 || char.IsSurrogate(c) || c == '\uFEFF');

    public static void DemandName(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (!IsName(name)) throw new ArgumentException("A key name is 1 to 255 bytes without spaces, plus signs or control characters.", nameof(name));
    }

    /// <summary>The first four bytes, big-endian, of SHA-256(name ‖ 0x0A ‖ type ‖ public key).</summary>
    public static uint Id(string name, NoteKeyType type, ReadOnlySpan<byte> publicKey)
    {
        byte[] input = [.. Encoding.UTF8.GetBytes(name), 0x0A, (byte)type, .. publicKey];
        return BinaryPrimitives.ReadUInt32BigEndian(SHA256.HashData(input));
    }

    public static string Encode(string prefix, string name, uint id, NoteKeyType type, ReadOnlySpan<byte> key) => string.Create(
        CultureInfo.InvariantCulture, $"{prefix}{name}+{id:x8}+{Convert.ToBase64String([(byte)type, .. key])}");

    /// <summary>Splits <c>name+hex(id)+base64(type ‖ 32 bytes)</c>; base64 itself may hold plus signs, names may not.</summary>
    public static bool TryDecode(string line, out string name, out uint id, out NoteKeyType type, out byte[] key)
    {
        (name, id, type, key) = ("", 0, default, []);
        if (line.Length > 1024) return false;
        var parts = line.Split('+', 3);
        if (parts.Length != 3 || !IsName(parts[0]) || parts[1].Length != 8) return false;
        if (parts[1].Any(c => !char.IsAsciiHexDigitLower(c))) return false;
        if (!uint.TryParse(parts[1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out id)) return false;
        var blob = StrictBase64.Decode(Encoding.UTF8.GetBytes(parts[2]), 1 + Ed25519Signature.KeyBytes);
        if (blob is not { Length: 1 + Ed25519Signature.KeyBytes }) return false;
        if (blob[0] is not ((byte)NoteKeyType.Ed25519 or (byte)NoteKeyType.CosignatureV1)) return false;
        (name, type, key) = (parts[0], (NoteKeyType)blob[0], blob[1..]);
        return true;
    }
}
