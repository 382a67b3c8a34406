using System.Net;

namespace Gongzhi.Ledger;

/// <summary>A log read over HTTP under its prefix, as an auditor or a mirror does.</summary>
public sealed class HttpTileSource : ITileSource
{
    private readonly HttpClient _http;
    private readonly Uri _prefix;

    /// <summary>The log at <paramref name="prefix"/>. The client is the caller's; it should decompress gzip and have a timeout.</summary>
    public HttpTileSource(HttpClient http, Uri prefix)
    {
        ArgumentNullException.ThrowIfNull(prefix);
        if (prefix.Scheme is not ("http" or "https")) throw new ArgumentException("A log's prefix is an http or https URL.", nameof(prefix));
        _http = http;
        _prefix = new Uri(prefix.AbsoluteUri.TrimEnd('/') + "/");
    }

    /// <inheritdoc />
    public async ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default)
    {
        using var response = await _http.GetAsync(new Uri(_prefix, path), HttpCompletionOption.ResponseHeadersRead, cancel).ConfigureAwait(false);
        if (response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Gone) return null;
        response.EnsureSuccessStatusCode();
        await using var stream = await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
        using var bytes = new MemoryStream();
        var buffer = new byte[16 * 1024];
        // The limit holds for what comes out of decompression, not for what the header claims.
        while (await stream.ReadAsync(buffer, cancel).ConfigureAwait(false) is var read and > 0)
        {
            if (bytes.Length + read > bytesMax) throw new InvalidDataException($"{path} is longer than {bytesMax} bytes.");
            bytes.Write(buffer, 0, read);
        }
        return bytes.ToArray();
    }
}
