using System.CommandLine;
using System.Text.Json;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Witnessing;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin ledger</c>: copies of a log, and what helps when a state came back that is older than what the log has signed.</summary>
internal static class LedgerVerbs
{
    private static readonly TimeSpan SourcePatience = TimeSpan.FromSeconds(30);

    public static Command Create(AdminCall call) => new Verb("ledger", "Keep a copy of a log; mend one whose node came back with an older state.", "为存证日志保存副本；节点恢复到较早状态后，对其存证日志进行修复。",
        "admin ledger mirror --from https://city.example/ledger/ --to /srv/mirror --vkey vkey",
        "admin ledger recover --data /srv/gongzhi --from /srv/mirror",
        "admin ledger succeed --data /srv/gongzhi --reason \"Restored from the backup of 3 March\"")
    {
        Mirror(call),
        Recover(call),
        Succeed(call),
    };

    private static Verb Mirror(AdminCall call)
    {
        var from = new Option<string>("--from") { Description = Say.In("Where the log is served: a URL such as https://city.example/ledger/, or a directory.", "存证日志的来源：网址（如 https://city.example/ledger/）或目录。"), Required = true };
        var to = new Option<string>("--to") { Description = Say.In("The directory of the copy; any web server may serve it as it is.", "存放副本的目录；可由任意网页服务器原样提供。"), Required = true };
        var vkey = new Option<string>("--vkey") { Description = Say.In("The log's key as you keep it: a file, or the line itself.", "您另行保存的存证日志公钥：文件或公钥文本。"), Required = true };
        var verb = new Verb("mirror", "Bring a copy of a log up to what is published, verifying every entry. Run it from time to time, on a machine of somebody else. Exit codes: 0 it is up to date, 1 the log does not continue the copy or is broken, 3 it could not be read.",
            "将存证日志副本更新到最新已发布的状态，并核验每个条目。请在他人的机器上定期运行。退出码：0 已是最新，1 存证日志与副本不相衔接或已损坏，3 无法读取。",
            "admin ledger mirror --from https://city.example/ledger/ --to /srv/mirror --vkey vkey") { from, to, vkey };
        verb.SetAction((parsed, cancel) => NodeClient.RunAsync(() => MendAsync(async () =>
        {
            var key = CheckVerbs.Key(parsed.GetValue(vkey)!);
            using var http = new HttpClient { Timeout = SourcePatience };
            MirrorReport? report = null;
            await TerminalProgress.StagesAsync(parsed.GetValue(call.Json), async tell =>
                report = await LogMirror.UpdateAsync(Source(parsed.GetValue(from)!, http), new FileTileStore(parsed.GetValue(to)!), key, progress: new Steps(tell), cancel: cancel).ConfigureAwait(false)).ConfigureAwait(false);
            Tell(parsed.GetValue(call.Json), new { from = report!.From, size = report.Size, root = Convert.ToBase64String(report.Root.Span) },
                $"The copy has {report.Size} entries, {report.Size - report.From} of them new, and all lead to the signed root.", $"副本现有 {report.Size} 个条目，其中新增 {report.Size - report.From} 个，全部与已签名的根相符。");
        })));
        return verb;
    }

    private static Verb Recover(AdminCall call)
    {
        var data = Data();
        var from = new Option<string?>("--from") { Description = Say.In("A copy of the log that has more: a mirror's URL or directory, another machine's ledger directory. Without it the data directory's own, where only the database came back.",
            "条目更多的存证日志副本：镜像的网址或目录，或另一台机器的 ledger 目录。不给出时使用数据目录自身的存证日志（即只有数据库被恢复的情形）。") };
        var verb = new Verb("recover", "Take the entries that an older state misses from a copy of the log, so that the node can go on without signing a second history. What the entries speak of does not come back; the log says so in an entry of its own.",
            "从存证日志副本取回较早状态所缺的条目，使节点可以继续而不会签出另一份历史。条目所指的内容不会随之恢复，存证日志会以专门的条目如实记载。",
            "admin ledger recover --data /srv/gongzhi --from https://mirror.example/") { data, from };
        verb.SetAction((parsed, cancel) => NodeClient.RunAsync(() => MendAsync(async () =>
        {
            using var directory = WorldDirectory.Open(StoppedNode.Existing(parsed.GetValue(data)!));
            await SchemaAsync(parsed.GetValue(data)!, directory, cancel).ConfigureAwait(false);
            using var http = new HttpClient { Timeout = SourcePatience };
            var source = parsed.GetValue(from) is { } given ? Source(given, http) : null;
            LedgerRecovery? done = null;
            await TerminalProgress.StagesAsync(parsed.GetValue(call.Json), async tell =>
                done = await LedgerMending.RecoverAsync(directory.World, source, TimeProvider.System, new Steps(tell), cancel).ConfigureAwait(false)).ConfigureAwait(false);
            // An older state has also forgotten what it cosigned for others.
            WitnessKey.Forget(directory.World);
            Tell(parsed.GetValue(call.Json), new { from = done!.From, size = done.Size, known = done.Known },
                $"The log has {done.Size} entries again; {done.Size - done.From} came back, {done.Known} of them with what they speak of. Start the node.",
                $"存证日志恢复到 {done.Size} 个条目：取回 {done.Size - done.From} 个，其中 {done.Known} 个的内容仍在本节点。可以启动节点。");
        })));
        return verb;
    }

