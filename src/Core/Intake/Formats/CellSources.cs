using System.Buffers;
using System.Security.Cryptography;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Intake.Formats;

/// <summary>The one way in: a body of any supported format, gzip or not, becomes a source of cells.</summary>
public static class CellSources
{
    private const int HeadBytes = 4_096;

    /// <summary>Opens what the body holds. Text streams; Parquet and workbooks are first spooled to disk.</summary>
    /// <param name="body">Need not be seekable. Owned from here on, also when this throws.</param>
    /// <param name="contentType">As declared; content wins.</param>
    /// <param name="fileName">As declared; never used as a path.</param>
    /// <param name="fields">The dataset's field names, which NDJSON needs to have columns at all.</param>
    /// <param name="spoolDirectory">Exists, on the same machine; files there have random names, are readable by their owner only, and are deleted with the source.</param>
    /// <param name="options">Limits, and how to treat faults.</param>
    /// <param name="cancel">Stops the spooling.</param>
    /// <exception cref="SourceFormatException"><c>format.empty</c>, <c>format.unsupported</c>, <c>format.tooLarge</c>, <c>format.bomb</c>, <c>format.encoding</c> or what the format's own source throws.</exception>
    public static async ValueTask<ICellSource> OpenAsync(
        Stream body, string? contentType, string? fileName, IReadOnlyList<string> fields, string spoolDirectory, SourceOptions options, CancellationToken cancel)
    {
        var stream = body;
        try
        {
            (stream, var format) = await PeekAsync(stream, contentType, fileName, cancel).ConfigureAwait(false);
            if (format == DetectedFormat.Gzip)
            {
                stream = new GunzipStream(stream, options.ExpandedBytesMax);
                (stream, format) = await PeekAsync(stream, null, null, cancel).ConfigureAwait(false);
                if (format == DetectedFormat.Gzip) throw new SourceFormatException("format.unsupported", "The file is compressed twice.");
            }
            switch (format)
            {
                case DetectedFormat.Arrow:
                    throw new SourceFormatException("format.unsupported", "Arrow files are not taken; save as Parquet or CSV.");
                case DetectedFormat.Parquet:
                    return await SpooledSource.OpenAsync(stream, spoolDirectory, options.ParquetBytesMax, options.FreeBytesMin, path => ParquetSource.Open(path, options), cancel).ConfigureAwait(false);
                case DetectedFormat.Xlsx or DetectedFormat.Xls:
                    return await SpooledSource.OpenAsync(stream, spoolDirectory, options.WorkbookBytesMax, options.FreeBytesMin, path => WorkbookSource.Open(File.OpenRead(path), options), cancel, options.Workbooks).ConfigureAwait(false);
            }
            // Once more behind the encoding: JSON may be UTF-16.
            stream = await Encodings.OpenAsync(stream, cancel).ConfigureAwait(false);
            (stream, format) = await PeekAsync(stream, contentType, fileName, cancel).ConfigureAwait(false);
            return format == DetectedFormat.Json ? new NdjsonSource(stream, fields, options) : await CsvSource.OpenAsync(stream, options, cancel).ConfigureAwait(false);
        }
        catch
        {
            await stream.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static async ValueTask<(Stream, DetectedFormat)> PeekAsync(Stream stream, string? contentType, string? fileName, CancellationToken cancel)
    {
        var head = ArrayPool<byte>.Shared.Rent(HeadBytes);
        var length = await stream.ReadAtLeastAsync(head.AsMemory(0, HeadBytes), HeadBytes, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        if (length == 0) throw new SourceFormatException("format.empty", "The file is empty.");
        var format = FormatDetector.Detect(head.AsSpan(0, length), contentType, fileName);
        return (new HeadStream(head, 0, length, stream), format);
    }

    /// <summary>A source over a temporary file, deleted with it.</summary>
    private sealed class SpooledSource(ICellSource inner, string path, IDisposable? turn) : ICellSource
    {
        public IReadOnlyList<string> Header => inner.Header;

        public static async ValueTask<ICellSource> OpenAsync(
            Stream stream, string directory, long bytesMax, long freeBytesMin, Func<string, ICellSource> open, CancellationToken cancel, WorkbookTurns? turns = null)
        {
            IDisposable? turn = null;
            var path = Path.Combine(directory, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)) + ".spool");
            try
            {
                await using (stream.ConfigureAwait(false)) await SpoolAsync(stream, path, bytesMax, freeBytesMin, cancel).ConfigureAwait(false);
                // Only what is read takes a turn, not what is still on its way.
                if (turns is not null) turn = await turns.EnterAsync(cancel).ConfigureAwait(false);
                return new SpooledSource(open(path), path, turn);
            }
            catch
            {
                turn?.Dispose();
                File.Delete(path);
                throw;
            }
        }

        public ValueTask<CellChunk?> ReadAsync(CancellationToken cancel) => inner.ReadAsync(cancel);

        public async ValueTask DisposeAsync()
        {
            try
            {
                await inner.DisposeAsync().ConfigureAwait(false);
            }
            finally
            {
                turn?.Dispose();
                File.Delete(path);
            }
        }

        private static async ValueTask SpoolAsync(Stream from, string path, long bytesMax, long freeBytesMin, CancellationToken cancel)
        {
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None, BufferSize = 0 };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            var file = new FileStream(path, options);
            await using var _ = file.ConfigureAwait(false);
            var buffer = new byte[128 << 10];
            long total = 0;
            // Asked once in so many bytes, first before anything is written.
            const long AskEvery = 4 << 20;
            long ask = 0;
            while (await from.ReadAsync(buffer, cancel).ConfigureAwait(false) is var n && n > 0)
            {
                total += n;
                if (total > bytesMax) throw new SourceFormatException("format.tooLarge", $"The file is larger than {bytesMax >> 20} MiB, the limit for its format.");
                if (total > ask)
                {
                    if (freeBytesMin > 0 && StorageFull.FreeBytes(Path.GetDirectoryName(path)!) < freeBytesMin) throw StorageFull.Exception();
                    ask = total + AskEvery;
                }
                await file.WriteAsync(buffer.AsMemory(0, n), cancel).ConfigureAwait(false);
            }
        }
    }
}
