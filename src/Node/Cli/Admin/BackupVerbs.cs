using System.CommandLine;
using System.Data.Common;
using System.Globalization;
using System.Text.Json;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;
using Gongzhi.Node.Backup;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin backup</c> and <c>restore</c>.</summary>
internal static class BackupVerbs
{
    private const string PassphraseVariable = "GONGZHI_BACKUP_PASSPHRASE";
    private const int PassphraseFileMax = 4_096;
    private static readonly TimeSpan CheckpointPatience = TimeSpan.FromSeconds(30);

    public static Command CreateBackup(AdminCall call)
    {
        var verb = new Verb("backup", "Take a world's whole content into a directory of backups, beside the running node; list, verify and prune them.", "在节点运行时将其全部内容备份到备份目录；列出、核验和清理备份。",
            "admin backup make --data /srv/gongzhi --to /backup/city --passphrase-file /etc/gongzhi/backup-passphrase",
            "admin backup verify --in /backup/city",
            "admin backup prune --in /backup/city --keep 7 --keep-days 30")
        { Make(call), List(call), Verify(call), Prune(call) };
        return verb;
    }

    private static Verb Make(AdminCall call)
    {
        var data = new Option<string>("--data") { Description = Say.In("Data directory of the node, which may be running.", "节点的数据目录，节点可以正在运行。"), Required = true };
        var to = new Option<string>("--to") { Description = Say.In("Directory of the backups, on another disk; made when it is not there. Each world has its own.", "备份目录，应在另一块磁盘上；不存在时自动建立。每个世界各用一个。"), Required = true };
        var passphrase = PassphraseFile();
        var verb = new Verb("make", "Take a backup. Segments that are there already are not copied again. Exit codes: 0 taken, 1 refused, 3 could not be read or written.",
            "进行一次备份。备份目录中已有的数据段不再复制。退出码：0 已备份，1 被拒绝，3 无法读写。",
            "admin backup make --data /srv/gongzhi --to /backup/city --passphrase-file /etc/gongzhi/backup-passphrase") { data, to, passphrase };
        verb.SetAction((parsed, cancel) => NodeClient.RunAsync(() => RunAsync(async () =>
        {
            var json = parsed.GetValue(call.Json);
            var settings = NodeConfiguration.Read(null, []).Options;
            var world = WorldDirectory.Look(parsed.GetValue(data)!, settings.Database ?? settings.Cluster, settings.SegmentPlace(), settings.Secret())
                ?? throw new CliException(ExitCode.Usage, Say.In($"{parsed.GetValue(data)} is not the data directory of a node.", $"{parsed.GetValue(data)} 不是节点的数据目录。"));
            BackupReport? report = null;
            await TerminalProgress.StagesAsync(json, async tell =>
                report = await WorldBackup.RunAsync(world, parsed.GetValue(to)!, Passphrase(parsed.GetValue(passphrase)), TimeProvider.System, new Steps(tell), cancel).ConfigureAwait(false)).ConfigureAwait(false);
            if (json)
                Console.WriteLine(JsonSerializer.Serialize(new { backup = report!.Name, entries = report.Entries, logEntries = report.LogEntries, segments = report.Segments, segmentsNew = report.SegmentsNew, keys = report.Keys }));
            else
                Console.WriteLine(Say.In($"Backup {report!.Name}: {report.Entries} ledger entries, {report.Segments} segments, {report.SegmentsNew} of them new.", $"备份 {report!.Name}：{report.Entries} 个存证日志条目、{report.Segments} 个数据段，其中新增 {report.SegmentsNew} 个。"));
            if (!report.Keys)
                await Console.Error.WriteLineAsync(Say.In($"The keys are not in it, since no passphrase was given (--passphrase-file or {PassphraseVariable}): keep a copy of keys/ elsewhere, or nothing can be restored.", $"未给出口令（--passphrase-file 或 {PassphraseVariable}），备份不含密钥：请另行保存 keys/，否则无法恢复。")).ConfigureAwait(false);
            return ExitCode.Ok;
        })));
        return verb;
    }

