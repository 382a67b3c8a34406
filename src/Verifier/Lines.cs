namespace Gongzhi.Verifier;

/// <summary>Lines of a file of any length, each of bounded length.</summary>
internal static class Lines
{
    /// <summary>Each line without its newline and trailing white space; null for one longer than the limit.</summary>
    public static async IAsyncEnumerable<byte[]?> ReadAsync(
        Stream stream, int lineBytesMax, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        var buffer = new byte[64 * 1024];
        using var line = new MemoryStream();
        var tooLong = false;
        while (await stream.ReadAsync(buffer, cancel) is var read and > 0)
        {
            var rest = buffer.AsMemory(0, read);
            while (rest.Span.IndexOf((byte)'\n') is var end and >= 0)
            {
                tooLong |= line.Length + end > lineBytesMax;
                if (!tooLong) line.Write(rest.Span[..end]);
                yield return tooLong ? null : line.ToArray().AsSpan().TrimEnd(" \r\t"u8).ToArray();
                (tooLong, line.Position) = (false, 0);
                line.SetLength(0);
                rest = rest[(end + 1)..];
            }
            tooLong |= line.Length + rest.Length > lineBytesMax;
            if (!tooLong) line.Write(rest.Span);
        }
        if (tooLong) yield return null;
        else if (line.Length > 0) yield return line.ToArray().AsSpan().TrimEnd(" \r\t"u8).ToArray();
    }
}
