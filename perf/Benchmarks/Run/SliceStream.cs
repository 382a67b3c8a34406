namespace Gongzhi.Perf;

/// <summary>A CSV file cut into parts of so many rows, each read as a file of its own with the header before it.</summary>
internal sealed class CsvParts
{
    private readonly string _path;
    private readonly byte[] _header;
    private readonly List<long> _cuts = [];

    public CsvParts(string path, int rowsPerPart)
    {
        _path = path;
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
        var buffer = new byte[1 << 20];
        long at = 0, rows = -1;
        byte[]? header = null;
        for (int n; (n = file.Read(buffer)) > 0; at += n)
        {
            for (var i = 0; i < n; i++)
            {
                var found = buffer.AsSpan(i, n - i).IndexOf((byte)'\n');
                if (found < 0)
                    break;
                i += found;
                header ??= buffer[..(i + 1)];
                if (++rows % rowsPerPart == 0)
                    _cuts.Add(at + i + 1);
            }
        }
        if (rows % rowsPerPart != 0)
            _cuts.Add(at);
        _header = header ?? [];
    }

    public int Count => _cuts.Count - 1;

    public Stream Open(int part) => new Slice(_header, File.OpenRead(_path), _cuts[part], _cuts[part + 1]);

    private sealed class Slice : Stream
    {
        private readonly byte[] _header;
        private readonly FileStream _file;
        private long _left;
        private int _headerAt;

        public Slice(byte[] header, FileStream file, long from, long to)
        {
            (_header, _file, _left) = (header, file, to - from);
            file.Position = from;
        }

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            if (_headerAt < _header.Length)
            {
                var n = Math.Min(buffer.Length, _header.Length - _headerAt);
                _header.AsSpan(_headerAt, n).CopyTo(buffer);
                _headerAt += n;
                return n;
            }
            var read = _file.Read(buffer[..(int)Math.Min(buffer.Length, _left)]);
            _left -= read;
            return read;
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => ValueTask.FromResult(Read(buffer.Span));

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => Task.FromResult(Read(buffer.AsSpan(offset, count)));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            _file.Dispose();
            base.Dispose(disposing);
        }
    }
}