    private static Verb List(AdminCall call)
    {
        var place = In();
        var verb = new Verb("list", "The whole backups of a directory, oldest first.", "列出备份目录中完整的备份，从最早的开始。", "admin backup list --in /backup/city") { place };
        verb.SetAction((parsed, _) => NodeClient.RunAsync(() => RunAsync(() =>
        {
            using var repository = BackupRepository.Look(parsed.GetValue(place)!);
            var (json, damaged) = (parsed.GetValue(call.Json), 0);
            foreach (var name in repository.Backups())
            {
                try
                {
                    var manifest = BackupManifest.Read(repository.At(name));
                    Console.WriteLine(json
                        ? JsonSerializer.Serialize(new { backup = name, taken = manifest.Taken, entries = manifest.Entries, segments = manifest.Segments.Count, postgres = manifest.Postgres, keys = manifest.Keys })
                        : string.Create(CultureInfo.InvariantCulture, $"{name}\t{manifest.Entries}\t{manifest.Segments.Count}"));
                }
                catch (InvalidDataException e)
                {
                    damaged++;
                    Console.WriteLine(json ? JsonSerializer.Serialize(new { backup = name, damaged = true }) : Say.In($"{name}\tdamaged: {e.Message}", $"{name}\t已损坏：{e.Message}"));
                }
            }
            return Task.FromResult(damaged == 0 ? ExitCode.Ok : ExitCode.Refused);
        })));
        return verb;
    }

    private static Verb Verify(AdminCall call)
    {
        var place = In();
        var backup = new Option<string?>("--backup") { Description = Say.In("Only this one, by its name.", "只核验指定名称的备份。") };
        var verb = new Verb("verify", "Read every file of every backup, follow the copy of the log to its signature, and name what is not what was written. Exit codes: 0 all are, 1 something is named, 3 could not be read.",
            "读取每个备份的全部文件，将存证日志副本核对至其签名，指出与写入时不符者。退出码：0 全部相符，1 有不符之处，3 无法读取。", "admin backup verify --in /backup/city") { place, backup };
        verb.SetAction((parsed, cancel) => NodeClient.RunAsync(() => RunAsync(async () =>
        {
            using var repository = BackupRepository.Look(parsed.GetValue(place)!);
            var (all, one, json, faults) = (repository.Backups(), parsed.GetValue(backup), parsed.GetValue(call.Json), 0);
            if (one is not null && !all.Contains(one))
                throw new CliException(ExitCode.Usage, Say.In($"There is no backup {one}.", $"没有名为 {one} 的备份。"));
            var looked = one is null ? all : [one];
            await foreach (var fault in BackupCheck.FaultsAsync(repository, looked, cancel).ConfigureAwait(false))
            {
                faults++;
                Console.WriteLine(json ? JsonSerializer.Serialize(new { backup = fault.Backup, file = fault.File }) : Say.In($"{fault.Backup}: {fault.File} is missing or not what was backed up.", $"{fault.Backup}：{fault.File} 缺失，或与备份时不符。"));
            }
            if (!json)
                Console.WriteLine(faults == 0 ? Say.In($"{looked.Count} backups, every file as it was written.", $"共 {looked.Count} 个备份，全部文件与写入时相符。") : Say.In($"{faults} files are not as they were written.", $"有 {faults} 个文件与写入时不符。"));
            return faults == 0 ? ExitCode.Ok : ExitCode.Refused;
        })));
        return verb;
    }