    private static Verb Succeed(AdminCall call)
    {
        var data = Data();
        var reason = new Option<string>("--reason") { Description = Say.In("Why, in one line; it becomes public.", "原因，一行文字；将予公开。"), Required = true };
        var origin = new Option<string?>("--origin") { Description = Say.In("The new log's origin; otherwise the old one's with a number.", "新存证日志的名称（origin）；不给出时在原名称后加序号。") };
        var verb = new Verb("succeed", "End the log where the state is and go on under a new key, with a public statement signed by both. For when nobody has a copy of the missing entries, or the key may be in wrong hands. Whoever checks the log needs the new key.",
            "在现有状态处结束原存证日志，改用新密钥继续，并发布由新旧密钥共同签名的声明。用于无人保有所缺条目的副本，或密钥可能已泄露的情形。此后核验须使用新公钥。",
            "admin ledger succeed --data /srv/gongzhi --reason \"Restored from the backup of 3 March; the entries since are lost\"") { data, reason, origin };
        verb.SetAction((parsed, cancel) => NodeClient.RunAsync(() => MendAsync(async () =>
        {
            using var directory = WorldDirectory.Open(StoppedNode.Existing(parsed.GetValue(data)!));
            await SchemaAsync(parsed.GetValue(data)!, directory, cancel).ConfigureAwait(false);
            var done = await LedgerMending.SucceedAsync(directory.World, parsed.GetValue(origin), parsed.GetValue(reason)!, TimeProvider.System, cancel).ConfigureAwait(false);
            RestoredWorld.GiveUpMissing(directory.World);
            // An older state has also forgotten what it cosigned for others.
            WitnessKey.Forget(directory.World);
            Tell(parsed.GetValue(call.Json), new { size = done.Size, root = Convert.ToBase64String(done.Root.Span), old = done.Old.ToString(), @new = done.New.ToString() },
                $"The log goes on from entry {done.Size} under the key\n{done.New}\nGive it to whoever checks the log, and to its witnesses. The statement is at /ledger/succession/1 (2, 3 …) once the node runs.",
                $"存证日志自第 {done.Size} 个条目起改用以下公钥：\n{done.New}\n请将其交给核验者和见证方。节点启动后，声明见 /ledger/succession/1（2、3……）。");
        })));
        return verb;
    }

    private static Option<string> Data() => new("--data") { Description = Say.In("Data directory of the node, which is stopped.", "节点的数据目录，节点须已停止。"), Required = true };

    /// <summary>An older state may lack the tables that this needs.</summary>
    private static Task SchemaAsync(string data, WorldDirectory directory, CancellationToken cancel) => NodeHost.MakeSchemaAsync(StoppedNode.Existing(data), directory, cancel);

    private static ITileSource Source(string given, HttpClient http) =>
        Uri.TryCreate(given, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" ? new HttpTileSource(http, url)
        : Directory.Exists(given) ? new DirectoryTileSource(given)
        : throw new CliException(ExitCode.Usage, Say.In($"{given} is neither an http address nor a directory.", $"{given} 既不是网址，也不是目录。"));

    private static async Task<int> MendAsync(Func<Task> work)
    {
        try
        {
            await work().ConfigureAwait(false);
            return ExitCode.Ok;
        }
        catch (StartRefusedException e)
        {
            throw new CliException(ExitCode.Usage, e.Message);
        }
        catch (ArgumentException e)
        {
            throw new CliException(ExitCode.Usage, e.Message);
        }
        catch (LedgerCorruptException e)
        {
            throw new CliException(ExitCode.Refused, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or HttpRequestException or System.Data.Common.DbException or TaskCanceledException { InnerException: TimeoutException })
        {
            throw new CliException(ExitCode.Unavailable, Say.In($"It could not be read or written: {e.Message}", $"无法读取或写入：{e.Message}"));
        }
    }

    private static void Tell(bool json, object values, string english, string chinese) =>
        Console.WriteLine(json ? JsonSerializer.Serialize(values) : Say.In(english, chinese));

    private sealed class Steps(Action<string, long, long> tell) : IProgress<long>
    {
        public void Report(long value) => tell(Say.In("ledger entries", "存证日志条目"), value, value);
    }
}
