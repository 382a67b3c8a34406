using System.Collections.Concurrent;
using System.Data.Common;
using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>
/// The part of a check that asks why a row is not shown: each row of <c>replaced</c> against the committed row that supersedes it or the committed erasure that took it
/// away, and each of those against <c>replaced</c>. Without it a line there would hide a record, and a leaf kept there would pass a lost row off as an erased one.
/// </summary>
internal sealed class CheckReplaced(World world, CheckFindings findings)
{
    private const string Place = "node.db replaced";

    /// <summary>Which record each superseding row names; as many as there are corrections.</summary>
    private readonly ConcurrentDictionary<Guid, Guid> _supersedes = new();

    /// <summary>A row was read that says which record it supersedes. Used by several threads.</summary>
    public void Superseding(DbConnection reader, long dataset, string? id, Guid record, Guid superseded)
    {
        _supersedes[record] = superseded;
        if (!RecordId.TrySplit(superseded, out var batch, out var ordinal))
            return;
        using var command = Row(reader, "SELECT by_record FROM replaced WHERE dataset = @dataset AND batch = @batch AND ordinal = @ordinal", dataset, batch, ordinal);
        using var row = command.ExecuteReader();
        if (!row.Read() || !CheckBatches.Blob(row, 0).AsSpan().SequenceEqual(RecordId.Bytes(record)))
        {
            Correction(id, batch, ordinal, $"Record {superseded} is superseded by {record}, but the list of replaced rows does not say so, and queries go by that list.",
                $"记录 {superseded} 已被 {record} 更正，但已替换行的清单中没有相应登记，而查询以该清单为准。");
        }
    }

    /// <summary>After all rows were read.</summary>
    public void Finish(DbConnection connection, DbTransaction snapshot, CheckLog log, CancellationToken cancel)
    {
        using var now = RecordCheck.OpenReadOnly(world);
        Listed(connection, snapshot, now, cancel);
        Unmarked(connection, snapshot);
        Erasures(connection, snapshot, now, log, cancel);
    }

    private void Listed(DbConnection connection, DbTransaction snapshot, DbConnection now, CancellationToken cancel)
    {
        using var command = Command(connection, snapshot, """
            SELECT r.dataset, d.id, r.batch, r.ordinal, r.by_record, r.leaf, b.rows, e.erasure FROM replaced r
            LEFT JOIN dataset d ON d.number = r.dataset LEFT JOIN batch b ON b.id = r.batch AND b.dataset = r.dataset
            LEFT JOIN erased e ON e.dataset = r.dataset AND e.batch = r.batch AND e.ordinal = r.ordinal
            """);
        using var row = command.ExecuteReader();
        while (row.Read())
        {
            cancel.ThrowIfCancellationRequested();
            var (dataset, id, ordinal) = (row.GetInt64(0), row.IsDBNull(1) ? null : row.GetString(1), row.GetInt64(3));
            var batch = CheckBatches.Blob(row, 2) is { Length: 16 } bytes ? RecordId.FromBytes(bytes) : Guid.Empty;
            if (row.IsDBNull(6) || ordinal < 0 || ordinal >= row.GetInt64(6))
            {
                Correction(id, batch, ordinal, $"The list of replaced rows names row {ordinal} of batch {batch}, which does not exist.", $"已替换行的清单登记了批次 {batch} 的第 {ordinal} 行，而该行不存在。");
                continue;
            }
            var record = RecordId.Of(batch, (uint)ordinal);
            if (row.IsDBNull(4) && row.IsDBNull(5))
                Correction(id, batch, ordinal, $"Record {record} is hidden from queries, but no record supersedes it and no erasure took it away.", $"记录 {record} 被排除在查询之外，但既无更正它的记录，也无抹除它的登记。");
            if (!row.IsDBNull(4) && !Supersedes(now, dataset, CheckBatches.Blob(row, 4), record))
            {
                Correction(id, batch, ordinal, $"Record {record} is hidden from queries as superseded, but the record named as superseding it was not committed as such.",
                    $"记录 {record} 以已被更正为由被排除在查询之外，但所登记的更正记录并未承诺更正它。");
            }
            if (!row.IsDBNull(5) && row.IsDBNull(7))
                Erasure(id, batch, ordinal, $"Record {record} is kept as its leaf alone, but no erasure took its content away.", $"记录 {record} 仅存其叶哈希，却没有抹除其内容的登记。");
        }
    }

    /// <summary>Whether the row says so itself; of an erased one only its leaf is known, which its own line accounts for.</summary>
    private bool Supersedes(DbConnection now, long dataset, byte[] by, Guid record)
    {
        if (by.Length != 16 || !RecordId.TrySplit(RecordId.FromBytes(by), out var batch, out var ordinal))
            return false;
        if (_supersedes.TryGetValue(RecordId.FromBytes(by), out var superseded))
            return superseded == record;
        using var command = Row(now, "SELECT EXISTS (SELECT 1 FROM replaced WHERE dataset = @dataset AND batch = @batch AND ordinal = @ordinal AND leaf IS NOT NULL)", dataset, batch, ordinal);
        return command.IsTrue();
    }

