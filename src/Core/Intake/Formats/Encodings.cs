using System.Buffers;
using System.Text;
using System.Text.Unicode;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// Turns a text stream into UTF-8 without asking anybody what it is: byte order mark (UTF-8, UTF-16), else valid UTF-8,
/// else GB18030 (which spreadsheet programs write in China, and which GBK and GB2312 are part of), else refused.
/// </summary>
public static class Encodings
{
    private const int SmallBytes = 16 << 10;
    private static readonly Encoding Gb18030 = CodePagesEncodingProvider.Instance.GetEncoding(54936, EncoderFallback.ExceptionFallback, DecoderFallback.ExceptionFallback)!;

    /// <summary>
    /// The text as UTF-8 without a byte order mark; every byte read from the result has been checked. UTF-8 passes through
    /// uncopied beyond the first <see cref="FormatLimits.EncodingHeadBytes"/>. The result owns <paramref name="stream"/>.
    /// </summary>
    /// <exception cref="SourceFormatException"><c>format.encoding</c>, now or while reading further on.</exception>
    public static async ValueTask<Stream> OpenUtf8Async(Stream stream, CancellationToken cancel) =>
        new Utf8CheckedStream(await OpenAsync(stream, cancel).ConfigureAwait(false));

    internal static async ValueTask<Stream> OpenAsync(Stream stream, CancellationToken cancel)
    {
        // A small report must not cost a large buffer.
        var size = SmallBytes;
        var buffer = ArrayPool<byte>.Shared.Rent(size);
        var length = await stream.ReadAtLeastAsync(buffer.AsMemory(0, size), size, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        if (length == size)
        {
            var larger = ArrayPool<byte>.Shared.Rent(size = FormatLimits.EncodingHeadBytes);
            buffer.AsSpan(0, length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(buffer);
            length += await stream.ReadAtLeastAsync(larger.AsMemory(length, size - length), size - length, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
            buffer = larger;
        }
        var whole = length < size;
        if (!whole && SaysNothing(buffer.AsSpan(0, length)))
            return new UndecidedStream(new HeadStream(buffer, 0, length, stream));
        var (encoding, mark) = Detect(buffer.AsSpan(0, length), whole);
        var rest = new HeadStream(buffer, mark, length, stream);
        return encoding is null ? rest : new TranscodedStream(rest, encoding);
    }

    /// <summary>Bytes at the start that are the same in every encoding but UTF-16.</summary>
    private static int Ascii(ReadOnlySpan<byte> bytes) => bytes.IndexOfAnyExceptInRange((byte)0, (byte)0x7F) is var at && at < 0 ? bytes.Length : at;

    /// <summary>Too little of it is beyond ASCII to decide by.</summary>
    private static bool SaysNothing(ReadOnlySpan<byte> head) => !HasMark(head) && Ascii(head) > head.Length / 2;

    private static bool HasMark(ReadOnlySpan<byte> head) =>
        head.StartsWith("\uFEFF"u8) || head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE]) || head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF]);

    /// <summary>The encoding to transcode from, or null for UTF-8; and the length of the byte order mark.</summary>
    private static (Encoding? From, int Mark) Detect(ReadOnlySpan<byte> head, bool whole)
    {
        if (head.StartsWith("\uFEFF"u8)) return (null, 3);
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE])) return (new UnicodeEncoding(bigEndian: false, byteOrderMark: false, throwOnInvalidBytes: true), 2);
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF])) return (new UnicodeEncoding(bigEndian: true, byteOrderMark: false, throwOnInvalidBytes: true), 2);
        return (DetectUnmarked(head, whole), 0);
    }

    private static Encoding? DetectUnmarked(ReadOnlySpan<byte> head, bool whole)
    {
        if (Utf8.IsValid(whole ? head : head[..^Utf8CheckedStream.IncompleteTail(head)])) return null;
        try
        {
            // Not flushed unless the file ends here: the head may stop inside a character.
            var decoder = Gb18030.GetDecoder();
            _ = decoder.GetCharCount(head, flush: whole);
            return Gb18030;
        }
        catch (DecoderFallbackException)
        {
            throw new SourceFormatException("format.encoding", "The text is neither UTF-8, UTF-16 with a byte order mark, nor GB18030; save the file again as UTF-8.");
        }
    }

    /// <summary>
    /// Text that begins with so much ASCII that it says nothing of its encoding: what follows the first byte beyond decides, as the beginning
    /// of other texts does.
    /// </summary>
    private sealed class UndecidedStream(Stream inner) : ReadOnlyStream(inner)
    {
        // From the first byte that is not ASCII on; set once by the reading that met it.
        private byte[]? _met;
        private Stream? _decided;

        public override int Read(Span<byte> buffer)
        {
            while (true)
            {
                if (_met is not null && _decided is null)
                {
                    var head = Head(out var length);
                    Decide(head, length + Inner.ReadAtLeast(head.AsSpan(length), head.Length - length, throwOnEndOfStream: false));
                }
                if (_decided is not null)
                    return _decided.Read(buffer);
                var n = Meet(buffer, Inner.Read(buffer));
                if (n > 0 || _met is null)
                    return n;
            }
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (true)
            {
                if (_met is not null && _decided is null)
                {
                    var head = Head(out var length);
                    Decide(head, length + await Inner.ReadAtLeastAsync(head.AsMemory(length), head.Length - length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false));
                }
                if (_decided is not null)
                    return await _decided.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
                var read = await Inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
                var n = Meet(buffer.Span, read);
                if (n > 0 || _met is null)
                    return n;
            }
        }

        /// <summary>The bytes of those just read that need no decision; what follows them is kept.</summary>
        private int Meet(Span<byte> buffer, int read)
        {
            var ascii = Ascii(buffer[..read]);
            if (ascii < read)
                _met = buffer[ascii..read].ToArray();
            return ascii;
        }

        private byte[] Head(out int length)
        {
            var head = ArrayPool<byte>.Shared.Rent(Math.Max(FormatLimits.EncodingHeadBytes, _met!.Length));
            _met.CopyTo(head, 0);
            length = _met.Length;
            return head;
        }

        private void Decide(byte[] head, int length)
        {
            var encoding = DetectUnmarked(head.AsSpan(0, length), whole: length < head.Length);
            var rest = new HeadStream(head, 0, length, Inner);
            _decided = encoding is null ? rest : new TranscodedStream(rest, encoding);
        }
    }

    /// <summary>Decodes strictly and encodes as UTF-8.</summary>
    private sealed class TranscodedStream(Stream inner, Encoding from) : ReadOnlyStream(Encoding.CreateTranscodingStream(inner, from, new UTF8Encoding(false, true)))
    {
        public override int Read(Span<byte> buffer)
        {
            try
            {
                return Inner.Read(buffer);
            }
            catch (DecoderFallbackException)
            {
                throw Broken();
            }
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            try
            {
                return await Inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            }
            catch (DecoderFallbackException)
            {
                throw Broken();
            }
        }

        private SourceFormatException Broken() => new("format.encoding", $"The text begins as {from.WebName} but holds bytes further on that are not; save the file again as UTF-8.");
    }
}
