using System.Buffers.Binary;

namespace Gongzhi.Verifier;

/// <summary>A row as its canonical bytes say it (docs/contracts/ledger.md).</summary>
public sealed record CommittedRow(
    string Dataset, long SchemaVersion, Guid RecordId, long Ordinal, long? EventTimeMicroseconds, string? Place,
    byte[]? Subject, Guid? Supersedes, IReadOnlyList<object?> Fields)
{
    /// <summary>The batch the record id names: the id with its last four bytes zero.</summary>
    public Guid Batch
    {
        get
        {
            var bytes = RecordId.ToByteArray(bigEndian: true);
            bytes.AsSpan(12).Clear();
            return new Guid(bytes, bigEndian: true);
        }
    }

    /// <summary>The row, or null when the bytes are not the one canonical spelling of one.</summary>
    public static CommittedRow? Decode(ReadOnlyMemory<byte> bytes)
    {
        if (StrictCbor.ReadArray(bytes) is not { Count: >= 10 } items) return null;
        if (items[0] is not "gongzhi/row" || items[1] is not 1L) return null;
        if (items[2] is not string dataset || items[3] is not (long and >= 0 and var version)) return null;
        if (items[4] is not byte[] { Length: 16 } id || items[5] is not (long and >= 0 and var ordinal)) return null;
        if (items[6] is not (null or long) || items[7] is not (null or string)) return null;
        if (items[8] is not (null or byte[] { Length: 32 }) || items[9] is not (null or byte[] { Length: 16 })) return null;
        // The low 32 bits of a record id are its ordinal plus one, the batch's own id being the one with zero there.
        if (BinaryPrimitives.ReadUInt32BigEndian(id.AsSpan(12)) != ordinal + 1) return null;
        return new CommittedRow(dataset, version, new Guid(id, bigEndian: true), ordinal, (long?)items[6], (string?)items[7],
            (byte[]?)items[8], items[9] is byte[] old ? new Guid(old, bigEndian: true) : null, items[10..]);
    }
}

/// <summary>A ledger entry of kind <c>batch</c>: the commitment to all rows of one contribution.</summary>
public sealed record BatchEntry(Guid EntryId, string Dataset, long SchemaVersion, Guid Batch, long RowCount, byte[] Root)
{
    /// <summary>The entry, or null when the bytes are not the one canonical spelling of a batch entry.</summary>
    public static BatchEntry? Decode(ReadOnlyMemory<byte> bytes)
    {
        if (StrictCbor.ReadArray(bytes) is not { Count: 9 } items) return null;
        if (items[0] is not "gongzhi/entry" || items[1] is not 1L || items[2] is not "batch") return null;
        if (items[3] is not byte[] { Length: 16 } entryId || items[4] is not string dataset) return null;
        if (items[5] is not (long and >= 0 and var version) || items[6] is not byte[] { Length: 16 } batch) return null;
        if (items[7] is not (long and >= 0 and var count) || items[8] is not byte[] { Length: 32 } root) return null;
        if (BinaryPrimitives.ReadUInt32BigEndian(batch.AsSpan(12)) != 0) return null;
        return new BatchEntry(new Guid(entryId, bigEndian: true), dataset, version, new Guid(batch, bigEndian: true), count, root);
    }
}
