using System.Net;

namespace Gongzhi.Verifier;

/// <summary>A proof or receipt from a file or an address, at most so many bytes of it. Nothing that comes back is trusted: it is checked like a file.</summary>
internal static class Fetched
{
    public static HttpClient NewClient() =>
        new(new SocketsHttpHandler { AutomaticDecompression = DecompressionMethods.All, MaxAutomaticRedirections = 3, ConnectTimeout = TimeSpan.FromSeconds(15) }) { Timeout = TimeSpan.FromSeconds(60) };

    public static Uri? Address(string place) => Uri.TryCreate(place, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" ? url : null;

    /// <summary>What to call it in the answer: a file's name, or the address.</summary>
    public static string Name(string place) => Address(place) is null ? Path.GetFileName(place) : place;

    /// <summary>For all of an answer: HttpClient's own limit ends with the headers, and whoever answers a byte at a time would hold us for ever.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public static async Task<(byte[]? Bytes, Verdict? Unread)> ReadAsync(string place, int bytesMax, CancellationToken cancel, TimeSpan? limit = null)
    {
        try
        {
            if (Address(place) is { } url)
            {
                using var whole = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                whole.CancelAfter(limit ?? Limit);
                return await FetchAsync(url, bytesMax, whole.Token);
            }
            var file = new FileInfo(place);
            return file.Length > bytesMax ? (null, TooLong(bytesMax)) : (await File.ReadAllBytesAsync(place, cancel), null);
        }
        catch (Exception unread) when (unread is IOException or UnauthorizedAccessException or HttpRequestException or ArgumentException or NotSupportedException or InvalidDataException
            || (unread is OperationCanceledException && !cancel.IsCancellationRequested))
        {
            return (null, Verdict.Unusable($"It cannot be read: {unread.Message}", $"无法读取：{unread.Message}"));
        }
    }

    private static async Task<(byte[]?, Verdict?)> FetchAsync(Uri url, int bytesMax, CancellationToken cancel)
    {
        using var http = NewClient();
        using var response = await http.GetAsync(url, HttpCompletionOption.ResponseHeadersRead, cancel);
        if (!response.IsSuccessStatusCode)
        {
            var status = (int)response.StatusCode;
            return (null, Verdict.Unusable($"The address answers {status}{(status == 401 ? ": it is not public; fetch it with your account and check the file" : "")}.",
                $"该地址返回 {status}{(status == 401 ? "：内容不公开，请用您的账号取得文件后再核验" : "")}。"));
        }
        await using var stream = await response.Content.ReadAsStreamAsync(cancel);
        using var bytes = new MemoryStream();
        var buffer = new byte[64 * 1024];
        while (await stream.ReadAsync(buffer, cancel) is var read and > 0)
        {
            if (bytes.Length + read > bytesMax) return (null, TooLong(bytesMax));
            bytes.Write(buffer, 0, read);
        }
        return (bytes.ToArray(), null);
    }

    private static Verdict TooLong(int bytesMax) => Verdict.Unusable($"It is longer than {bytesMax} bytes.", $"超过 {bytesMax} 字节。");
}
