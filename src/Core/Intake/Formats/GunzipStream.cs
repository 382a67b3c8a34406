using System.IO.Compression;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>
/// gzip, expanded, that stops before a bomb goes off: at a number of expanded bytes, or, past the first
/// <see cref="FormatLimits.ExpansionGraceBytes"/>, at <see cref="FormatLimits.ExpansionRatioMax"/> times what was read.
/// Throws <c>format.bomb</c>, and <c>format.gzip</c> for damaged or truncated data.
/// </summary>
internal sealed class GunzipStream : ReadOnlyStream
{
    private readonly CountedStream _compressed;
    private readonly long _bytesMax;
    private long _expanded;

    public GunzipStream(Stream inner, long bytesMax) : this(new CountedStream(inner), bytesMax)
    {
    }

    private GunzipStream(CountedStream compressed, long bytesMax) : base(new GZipStream(compressed, CompressionMode.Decompress))
    {
        _compressed = compressed;
        _bytesMax = bytesMax;
    }

    public override int Read(Span<byte> buffer)
    {
        try
        {
            return Count(Inner.Read(buffer), buffer.Length > 0);
        }
        catch (InvalidDataException)
        {
            throw Damaged();
        }
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            return Count(await Inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false), buffer.Length > 0);
        }
        catch (InvalidDataException)
        {
            throw Damaged();
        }
    }

    private int Count(int n, bool asked)
    {
        // The framework takes a file that stops in the middle for one that ends. The last four bytes of a whole one are its
        // expanded length, modulo 4 GiB; of several files in one they are not, so those are refused with the truncated.
        if (n == 0 && asked && _compressed.Last != (uint)_expanded) throw Damaged();
        _expanded += n;
        if (_expanded > _bytesMax || (_expanded > FormatLimits.ExpansionGraceBytes && _expanded / FormatLimits.ExpansionRatioMax > _compressed.Bytes))
            throw new SourceFormatException("format.bomb", "The compressed file expands beyond the limit.");
        return n;
    }

    private static SourceFormatException Damaged() => new("format.gzip", "The gzip data is damaged, incomplete, or several files in one.");

    private sealed class CountedStream(Stream inner) : ReadOnlyStream(inner)
    {
        public long Bytes { get; private set; }

        /// <summary>The last four bytes read, as a little-endian number.</summary>
        public uint Last { get; private set; }

        public override int Read(Span<byte> buffer)
        {
            var n = Inner.Read(buffer);
            Keep(buffer[..n]);
            return n;
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var n = await Inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            Keep(buffer.Span[..n]);
            return n;
        }

        private void Keep(ReadOnlySpan<byte> bytes)
        {
            Bytes += bytes.Length;
            foreach (var b in bytes[^Math.Min(4, bytes.Length)..]) Last = (Last >> 8) | ((uint)b << 24);
        }
    }
}
