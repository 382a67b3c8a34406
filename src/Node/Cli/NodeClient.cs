using System.CommandLine;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Gongzhi.Node.Cli;

/// <summary>A verb ends with this exit code and this sentence on standard error.</summary>
internal sealed class CliException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}

/// <summary>A running node as the command line talks to it: a base address, a token, and problems turned into exit codes.</summary>
internal sealed class NodeClient : IDisposable
{
    public const string UrlDefault = "http://localhost:5080";

    private readonly HttpClient _http;

    private NodeClient(Uri url)
    {
        _http = new HttpClient(new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromSeconds(15),
            Expect100ContinueTimeout = TimeSpan.FromSeconds(5),
            AllowAutoRedirect = false,
        })
        {
            BaseAddress = url,
            // Uploads and downloads take as long as they take; the node has its own limits.
            Timeout = Timeout.InfiniteTimeSpan,
        };
        _http.DefaultRequestHeaders.AcceptLanguage.ParseAdd(Say.In("en", "zh-CN"));
    }

    public static Option<string> UrlOption() => new("--url")
    {
        Description = Say.In($"Address of the node (default: {UrlDefault}, or the environment variable GONGZHI_URL).", $"节点地址（默认 {UrlDefault}，或环境变量 GONGZHI_URL）。"),
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("GONGZHI_URL") ?? UrlDefault,
    };

    public static Option<string?> ClientOption() => new("--client")
    {
        Description = Say.In("ID:SECRET of a client (default: the environment variable GONGZHI_CLIENT, then the token kept by gongzhi login).", "客户端 ID:密钥（默认取环境变量 GONGZHI_CLIENT，其次是 gongzhi login 保存的登录）。"),
    };

    public static Uri Address(string url) =>
        Uri.TryCreate(url, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"
            ? new Uri(uri.AbsoluteUri.TrimEnd('/') + "/")
            : throw new CliException(ExitCode.Usage, Say.In($"{url} is not an http or https address.", $"{url} 不是 http 或 https 地址。"));

    /// <summary>Runs a verb and turns what can be expected to go wrong into one line and an exit code.</summary>
    public static async Task<int> RunAsync(Func<Task<int>> verb)
    {
        try
        {
            return await verb().ConfigureAwait(false);
        }
        catch (CliException e)
        {
            await Console.Error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return e.ExitCode;
        }
        catch (WhereException e)
        {
            await Console.Error.WriteLineAsync("--where: " + e.Message).ConfigureAwait(false);
            return ExitCode.Usage;
        }
        catch (Hosting.StartRefusedException e)
        {
            await Console.Error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return ExitCode.Refused;
        }
        catch (Exception e) when (Damage.Is(e))
        {
            await Console.Error.WriteLineAsync(Damage.Sentence(e)).ConfigureAwait(false);
            return ExitCode.Damaged;
        }
        catch (HttpRequestException e)
        {
            await Console.Error.WriteLineAsync(Say.In("The node cannot be reached: ", "连不上节点：") + e.Message).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return ExitCode.Refused;
        }
        catch (JsonException)
        {
            await Console.Error.WriteLineAsync(Say.In("The node gave an answer this program does not understand.", "节点的回答本程序无法理解。")).ConfigureAwait(false);
            return ExitCode.Unavailable;
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync(Say.In("Cancelled.", "已取消。")).ConfigureAwait(false);
            return ExitCode.Refused;
        }
    }

    /// <summary>Signed in where an account is given or kept; else nobody, whom the node shows open data.</summary>
    public static async Task<NodeClient> SignInIfKnownAsync(string url, string? client, CancellationToken cancel)
    {
        var node = new NodeClient(Address(url));
        try
        {
            var pair = client ?? Environment.GetEnvironmentVariable("GONGZHI_CLIENT");
            var token = pair is null ? await KeptLogin.TokenAsync(node, cancel).ConfigureAwait(false) : await node.ClientTokenAsync(pair, cancel).ConfigureAwait(false);
            if (token is not null)
                node._http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
            return node;
        }
        catch
        {
            node.Dispose();
            throw;
        }
    }

    public static async Task<NodeClient> SignInAsync(string url, string? client, CancellationToken cancel)
    {
        var node = await SignInIfKnownAsync(url, client, cancel).ConfigureAwait(false);
        if (node._http.DefaultRequestHeaders.Authorization is not null)
            return node;
        node.Dispose();
        throw new CliException(ExitCode.Usage, Say.In("No account: give --client ID:SECRET, set GONGZHI_CLIENT, or run gongzhi login.", "没有账号：请给出 --client ID:密钥，设置 GONGZHI_CLIENT，或运行 gongzhi login。"));
    }

    public static NodeClient Anonymous(string url) => new(Address(url));

    public Uri Url => _http.BaseAddress!;

    public Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancel) =>
        _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel);

    /// <summary>Posts a form to a token endpoint and answers the JSON, whatever the status.</summary>
    public async Task<(bool Ok, JsonElement Body)> FormAsync(string path, Dictionary<string, string> form, CancellationToken cancel)
    {
        using var content = new FormUrlEncodedContent(form);
        using var response = await _http.PostAsync(new Uri(path, UriKind.Relative), content, cancel).ConfigureAwait(false);
        var text = await ReadLimitedAsync(response, cancel).ConfigureAwait(false);
        if (response.StatusCode is System.Net.HttpStatusCode.ServiceUnavailable or System.Net.HttpStatusCode.TooManyRequests)
            throw new CliException(ExitCode.Unavailable, Say.In("The node is busy; try again shortly.", "节点繁忙，请稍后再试。"));
        using var document = JsonDocument.Parse(text);
        return (response.IsSuccessStatusCode, document.RootElement.Clone());
    }

    /// <summary>Ends the verb with the problem the node answered: its sentence, and the first wrong rows.</summary>
    public static async Task<CliException> FailureAsync(HttpResponseMessage response, bool json, CancellationToken cancel)
    {
        var status = (int)response.StatusCode;
        var exit = status is 429 or >= 500 ? ExitCode.Unavailable : ExitCode.Refused;
        var text = await ReadLimitedAsync(response, cancel).ConfigureAwait(false);
        if (json && text.Length > 0)
            return new CliException(exit, text);
        try
        {
            using var document = JsonDocument.Parse(text);
            return new CliException(exit, Describe(document.RootElement, status));
        }
        catch (JsonException)
        {
            return new CliException(exit, Say.In($"The node answered {status} {response.ReasonPhrase}.", $"节点回答 {status} {response.ReasonPhrase}。"));
        }
    }

    internal static string Describe(JsonElement problem, int status)
    {
        if (problem.ValueKind != JsonValueKind.Object)
            return Say.In($"The node answered {status}.", $"节点回答 {status}。");
        var lines = new List<string> { $"{Text(problem, "detail") ?? Text(problem, "title") ?? Say.In("Refused.", "被拒绝。")} ({Text(problem, "code") ?? status.ToString(CultureInfo.InvariantCulture)})" };
        if (problem.TryGetProperty("why", out var why) && why.ValueKind is JsonValueKind.String or JsonValueKind.Array)
            lines.Add(why.ToString());
        if (problem.TryGetProperty("errors", out var errors) && errors.ValueKind == JsonValueKind.Array)
        {
            foreach (var error in errors.EnumerateArray().Where(e => e.ValueKind == JsonValueKind.Object).Take(20))
            {
                var row = error.TryGetProperty("row", out var number) ? number.ToString() : "?";
                var field = Text(error, "field");
                lines.Add($"{Say.In("row", "行")} {row}{(field is null ? "" : ", " + field)}: {Text(error, "message") ?? Text(error, "code")}");
            }
            if (problem.TryGetProperty("errorCount", out var count) && count.TryGetInt64(out var all) && all > lines.Count - 1)
                lines.Add(Say.In($"… {all} errors in all", $"…… 共 {all} 处错误"));
        }
        return string.Join(Environment.NewLine, lines);
    }

    public void Dispose() => _http.Dispose();

    private async Task<string> ClientTokenAsync(string pair, CancellationToken cancel)
    {
        var colon = pair.IndexOf(':', StringComparison.Ordinal);
        if (colon < 1)
            throw new CliException(ExitCode.Usage, Say.In("--client must be ID:SECRET.", "--client 应为 ID:密钥。"));
        var (ok, body) = await FormAsync("connect/token", new Dictionary<string, string>
        {
            ["grant_type"] = "client_credentials",
            ["client_id"] = pair[..colon],
            ["client_secret"] = pair[(colon + 1)..],
        }, cancel).ConfigureAwait(false);
        return ok ? body.GetProperty("access_token").GetString()!
            : throw new CliException(ExitCode.Refused, Say.In($"The node does not accept the client {pair[..colon]} ({Text(body, "error")}).", $"节点不接受客户端 {pair[..colon]}（{Text(body, "error")}）。"));
    }

    private static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString() : null;

    private static async Task<string> ReadLimitedAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        await response.Content.LoadIntoBufferAsync(16 << 20, cancel).ConfigureAwait(false);
        return await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false);
    }
}
