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
        ["xlsx"] = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    };

    public static Command Create()
    {
        var (dataset, purpose, format, output, url, client, json) = Common();
        var fields = new Option<string?>("--fields") { Description = Say.In("Fields, separated by commas; all that the grant allows when absent.", "字段，以逗号分隔；不给则为授权允许的全部字段。") };
        var where = new Option<string?>("--where")
        {
            Description = Say.In("Condition, for instance: amount>=100 and place within 120101 or not (name contains \"x\"). Comparisons: = != < <= > >= within "
                + "contains startsWith in (a, b) is null; texts in quotes, fields with odd characters in `backquotes`.",
                "条件，例如：amount>=100 and place within 120101 or not (name contains \"x\")。比较：= != < <= > >= within contains startsWith in (a, b) is null；文本加引号，含特殊字符的字段名加`反引号`。"),
        };
        var groupBy = new Option<string?>("--group-by") { Description = Say.In("Fields to group by, separated by commas.", "分组字段，以逗号分隔。") };
        var measures = new Option<string[]>("--measure") { Description = Say.In("NAME=FUNCTION(FIELD), for instance total=sum(amount) or n=count(); may be repeated.", "名称=函数(字段)，例如 total=sum(amount) 或 n=count()；可重复。") };
        var order = new Option<string?>("--order") { Description = Say.In("Columns to order by, separated by commas; a leading - means descending.", "排序列，以逗号分隔；前加 - 为降序。") };
        var limit = new Option<int?>("--limit") { Description = Say.In("Rows at most.", "最多行数。") };
        var command = new Verb("query", "Ask a dataset under a grant.", "按授权查询数据集。",
            "query --dataset trees --purpose own-work --group-by species --measure n='count()' --order=-n",
            "query --dataset trees --purpose own-work --where 'height >= 4 and street within 120101' --format json")
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
        purpose.Required = false;
        var proofs = new Option<string?>("--proofs") { Description = Say.In("Directory for row proofs that gongzhi-verify checks with no node.", "存放行证明的目录，gongzhi-verify 无需节点即可核验。") };
        var rows = new Option<string?>("--rows") { Description = Say.In("With --proofs: how many rows at random (1–10000, default 100), or record ids separated by commas.", "与 --proofs 同用：随机行数（1–10000，默认 100），或以逗号分隔的记录编号。") };
        var receipt = new Option<string?>("--receipt") { Description = Say.In("With --proofs: take the rows from the contribution of this receipt file.", "与 --proofs 同用：从该回执文件对应的报送中取行。") };
        var command = new Verb("export", "Take what a grant allows of a dataset into a file, or proofs of its rows.", "把授权允许的数据导出为文件，或导出行证明。",
            "export --dataset trees --purpose own-work --format parquet --out trees.parquet",
            "export --dataset trees --purpose own-work --proofs proofs --rows 100",
            "export --dataset trees --receipt receipt.json --proofs proofs --rows 3")
        {
            dataset, purpose, format, output, proofs, rows, receipt, json, url, client,
        };
        command.Validators.Add(result =>
        {
            var (toFile, toProofs) = (result.GetResult(output) is not null, result.GetResult(proofs) is not null);
            if (toFile == toProofs)
                result.AddError(Say.In("Give either --out or --proofs.", "--out 与 --proofs 须给出其一。"));
            else if (toFile && (result.GetResult(rows) is not null || result.GetResult(receipt) is not null))
                result.AddError(Say.In("--rows and --receipt go with --proofs.", "--rows 与 --receipt 只能与 --proofs 同用。"));
            else if (toFile && result.GetResult(purpose) is null)
                result.AddError(Say.In("--out needs a --purpose.", "--out 需要 --purpose。"));
        });
        command.SetAction((parsed, cancel) => NodeClient.RunAsync(() => parsed.GetValue(proofs) is { } directory
            ? ProofExport.RunAsync(new ProofRequest(parsed.GetValue(dataset)!, parsed.GetValue(purpose), parsed.GetValue(rows), parsed.GetValue(receipt), directory),
                parsed.GetValue(json), parsed.GetValue(url)!, parsed.GetValue(client), cancel)
            : AskAsync(Body(parsed.GetValue(dataset)!, parsed.GetValue(purpose)!), parsed.GetValue(format)!, parsed.GetValue(output),
                parsed.GetValue(json), parsed.GetValue(url)!, parsed.GetValue(client), cancel)));
        return command;
    }

    /// <summary><c>total=sum(amount)</c> as the query API has it.</summary>
    internal static JsonNode Measure(string text)
    {
        var match = MeasureForm().Match(text);
        if (!match.Success)
            throw new CliException(ExitCode.Usage, Say.In($"--measure {text}: it must be NAME=FUNCTION(FIELD).", $"--measure {text}：应为 名称=函数(字段)。"));
        var measure = new JsonObject { ["name"] = match.Groups["name"].Value, ["function"] = match.Groups["function"].Value };
        if (match.Groups["field"].Value is { Length: > 0 } field and not "*")
            measure["field"] = field;
        return measure;
    }

    [GeneratedRegex(@"^\s*(?<name>[^=()]{1,64}?)\s*=\s*(?<function>[A-Za-z][A-Za-z0-9]{0,31})\(\s*(?<field>[^()]{0,64}?)\s*\)\s*$", RegexOptions.NonBacktracking)]
    private static partial Regex MeasureForm();

    private static (Option<string> Dataset, Option<string> Purpose, Option<string> Format, Option<string?> Output, Option<string> Url, Option<string?> Client, Option<bool> Json) Common()
    {
        var format = new Option<string>("--format") { Description = Say.In("csv, json, ndjson, parquet, arrow or xlsx.", "csv、json、ndjson、parquet、arrow 或 xlsx。"), DefaultValueFactory = _ => "csv" };
        format.AcceptOnlyFromAmong([.. Accept.Keys]);
        return (
            new Option<string>("--dataset") { Description = Say.In("Dataset to read.", "要读取的数据集。"), Required = true },
            new Option<string>("--purpose") { Description = Say.In("Purpose of the reading, as the grant names it.", "调阅用途，与授权所写一致。"), Required = true },
            format,
            new Option<string?>("--out") { Description = Say.In("File to write; standard output when absent.", "写入的文件；不给则写到标准输出。") },
            NodeClient.UrlOption(), NodeClient.ClientOption(),
            new Option<bool>("--json") { Description = Say.In("Print a problem as JSON.", "以 JSON 输出错误。") });
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
        using var node = await NodeClient.SignInIfKnownAsync(url, client, cancel).ConfigureAwait(false);
        using var response = await PostAsync(node, body, format, json, cancel).ConfigureAwait(false);
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
            {
                var answer = await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
                await TerminalProgress.BytesAsync(Say.In("Receiving", "正在接收"), response.Content.Headers.ContentLength, json,
                    received => new CountingStream(answer, received).CopyToAsync(file, cancel)).ConfigureAwait(false);
            }
        }
        catch
        {
            File.Delete(part);
            throw;
        }
        File.Move(part, output, overwrite: true);
        return ExitCode.Ok;
    }

    /// <summary>Asks, and answers the response once the node has agreed to give one.</summary>
    internal static async Task<HttpResponseMessage> PostAsync(NodeClient node, JsonObject body, string format, bool json, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("api/v1/query", UriKind.Relative))
        {
            Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json"),
        };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(Accept[format]));
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/problem+json", 0.1));
        var response = await node.SendAsync(request, cancel).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw await NodeClient.FailureAsync(response, json, cancel).ConfigureAwait(false);
    }
}
