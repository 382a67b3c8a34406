using System.Formats.Cbor;

namespace Gongzhi.Verifier;

/// <summary>
/// Reads the deterministic CBOR of rows and entries (RFC 8949 §4.2.1: shortest heads, definite lengths; doubles always in eight
/// bytes, never NaN, infinite or −0) and refuses every other spelling, so that one content has one hash.
/// </summary>
internal static class StrictCbor
{
    /// <summary>Most items of a row or an entry; a dataset has at most a few hundred fields.</summary>
    private const int ItemsMax = 4096;

    /// <summary>The items of the one array that <paramref name="bytes"/> must be, or null. An item is a string, bytes, long, double, bool or null.</summary>
    public static List<object?>? ReadArray(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            var reader = new CborReader(bytes, CborConformanceMode.Canonical);
            if (reader.PeekState() != CborReaderState.StartArray || reader.ReadStartArray() is not { } count || count > ItemsMax) return null;
            var items = new List<object?>(count);
            for (var i = 0; i < count; i++)
            {
                var state = reader.PeekState();
                object? item;
                switch (state)
                {
                    case CborReaderState.TextString: item = reader.ReadTextString(); break;
                    case CborReaderState.ByteString: item = reader.ReadByteString(); break;
                    case CborReaderState.UnsignedInteger or CborReaderState.NegativeInteger: item = reader.ReadInt64(); break;
                    case CborReaderState.Boolean: item = reader.ReadBoolean(); break;
                    case CborReaderState.Null: reader.ReadNull(); item = null; break;
                    case CborReaderState.DoublePrecisionFloat:
                        var number = reader.ReadDouble();
                        if (!double.IsFinite(number) || (number == 0 && double.IsNegative(number))) return null;
                        item = number;
                        break;
                    default: return null;
                }
                items.Add(item);
            }
            reader.ReadEndArray();
            return reader.BytesRemaining == 0 ? items : null;
        }
        catch (Exception broken) when (broken is CborContentException or InvalidOperationException or OverflowException)
        {
            return null;
        }
    }
}
