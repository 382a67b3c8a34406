using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core.Records;

namespace Gongzhi.Node.Cli;

/// <param name="Purpose">Under which the rows are read, or null when ids or a receipt say which they are.</param>
/// <param name="Rows">A number, or record ids separated by commas.</param>
/// <param name="Receipt">File of a receipt whose rows are taken, or null.</param>
internal sealed record ProofRequest(string Dataset, string? Purpose, string? Rows, string? Receipt, string Directory);

/// <summary>
/// <c>gongzhi export --proofs</c>: one proof file a row, the rows as the purpose shows them, and the log's key, so that gongzhi-verify can check
/// them with the node stopped.
/// </summary>
internal static class ProofExport
{
    public const int RowsMax = 10_000, RowsDefault = 100;

    /// <summary>Ids in one question; the query's own limit for <c>in</c>.</summary>
    private const int IdsPerQuestion = 1_000;

    public static async Task<int> RunAsync(ProofRequest request, bool json, string url, string? client, CancellationToken cancel)
    {
        var (count, ids) = Wanted(request.Rows);
        if (ids is null && request.Purpose is null && request.Receipt is null)
            throw new CliException(ExitCode.Usage, Say.In("Say which rows: --purpose to draw from what you may read, --receipt FILE, or --rows ID,ID.",
                "请说明取哪些行：--purpose（从可读的行中抽取）、--receipt 文件，或 --rows 编号,编号。"));
        using var node = await NodeClient.SignInIfKnownAsync(url, client, cancel).ConfigureAwait(false);
        ids ??= request.Receipt is { } receipt
            ? await FromReceiptAsync(receipt, request.Dataset, count, cancel).ConfigureAwait(false)
            : await DrawAsync(node, request, count, json, cancel).ConfigureAwait(false);
        Directory.CreateDirectory(request.Directory);
        var why = request.Purpose is null ? "" : "?purpose=" + Uri.EscapeDataString(request.Purpose);
        await TerminalProgress.CountAsync(Say.In("Proofs", "证明"), ids.Count, json, async done =>
        {
            foreach (var id in ids)
            {
                var proof = await GetAsync(node, $"api/v1/datasets/{Uri.EscapeDataString(request.Dataset)}/records/{id}/proof{why}", json, cancel).ConfigureAwait(false);
                await File.WriteAllBytesAsync(Path.Combine(request.Directory, id + ".json"), proof, cancel).ConfigureAwait(false);
                done(1);
            }
        }).ConfigureAwait(false);
        if (request.Purpose is not null)
            await RowsAsync(node, request, ids, json, cancel).ConfigureAwait(false);
        var key = Path.Combine(request.Directory, "vkey");
        await File.WriteAllBytesAsync(key, await GetAsync(node, "ledger/vkey", json, cancel).ConfigureAwait(false), cancel).ConfigureAwait(false);
        Console.WriteLine(json
            ? JsonSerializer.Serialize(new { dataset = request.Dataset, directory = request.Directory, records = ids })
            : Say.In($"{ids.Count} proofs in {request.Directory}. Check them with the node stopped: ./gongzhi-verify row {request.Directory}/*.json --vkey {key}",
                $"{ids.Count} 份证明已存入 {request.Directory}。停掉节点后核验：./gongzhi-verify row {request.Directory}/*.json --vkey {key}"));
        return ExitCode.Ok;
    }

    private static (int Count, List<Guid>? Ids) Wanted(string? rows)
    {
        if (rows is null)
            return (RowsDefault, null);
        if (int.TryParse(rows, NumberStyles.None, CultureInfo.InvariantCulture, out var count))
            return count is >= 1 and <= RowsMax ? (count, null)
                : throw new CliException(ExitCode.Usage, Say.In($"--rows is a number from 1 to {RowsMax}.", $"--rows 为 1 到 {RowsMax} 之间的数。"));
        var ids = new List<Guid>();
        foreach (var part in rows.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            ids.Add(Guid.TryParseExact(part, "D", out var id) ? id
                : throw new CliException(ExitCode.Usage, Say.In($"--rows: {part} is neither a number nor a record id.", $"--rows：{part} 既不是数也不是记录编号。")));
        }
        return ids.Count is >= 1 and <= RowsMax ? (ids.Count, ids)
            : throw new CliException(ExitCode.Usage, Say.In($"--rows takes 1 to {RowsMax} record ids.", $"--rows 可给 1 到 {RowsMax} 个记录编号。"));
    }

