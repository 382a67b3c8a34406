using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Query;

/// <summary>An answer that is made in a file first has no room for it; nothing of it has been sent.</summary>
public sealed class AnswerSpoolException(Problem problem) : Exception(problem.Detail)
{
    public Problem Problem { get; } = problem;
}

/// <summary>Bytes on disk of answers being made in files, of all and of those without an account.</summary>
internal sealed class SpoolRoom(DuckEngineOptions options)
{
    private readonly Lock _lock = new();
    private long _taken, _takenNobody;

    /// <summary>Room for so many bytes more, or why there is none.</summary>
    public Problem? Take(long bytes, long before, bool anonymous)
    {
        if (before + bytes > (long)options.AnswerMegabytes << 20)
        {
            return Problem.Invalid("query.spool", $"As a workbook or Parquet the answer takes more than {options.AnswerMegabytes} MiB; narrow it, or take CSV, NDJSON or Arrow.") with
            {
                Extensions = new Dictionary<string, object?> { ["max"] = options.AnswerMegabytes },
            };
        }
        if (options.FreeBytesMin > 0 && StorageFull.FreeBytes(options.TempDirectory) - bytes < options.FreeBytesMin)
            return StorageFull.Problem;
        lock (_lock)
        {
            var max = (long)options.AnswersMegabytes << 20;
            if (_taken + bytes > max || (anonymous && _takenNobody + bytes > max / 2))
                return DuckEngine.Busy();
            _taken += bytes;
            _takenNobody += anonymous ? bytes : 0;
            return null;
        }
    }

    public void Give(long bytes, bool anonymous)
    {
        lock (_lock)
        {
            _taken -= bytes;
            _takenNobody -= anonymous ? bytes : 0;
        }
    }
}

/// <summary>
/// The file in which a workbook or Parquet answer is made; gone when disposed. When there is no room, what comes after is dropped, since the libraries that write here end badly
/// by an exception in the middle; <see cref="Check"/> says so.
/// </summary>
internal sealed class AnswerSpool : Stream
{
    /// <summary>Room is taken in pieces of this size, the first before anything is written.</summary>
    private const long Piece = 1 << 20;

    private readonly FileStream _file;
    private readonly SpoolRoom _room;
    private readonly bool _anonymous;
    private long _taken, _written;
    private Problem? _fault;

    public AnswerSpool(string directory, SpoolRoom room, bool anonymous)
    {
        (_room, _anonymous) = (room, anonymous);
        _file = new FileStream(Path.Combine(directory, $"answer-{Path.GetRandomFileName()}"), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 64 << 10, FileOptions.DeleteOnClose);
    }

    /// <exception cref="AnswerSpoolException">There was no room; the file is not whole.</exception>
    public void Check()
    {
        if (_fault is not null)
            throw new AnswerSpoolException(_fault);
    }

    public async Task SendAsync(Stream output, CancellationToken cancel)
    {
        Check();
        _file.Position = 0;
        await _file.CopyToAsync(output, cancel).ConfigureAwait(false);
    }

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (_fault is null && _written + buffer.Length > _taken)
        {
            _fault = _room.Take(Piece, _taken, _anonymous);
            _taken += _fault is null ? Piece : 0;
        }
        if (_fault is not null)
            return;
        _written += buffer.Length;
        _file.Write(buffer);
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override bool CanRead => false;
    public override bool CanSeek => true;
    public override bool CanWrite => true;
    public override long Length => _file.Length;

    public override long Position
    {
        get => _file.Position;
        set => _file.Position = value;
    }

    public override void Flush() => _file.Flush();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => _file.Seek(offset, origin);
    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _file.Dispose();
            _room.Give(_taken, _anonymous);
            _taken = 0;
        }
        base.Dispose(disposing);
    }
}
