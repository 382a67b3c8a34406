using System.CommandLine;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gongzhi.Node.Cli;

/// <summary>
/// <c>gongzhi admin</c>: setting a node up and looking after it. Everything here is a route of the HTTP interface spoken by whoever is signed in,
/// and is decided and audited there; the few verbs that take <c>--data</c> work on the directory of a stopped node.
/// </summary>
internal static class AdminCommand
{
    public static Command Create()
    {
        var call = new AdminCall();
        var command = new Verb("admin", "Set up and look after a node: units, parties, roles, places, datasets, grants, the log's key.",
            "设置和管理节点：单位、主体、角色、区划、数据集、授权、存证日志公钥。",
            "admin unit create city-data --name 数据局 --place 120101",
            "admin places import streets.csv",
            "admin dataset create trees.json",
            "admin role give person:0192… steward city-data",
            "admin key show > vkey",
            "admin check --data /srv/gongzhi --key vkey")
        {
            UnitVerbs.Create(call),
            PartyVerbs.Create(call),
            PartyVerbs.CreateRoles(call),
            PlaceVerbs.Create(call),
            DatasetVerbs.Create(call),
            GrantVerbs.Create(call),
            ClientVerbs.Create(call),
            AccountVerbs.Create(call),
            KeyVerbs.Create(call),
            CheckVerbs.Create(call),
            MoveVerbs.Create(call),
            LedgerVerbs.Create(call),
            BackupVerbs.CreateBackup(call),
            BackupVerbs.CreateRestore(call),
        };
        command.Add(call.Json);
        command.Add(call.Url);
        command.Add(call.Client);
        return command;
    }
}

/// <summary>What every verb of <c>admin</c> shares: the node, who is signed in, and how an answer is printed.</summary>
internal sealed class AdminCall
{
    public Option<bool> Json { get; } = new("--json") { Description = Say.In("Print the node's answer, or its problem, as JSON.", "以 JSON 输出节点的回答或错误。"), Recursive = true };

    public Option<string> Url { get; } = Everywhere(NodeClient.UrlOption());

    public Option<string?> Client { get; } = Everywhere(NodeClient.ClientOption());

    /// <summary>One request to the node; prints its answer as it is, or the sentence made from it.</summary>
    public Task<int> RunAsync(ParseResult parsed, Func<HttpRequestMessage> request, Func<JsonElement, string> sentence, CancellationToken cancel) => NodeClient.RunAsync(async () =>
    {
        var json = parsed.GetValue(Json);
        using var message = request();
        using var node = await NodeClient.SignInAsync(parsed.GetValue(Url)!, parsed.GetValue(Client), cancel).ConfigureAwait(false);
        using var response = await node.SendAsync(message, cancel).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            throw await NodeClient.FailureAsync(response, json, cancel).ConfigureAwait(false);
        var text = await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false);
        using var answer = JsonDocument.Parse(text);
        if (json)
            Console.WriteLine(text);
        else if (sentence(answer.RootElement) is { Length: > 0 } said)
            Console.WriteLine(said);
        return ExitCode.Ok;
    });

    /// <summary>A list of the node, all its pages as one; prints it as JSON, or a line of columns for each.</summary>
    public Task<int> ListAsync(ParseResult parsed, string path, string member, string[] columns, CancellationToken cancel) => NodeClient.RunAsync(async () =>
    {
        var json = parsed.GetValue(Json);
        using var node = await NodeClient.SignInAsync(parsed.GetValue(Url)!, parsed.GetValue(Client), cancel).ConfigureAwait(false);
        var all = new JsonArray();
        for (string? next = ""; next is not null;)
        {
            using var message = Get(path + (next.Length == 0 ? "" : (path.Contains('?', StringComparison.Ordinal) ? "&" : "?") + "cursor=" + Uri.EscapeDataString(next)));
            using var response = await node.SendAsync(message, cancel).ConfigureAwait(false);
            if (!response.IsSuccessStatusCode)
                throw await NodeClient.FailureAsync(response, json, cancel).ConfigureAwait(false);
            var page = JsonNode.Parse(await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false))!.AsObject();
            foreach (var item in page[member]!.AsArray())
                all.Add(item!.DeepClone());
            next = page["next"]?.GetValue<string>();
        }
        var text = new JsonObject { [member] = all }.ToJsonString(Readable);
        using var answer = JsonDocument.Parse(text);
        if (json)
            Console.WriteLine(text);
        else if (all.Count > 0)
            Console.WriteLine(Lines(answer.RootElement.GetProperty(member), columns));
        return ExitCode.Ok;
    });

    private static readonly JsonSerializerOptions Readable = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static HttpRequestMessage Get(string path) => new(HttpMethod.Get, new Uri(path, UriKind.Relative));

    public static HttpRequestMessage Delete(string path) => new(HttpMethod.Delete, new Uri(path, UriKind.Relative));

    public static HttpRequestMessage Send(HttpMethod method, string path, JsonNode body) => new(method, new Uri(path, UriKind.Relative))
    {
        Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"),
    };

    /// <summary>A JSON file the operator wrote; - is standard input.</summary>
    public static JsonObject ReadJson(string path)
    {
        try
        {
            var text = path == "-" ? Console.In.ReadToEnd() : File.ReadAllText(path);
            return JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { MaxDepth = 32 }) as JsonObject
                ?? throw new CliException(ExitCode.Usage, Say.In($"{path} does not hold a JSON object.", $"{path} 中不是一个 JSON 对象。"));
        }
        catch (JsonException e)
        {
            throw new CliException(ExitCode.Usage, Say.In($"{path} is not valid JSON: {e.Message}", $"{path} 不是合法的 JSON：{e.Message}"));
        }
        catch (FileNotFoundException)
        {
            throw new CliException(ExitCode.Usage, Say.In($"There is no file {path}.", $"没有文件 {path}。"));
        }
    }

    /// <summary>A list as lines of columns, separated by tabs.</summary>
    public static string Lines(JsonElement list, params string[] columns) => string.Join(Environment.NewLine, list.EnumerateArray().Select(item =>
        string.Join('\t', columns.Select(c => item.TryGetProperty(c, out var value) && value.ValueKind != JsonValueKind.Null ? value.ToString() : ""))));

    private static Option<T> Everywhere<T>(Option<T> option)
    {
        option.Recursive = true;
        return option;
    }
}
