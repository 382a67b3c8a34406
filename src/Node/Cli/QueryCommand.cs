using System.CommandLine;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi query</c> and <c>gongzhi export</c>: a governed reading from a running node, to standard output or a file.</summary>
internal static partial class QueryCommand
{
    private static readonly Dictionary<string, string> Accept = new()
    {
        ["csv"] = "text/csv",
        ["json"] = "application/json",
        ["ndjson"] = "application/x-ndjson",
        ["parquet"] = "application/vnd.apache.parquet",
        ["arrow"] = "application/vnd.apache.arrow.stream",
    };

    public static Command Create()
    {
        var (dataset, purpose, format, output, url, client, json) = Common();
        var fields = new Option<string?>("--fields") { Description = "Fields, separated by commas; all that the grant allows when absent." };
        var where = new Option<string?>("--where")
        {
            Description = "Condition, for instance: amount>=100 and place within 120101 or not (name contains \"x\"). Comparisons: = != < <= > >= within "
                + "contains startsWith in (a, b) is null; texts in quotes, fields with odd characters in `backquotes`.",
        };
        var groupBy = new Option<string?>("--group-by") { Description = "Fields to group by, separated by commas." };
        var measures = new Option<string[]>("--measure") { Description = "NAME=FUNCTION(FIELD), for instance total=sum(amount) or n=count(); may be repeated." };
        var order = new Option<string?>("--order") { Description = "Columns to order by, separated by commas; a leading - means descending." };
        var limit = new Option<int?>("--limit") { Description = "Rows at most." };
        var command = new Command("query", "Ask a dataset under a grant.")
            { dataset, purpose, fields, where, groupBy, measures, order, limit, format, output, json, url, client };
        command.SetAction((parsed, cancel) => NodeClient.RunAsync(() =>
        {
            var body = Body(parsed.GetValue(dataset)!, parsed.GetValue(purpose)!);
            Put(body, "fields", Names(parsed.GetValue(fields)));
            if (parsed.GetValue(where) is { } condition)
                body["filter"] = WhereExpression.Parse(condition);
            Put(body, "groupBy", Names(parsed.GetValue(groupBy)));
            if (parsed.GetValue(measures) is { Length: > 0 } list)
                body["measures"] = new JsonArray([.. list.Select(Measure)]);
            if (parsed.GetValue(order) is { } columns)
                body["orderBy"] = new JsonArray([.. columns.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(c =>
                    (JsonNode)new JsonObject { ["field"] = c.TrimStart('-'), ["desc"] = c[0] == '-' })]);
            if (parsed.GetValue(limit) is { } rows)
                body["limit"] = rows;
            return AskAsync(body, parsed.GetValue(format)!, parsed.GetValue(output), parsed.GetValue(json), parsed.GetValue(url)!, parsed.GetValue(client), cancel);
        }));
        return command;
    }

    public static Command CreateExport()
    {
        var (dataset, purpose, format, output, url, client, json) = Common();
        output.Required = true;
        var command = new Command("export", "Take everything a grant allows of a dataset into a file.") { dataset, purpose, format, output, json, url, client };
        command.SetAction((parsed, cancel) => NodeClient.RunAsync(() => AskAsync(
            Body(parsed.GetValue(dataset)!, parsed.GetValue(purpose)!), parsed.GetValue(format)!, parsed.GetValue(output),
            parsed.GetValue(json), parsed.GetValue(url)!, parsed.GetValue(client), cancel)));
        return command;
    }

    /// <summary><c>total=sum(amount)</c> as the query API has it.</summary>
    internal static JsonNode Measure(string text)
    {
        var match = MeasureForm().Match(text);
        if (!match.Success)
            throw new CliException(ExitCode.Usage, $"--measure {text}: it must be NAME=FUNCTION(FIELD).");
        var measure = new JsonObject { ["name"] = match.Groups["name"].Value, ["function"] = match.Groups["function"].Value };
        if (match.Groups["field"].Value is { Length: > 0 } field and not "*")
            measure["field"] = field;
        return measure;
    }

    [GeneratedRegex(@"^\s*(?<name>[^=()]{1,64}?)\s*=\s*(?<function>[A-Za-z][A-Za-z0-9]{0,31})\(\s*(?<field>[^()]{0,64}?)\s*\)\s*$", RegexOptions.NonBacktracking)]
    private static partial Regex MeasureForm();

    private static (Option<string> Dataset, Option<string> Purpose, Option<string> Format, Option<string?> Output, Option<string> Url, Option<string?> Client, Option<bool> Json) Common()
    {
        var format = new Option<string>("--format") { Description = "csv, json, ndjson, parquet or arrow.", DefaultValueFactory = _ => "csv" };
        format.AcceptOnlyFromAmong([.. Accept.Keys]);
        return (
            new Option<string>("--dataset") { Description = "Dataset to read.", Required = true },
            new Option<string>("--purpose") { Description = "Purpose of the reading, as the grant names it.", Required = true },
            format,
            new Option<string?>("--out") { Description = "File to write; standard output when absent." },
            NodeClient.UrlOption(), NodeClient.ClientOption(),
            new Option<bool>("--json") { Description = "Print a problem as JSON." });
    }

    private static JsonObject Body(string dataset, string purpose) => new() { ["dataset"] = dataset, ["purpose"] = purpose };

    private static JsonArray? Names(string? list) => list is null ? null
        : new JsonArray([.. list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(n => (JsonNode)JsonValue.Create(n)!)]);

    private static void Put(JsonObject body, string name, JsonNode? value)
    {
        if (value is not null)
            body[name] = value;
    }

    private static async Task<int> AskAsync(
        JsonObject body, string format, string? output, bool json, string url, string? client, CancellationToken cancel)
    {
        using var node = await NodeClient.SignInAsync(url, client, cancel).ConfigureAwait(false);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("api/v1/query", UriKind.Relative))
        {
            Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"),
        };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(Accept[format]));
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/problem+json", 0.1));
        using var response = await node.SendAsync(request, cancel).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            throw await NodeClient.FailureAsync(response, json, cancel).ConfigureAwait(false);
        if (output is null)
        {
            var stdout = Console.OpenStandardOutput();
            await using (stdout.ConfigureAwait(false))
                await response.Content.CopyToAsync(stdout, cancel).ConfigureAwait(false);
            return ExitCode.Ok;
        }
        // Under another name until it is whole, so that a broken download is never taken for the data.
        var part = output + ".part";
        var file = new FileStream(part, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 17, useAsync: true);
        try
        {
            await using (file.ConfigureAwait(false))
                await response.Content.CopyToAsync(file, cancel).ConfigureAwait(false);
        }
        catch
        {
            File.Delete(part);
            throw;
        }
        File.Move(part, output, overwrite: true);
        return ExitCode.Ok;
    }
}
