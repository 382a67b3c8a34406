using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace Gongzhi.Ledger;

/// <summary>A C2SP tlog-tiles entry bundle: up to 256 entries, each after its length as a big-endian uint16.</summary>
public static class EntryBundle
{
    /// <summary>The longest entry, in bytes: what two bytes of length can say.</summary>
    public const int EntryBytesMax = ushort.MaxValue;

    /// <summary>The longest bundle, in bytes.</summary>
    public const int BytesMax = TilePath.FullWidth * (EntryBytesMax + 2);

    /// <summary>Writes a bundle.</summary>
    /// <exception cref="ArgumentException">No entries, more than 256, or one too long.</exception>
    public static byte[] Encode(IReadOnlyList<ReadOnlyMemory<byte>> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        if (entries.Count is 0 or > TilePath.FullWidth) throw new ArgumentException("A bundle holds 1 to 256 entries.", nameof(entries));
        var bytes = new byte[entries.Sum(entry => entry.Length + 2)];
        var at = 0;
        foreach (var entry in entries)
        {
            if (entry.Length > EntryBytesMax) throw new ArgumentException($"An entry is at most {EntryBytesMax} bytes.", nameof(entries));
            BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(at), (ushort)entry.Length);
            entry.Span.CopyTo(bytes.AsSpan(at + 2));
            at += 2 + entry.Length;
        }
        return bytes;
    }

    /// <summary>Reads the first <paramref name="count"/> entries; with <paramref name="exact"/>, demands that nothing follow.</summary>
    public static bool TryDecode(
        ReadOnlyMemory<byte> bytes, int count, [NotNullWhen(true)] out IReadOnlyList<ReadOnlyMemory<byte>>? entries, bool exact = true)
    {
        entries = null;
        if (count is < 0 or > TilePath.FullWidth || bytes.Length > BytesMax) return false;
        var list = new List<ReadOnlyMemory<byte>>(count);
        for (var i = 0; i < count; i++)
        {
            if (bytes.Length < 2) return false;
            var length = BinaryPrimitives.ReadUInt16BigEndian(bytes.Span);
            if (bytes.Length < 2 + length) return false;
            list.Add(bytes.Slice(2, length));
            bytes = bytes[(2 + length)..];
        }
        if (exact && !bytes.IsEmpty) return false;
        entries = list;
        return true;
    }
}
