using System.CommandLine;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi import</c>: one file as one contribution to a running node.</summary>
internal static class ImportCommand
{
    private static readonly Dictionary<string, string> ContentTypes = new(StringComparer.OrdinalIgnoreCase)
    {
        [".csv"] = "text/csv",
        [".ndjson"] = "application/x-ndjson",
        [".jsonl"] = "application/x-ndjson",
        [".json"] = "application/json",
        [".parquet"] = "application/vnd.apache.parquet",
        [".xlsx"] = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        [".xls"] = "application/vnd.ms-excel",
    };

    public static Command Create()
    {
        var file = new Argument<string>("FILE") { Description = Say.In("CSV, NDJSON, JSON, Parquet, xlsx or xls, each also as .gz; - for standard input.", "CSV、NDJSON、JSON、Parquet、xlsx 或 xls，均可为 .gz；- 表示标准输入。") };
        var dataset = new Option<string>("--dataset") { Description = Say.In("Dataset to contribute to.", "报送到的数据集。"), Required = true };
        var mode = new Option<string>("--mode") { Description = Say.In("all: refuse the file if any row is wrong; partial: take the good rows.", "all：有一行不合格则整个文件不接收；partial：接收合格的行。"), DefaultValueFactory = _ => "all" };
        mode.AcceptOnlyFromAmong("all", "partial");
        var wait = new Option<bool>("--wait") { Description = Say.In("Wait until the contribution stands in the ledger.", "等到本次报送写入存证日志后再返回。") };
        var type = new Option<string?>("--type") { Description = Say.In("Content type, if the extension does not tell.", "内容类型，扩展名说明不了时给出。") };
        var key = new Option<string?>("--key") { Description = Say.In("Idempotency key: repeating a command with the same key contributes once.", "幂等键：用同一键重复执行，只报送一次。") };
        var json = new Option<bool>("--json") { Description = Say.In("Print the receipt, or the problem, as JSON.", "以 JSON 输出回执或错误。") };
        var (url, client) = (NodeClient.UrlOption(), NodeClient.ClientOption());
        var command = new Verb("import", "Contribute a file of records to a dataset.", "向数据集报送一个数据文件。",
            "import trees.csv --dataset trees --wait",
            "import trees.csv --dataset trees --mode partial --json > receipt.json",
            "import - --type text/csv --dataset trees --key 2026-11-23 < trees.csv")
        {
            file, dataset, mode, wait, type, key, json, url, client,
        };
        command.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var path = parsed.GetValue(file)!;
            var plain = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? path[..^3] : path;
            var contentType = parsed.GetValue(type) ?? ContentTypes.GetValueOrDefault(Path.GetExtension(plain))
                ?? throw new CliException(ExitCode.Usage, Say.In($"The extension of {path} does not tell what it holds; give --type.", $"从 {path} 的扩展名看不出内容类型，请给出 --type。"));
            if (!MediaTypeHeaderValue.TryParse(contentType, out var media))
                throw new CliException(ExitCode.Usage, Say.In($"{contentType} is not a content type.", $"{contentType} 不是内容类型。"));
            if (path != "-" && !File.Exists(path))
                throw new CliException(ExitCode.Usage, Say.In($"There is no file {path}.", $"没有文件 {path}。"));
            using var node = await NodeClient.SignInAsync(parsed.GetValue(url)!, parsed.GetValue(client), cancel).ConfigureAwait(false);
            var target = $"api/v1/datasets/{Uri.EscapeDataString(parsed.GetValue(dataset)!)}/records?mode={parsed.GetValue(mode)}"
                + (parsed.GetValue(wait) ? "&wait=proof" : "");
            var stream = path == "-" ? Console.OpenStandardInput() : new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 17, useAsync: true);
            await using (stream.ConfigureAwait(false))
            {
                using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(target, UriKind.Relative));
                // Asks before it sends, so that a refusal (size, permission) is read rather than a broken pipe.
                request.Headers.ExpectContinue = true;
                request.Headers.Add("Idempotency-Key", parsed.GetValue(key) ?? Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)));
                return await SendAsync(node, request, stream, media, parsed.GetValue(json), cancel).ConfigureAwait(false);
            }
        }));
        return command;
    }

    private static async Task<int> SendAsync(
        NodeClient node, HttpRequestMessage request, Stream stream, MediaTypeHeaderValue media, bool json, CancellationToken cancel)
    {
        HttpResponseMessage? response = null;
        await TerminalProgress.BytesAsync(Say.In("Sending", "正在发送"), stream.CanSeek ? stream.Length : null, json,
            async sent => response = await PostAsync(TerminalProgress.Shown(json) ? new CountingStream(stream, sent) : stream).ConfigureAwait(false)).ConfigureAwait(false);
        using (response)
        {
            if (!response!.IsSuccessStatusCode)
                throw await NodeClient.FailureAsync(response, json, cancel).ConfigureAwait(false);
            var text = await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false);
            Console.WriteLine(json ? text : Summary(text));
            return ExitCode.Ok;
        }

        Task<HttpResponseMessage> PostAsync(Stream body)
        {
            request.Content = new StreamContent(body, 1 << 17) { Headers = { ContentType = media } };
            return node.SendAsync(request, cancel);
        }
    }

    private static string Summary(string receipt)
    {
        using var document = JsonDocument.Parse(receipt);
        var root = document.RootElement;
        var (accepted, rejected, number) = (root.GetProperty("accepted"), root.GetProperty("rejected"), root.GetProperty("receipt"));
        var lines = Say.In($"Accepted {accepted}, rejected {rejected}. Receipt {number}", $"接收 {accepted} 行，拒绝 {rejected} 行。回执 {number}");
        if (root.TryGetProperty("entry", out var entry) && entry.ValueKind == JsonValueKind.Object)
            lines += Say.In($", ledger entry {entry.GetProperty("index")}", $"，存证日志条目 {entry.GetProperty("index")}");
        if (root.TryGetProperty("rejects", out var rejects) && rejects.ValueKind == JsonValueKind.String)
            lines += Environment.NewLine + Say.In("Rejected rows: ", "被拒绝的行：") + rejects.GetString();
        return lines;
    }
}
