using System.Data.Common;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Ledger;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;

namespace Gongzhi.Core.Records;

/// <summary>What a check goes by besides the data directory.</summary>
public sealed record RecordCheckOptions
{
    /// <summary>The log's key as somebody else keeps it; null to take the one in the data directory, which whoever changed the log may have changed too.</summary>
    public NoteVerifier? Key { get; init; }

    /// <summary>The model whose audited entities are compared with the audit; null for the core's own.</summary>
    public IModel? Model { get; init; }
}

/// <summary>
/// Is everything that is kept what was committed? Reads every segment, tail row, batch, ledger entry and audited change and follows each to the
/// signed checkpoint. Changes nothing; works on a stopped node's directory and beside a running node, whose database it reads in one snapshot. Memory stays
/// small: one group of rows for each core, the leaves of runs that lie in several places, two ids for each correction.
/// </summary>
public static class RecordCheck
{
    /// <summary>Findings listed; more are counted.</summary>
    public const int FindingsMax = 1_000;

    public static Task<RecordCheckReport> RunAsync(World world, IProgress<RecordCheckProgress>? progress, CancellationToken cancel) =>
        RunAsync(world, new RecordCheckOptions(), progress, cancel);

    /// <exception cref="IOException">A file could not be read (as opposed to: what it holds is wrong).</exception>
    public static async Task<RecordCheckReport> RunAsync(World world, RecordCheckOptions options, IProgress<RecordCheckProgress>? progress, CancellationToken cancel)
    {
        var findings = new CheckFindings();
        var log = new CheckLog(world, options.Key, findings, progress);
        // The checkpoint is read before the database: every entry it covers is then in the snapshot.
        await log.AuditAsync(cancel).ConfigureAwait(false);
        long rows = 0, segments = 0, batches = 0, lost = 0;
        if (!SqlStore.Of(world).IsThere(world))
        {
            findings.Add(Unreadable("it is missing"));
            return new RecordCheckReport(findings.List, findings.Found, log.Entries, 0, 0, 0);
        }
        try
        {
            using var connection = OpenReadOnly(world);
            using var snapshot = connection.BeginSnapshot();
            if (!Readable(connection, snapshot, findings))
                return new RecordCheckReport(findings.List, findings.Found, log.Entries, 0, 0, 0);
            await log.CompareAsync(connection, snapshot, cancel).ConfigureAwait(false);
            var replaced = new CheckReplaced(world, findings);
            var store = SegmentStores.Look(world);
            await using var _ = store.ConfigureAwait(false);
            var check = new CheckRows(world, store, connection, snapshot, replaced, findings, progress);
            await check.RunAsync(cancel).ConfigureAwait(false);
            replaced.Finish(connection, snapshot, log, cancel);
            CheckReplaced.Places(connection, snapshot, findings);
            (rows, segments) = (check.Rows, check.Segments);
            batches = await CheckBatches.RunAsync(connection, snapshot, log, findings, progress, cancel).ConfigureAwait(false);
            CheckBatches.Accesses(connection, snapshot, log, findings, cancel);
            LedgerEvents.Check(connection, snapshot, findings);
            lost = LedgerEvents.Lost(connection, snapshot);
        }
        catch (DbException e) when (StoreFaults.IsDamaged(e))
        {
            findings.Add(Unreadable(e.Message));
        }
        try
        {
            State(world, options.Model, log, findings, progress, cancel);
        }
        catch (DbException e) when (StoreFaults.IsDamaged(e))
        {
            findings.Add(Unreadable(e.Message));
        }
        return new RecordCheckReport(findings.List, findings.Found, log.Entries, segments, rows, batches) { Lost = lost };
    }

    /// <summary>A connection that cannot write.</summary>
    internal static DbConnection OpenReadOnly(World world) => SqlStore.Of(world).OpenReadOnly(world);

    private static bool Readable(DbConnection connection, DbTransaction snapshot, CheckFindings findings)
    {
        var faults = SqlStore.Of(connection).Faults(connection, snapshot);
        foreach (var fault in faults)
            findings.Add(Unreadable(fault));
        return faults.Count == 0;
    }

    private static CheckFinding Unreadable(string why) => new(
        CheckKind.Database, "node.db", $"The database file is damaged, so what it holds cannot be checked: {why}", $"数据库文件已损坏，无法核对其内容：{why}");

    private static void State(World world, IModel? model, CheckLog log, CheckFindings findings, IProgress<RecordCheckProgress>? progress, CancellationToken cancel)
    {
        progress?.Report(new RecordCheckProgress(CheckStage.State, 0, 1));
        using var connection = OpenReadOnly(world);
        foreach (var found in AuditVerifier.Verify(connection, model ?? CoreModel(world), cancel))
        {
            var index = found.Change is { } id ? CheckLog.IndexOf(connection, id) : null;
            // The copy of the entry is what was changed, not the content it speaks of; it is named already.
            if (found.Code == "entry-differs" && index is { } at && log.Broken.Contains(at))
                continue;
            var place = found.Entity is null ? $"node.db audit_change {found.Change}" : $"node.db {found.Entity} {found.Key}";
            findings.Add(new CheckFinding(CheckKind.StateEntry, place,
                $"Audited state is not what was committed ({found.Code}): {found.Detail}",
                $"受审计的状态与所承诺的不符（{found.Code}）：{place}") { Index = index });
        }
        progress?.Report(new RecordCheckProgress(CheckStage.State, 1, 1));
    }

    private static IModel CoreModel(World world)
    {
        var builder = new DbContextOptionsBuilder<NodeDb>();
        NodeDatabase.Configure(builder, world);
        using var db = new NodeDb(builder.Options, [new CatalogModel(), new PartiesModel(), new PostureModel(), new GrantModel()]);
        return db.Model;
    }
}
