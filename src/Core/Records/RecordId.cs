using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Gongzhi.Core.Records;

/// <summary>
/// Ids of batches and records. A batch id is a UUIDv7 whose low 32 bits are zero; record i of the batch has i + 1 there. So a
/// record's id names its batch and its ordinal, and finding a record needs no index of ids. 16 bytes, big-endian.
/// </summary>
public static class RecordId
{
    /// <summary>A batch can number this many rows.</summary>
    public const long RowsMax = uint.MaxValue - 1L;

    public static Guid NewBatch(TimeProvider clock)
    {
        Span<byte> bytes = stackalloc byte[16];
        Guid.CreateVersion7(clock.GetUtcNow()).TryWriteBytes(bytes, bigEndian: true, out _);
        RandomNumberGenerator.Fill(bytes[9..12]);
        bytes[12..].Clear();
        return new Guid(bytes, bigEndian: true);
    }

    public static Guid Of(Guid batch, uint ordinal)
    {
        Span<byte> bytes = stackalloc byte[16];
        batch.TryWriteBytes(bytes, bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[12..], ordinal + 1);
        return new Guid(bytes, bigEndian: true);
    }

    /// <summary>Splits a record id; false when it is a batch's id or no UUIDv7.</summary>
    public static bool TrySplit(Guid record, out Guid batch, out uint ordinal)
    {
        Span<byte> bytes = stackalloc byte[16];
        record.TryWriteBytes(bytes, bigEndian: true, out _);
        var low = BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]);
        bytes[12..].Clear();
        batch = new Guid(bytes, bigEndian: true);
        ordinal = low - 1;
        return low != 0 && bytes[6] >> 4 == 7;
    }

    public static byte[] Bytes(Guid id) => id.ToByteArray(bigEndian: true);

    public static Guid FromBytes(ReadOnlySpan<byte> bytes) => new(bytes, bigEndian: true);
}