    /// <summary>A segment that is not marked is read whole: what is replaced in it would still be shown.</summary>
    private void Unmarked(DbConnection connection, DbTransaction snapshot)
    {
        using var command = Command(connection, snapshot, """
            SELECT DISTINCT s.name, d.id FROM segment s JOIN segment_batch l ON l.segment = s.number LEFT JOIN dataset d ON d.number = s.dataset
            WHERE s.has_replaced = 0 AND EXISTS (SELECT 1 FROM replaced r WHERE r.dataset = s.dataset AND r.batch = l.batch AND r.leaf IS NULL
                AND r.ordinal >= l.first_ordinal AND r.ordinal < l.first_ordinal + l.rows)
            """);
        using var row = command.ExecuteReader();
        while (row.Read())
        {
            findings.Add(new CheckFinding(CheckKind.Correction, $"node.db segment {row.GetString(0)}",
                $"The segment {row.GetString(0)} holds superseded rows and is not marked so, and queries show them.", $"分段 {row.GetString(0)} 含已被更正的行而未作标记，查询会显示这些行。")
            { Dataset = row.IsDBNull(1) ? null : row.GetString(1) });
        }
    }

    private void Erasures(DbConnection connection, DbTransaction snapshot, DbConnection now, CheckLog log, CancellationToken cancel)
    {
        using (var command = Command(connection, snapshot, """
            SELECT e.id, d.id, e.author, e.time, e.reason, e.records, e.content, e.salt, p.entry, p.log_index FROM erasure e
            LEFT JOIN dataset d ON d.number = e.dataset LEFT JOIN ledger_pending p ON p.id = e.id
            """))
        using (var row = command.ExecuteReader())
        {
            while (row.Read())
            {
                cancel.ThrowIfCancellationRequested();
                var id = CheckBatches.Blob(row, 0) is { Length: 16 } bytes ? RecordId.FromBytes(bytes) : Guid.Empty;
                long? index = row.IsDBNull(9) ? null : row.GetInt64(9);
                var committed = EntryBytes.Commitment(id, "erasure", EntryBytes.Commit(CheckBatches.Blob(row, 6), CheckBatches.Blob(row, 7))).AsSpan().SequenceEqual(CheckBatches.Blob(row, 8));
                if (!committed && !(index is { } at && log.Broken.Contains(at)))
                    Erasure(id, index, row, "is not what its ledger entry commits to", "与其存证日志条目的承诺不符");
                else if (!Agrees(row, id))
                    Erasure(id, index, row, "does not agree with its own committed content", "与其自身所承诺的内容不符");
                else if (!Digest(now, id, out var count).AsSpan().SequenceEqual(Named(row, out var expected)) || count != expected)
                    Erasure(id, index, row, "did not erase the rows that are listed for it", "所抹除的行与登记的行不符");
            }
        }
        Count(connection, snapshot, """
            SELECT count(*) FROM erased e WHERE NOT EXISTS (SELECT 1 FROM erasure x WHERE x.id = e.erasure)
                OR NOT EXISTS (SELECT 1 FROM replaced r WHERE r.dataset = e.dataset AND r.batch = e.batch AND r.ordinal = e.ordinal AND r.leaf IS NOT NULL)
            """, "node.db erased", n => $"{n} rows are listed as erased, but by no erasure, or without the leaf that stays of an erased row.", n => $"有 {n} 行登记为已抹除，但没有相应的抹除登记，或缺少应保留的叶哈希。");
        byte[] head = [0x85, 0x6D, .. "gongzhi/entry"u8, 0x01, 0x67, .. "erasure"u8];
        Count(connection, snapshot, $"SELECT count(*) FROM ledger_pending p WHERE substr(p.entry, 1, {head.Length}) = {SqlStore.Of(connection).Literal(head)} AND NOT EXISTS (SELECT 1 FROM erasure e WHERE e.id = p.id){LostEntries.Without(connection, snapshot)}",
            "node.db erasure", n => $"{n} ledger entries commit to an erasure that is not in the database.", n => $"有 {n} 个存证日志条目所承诺的抹除不在数据库中。");
    }

    private void Count(DbConnection connection, DbTransaction snapshot, string sql, string place, Func<long, string> english, Func<long, string> chinese)
    {
        using var command = Command(connection, snapshot, sql);
        if ((long)command.ExecuteScalar()! is > 0 and var count)
            findings.Add(new CheckFinding(CheckKind.Erasure, place, english(count), chinese(count)));
    }

