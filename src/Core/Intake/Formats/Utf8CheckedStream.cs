using System.Text.Unicode;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// Passes bytes through untouched and throws <c>format.encoding</c> at the first that are not UTF-8, or are NUL (which no
/// text file holds, and which databases cut strings at). Checked in place in the reader's own buffer: no copy.
/// </summary>
internal sealed class Utf8CheckedStream(Stream inner) : ReadOnlyStream(inner)
{
    // The beginning of a character that the last read cut in two.
    private readonly byte[] _carry = new byte[4];
    private int _carried;

    /// <summary>The stream itself if it is already checked.</summary>
    public static Utf8CheckedStream Over(Stream stream) => stream as Utf8CheckedStream ?? new Utf8CheckedStream(stream);

    /// <summary>The same bytes, for a reader that checks them itself; only before anything has been read.</summary>
    internal Stream Unchecked => Inner;

    public override int Read(Span<byte> buffer)
    {
        var n = Inner.Read(buffer);
        Check(buffer[..n], atEnd: n == 0 && buffer.Length > 0);
        return n;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var n = await Inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
        Check(buffer.Span[..n], atEnd: n == 0 && buffer.Length > 0);
        return n;
    }

    private void Check(ReadOnlySpan<byte> bytes, bool atEnd)
    {
        if (atEnd && _carried > 0) throw NotUtf8();
        if (bytes.Contains((byte)0)) throw new SourceFormatException("format.encoding", "The text holds a NUL byte, so it is not a text file.");
        if (_carried > 0)
        {
            var want = SequenceLength(_carry[0]) - _carried;
            var take = Math.Min(want, bytes.Length);
            bytes[..take].CopyTo(_carry.AsSpan(_carried));
            _carried += take;
            bytes = bytes[take..];
            if (take < want) return;
            if (!Utf8.IsValid(_carry.AsSpan(0, _carried))) throw NotUtf8();
            _carried = 0;
        }
        var tail = IncompleteTail(bytes);
        if (!Utf8.IsValid(bytes[..^tail])) throw NotUtf8();
        bytes[^tail..].CopyTo(_carry);
        _carried = tail;
    }

    /// <summary>Bytes at the end that begin a character and do not finish it; 0 to 3.</summary>
    internal static int IncompleteTail(ReadOnlySpan<byte> bytes)
    {
        for (var back = 1; back <= 3 && back <= bytes.Length; back++)
        {
            var b = bytes[^back];
            if ((b & 0xC0) == 0x80) continue;
            return SequenceLength(b) > back ? back : 0;
        }
        return 0;
    }

    private static int SequenceLength(byte lead) => lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 1;

    private static SourceFormatException NotUtf8() =>
        new("format.encoding", "The text begins as UTF-8 but holds bytes further on that are not; save the file again as UTF-8.");
}
