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
        var (encoding, mark) = Detect(buffer.AsSpan(0, length), whole: length < size);
        var rest = new HeadStream(buffer, mark, length, stream);
        return encoding is null ? rest : new TranscodedStream(rest, encoding);
    }

    /// <summary>The encoding to transcode from, or null for UTF-8; and the length of the byte order mark.</summary>
    private static (Encoding? From, int Mark) Detect(ReadOnlySpan<byte> head, bool whole)
    {
        if (head.StartsWith("\uFEFF"u8)) return (null, 3);
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFF, 0xFE])) return (new UnicodeEncoding(bigEndian: false, byteOrderMark: false, throwOnInvalidBytes: true), 2);
        if (head.StartsWith((ReadOnlySpan<byte>)[0xFE, 0xFF])) return (new UnicodeEncoding(bigEndian: true, byteOrderMark: false, throwOnInvalidBytes: true), 2);
        if (Utf8.IsValid(whole ? head : head[..^Utf8CheckedStream.IncompleteTail(head)])) return (null, 0);
        try
        {
            // Not flushed unless the file ends here: the head may stop inside a character.
            var decoder = Gb18030.GetDecoder();
            _ = decoder.GetCharCount(head, flush: whole);
            return (Gb18030, 0);
        }
        catch (DecoderFallbackException)
        {
            throw new SourceFormatException("format.encoding", "The text is neither UTF-8, UTF-16 with a byte order mark, nor GB18030; save the file again as UTF-8.");
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
