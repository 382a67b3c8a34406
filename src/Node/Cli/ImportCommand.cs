using System.CommandLine;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json;
using Spectre.Console;

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
        [".arrow"] = "application/vnd.apache.arrow.stream",
        [".arrows"] = "application/vnd.apache.arrow.stream",
        [".xlsx"] = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    };

    public static Command Create()
    {
        var file = new Argument<string>("FILE") { Description = "CSV, NDJSON, Parquet, Arrow stream or xlsx, by its extension; - for standard input." };
        var dataset = new Option<string>("--dataset") { Description = "Dataset to contribute to.", Required = true };
        var mode = new Option<string>("--mode") { Description = "all: refuse the file if any row is wrong; partial: take the good rows.", DefaultValueFactory = _ => "all" };
        mode.AcceptOnlyFromAmong("all", "partial");
        var wait = new Option<bool>("--wait") { Description = "Wait until the contribution stands in the ledger." };
        var type = new Option<string?>("--type") { Description = "Content type, if the extension does not tell." };
        var key = new Option<string?>("--key") { Description = "Idempotency key: repeating a command with the same key contributes once." };
        var json = new Option<bool>("--json") { Description = "Print the receipt, or the problem, as JSON." };
        var (url, client) = (NodeClient.UrlOption(), NodeClient.ClientOption());
        var command = new Command("import", "Contribute a file of records to a dataset.") { file, dataset, mode, wait, type, key, json, url, client };
        command.SetAction((parsed, cancel) => NodeClient.RunAsync(async () =>
        {
            var path = parsed.GetValue(file)!;
            var contentType = parsed.GetValue(type) ?? ContentTypes.GetValueOrDefault(Path.GetExtension(path))
                ?? throw new CliException(ExitCode.Usage, $"The extension of {path} does not tell what it holds; give --type.");
            if (!MediaTypeHeaderValue.TryParse(contentType, out var media))
                throw new CliException(ExitCode.Usage, $"{contentType} is not a content type.");
            if (path != "-" && !File.Exists(path))
                throw new CliException(ExitCode.Usage, $"There is no file {path}.");
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
        if (stream.CanSeek && !Console.IsErrorRedirected && !json)
        {
            var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
            await console.Progress().Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new DownloadedColumn(), new TransferSpeedColumn())
                .StartAsync(async progress =>
                {
                    var task = progress.AddTask("Sending", maxValue: Math.Max(1, stream.Length));
                    response = await PostAsync(new CountingStream(stream, n => task.Increment(n))).ConfigureAwait(false);
                }).ConfigureAwait(false);
        }
        else
        {
            response = await PostAsync(stream).ConfigureAwait(false);
        }
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
        var lines = $"Accepted {root.GetProperty("accepted")}, rejected {root.GetProperty("rejected")}. Receipt {root.GetProperty("receipt")}";
        if (root.TryGetProperty("entry", out var entry) && entry.ValueKind == JsonValueKind.Object)
            lines += $", ledger entry {entry.GetProperty("index")}";
        if (root.TryGetProperty("rejects", out var rejects) && rejects.ValueKind == JsonValueKind.String)
            lines += Environment.NewLine + "Rejected rows: " + rejects.GetString();
        return lines;
    }

    /// <summary>Tells how many bytes went through; owns nothing.</summary>
    private sealed class CountingStream(Stream inner, Action<int> count) : Stream
    {
        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count1)
        {
            var n = inner.Read(buffer, offset, count1);
            count(n);
            return n;
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var n = await inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            count(n);
            return n;
        }

        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count1) => throw new NotSupportedException();
    }
}
