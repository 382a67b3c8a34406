using System.Buffers;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>The parts of <see cref="Stream"/> that a forward-only reading wrapper refuses or derives. Owns the inner stream.</summary>
internal abstract class ReadOnlyStream(Stream inner) : Stream
{
    protected Stream Inner { get; } = inner;

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public abstract override int Read(Span<byte> buffer);
    public abstract override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default);

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing) Inner.Dispose();
        base.Dispose(disposing);
    }

    public override async ValueTask DisposeAsync()
    {
        await Inner.DisposeAsync().ConfigureAwait(false);
        await base.DisposeAsync().ConfigureAwait(false);
        GC.SuppressFinalize(this);
    }
}

/// <summary>Bytes already taken from a stream, then the rest of it.</summary>
/// <param name="head">From the shared pool; returned once it has been read or the stream is closed.</param>
/// <param name="start">Of the bytes in <paramref name="head"/> that come first.</param>
/// <param name="end">Of these bytes.</param>
/// <param name="inner">Owned.</param>
internal sealed class HeadStream(byte[] head, int start, int end, Stream inner) : ReadOnlyStream(inner)
{
    private byte[]? _head = start < end ? head : Returned(head);
    private int _at = start;

    public override int Read(Span<byte> buffer) => _head is null ? Inner.Read(buffer) : ReadHead(buffer);

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _head is null ? Inner.ReadAsync(buffer, cancellationToken) : new ValueTask<int>(ReadHead(buffer.Span));

    public override async ValueTask DisposeAsync()
    {
        Return();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    protected override void Dispose(bool disposing)
    {
        Return();
        base.Dispose(disposing);
    }

    private int ReadHead(Span<byte> buffer)
    {
        var n = Math.Min(buffer.Length, end - _at);
        _head.AsSpan(_at, n).CopyTo(buffer);
        _at += n;
        if (_at == end)
            Return();
        return n;
    }

    private void Return()
    {
        if (Interlocked.Exchange(ref _head, null) is { } done)
            ArrayPool<byte>.Shared.Return(done);
    }

    private static byte[]? Returned(byte[] head)
    {
        ArrayPool<byte>.Shared.Return(head);
        return null;
    }
}
