using Gongzhi.Ledger;

namespace Gongzhi.Verifier;

/// <summary>Checks a whole log, from a directory or over HTTP.</summary>
public static class LogCheck
{
    public static async Task<Verdict> CheckAsync(string place, NoteVerifier key, ReadOnlyMemory<byte> from, ReadOnlyMemory<byte> to, CancellationToken cancel)
    {
        AuditReport report;
        try
        {
            if (Uri.TryCreate(place, UriKind.Absolute, out var url) && url.Scheme is "http" or "https")
            {
                using var http = Fetched.NewClient();
                report = await LogAuditor.AuditAsync(new HttpTileSource(http, url), key, from, to, cancel);
            }
            else if (Directory.Exists(place))
            {
                report = await LogAuditor.AuditAsync(new DirectoryTileSource(place), key, from, to, cancel);
            }
            else
            {
                return Verdict.Unusable($"{place} is neither a directory nor an http(s) URL.", $"{place} 既不是目录，也不是 http(s) 地址。");
            }
        }
        catch (Exception unread) when (unread is IOException or HttpRequestException or UnauthorizedAccessException or InvalidDataException
            || (unread is TaskCanceledException && !cancel.IsCancellationRequested))
        {
            return Verdict.Unusable($"The log could not be read: {unread.Message}", $"无法读取存证日志：{unread.Message}");
        }
        var facts = new Dictionary<string, object?>
        {
            ["origin"] = key.Name, ["treeSize"] = report.Size, ["root"] = Convert.ToBase64String(report.Root.Span),
            ["fromSize"] = report.FromSize, ["entriesHashed"] = report.EntriesHashed, ["file"] = report.Break?.File, ["reason"] = report.Break?.Reason,
        };
        if (report.Break is { } broken)
        {
            return Verdict.Not("log.broken", $"Broken at {broken.File}: {broken.Reason}", $"存证日志在 {broken.File} 处断裂：{broken.Reason}") with { Facts = facts };
        }
        var since = report.FromSize is { } size ? ($" and extend the older checkpoint of size {size}", $"，且延续了大小为 {size} 的旧检查点") : ("", "");
        return new Verdict(Outcome.Proven, "log.proven",
            $"Proven: {(to.IsEmpty ? "all" : "the first")} {report.Size} entries of log {key.Name} lead to the root that its key signed{since.Item1}.",
            $"已证明：存证日志 {key.Name} 的{(to.IsEmpty ? "全部" : "前")} {report.Size} 个条目均可推出其密钥签名的根{since.Item2}。") { Facts = facts };
    }
}
