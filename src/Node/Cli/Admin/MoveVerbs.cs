using System.CommandLine;
using System.Data.Common;
using System.Globalization;
using System.Text.Json;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin move</c>: takes a stopped node's world to PostgreSQL, from where several machines can serve it.</summary>
internal static class MoveVerbs
{
    public static Command Create(AdminCall call)
    {
        var data = new Option<string>("--data") { Description = Say.In("Data directory of the node, which must be stopped.", "节点的数据目录，节点须已停止。"), Required = true };
        var to = new Option<string?>("--to") { Description = Say.In("PostgreSQL connection string of the empty database it goes to; the environment's GONGZHI__CLUSTER or GONGZHI__DATABASE when this is left out.", "目标空数据库的 PostgreSQL 连接串；不给出时取自环境变量 GONGZHI__CLUSTER 或 GONGZHI__DATABASE。") };
        var segments = new Option<string?>("--segments") { Description = Say.In("Where the records' files go: as the setting Segments; without it they stay on one machine, in the new directory.", "记录数据文件的去处：同 Segments 设置；不给出时留在新目录中，只供一台机器使用。") };
        var place = new Option<string?>("--new-data") { Description = Say.In("Data directory of the first machine in the new place.", "新址第一台机器的数据目录。") };
        var back = new Option<bool>("--take-back") { Description = Say.In("Let a node start in the old directory again. Only if none will ever serve the world in the new place.", "允许节点重新在原目录启动。仅当新址绝不再提供服务时使用。") };
        var move = new Verb("move", "Take a stopped node's whole world to a PostgreSQL database, compare every table, check everything against the ledger, and leave the old directory unchanged. May be interrupted and called again.",
            "将已停止节点的全部内容迁移至 PostgreSQL 数据库，逐表比对并对照存证日志全面核验；原目录内容不变。可随时中断，重新执行即继续。",
            "admin move --data /srv/gongzhi --to \"Host=db;Database=gongzhi;Username=gongzhi\" --segments /mnt/segments --new-data /srv/gongzhi-1") { data, to, segments, place, back };
        move.SetAction((parsed, cancel) => NodeClient.RunAsync(() => parsed.GetValue(back)
            ? Task.FromResult(TakeBack(parsed.GetValue(data)!))
            : RunAsync(parsed.GetValue(data)!, parsed.GetValue(to), parsed.GetValue(segments), parsed.GetValue(place), parsed.GetValue(call.Json), cancel)));
        return move;
    }

    private static int TakeBack(string data)
    {
        if (WorldMove.MovedTo(data) is not { } there)
            throw new CliException(ExitCode.Usage, Say.In($"The world of {data} was not moved.", $"{data} 中的内容未曾迁移。"));
        WorldMove.TakeBack(data);
        Console.WriteLine(Say.In($"A node may start in {data} again. Never start one on {there}: two would sign two histories under one key.", $"{data} 可以重新启动节点。切勿再在 {there} 启动：两个节点会以同一密钥签署两份历史。"));
        return ExitCode.Ok;
    }

    private static async Task<int> RunAsync(string data, string? to, string? segments, string? place, bool json, CancellationToken cancel)
    {
        if (place is null)
            throw new CliException(ExitCode.Usage, Say.In("Give --new-data: the data directory of the first machine in the new place.", "须给出 --new-data：新址第一台机器的数据目录。"));
        MoveReport? report = null;
        try
        {
            // The access key to an object storage comes from the environment, as the node's own does.
            var settings = NodeConfiguration.Read(null, segments is null ? [] : [KeyValuePair.Create<string, string?>(nameof(NodeOptions.Segments), segments)]).Options;
            var target = settings with { Data = place, Database = to ?? settings.Cluster ?? settings.Database, Cluster = null };
            if (target.Database is null)
                throw new CliException(ExitCode.Usage, Say.In("Give --to: the PostgreSQL connection string of an empty database.", "须给出 --to：一个空数据库的 PostgreSQL 连接串。"));
            var from = StoppedNode.Existing(data) with { Database = null, Cluster = null, Segments = null, SegmentsKey = null, SegmentsSecret = null, ClusterSecret = null, ClusterSecretFile = null, RetainedCheckpoint = null };
            await TerminalProgress.StagesAsync(json, async tell => report = await WorldMove.RunAsync(from, target, new Steps(tell), cancel).ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch (StartRefusedException e)
        {
            throw new CliException(ExitCode.Refused, e.Message);
        }
        catch (Exception e) when (e is InvalidDataException or SegmentCorruptException or SchemaException)
        {
            throw new CliException(ExitCode.Refused, Say.In($"Not moved: {e.Message}", $"未完成迁移：{e.Message}"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or DbException or TimeoutException)
        {
            throw new CliException(ExitCode.Unavailable, Say.In($"Interrupted: {e.GetBaseException().Message} What was done is kept; call it again.", $"已中断：{e.GetBaseException().Message} 已完成的部分保留，可重新执行。"));
        }
        if (!report!.Check.Ok)
        {
            foreach (var found in report.Check.Findings)
                Console.WriteLine($"{found.Code}: {found.Place}: {found.In(Say.Chinese)}");
            throw new CliException(ExitCode.Refused, Say.In("What arrived is not what was committed, so the old directory stays the world's. See above.", "到达的内容与所承诺的不符，原目录仍为正式内容。见上。"));
        }
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new { tables = report.Tables.ToDictionary(t => t.Table, t => t.Rows), entries = report.Entries, segments = report.Segments, batches = report.Check.Batches, rows = report.Check.Rows }));
            return ExitCode.Ok;
        }
        foreach (var (table, rows) in report.Tables.Where(t => t.Rows > 0))
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{table,-28} {rows,14:N0}"));
        Console.WriteLine(Say.In(
            $"Moved and verified to the last row: {report.Entries} ledger entries, {report.Check.Batches} batches, {report.Segments} segments, {report.Check.Rows} rows. The old directory is kept as it was and refuses to start; remove it when you have a backup of the new place.",
            $"已迁移并逐行核验：{report.Entries} 个存证日志条目、{report.Check.Batches} 个批次、{report.Segments} 个数据段、{report.Check.Rows} 行。原目录保持原样且不再启动；待新址有了备份后再删除。"));
        return ExitCode.Ok;
    }

    /// <summary>Passes on what it is told at once, on the thread that tells it.</summary>
    private sealed class Steps(Action<string, long, long> tell) : IProgress<MoveProgress>
    {
        public void Report(MoveProgress value) => tell(Name(value.Stage), value.Done, value.Total);

        private static string Name(MoveStage stage) => stage switch
        {
            MoveStage.Tables => Say.In("tables", "数据表"),
            MoveStage.Ledger => Say.In("ledger tiles", "存证日志分片"),
            MoveStage.Segments => Say.In("segments", "数据段"),
            MoveStage.Keys => Say.In("sorted keys", "主键索引"),
            MoveStage.Comparing => Say.In("comparing tables", "比对数据表"),
            _ => Say.In("checking against the ledger", "对照存证日志核验"),
        };
    }
}