    private static Verb Prune(AdminCall call)
    {
        var place = In();
        var keep = new Option<int>("--keep") { Description = Say.In("The newest ones that stay whatever their age; at least 1.", "无论新旧都保留的最新备份个数，至少 1。"), DefaultValueFactory = _ => 7 };
        var days = new Option<int>("--keep-days") { Description = Say.In("How old a backup may become. What is erased in the node is gone from the backups only after this.", "备份的最长保留天数。节点中抹除的内容，要在此期限之后才从备份中消失。"), Required = true };
        var verb = new Verb("prune", "Delete backups that are too old, and the segments that none of those left names.", "删除过旧的备份，以及不再被任何备份引用的数据段。", "admin backup prune --in /backup/city --keep 7 --keep-days 30") { place, keep, days };
        verb.SetAction((parsed, _) => NodeClient.RunAsync(() => RunAsync(() =>
        {
            if (parsed.GetValue(keep) < 1 || parsed.GetValue(days) < 0)
                throw new CliException(ExitCode.Usage, Say.In("--keep is at least 1, --keep-days at least 0.", "--keep 至少为 1，--keep-days 至少为 0。"));
            using var repository = BackupRepository.Open(parsed.GetValue(place)!, null);
            var (backups, segments) = repository.Prune(parsed.GetValue(keep), parsed.GetValue(days), TimeProvider.System.GetUtcNow());
            Console.WriteLine(parsed.GetValue(call.Json) ? JsonSerializer.Serialize(new { backups, segments, left = repository.Backups().Count })
                : Say.In($"{backups} backups and {segments} segments deleted; {repository.Backups().Count} backups left.", $"已删除 {backups} 个备份和 {segments} 个数据段；余 {repository.Backups().Count} 个备份。"));
            return Task.FromResult(ExitCode.Ok);
        })));
        return verb;
    }

    public static Command CreateRestore(AdminCall call)
    {
        var from = new Option<string>("--from") { Description = Say.In("Directory of the backups.", "备份目录。"), Required = true };
        var backup = new Option<string?>("--backup") { Description = Say.In("Which backup, by its name; the newest when left out.", "备份名称；不给出时取最新的。") };
        var data = new Option<string>("--data") { Description = Say.In("Data directory that is made.", "要建立的数据目录。"), Required = true };
        var to = new Option<string?>("--to") { Description = Say.In("PostgreSQL connection string of an empty database, for a backup of a state in PostgreSQL; GONGZHI__CLUSTER or GONGZHI__DATABASE when left out.", "空数据库的 PostgreSQL 连接串，用于状态在 PostgreSQL 中的备份；不给出时取自 GONGZHI__CLUSTER 或 GONGZHI__DATABASE。") };
        var segments = new Option<string?>("--segments") { Description = Say.In("Where the segments go, as the setting Segments; without it into the data directory.", "数据段的存放处，同 Segments 设置；不给出时放在数据目录中。") };
        var keys = new Option<string?>("--keys") { Description = Say.In("A directory that holds the keys, for a backup without them.", "存放密钥的目录，用于不含密钥的备份。") };
        var checkpoint = new Option<string?>("--checkpoint") { Description = Say.In("The newest checkpoint of the log that anybody kept, a file or a URL: tells whether entries are missing.", "任何人保存的最新检查点（文件或网址）：据此判断是否缺少条目。") };
        var passphrase = PassphraseFile();
        var verb = new Verb("restore", "Make a world anew from a backup in an empty place, and follow everything to the signed checkpoint. May be interrupted and called again. Exit codes: 0 restored and verified, 1 refused, not what was backed up, or older than the checkpoint given, 2 wrong usage, 3 interrupted.",
            "用备份在空的位置重建世界，并将全部内容核对至已签名的检查点。可中断后重新执行。退出码：0 已恢复并核验，1 被拒绝、与备份时不符或早于所给检查点，2 用法有误，3 已中断。",
            "admin restore --from /backup/city --data /srv/gongzhi --passphrase-file /etc/gongzhi/backup-passphrase") { from, backup, data, to, segments, keys, passphrase, checkpoint };
        verb.SetAction((parsed, cancel) => NodeClient.RunAsync(() => RunAsync(async () =>
        {
            var json = parsed.GetValue(call.Json);
            using var repository = BackupRepository.Look(parsed.GetValue(from)!);
            var settings = NodeConfiguration.Read(null, parsed.GetValue(segments) is { } place ? [KeyValuePair.Create<string, string?>(nameof(NodeOptions.Segments), place)] : []).Options;
            var target = settings with { Data = parsed.GetValue(data)!, Database = parsed.GetValue(to) ?? settings.Cluster ?? settings.Database, Cluster = null };
            var wanted = new RestoreRequest(parsed.GetValue(backup), target, Passphrase(parsed.GetValue(passphrase)), parsed.GetValue(keys), await CheckpointAsync(parsed.GetValue(checkpoint), cancel).ConfigureAwait(false));
            RestoreReport? report = null;
            await TerminalProgress.StagesAsync(json, async tell =>
                report = await WorldRestore.RunAsync(repository, wanted, TimeProvider.System, new Steps(tell), cancel).ConfigureAwait(false)).ConfigureAwait(false);
            foreach (var found in report!.Check.Findings)
                Console.WriteLine(json ? JsonSerializer.Serialize(new { code = found.Code, place = found.Place, sentence = found.In(Say.Chinese) }) : $"{found.Code}: {found.Place}: {found.In(Say.Chinese)}");
            if (!report.Check.Ok)
                throw new CliException(ExitCode.Refused, Say.In("What came back is not what was committed, so no node starts on it. See above; take another backup.", "恢复的内容与所承诺的不符，节点不会在其上启动。见上；请改用另一个备份。"));
            Tell(report, json);
            return report.Missing > 0 ? ExitCode.Refused : ExitCode.Ok;
        })));
        return verb;
    }

