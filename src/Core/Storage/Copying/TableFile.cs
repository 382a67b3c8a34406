using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Gongzhi.Core.Storage.Copying;

/// <summary>A table as a file: its rows in the one form, one after another, compressed. What its columns are stands elsewhere.</summary>
public static class TableFile
{
    /// <summary>The longest text or bytes of one value that are read back.</summary>
    private const int ValueBytesMax = 1 << 30;

    /// <summary>Writes all rows and flushes them to the disk; <paramref name="see"/> is shown each as it passes.</summary>
    public static TableSum Write(string path, IEnumerable<object?[]> rows, Action<object?[]>? see, CancellationToken cancel)
    {
        var sum = new TableSummer();
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write);
        using (var packed = new GZipStream(file, CompressionLevel.Fastest, leaveOpen: true))
        {
            using var row = new MemoryStream();
            foreach (var values in rows)
            {
                cancel.ThrowIfCancellationRequested();
                row.SetLength(0);
                TableForm.Write(row, values);
                packed.Write(row.GetBuffer().AsSpan(0, (int)row.Length));
                sum.Add(values);
                see?.Invoke(values);
            }
        }
        file.Flush(flushToDisk: true);
        return sum.Sum();
    }

    /// <summary>The rows of a file.</summary>
    /// <param name="path">Which.</param>
    /// <param name="columns">How many values a row has.</param>
    /// <param name="count">How many rows there must be.</param>
    /// <exception cref="InvalidDataException">It is no such file, or has fewer rows or more.</exception>
    public static IEnumerable<object?[]> Read(string path, int columns, long count)
    {
        using var file = File.OpenRead(path);
        using var packed = new GZipStream(file, CompressionMode.Decompress);
        using var buffered = new BufferedStream(packed, 1 << 16);
        for (var i = 0L; i < count; i++)
        {
            var row = new object?[columns];
            for (var c = 0; c < columns; c++)
                row[c] = Value(buffered);
            yield return row;
        }
        if (buffered.ReadByte() != -1)
            throw new InvalidDataException($"{Path.GetFileName(path)} holds more rows than it should.");
    }

    private static object? Value(Stream from)
    {
        Span<byte> eight = stackalloc byte[8];
        try
        {
            switch (from.ReadByte())
            {
                case 0:
                    return null;
                case 1:
                    from.ReadExactly(eight);
                    return BinaryPrimitives.ReadInt64BigEndian(eight);
                case 2:
                    return Encoding.UTF8.GetString(Long(from));
                case 3:
                    return Long(from);
                case 4:
                    return false;
                case 5:
                    return true;
                case 6:
                    from.ReadExactly(eight);
                    return BinaryPrimitives.ReadDoubleBigEndian(eight);
                default:
                    throw new InvalidDataException("A table's file ends too early, or is none.");
            }
        }
        catch (EndOfStreamException e)
        {
            throw new InvalidDataException("A table's file ends too early.", e);
        }
    }

    private static byte[] Long(Stream from)
    {
        Span<byte> eight = stackalloc byte[8];
        from.ReadExactly(eight);
        var length = BinaryPrimitives.ReadInt64BigEndian(eight);
        if (length is < 0 or > ValueBytesMax)
            throw new InvalidDataException("A value in a table's file has no possible length.");
        var bytes = new byte[length];
        from.ReadExactly(bytes);
        return bytes;
    }
}
