using System.Buffers.Text;
using System.Text;

namespace Gongzhi.SampleCity;

/// <summary>
/// Formats CSV (RFC 4180 but with line feeds alone, UTF-8 without a byte order mark) straight into bytes, free of any culture.
/// Used by one writer at a time.
/// </summary>
internal sealed class Csv
{
    // A response stream must not be written to synchronously, so rows gather here and leave in pieces of about this size.
    private const int FlushBytes = 64 * 1024;

    private byte[] buffer = new byte[FlushBytes + 4096];
    private int used;
    private bool rowStarted;

    /// <summary>Writes a header and all rows; rows are drawn from the sequence one at a time.</summary>
    public static async Task WriteAsync<T>(
        Stream destination, IEnumerable<string> header, IEnumerable<T> rows, Action<Csv, T> write, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(destination);
        var csv = new Csv();
        foreach (var name in header)
            csv.Text(name);
        csv.EndRow();
        foreach (var row in rows)
        {
            write(csv, row);
            csv.EndRow();
            if (csv.used < FlushBytes)
                continue;
            await destination.WriteAsync(csv.buffer.AsMemory(0, csv.used), cancellation).ConfigureAwait(false);
            csv.used = 0;
        }
        await destination.WriteAsync(csv.buffer.AsMemory(0, csv.used), cancellation).ConfigureAwait(false);
    }

    public Csv Text(string value)
    {
        Separate(value.Length * 6 + 2);
        if (value.AsSpan().IndexOfAny(",\"\r\n") < 0)
        {
            used += Encoding.UTF8.GetBytes(value, buffer.AsSpan(used));
            return this;
        }
        buffer[used++] = (byte)'"';
        used += Encoding.UTF8.GetBytes(value.Replace("\"", "\"\"", StringComparison.Ordinal), buffer.AsSpan(used));
        buffer[used++] = (byte)'"';
        return this;
    }

    public Csv Integer(long value)
    {
        Separate(20);
        Utf8Formatter.TryFormat(value, buffer.AsSpan(used), out var written);
        used += written;
        return this;
    }

    /// <param name="scaled">The value times ten to the power of the scale.</param>
    /// <param name="scale">1 or more digits after the point.</param>
    public Csv Decimal(long scaled, int scale)
    {
        Separate(24 + scale);
        if (scaled < 0)
            buffer[used++] = (byte)'-';
        var power = 1L;
        for (var i = 0; i < scale; i++)
            power *= 10;
        Utf8Formatter.TryFormat(Math.Abs(scaled) / power, buffer.AsSpan(used), out var written);
        used += written;
        buffer[used++] = (byte)'.';
        Digits((int)(Math.Abs(scaled) % power), scale);
        return this;
    }

    public Csv Day(DateOnly value)
    {
        Separate(10);
        DayDigits(value.Year, value.Month, value.Day);
        return this;
    }

    /// <summary>A local time of the city, to the second, with its offset of +08:00.</summary>
    public Csv Moment(DateTime local)
    {
        Separate(25);
        DayDigits(local.Year, local.Month, local.Day);
        buffer[used++] = (byte)'T';
        Digits(local.Hour, 2);
        buffer[used++] = (byte)':';
        Digits(local.Minute, 2);
        buffer[used++] = (byte)':';
        Digits(local.Second, 2);
        "+08:00"u8.CopyTo(buffer.AsSpan(used));
        used += 6;
        return this;
    }

    public Csv Month(int year, int month)
    {
        Separate(7);
        Digits(year, 4);
        buffer[used++] = (byte)'-';
        Digits(month, 2);
        return this;
    }

    public Csv Missing()
    {
        Separate(0);
        return this;
    }

    private void EndRow()
    {
        Reserve(1);
        buffer[used++] = (byte)'\n';
        rowStarted = false;
    }

    private void Separate(int bytes)
    {
        Reserve(bytes + 1);
        if (rowStarted)
            buffer[used++] = (byte)',';
        rowStarted = true;
    }

    private void Reserve(int bytes)
    {
        if (buffer.Length - used < bytes)
            Array.Resize(ref buffer, Math.Max(buffer.Length * 2, used + bytes));
    }

    private void DayDigits(int year, int month, int day)
    {
        Digits(year, 4);
        buffer[used++] = (byte)'-';
        Digits(month, 2);
        buffer[used++] = (byte)'-';
        Digits(day, 2);
    }

    private void Digits(int value, int count)
    {
        for (var i = count - 1; i >= 0; i--)
        {
            buffer[used + i] = (byte)('0' + value % 10);
            value /= 10;
        }
        used += count;
    }
}