    private static bool Agrees(DbDataReader row, Guid id)
    {
        try
        {
            using var content = JsonDocument.Parse(CheckBatches.Blob(row, 6));
            var c = content.RootElement;
            return c.GetProperty("erasure").GetString() == id.ToString() && c.GetProperty("dataset").GetString() == (row.IsDBNull(1) ? null : row.GetString(1))
                && c.GetProperty("author").GetString() == row.GetString(2) && c.GetProperty("time").GetInt64() == row.GetInt64(3)
                && c.GetProperty("reason").GetString() == row.GetString(4) && c.GetProperty("count").GetInt64() == row.GetInt64(5);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or InvalidCastException or FormatException)
        {
            return false;
        }
    }

    /// <summary>The digest of the records it names, and how many; only for content that <see cref="Agrees"/>.</summary>
    private static byte[] Named(DbDataReader row, out long count)
    {
        count = row.GetInt64(5);
        using var content = JsonDocument.Parse(CheckBatches.Blob(row, 6));
        return content.RootElement.TryGetProperty("records", out var hex) && hex.GetString() is { Length: 64 } text && text.All(char.IsAsciiHexDigit) ? Convert.FromHexString(text) : [];
    }

    /// <summary>SHA-256 over the ids of its rows in order, as <see cref="Records.Erasures"/> commits to them.</summary>
    private static byte[] Digest(DbConnection reader, Guid erasure, out long count)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var command = reader.Command("SELECT batch, ordinal FROM erased WHERE erasure = @erasure");
        command.Set("@erasure", RecordId.Bytes(erasure));
        using var row = command.ExecuteReader();
        var ids = new List<Guid>();
        while (row.Read())
        {
            if (CheckBatches.Blob(row, 0) is { Length: 16 } batch && row.GetInt64(1) is >= 0 and < uint.MaxValue and var ordinal)
                ids.Add(RecordId.Of(RecordId.FromBytes(batch), (uint)ordinal));
        }
        ids.Sort();
        foreach (var id in ids)
            hash.AppendData(RecordId.Bytes(id));
        count = ids.Count;
        return hash.GetHashAndReset();
    }

    /// <summary>The places against what the last import left: nothing else may change them.</summary>
    public static void Places(DbConnection connection, DbTransaction snapshot, CheckFindings findings)
    {
        var store = SqlStore.Of(connection);
        if (!store.HasTable(connection, snapshot, "place"))
            return;
        string? last = null;
        var imported = false;
        using (var command = Command(connection, snapshot, $"""
            SELECT {store.JsonText("content", "state")} FROM audit_change
            WHERE {store.IsJson("content")} AND {store.JsonText("content", "what")} = 'Place' ORDER BY seq DESC LIMIT 1
            """))
        using (var row = command.ExecuteReader())
        {
            if (row.Read())
                (imported, last) = (true, row.IsDBNull(0) ? null : row.GetString(0));
        }
        // An import by an older program committed to what it brought alone; the next one commits to all.
        if (imported && last is null)
            return;
        using var places = Command(connection, snapshot, Territory.TerritoryStore.AllInOrder);
        if (Convert.ToHexStringLower(Territory.TerritoryStore.Digest(places, out var count)) == last || (!imported && count == 0))
            return;
        findings.Add(new CheckFinding(CheckKind.Place, "node.db place", "The places are not those that the last import committed to.", "地点表与最近一次导入所承诺的不符。"));
    }

    private void Correction(string? dataset, Guid batch, long ordinal, string english, string chinese) =>
        findings.Add(new CheckFinding(CheckKind.Correction, Place, english, chinese) { Dataset = dataset, Batch = batch, FirstRow = ordinal, LastRow = ordinal });

    private void Erasure(string? dataset, Guid batch, long ordinal, string english, string chinese) =>
        findings.Add(new CheckFinding(CheckKind.Erasure, Place, english, chinese) { Dataset = dataset, Batch = batch, FirstRow = ordinal, LastRow = ordinal });

    private void Erasure(Guid id, long? index, DbDataReader row, string english, string chinese) =>
        findings.Add(new CheckFinding(CheckKind.Erasure, $"node.db erasure {id}", $"The erasure {id} {english}.", $"抹除 {id} {chinese}。") { Dataset = row.IsDBNull(1) ? null : row.GetString(1), Index = index });

    private static DbCommand Row(DbConnection reader, string sql, long dataset, Guid batch, long ordinal)
    {
        var command = reader.CreateCommand();
        command.CommandText = sql;
        command.Set("@dataset", dataset);
        command.Set("@batch", RecordId.Bytes(batch));
        command.Set("@ordinal", ordinal);
        return command;
    }

    private static DbCommand Command(DbConnection connection, DbTransaction snapshot, string sql)
    {
        var command = connection.CreateCommand();
        command.Transaction = snapshot;
        command.CommandText = sql;
        return command;
    }
}
