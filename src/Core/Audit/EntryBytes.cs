using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Gongzhi.Core.Audit;

/// <summary>The ledger entries of docs/contracts/canonical.md as deterministic CBOR (RFC 8949 §4.2.1), written by hand: four shapes need no library.</summary>
public static class EntryBytes
{
    /// <summary>Longest text (dataset id, kind) in UTF-8 bytes; keeps every entry below a kilobyte.</summary>
    public const int TextBytesMax = 256;

    private const byte UnsignedInteger = 0 << 5, ByteString = 2 << 5, TextString = 3 << 5, ArrayOf = 4 << 5;

    /// <summary>An entry that holds one salted commitment: <c>state</c>, <c>access</c>, <c>erasure</c>.</summary>
    /// <exception cref="ArgumentException">The commitment is not 32 bytes, or the kind is <c>batch</c>.</exception>
    public static byte[] Commitment(Guid id, string kind, ReadOnlySpan<byte> commitment)
    {
        if (commitment.Length != 32)
            throw new ArgumentException("A commitment is 32 bytes.", nameof(commitment));
        if (kind == "batch")
            throw new ArgumentException("A batch entry has its own shape.", nameof(kind));
        var buffer = new List<byte>(96);
        Start(buffer, 5, kind, id);
        Bytes(buffer, commitment);
        return [.. buffer];
    }

    /// <summary>The entry of a batch of rows.</summary>
    /// <exception cref="ArgumentException">The root is not 32 bytes.</exception>
    public static byte[] Batch(Guid id, string dataset, int schemaVersion, Guid batchId, long rows, ReadOnlySpan<byte> root)
    {
        if (root.Length != 32)
            throw new ArgumentException("A root is 32 bytes.", nameof(root));
        ArgumentOutOfRangeException.ThrowIfLessThan(schemaVersion, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        var buffer = new List<byte>(160);
        Start(buffer, 9, "batch", id);
        Text(buffer, dataset);
        Head(buffer, UnsignedInteger, (ulong)schemaVersion);
        Bytes(buffer, batchId.ToByteArray(bigEndian: true));
        Head(buffer, UnsignedInteger, (ulong)rows);
        Bytes(buffer, root);
        return [.. buffer];
    }

    /// <summary>SHA-256(0x00 ‖ content ‖ salt).</summary>
    public static byte[] Commit(ReadOnlySpan<byte> content, ReadOnlySpan<byte> salt)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData([0]);
        hash.AppendData(content);
        hash.AppendData(salt);
        return hash.GetHashAndReset();
    }

    /// <summary>The id of an entry of any kind; null when the bytes are no entry of ours.</summary>
    internal static Guid? Id(ReadOnlySpan<byte> entry)
    {
        // [ "gongzhi/entry", 1, kind, id, … ]: kinds are shorter than 24 bytes, so each head is one byte.
        var start = (byte[])[TextString | 13, .. "gongzhi/entry"u8, 1];
        if (entry.Length < start.Length + 2 || (entry[0] & 0xE0) != ArrayOf || !entry[1..].StartsWith(start) || (entry[start.Length + 1] & 0xE0) != TextString)
            return null;
        var at = start.Length + 2 + (entry[start.Length + 1] & 0x1F);
        return (entry[start.Length + 1] & 0x1F) < 24 && entry.Length >= at + 17 && entry[at] == (ByteString | 16) ? new Guid(entry.Slice(at + 1, 16), bigEndian: true) : null;
    }

    /// <summary>Whether the bytes begin as an entry of this kind with one commitment.</summary>
    internal static bool IsKind(ReadOnlySpan<byte> entry, string kind)
    {
        var expected = new List<byte>();
        Start(expected, 5, kind, Guid.Empty);
        return entry.StartsWith(expected.ToArray().AsSpan(0, expected.Count - 16));
    }

    private static void Start(List<byte> buffer, int items, string kind, Guid id)
    {
        Head(buffer, ArrayOf, (ulong)items);
        Text(buffer, "gongzhi/entry");
        Head(buffer, UnsignedInteger, 1);
        Text(buffer, kind);
        Bytes(buffer, id.ToByteArray(bigEndian: true));
    }

    private static void Text(List<byte> buffer, string text)
    {
        var bytes = new UTF8Encoding(false, throwOnInvalidBytes: true).GetBytes(text);
        if (bytes.Length > TextBytesMax)
            throw new ArgumentException("The text is too long for an entry.", nameof(text));
        Head(buffer, TextString, (ulong)bytes.Length);
        buffer.AddRange(bytes);
    }

    private static void Bytes(List<byte> buffer, ReadOnlySpan<byte> bytes)
    {
        Head(buffer, ByteString, (ulong)bytes.Length);
        buffer.AddRange(bytes);
    }

    private static void Head(List<byte> buffer, byte major, ulong value)
    {
        Span<byte> wide = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(wide, value);
        switch (value)
        {
            case < 24: buffer.Add((byte)(major | (byte)value)); return;
            case <= byte.MaxValue: buffer.Add((byte)(major | 24)); buffer.AddRange(wide[7..]); return;
            case <= ushort.MaxValue: buffer.Add((byte)(major | 25)); buffer.AddRange(wide[6..]); return;
            case <= uint.MaxValue: buffer.Add((byte)(major | 26)); buffer.AddRange(wide[4..]); return;
            default: buffer.Add((byte)(major | 27)); buffer.AddRange(wide); return;
        }
    }
}
