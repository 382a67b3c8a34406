using System.Buffers.Binary;

namespace Gongzhi.Core.Records;

/// <summary>
/// The few deterministic CBOR items (RFC 8949 §4.2.1) that canonical bytes are made of. Our own because the rows of a
/// contribution are encoded into one large buffer at tens of millions of items a second, which a general writer does not do.
/// </summary>
public static class Cbor
{
    /// <summary>The longest head: one byte and eight of argument.</summary>
    public const int HeadMax = 9;

    public const byte Null = 0xF6;
    public const byte False = 0xF4;
    public const byte True = 0xF5;

    private const byte MajorUnsigned = 0x00, MajorNegative = 0x20, MajorBytes = 0x40, MajorText = 0x60, MajorArray = 0x80;

    public static int WriteArrayHead(Span<byte> to, int count) => WriteHead(to, MajorArray, (ulong)count);

    public static int WriteTextHead(Span<byte> to, int byteCount) => WriteHead(to, MajorText, (ulong)byteCount);

    public static int WriteBytesHead(Span<byte> to, int byteCount) => WriteHead(to, MajorBytes, (ulong)byteCount);

    public static int WriteInt(Span<byte> to, long value) =>
        value >= 0 ? WriteHead(to, MajorUnsigned, (ulong)value) : WriteHead(to, MajorNegative, (ulong)~value);

    public static int WriteDouble(Span<byte> to, double value)
    {
        to[0] = 0xFB;
        BinaryPrimitives.WriteDoubleBigEndian(to[1..], value);
        return 9;
    }

    public static int WriteText(Span<byte> to, ReadOnlySpan<byte> utf8)
    {
        var n = WriteTextHead(to, utf8.Length);
        utf8.CopyTo(to[n..]);
        return n + utf8.Length;
    }

    public static int WriteBytes(Span<byte> to, ReadOnlySpan<byte> bytes)
    {
        var n = WriteBytesHead(to, bytes.Length);
        bytes.CopyTo(to[n..]);
        return n + bytes.Length;
    }

    private static int WriteHead(Span<byte> to, byte major, ulong value)
    {
        if (value < 24)
        {
            to[0] = (byte)(major | (byte)value);
            return 1;
        }
        if (value <= byte.MaxValue)
        {
            to[0] = (byte)(major | 24);
            to[1] = (byte)value;
            return 2;
        }
        if (value <= ushort.MaxValue)
        {
            to[0] = (byte)(major | 25);
            BinaryPrimitives.WriteUInt16BigEndian(to[1..], (ushort)value);
            return 3;
        }
        if (value <= uint.MaxValue)
        {
            to[0] = (byte)(major | 26);
            BinaryPrimitives.WriteUInt32BigEndian(to[1..], (uint)value);
            return 5;
        }
        to[0] = (byte)(major | 27);
        BinaryPrimitives.WriteUInt64BigEndian(to[1..], value);
        return 9;
    }

    /// <summary>Reads items back in order. Throws <see cref="InvalidDataException"/> on anything that <see cref="Cbor"/> would not have written.</summary>
    public ref struct Reader(ReadOnlySpan<byte> data)
    {
        private readonly ReadOnlySpan<byte> _data = data;
        private int _at;

        public readonly bool AtEnd => _at == _data.Length;

        public int ReadArrayHead() => checked((int)ReadHead(MajorArray));

        public long ReadInt()
        {
            var major = (byte)(Peek() & 0xE0);
            var value = checked((long)ReadHead(major));
            return major switch
            {
                MajorUnsigned => value,
                MajorNegative => ~value,
                _ => throw Broken("an integer"),
            };
        }

        public ReadOnlySpan<byte> ReadText() => Take(checked((int)ReadHead(MajorText)));

        public ReadOnlySpan<byte> ReadBytes() => Take(checked((int)ReadHead(MajorBytes)));

        public bool TryReadNull()
        {
            if (Peek() != Null)
                return false;
            _at++;
            return true;
        }

        public bool ReadBoolean() => Take(1)[0] switch
        {
            True => true,
            False => false,
            _ => throw Broken("a boolean"),
        };

        public double ReadDouble() => Take(1)[0] == 0xFB ? BinaryPrimitives.ReadDoubleBigEndian(Take(8)) : throw Broken("a double");

        private readonly byte Peek() => _at < _data.Length ? _data[_at] : throw Broken("an item");

        private ReadOnlySpan<byte> Take(int count)
        {
            if (count > _data.Length - _at)
                throw Broken("more bytes");
            var span = _data.Slice(_at, count);
            _at += count;
            return span;
        }

        private ulong ReadHead(byte major)
        {
            var first = Take(1)[0];
            if ((first & 0xE0) != major)
                throw Broken("another kind of item");
            return (first & 0x1F) switch
            {
                < 24 and var small => (ulong)small,
                24 => Shortest(Take(1)[0], 24),
                25 => Shortest(BinaryPrimitives.ReadUInt16BigEndian(Take(2)), byte.MaxValue + 1UL),
                26 => Shortest(BinaryPrimitives.ReadUInt32BigEndian(Take(4)), ushort.MaxValue + 1UL),
                27 => Shortest(BinaryPrimitives.ReadUInt64BigEndian(Take(8)), uint.MaxValue + 1UL),
                _ => throw Broken("a definite length"),
            };
        }

        private static ulong Shortest(ulong value, ulong least) => value >= least ? value : throw Broken("the shortest head");

        private static InvalidDataException Broken(string expected) => new($"Canonical bytes are broken: expected {expected}.");
    }
}