    private static void Tell(RestoreReport report, bool json)
    {
        var hours = Math.Max(0, (long)(TimeProvider.System.GetUtcNow() - report.Taken).TotalHours);
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { backup = report.Backup, taken = report.Taken, recovered = report.Recovered, erasures = report.Erasures, missing = report.Missing, entries = report.Check.Entries, batches = report.Check.Batches, rows = report.Check.Rows }));
            return;
        }
        Console.WriteLine(Say.In(
            $"Restored {report.Backup}, {hours} h old, and verified to the last row: {report.Check.Entries} ledger entries, {report.Check.Batches} batches, {report.Check.Rows} rows.",
            $"已恢复 {report.Backup}（{hours} 小时前）并逐行核验：{report.Check.Entries} 个存证日志条目、{report.Check.Batches} 个批次、{report.Check.Rows} 行。"));
        if (report.Recovered > 0)
            Console.WriteLine(Say.In(
                $"{report.Recovered} entries are of after the backup's state: they are in the log again; what they speak of is not, unless it was waiting in the state already.",
                $"其中 {report.Recovered} 个条目产生于备份状态之后：条目已补回存证日志；除当时已在待处理之列者外，其内容没有恢复。"));
        if (report.Erasures > 0)
            Console.WriteLine(Say.In(
                $"{report.Erasures} of them erased something that is here again: make these erasures again before anybody reads.",
                $"其中 {report.Erasures} 个是抹除，被抹除的内容又出现在此：请在开放查阅之前重新执行这些抹除。"));
        Console.WriteLine(report.Missing switch
        {
            > 0 => Say.In(
                $"NOT COMPLETE: the checkpoint that you gave has {report.Missing} more entries than any of the backups. The node starts read-only until they are taken from a copy of the log (gongzhi admin ledger recover) or a succession is signed (gongzhi admin ledger succeed).",
                $"不完整：所给检查点比备份多 {report.Missing} 个条目。在从存证日志副本取回这些条目（gongzhi admin ledger recover）或签署继任声明（gongzhi admin ledger succeed）之前，节点启动后仅供查阅。"),
            0 when report.Older => Say.In(
                "The checkpoint that you gave is older than the log that came back: it says nothing of what was signed since. Start the node with RetainedCheckpoint naming one that has as much, or with a witness that has seen as much; without either it is read-only.",
                "所给检查点早于恢复出的存证日志，无法说明此后是否另有签名。请以不早于该日志的检查点（RetainedCheckpoint）或已见过同样内容的见证方启动节点；二者皆无时节点仅供查阅。"),
            0 => Say.In(
                "It has everything up to the checkpoint that you gave. Start the node with RetainedCheckpoint naming that checkpoint's file, or with a witness; without either it is read-only.",
                "内容完整，直至所给检查点。请以 RetainedCheckpoint（指向该检查点文件）或见证方启动节点；二者皆无时节点仅供查阅。"),
            _ => Say.In(
                "Start the node with RetainedCheckpoint (the newest checkpoint that anybody kept) or a witness, which must have seen as much as came back; without either it is read-only.",
                "请以 RetainedCheckpoint（任何人保存的最新检查点）或见证方启动节点，二者须至少见过恢复出的全部条目；二者皆无时节点仅供查阅。"),
        });
    }

    /// <summary>A checkpoint from a file, or from where a log is served.</summary>
    private static async Task<byte[]?> CheckpointAsync(string? given, CancellationToken cancel)
    {
        if (given is null)
            return null;
        if (Uri.TryCreate(given, UriKind.Absolute, out var url) && url.Scheme is "http" or "https")
        {
            using var http = new HttpClient { Timeout = CheckpointPatience };
            var prefix = url.AbsoluteUri.EndsWith("/" + TilePath.Checkpoint, StringComparison.Ordinal) ? new Uri(url, ".") : url;
            return await new HttpTileSource(http, prefix).ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false)
                ?? throw new CliException(ExitCode.Usage, Say.In($"There is no checkpoint at {given}.", $"{given} 处没有检查点。"));
        }
        if (!File.Exists(given) || new FileInfo(given).Length > SignedNote.BytesMax)
            throw new CliException(ExitCode.Usage, Say.In($"{given} is not a checkpoint's file.", $"{given} 不是检查点文件。"));
        return await File.ReadAllBytesAsync(given, cancel).ConfigureAwait(false);
    }

    private static Option<string> In() => new("--in") { Description = Say.In("Directory of the backups.", "备份目录。"), Required = true };

    private static Option<string?> PassphraseFile() => new("--passphrase-file")
    {
        Description = Say.In($"File that holds the passphrase of the keys, at least {KeySeal.PassphraseMin} characters; {PassphraseVariable} in the environment when left out.", $"存放密钥口令的文件，口令至少 {KeySeal.PassphraseMin} 个字符；不给出时取环境变量 {PassphraseVariable}。"),
    };

    private static string? Passphrase(string? file)
    {
        if (file is not null && !File.Exists(file))
            throw new CliException(ExitCode.Usage, Say.In($"There is no file {file}.", $"没有文件 {file}。"));
        if (file is not null && new FileInfo(file).Length > PassphraseFileMax)
            throw new CliException(ExitCode.Usage, Say.In($"{file} is too long for a passphrase.", $"{file} 过长，不是口令文件。"));
        var given = file is null ? Environment.GetEnvironmentVariable(PassphraseVariable) : File.ReadAllText(file).Trim();
        if (string.IsNullOrEmpty(given))
            return null;
        return given.Length >= KeySeal.PassphraseMin ? given : throw new CliException(ExitCode.Usage, Say.In($"The passphrase must have at least {KeySeal.PassphraseMin} characters.", $"口令至少 {KeySeal.PassphraseMin} 个字符。"));
    }

    private static async Task<int> RunAsync(Func<Task<int>> work)
    {
        try
        {
            return await work().ConfigureAwait(false);
        }
        catch (StartRefusedException e)
        {
            throw new CliException(ExitCode.Refused, e.Message);
        }
        catch (Exception e) when (e is InvalidDataException or LedgerCorruptException or SegmentCorruptException or SchemaException or WorldKeyException)
        {
            throw new CliException(ExitCode.Refused, Say.In($"Not done: {e.Message}", $"未完成：{e.Message}"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or DbException or TimeoutException)
        {
            throw new CliException(ExitCode.Unavailable, Say.In($"Interrupted: {e.GetBaseException().Message} Call it again.", $"已中断：{e.GetBaseException().Message} 可重新执行。"));
        }
    }

    private sealed class Steps(Action<string, long, long> tell) : IProgress<BackupProgress>
    {
        public void Report(BackupProgress value) => tell(Name(value.Stage), value.Done, value.Total);

        private static string Name(BackupStage stage) => stage switch
        {
            BackupStage.State => Say.In("state", "状态"),
            BackupStage.Segments => Say.In("segments", "数据段"),
            BackupStage.Ledger => Say.In("ledger entries", "存证日志条目"),
            BackupStage.Files => Say.In("files", "文件"),
            _ => Say.In("checking against the ledger", "对照存证日志核验"),
        };
    }
}