    /// <summary>The rows of a batch are numbered, so a receipt is enough to draw from.</summary>
    private static async Task<List<Guid>> FromReceiptAsync(string path, string dataset, int count, CancellationToken cancel)
    {
        try
        {
            using var receipt = JsonDocument.Parse(await File.ReadAllBytesAsync(path, cancel).ConfigureAwait(false));
            var (batch, accepted) = (receipt.RootElement.GetProperty("batch").GetGuid(), receipt.RootElement.GetProperty("accepted").GetInt64());
            if (receipt.RootElement.GetProperty("dataset").GetString() != dataset || accepted is < 1 or > RecordId.RowsMax)
                throw new CliException(ExitCode.Usage, Say.In($"{path} is not a receipt of {dataset}.", $"{path} 不是数据集 {dataset} 的回执。"));
            var picks = new HashSet<long>();
            while (picks.Count < Math.Min(count, accepted))
                picks.Add((long)(BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)) % (ulong)accepted));
            return [.. picks.Select(row => RecordId.Of(batch, (uint)row))];
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new CliException(ExitCode.Usage, Say.In($"{path} is not a receipt.", $"{path} 不是回执。"));
        }
    }

    /// <summary>Each row the purpose shows has the same chance (Vitter's reservoir), and nothing but the drawn ids is held.</summary>
    private static async Task<List<Guid>> DrawAsync(NodeClient node, ProofRequest request, int count, bool json, CancellationToken cancel)
    {
        var drawn = new List<Guid>(count);
        var question = new JsonObject { ["dataset"] = request.Dataset, ["purpose"] = request.Purpose, ["fields"] = new JsonArray("_id") };
        using var response = await QueryCommand.PostAsync(node, question, "csv", json, cancel).ConfigureAwait(false);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false));
        await reader.ReadLineAsync(cancel).ConfigureAwait(false);
        for (var seen = 0; await reader.ReadLineAsync(cancel).ConfigureAwait(false) is { } line; seen++)
        {
            if (drawn.Count < count)
                drawn.Add(Guid.Parse(line));
            else if (RandomNumberGenerator.GetInt32(seen + 1) is var at && at < count)
                drawn[at] = Guid.Parse(line);
        }
        return drawn.Count > 0 ? drawn
            : throw new CliException(ExitCode.Refused, Say.In("There are no rows to prove.", "没有可证明的行。"));
    }

    /// <summary>rows.ndjson: the same rows as this reader sees them, masks and all, beside what was committed.</summary>
    private static async Task RowsAsync(NodeClient node, ProofRequest request, List<Guid> ids, bool json, CancellationToken cancel)
    {
        var fields = new JsonArray("_id");
        var question = new JsonObject { ["dataset"] = request.Dataset, ["purpose"] = request.Purpose, ["limit"] = 1 };
        using (var response = await QueryCommand.PostAsync(node, question, "json", json, cancel).ConfigureAwait(false))
        {
            using var answer = JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancel).ConfigureAwait(false));
            foreach (var name in answer.RootElement.GetProperty("columns").EnumerateArray().Select(c => c.GetProperty("name").GetString()!).Where(n => n != "_id"))
                fields.Add(name);
        }
        var file = new FileStream(Path.Combine(request.Directory, "rows.ndjson"), FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16, useAsync: true);
        await using var _ = file.ConfigureAwait(false);
        foreach (var part in ids.Chunk(IdsPerQuestion))
        {
            var rows = new JsonObject
            {
                ["dataset"] = request.Dataset, ["purpose"] = request.Purpose, ["fields"] = fields.DeepClone(),
                ["filter"] = new JsonObject { ["field"] = "_id", ["op"] = "in", ["value"] = new JsonArray([.. part.Select(id => (JsonNode)JsonValue.Create(id.ToString())!)]) },
            };
            using var response = await QueryCommand.PostAsync(node, rows, "ndjson", json, cancel).ConfigureAwait(false);
            await response.Content.CopyToAsync(file, cancel).ConfigureAwait(false);
        }
    }

    private static async Task<byte[]> GetAsync(NodeClient node, string path, bool json, CancellationToken cancel)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(path, UriKind.Relative));
        using var response = await node.SendAsync(request, cancel).ConfigureAwait(false);
        if (!response.IsSuccessStatusCode)
            throw await NodeClient.FailureAsync(response, json, cancel).ConfigureAwait(false);
        return await response.Content.ReadAsByteArrayAsync(cancel).ConfigureAwait(false);
    }
}
