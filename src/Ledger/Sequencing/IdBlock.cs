using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Gongzhi.Ledger;

/// <summary>
/// The ids of 4,096 entries in a row, in a file of their own that never changes once their step is committed. Each holds the digest of the
/// block before it and the step file that of the last, so that every id looked back for is checked against the committed step.
/// </summary>
internal static class IdBlock
{
    public const int IdBytes = 16;

    /// <summary>Ids in a block: a step file then carries at most 64 KiB of older ids, and the window is 16 files.</summary>
    public const int Ids = 4_096;

    /// <summary>Blocks that hold the window.</summary>
    public const int Kept = TileLogOptions.IdWindow / Ids;

    public const int DigestBytes = 32;
    public const int FileBytes = 20 + 8 + DigestBytes + (Ids * IdBytes);

    private static ReadOnlySpan<byte> Magic => "gongzhi/tree-ids/1\n\0"u8;

    public static string Name(long block) => block.ToString("D10", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The file of a block, and its digest.</summary>
    public static byte[] Encode(long block, ReadOnlySpan<byte> before, ReadOnlySpan<byte> ids, out byte[] digest)
    {
        var bytes = new byte[FileBytes];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(Magic.Length), block);
        before.CopyTo(bytes.AsSpan(Magic.Length + 8));
        ids.CopyTo(bytes.AsSpan(Magic.Length + 8 + DigestBytes));
        digest = SHA256.HashData(bytes);
        return bytes;
    }

    /// <summary>The ids in the file if it is the one with that digest, and the digest of the block before.</summary>
    public static bool TryDecode(byte[] bytes, long block, ReadOnlySpan<byte> digest, out ReadOnlyMemory<byte> ids, out byte[] before)
    {
        (ids, before) = (default, []);
        if (bytes.Length != FileBytes || !bytes.AsSpan().StartsWith(Magic) || !SHA256.HashData(bytes).AsSpan().SequenceEqual(digest)) return false;
        if (BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(Magic.Length)) != block) return false;
        before = bytes.AsSpan(Magic.Length + 8, DigestBytes).ToArray();
        ids = bytes.AsMemory(Magic.Length + 8 + DigestBytes);
        return true;
    }
}
