using System.CommandLine;
using System.Data.Common;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Records;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin check</c>: is everything that is kept what was committed? On a stopped node's directory, or beside a running node.</summary>
internal static class CheckVerbs
{
    private static readonly JsonSerializerOptions Printed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create(AdminCall call)
    {
        var data = new Option<string>("--data") { Description = Say.In("Data directory of the node, which may be running.", "节点的数据目录，节点可以正在运行。"), Required = true };
        var key = new Option<string?>("--key")
        {
            Description = Say.In("The log's key as you keep it: a file, or the line itself; without it the one in the data directory is believed.", "您另行保存的存证日志公钥：文件或公钥文本；不给出时采信数据目录中的密钥。"),
        };
        var segments = new Option<string?>("--segments")
        {
            Description = Say.In("Where the node keeps its records' files, if not in the data directory: as its setting Segments, which is taken from the environment when this is left out.",
                "节点的记录数据文件不在数据目录中时的存放处：同节点的 Segments 设置；不给出时取自环境变量。"),
        };
        var check = new Verb("check", "Follow everything that is kept to the signed checkpoint and name what is not what was committed. Exit codes: 0 all is, 1 something is named, 3 it could not be read.",
            "将保存的全部内容逐一核对至已签名的检查点，并指出与所承诺不符之处。退出码：0 全部相符，1 有不符之处，3 无法读取。",
            "admin check --data /srv/gongzhi --key vkey") { data, key, segments };
        check.SetAction((parsed, cancel) => NodeClient.RunAsync(() => RunAsync(parsed.GetValue(data)!, parsed.GetValue(key), parsed.GetValue(segments), parsed.GetValue(call.Json), cancel)));
        return check;
    }

    private static async Task<int> RunAsync(string data, string? key, string? segments, bool json, CancellationToken cancel)
    {
        RecordCheckReport? report = null;
        try
        {
            // The credentials come from the environment, as the node's own do.
            var settings = NodeConfiguration.Read(null, segments is null ? [] : [KeyValuePair.Create<string, string?>(nameof(NodeOptions.Segments), segments)]).Options;
            var world = WorldDirectory.Look(data, settings.Database, settings.SegmentPlace(), settings.Secret())
                ?? throw new CliException(ExitCode.Usage, Say.In($"{data} is not the data directory of a node.", $"{data} 不是节点的数据目录。"));
            var options = new RecordCheckOptions { Key = key is null ? null : Key(key) };
            await TerminalProgress.StagesAsync(json, async report1 =>
                report = await RecordCheck.RunAsync(world, options, new Steps(report1), cancel).ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch (StartRefusedException e)
        {
            throw new CliException(ExitCode.Usage, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or DbException)
        {
            throw new CliException(ExitCode.Unavailable, Say.In($"The directory could not be read, so nothing is said about it: {e.Message}", $"无法读取该目录，因此不作结论：{e.Message}"));
        }
        Print(report!, json);
        return report!.Ok ? ExitCode.Ok : ExitCode.Refused;
    }

    private static void Print(RecordCheckReport report, bool json)
    {
        // Places and batches may hold what somebody wrote into a file; escape sequences are not for this terminal.
        foreach (var found in report.Findings)
        {
            Console.WriteLine(json
                ? JsonSerializer.Serialize(new
                {
                    code = found.Code, place = found.Place, sentence = found.In(Say.Chinese), dataset = found.Dataset, batch = found.Batch,
                    firstRow = found.FirstRow, lastRow = found.LastRow, index = found.Index,
                }, Printed)
                : Printable($"{found.Code}: {found.Place}: {found.In(Say.Chinese)}"));
        }
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { ok = report.Ok, found = report.Found, entries = report.Entries, batches = report.Batches, segments = report.Segments, rows = report.Rows, lost = report.Lost }, Printed));
            return;
        }
        if (report.Found > report.Findings.Count)
            Console.WriteLine(Say.In($"… {report.Found} findings in all", $"…… 共 {report.Found} 处"));
        if (report.Lost > 0)
            Console.WriteLine(Say.In($"{report.Lost} ledger entries came back after a loss, and what they speak of did not.", $"有 {report.Lost} 个存证日志条目是丢失后取回的，其所指的内容没有恢复。"));
        Console.WriteLine(report.Ok
            ? Say.In($"All is what was committed: {report.Entries} ledger entries, {report.Batches} batches, {report.Segments} segments, {report.Rows} rows.",
                $"全部与所承诺的相符：{report.Entries} 个存证日志条目、{report.Batches} 个批次、{report.Segments} 个数据段、{report.Rows} 行。")
            : Say.In($"Not what was committed: {report.Found} findings above.", $"与所承诺的不符：共 {report.Found} 处，见上。"));
    }

    internal static NoteVerifier Key(string given)
    {
        var text = given;
        if (File.Exists(given))
        {
            if (new FileInfo(given).Length > 4_096)
                throw new CliException(ExitCode.Usage, NoKey(given));
            text = File.ReadAllText(given);
        }
        return NoteVerifier.TryParse(text.Trim(), out var key) && key.Type == NoteKeyType.Ed25519 ? key : throw new CliException(ExitCode.Usage, NoKey(given));
    }

    private static string NoKey(string given) => Say.In($"{given} is neither a file that holds a log's verifier key nor such a key.", $"{given} 既不是存放存证日志公钥的文件，也不是这样的公钥。");

    private static string Printable(string text) => text.Any(char.IsControl)
        ? text.Aggregate(new StringBuilder(text.Length), (all, c) => all.Append(char.IsControl(c) ? '\uFFFD' : c)).ToString() : text;

    /// <summary>Passes on what it is told at once, on the thread that tells it.</summary>
    private sealed class Steps(Action<string, long, long> tell) : IProgress<RecordCheckProgress>
    {
        public void Report(RecordCheckProgress value) => tell(Name(value.Stage), value.Done, value.Total);

        private static string Name(CheckStage stage) => stage switch
        {
            CheckStage.Ledger => Say.In("ledger entries", "存证日志条目"),
            CheckStage.Segments => Say.In("rows of segments", "数据段中的行"),
            CheckStage.Tail => Say.In("rows of the tail", "尾部的行"),
            CheckStage.Batches => Say.In("batches", "批次"),
            _ => Say.In("audited state", "受审计的状态"),
        };
    }
}
