using System.Data.Common;
using System.Text;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>The batches' part of a check: each batch row against its ledger entry, its tree and the rows that are listed for it.</summary>
internal static class CheckBatches
{
    private const int ProgressEvery = 1_024;

    public static async Task<long> RunAsync(
        DbConnection connection, DbTransaction snapshot, CheckLog log, CheckFindings findings, IProgress<RecordCheckProgress>? progress, CancellationToken cancel)
    {
        Orphans(connection, snapshot, findings);
        var total = (long)Scalar(connection, snapshot, "SELECT count(*) FROM batch")!;
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = """
            SELECT b.id, d.id, b.schema_version, b.rows, b.root, b.tree, b.entry, p.entry, p.log_index,
                   (SELECT CAST(sum(l.rows) AS bigint) FROM segment_batch l WHERE l.batch = b.id),
                   (SELECT count(*) FROM tail t WHERE t.dataset = b.dataset AND t.batch = b.id)
                   + (SELECT count(*) FROM replaced r WHERE r.dataset = b.dataset AND r.batch = b.id AND r.leaf IS NOT NULL
                      AND NOT EXISTS (SELECT 1 FROM segment_batch l WHERE l.batch = b.id AND r.ordinal >= l.first_ordinal AND r.ordinal < l.first_ordinal + l.rows))
            FROM batch b LEFT JOIN dataset d ON d.number = b.dataset LEFT JOIN ledger_pending p ON p.id = b.entry
            """;
        using var reader = command.ExecuteReader();
        long done = 0;
        while (reader.Read())
        {
            cancel.ThrowIfCancellationRequested();
            await CheckAsync(reader, log, findings, cancel).ConfigureAwait(false);
            if (++done % ProgressEvery == 0 || done == total)
                progress?.Report(new RecordCheckProgress(CheckStage.Batches, done, total));
        }
        return done;
    }

    /// <summary>Every access against its ledger entry.</summary>
    public static void Accesses(DbConnection connection, DbTransaction snapshot, CheckLog log, CheckFindings findings, CancellationToken cancel)
    {
        if (!SqlStore.Of(connection).HasTable(connection, snapshot, "access"))
            return;
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = "SELECT a.id, a.content, a.salt, p.entry, p.log_index FROM access a LEFT JOIN ledger_pending p ON p.id = a.id";
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            cancel.ThrowIfCancellationRequested();
            long? index = reader.IsDBNull(4) ? null : reader.GetInt64(4);
            if (index is { } at && log.Broken.Contains(at))
                continue;
            var id = Blob(reader, 0) is { Length: 16 } bytes ? RecordId.FromBytes(bytes) : Guid.Empty;
            if (!EntryBytes.Commitment(id, "access", EntryBytes.Commit(Blob(reader, 1), Blob(reader, 2))).AsSpan().SequenceEqual(Blob(reader, 3)))
            {
                findings.Add(new CheckFinding(CheckKind.AccessEntry, $"node.db access {id}",
                    $"The access {id} is not what its ledger entry commits to.", $"访问记录 {id} 与其存证日志条目的承诺不符。") { Index = index });
            }
        }
    }

    private static async Task CheckAsync(DbDataReader reader, CheckLog log, CheckFindings findings, CancellationToken cancel)
    {
        if (Blob(reader, 0) is not { Length: 16 } idBytes)
        {
            findings.Add(new CheckFinding(CheckKind.Batch, "node.db batch", "A batch has an id that is no id.", "有一个批次的编号不是有效编号。"));
            return;
        }
        var id = RecordId.FromBytes(idBytes);
        var dataset = reader.IsDBNull(1) ? null : reader.GetString(1);
        long? index = reader.IsDBNull(8) ? null : reader.GetInt64(8);
        var (english, chinese) = await FaultAsync(reader, id, dataset, index, log, cancel).ConfigureAwait(false);
        if (english is not null)
        {
            findings.Add(new CheckFinding(CheckKind.Batch, $"node.db batch {id}", $"Batch {id}{(dataset is null ? "" : $" in {dataset}")}: {english}",
                $"批次 {id}：{chinese}") { Dataset = dataset, Batch = id, Index = index });
        }
    }

    private static async Task<(string? English, string Chinese)> FaultAsync(
        DbDataReader reader, Guid id, string? dataset, long? index, CheckLog log, CancellationToken cancel)
    {
        if (dataset is null)
            return ("its dataset does not exist.", "其数据集不存在。");
        if (reader.GetValue(2) is not long version || reader.GetValue(3) is not long rows || Blob(reader, 6) is not { Length: 16 } entryId)
            return ("its row cannot be read.", "其登记行无法读取。");
        var (root, tree) = (Blob(reader, 4), Blob(reader, 5));
        if (reader.IsDBNull(7))
            return ("its ledger entry is missing.", "缺少其存证日志条目。");
        byte[]? expected = null;
        if (root.Length == 32 && version is >= 1 and <= int.MaxValue && rows >= 0)
            expected = EntryBytes.Batch(RecordId.FromBytes(entryId), dataset, (int)version, id, rows, root);
        // Where the database's copy of the entry is what was changed, the log's own is the judge.
        var entry = index is { } at && log.Broken.Contains(at) ? await log.EntryAsync(at, cancel).ConfigureAwait(false) : Blob(reader, 7);
        if (expected is null || (entry is not null && !entry.AsSpan().SequenceEqual(expected)))
            return ("dataset, version, row count or root are not those of its ledger entry.", "数据集、版本、行数或根与其存证日志条目不符。");
        if (tree.Length != (rows + BatchTree.Span - 1) / BatchTree.Span * 32 || !BatchTree.Root(tree).AsSpan().SequenceEqual(root))
            return ("the hashes kept of its tree do not lead to its root.", "所保存的树哈希无法推出其根。");
        var listed = (reader.IsDBNull(9) ? 0 : reader.GetInt64(9)) + reader.GetInt64(10);
        return listed == rows
            ? (null, "")
            : ($"it has {rows} rows, but segments, tail and erasures are listed with {listed}.", $"应有 {rows} 行，而分段、尾部与抹除登记了 {listed} 行。");
    }

    /// <summary>A batch entry in the ledger whose batch is gone.</summary>
    private static void Orphans(DbConnection connection, DbTransaction snapshot, CheckFindings findings)
    {
        byte[] head = [0x89, 0x6D, .. "gongzhi/entry"u8, 0x01, 0x65, .. "batch"u8];
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = $"""
            SELECT p.id, p.log_index FROM ledger_pending p
            WHERE substr(p.entry, 1, CAST(@length AS integer)) = @head AND NOT EXISTS (SELECT 1 FROM batch b WHERE b.entry = p.id){LostEntries.Without(connection, snapshot)}
            """;
        command.Set("@length", head.Length);
        command.Set("@head", head);
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            findings.Add(new CheckFinding(CheckKind.Batch, "node.db batch", "A ledger entry commits to a batch that is not in the database.", "有一个存证日志条目所承诺的批次不在数据库中。")
            {
                Index = reader.IsDBNull(1) ? null : reader.GetInt64(1),
            });
        }
    }

    private static object? Scalar(DbConnection connection, DbTransaction snapshot, string sql)
    {
        using var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    /// <summary>The bytes of a column, whatever type a stranger has turned it into.</summary>
    internal static byte[] Blob(DbDataReader reader, int column) => reader.GetValue(column) switch
    {
        byte[] bytes => bytes,
        string text => Encoding.UTF8.GetBytes(text),
        _ => [],
    };
}
