using System.Diagnostics;
using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;

namespace Gongzhi.Perf.Figures;

/// <summary>P8: the portal's home page from a real process with the sample city, fetched as a browser with an empty cache would.</summary>
internal static partial class P8Page
{
    public static async Task<Section> RunAsync(Bench bench)
    {
        using var node = await ServerProcess.NodeAsync(bench.File("p8"), "--sample");
        using var http = new HttpClient(new SocketsHttpHandler { AutomaticDecompression = DecompressionMethods.None, UseCookies = false }) { BaseAddress = node.Address };
        await P9Start.SampleCityAsync(http);
        var rounds = bench.Quick ? 20 : 200;
        var (first, complete) = (new List<double>(), new List<double>());
        var page = await FetchAsync(http, "/");
        for (var i = 0; i < rounds; i++)
        {
            page = await FetchAsync(http, "/");
            first.Add(page.First);
            complete.Add(page.Complete);
        }
        first.Sort();
        complete.Sort();
        var html = page.Text;
        var parts = new Dictionary<string, Fetched>(StringComparer.Ordinal);
        foreach (var address in Linked(html, "/"))
            await AddAsync(address);
        var bytes = page.Bytes + parts.Values.Sum(p => p.Bytes);
        var headers = page.HeaderBytes + parts.Values.Sum(p => p.HeaderBytes);
        var all = new List<double>();
        for (var i = 0; i < rounds / 4; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await FetchAsync(http, "/");
            await Task.WhenAll(parts.Keys.Select(a => FetchAsync(http, a)));
            all.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        all.Sort();
        var words = Tags().Replace(Scripts().Replace(html, " "), " ");
        var readable = words.Length > 500 && html.Contains("<h1", StringComparison.Ordinal) && html.Contains("<a ", StringComparison.Ordinal);
        var scripts = Scripts().Count(html);
        return new("P8", "portal home, cold cache",
        [
            new("P8", "first byte of the page (median of " + rounds + ")", $"{Text.Seconds(first[rounds / 2])}, p99 {Text.Seconds(first[rounds * 99 / 100])}", "", "", "< 50 ms", first[rounds / 2] < 0.05),
            new("P8", "page complete", $"{Text.Seconds(complete[rounds / 2])}, p99 {Text.Seconds(complete[rounds * 99 / 100])}", "", "", "< 50 ms", complete[rounds / 2] < 0.05),
            new("P8", "page and all it loads, complete", Text.Seconds(all[all.Count / 2]), "", "", "", null),
            new("P8", Text.Invariant($"transferred: page and {parts.Count} files it loads, compressed as sent"), Text.Invariant($"{(bytes + headers) / 1000.0:0.0} KB"), "", "", "< 150 KB", bytes + headers < 150_000),
            new("P8", "works without JavaScript: heading, text and links are in the HTML", readable ? "yes" : "no", "", "", "yes", readable),
        ],
        [
            Text.Invariant($"Page {page.Bytes / 1000.0:0.0} KB ({page.Encoding}); headers {headers / 1000.0:0.0} KB; {scripts} script elements; ") + string.Join(", ", parts.OrderByDescending(p => p.Value.Bytes).Select(p => Text.Invariant($"{Fingerprint().Replace(p.Key, ".")} {p.Value.Bytes / 1000.0:0.0} KB ({p.Value.Encoding})"))) + ".",
            "Times are on the loopback, so they are the server's alone; a new page is rendered for each request, only connections are kept.",
        ]);

        async Task AddAsync(string address)
        {
            if (parts.ContainsKey(address))
                return;
            var part = parts[address] = await FetchAsync(http, address);
            if (!address.Contains(".css", StringComparison.Ordinal))
                return;
            foreach (Match url in CssUrl().Matches(part.Text))
            {
                if (!url.Groups[1].Value.StartsWith("data:", StringComparison.Ordinal))
                    await AddAsync(new Uri(new Uri(node.Address, address), url.Groups[1].Value).PathAndQuery);
            }
        }
    }

    private sealed record Fetched(double First, double Complete, int Bytes, int HeaderBytes, string Encoding, string Text);

    private static async Task<Fetched> FetchAsync(HttpClient http, string address)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        request.Headers.AcceptEncoding.ParseAdd("br");
        request.Headers.AcceptEncoding.ParseAdd("gzip");
        request.Headers.Accept.ParseAdd("text/html,*/*");
        var start = Stopwatch.GetTimestamp();
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        response.EnsureSuccessStatusCode();
        var first = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var body = await response.Content.ReadAsByteArrayAsync();
        var complete = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var encoding = response.Content.Headers.ContentEncoding.FirstOrDefault() ?? "plain";
        using Stream stream = encoding switch
        {
            "br" => new BrotliStream(new MemoryStream(body), CompressionMode.Decompress),
            "gzip" => new GZipStream(new MemoryStream(body), CompressionMode.Decompress),
            _ => new MemoryStream(body),
        };
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return new(first, complete, body.Length, response.Headers.ToString().Length + response.Content.Headers.ToString().Length, encoding, await reader.ReadToEndAsync());
    }

    /// <summary>What a browser loads by itself: style sheets, scripts, icons, preloads, pictures.</summary>
    private static IEnumerable<string> Linked(string html, string page)
    {
        var origin = new Uri(new Uri("http://page"), page);
        foreach (Match link in Links().Matches(html))
        {
            if (link.Value.Contains("stylesheet", StringComparison.Ordinal) || link.Value.Contains("icon", StringComparison.Ordinal) || link.Value.Contains("preload", StringComparison.Ordinal) || link.Value.Contains("manifest", StringComparison.Ordinal))
                yield return new Uri(origin, WebUtility.HtmlDecode(Href().Match(link.Value).Groups[1].Value)).PathAndQuery;
        }
        foreach (Match source in Sources().Matches(html))
        {
            if (!source.Groups[1].Value.StartsWith("data:", StringComparison.Ordinal))
                yield return new Uri(origin, WebUtility.HtmlDecode(source.Groups[1].Value)).PathAndQuery;
        }
    }

    [GeneratedRegex("<link [^>]*>")]
    private static partial Regex Links();

    [GeneratedRegex("href=\"([^\"]*)\"")]
    private static partial Regex Href();

    [GeneratedRegex("<(?:script|img|source)[^>]* src=\"([^\"]*)\"")]
    private static partial Regex Sources();

    [GeneratedRegex("<script.*?</script>", RegexOptions.Singleline)]
    private static partial Regex Scripts();

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tags();

    [GeneratedRegex("url\\([\"']?([^\"')]+)[\"']?\\)")]
    private static partial Regex CssUrl();

    /// <summary>The part of a file name that changes with its content.</summary>
    [GeneratedRegex("\\.[a-z0-9]{10}\\.")]
    private static partial Regex Fingerprint();
}
