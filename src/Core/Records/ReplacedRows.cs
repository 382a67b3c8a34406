using System.Data.Common;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>One correction: a record that is superseded, and the record that supersedes it.</summary>
public readonly record struct Supersession(Guid Record, Guid By);

/// <summary>A row that queries no longer show. Its content may still be kept.</summary>
public readonly record struct ReplacedRow(Guid Batch, uint Ordinal);

/// <summary>What one commit changed in a dataset: rows added to its tail, rows that are not current any more.</summary>
/// <param name="Sequence">The number of the commit within the dataset, from 1.</param>
public sealed record RecordsChange(long Sequence, IReadOnlyList<TailRow> Tail, IReadOnlyList<ReplacedRow> Replaced)
{
    /// <summary>Another machine's: what it changed is in SQL and not here.</summary>
    internal static RecordsChange Elsewhere(long sequence) => new(sequence, [], []) { Unread = true };

    /// <summary>Another machine's that added these rows and did nothing else.</summary>
    internal static RecordsChange Elsewhere(long sequence, Guid batch, long rows) => new(sequence, [], []) { Added = (batch, rows) };

    /// <summary>Everything must be read from SQL.</summary>
    public bool Unread { get; private init; }

    /// <summary>A batch whose rows are to be read from SQL, and how many they are.</summary>
    public (Guid Batch, long Rows)? Added { get; private init; }
}

/// <summary>A record to be superseded was superseded or erased before.</summary>
public sealed class NotCurrentException(Guid record) : Exception($"The record {record} is not current any more.")
{
    public Guid Record { get; } = record;
}

/// <summary>Rows replaced in one transaction, and the segments that hold some of them.</summary>
internal sealed record Replacements(IReadOnlyList<ReplacedRow> Rows, IReadOnlySet<long> Segments)
{
    public static readonly Replacements None = new([], new HashSet<long>());
}

/// <summary>The list of rows that are not current, in SQL. A row is named there once: of two corrections at once, one finds the other's.</summary>
internal static class ReplacedRows
{
    /// <summary>Marks the records and the segments that hold them.</summary>
    /// <exception cref="NotCurrentException">One of them is in the list already.</exception>
    public static Replacements Supersede(WriteScope scope, long dataset, IReadOnlyList<Supersession> superseded)
    {
        if (superseded.Count == 0)
            return Replacements.None;
        var rows = scope.Store.IsFar ? InsertTogether(scope, dataset, superseded) : InsertEach(scope, dataset, superseded);
        var segments = scope.Store.IsFar ? HoldingTogether(scope, rows) : Holding(scope, rows);
        using var mark = scope.Command("UPDATE segment SET has_replaced = 1 WHERE number = @number AND has_replaced = 0");
        var number = mark.Parameter("@number");
        foreach (var segment in segments)
        {
            number.Value = segment;
            mark.ExecuteNonQuery();
        }
        return new(rows, segments);
    }

    private static List<ReplacedRow> InsertEach(WriteScope scope, long dataset, IReadOnlyList<Supersession> superseded)
    {
        var rows = new List<ReplacedRow>(superseded.Count);
        using var insert = scope.Command("INSERT INTO replaced(dataset, batch, ordinal, by_record) VALUES (@dataset, @batch, @ordinal, @by) ON CONFLICT DO NOTHING");
        insert.Set("@dataset", dataset);
        var batchOf = insert.Parameter("@batch");
        var ordinalOf = insert.Parameter("@ordinal");
        var by = insert.Parameter("@by");
        // In the order of the key, so that many rows touch few pages.
        foreach (var one in superseded.OrderBy(s => s.Record))
        {
            if (!RecordId.TrySplit(one.Record, out var batch, out var ordinal))
                throw new ArgumentException("Not the id of a record.", nameof(superseded));
            (batchOf.Value, ordinalOf.Value, by.Value) = (RecordId.Bytes(batch), (long)ordinal, RecordId.Bytes(one.By));
            if (insert.ExecuteNonQuery() == 0)
                throw new NotCurrentException(one.Record);
            rows.Add(new(batch, ordinal));
        }
        return rows;
    }

    /// <summary>Likewise in one statement for many, where each would be a way to a server and back.</summary>
    private static List<ReplacedRow> InsertTogether(WriteScope scope, long dataset, IReadOnlyList<Supersession> superseded)
    {
        var rows = new List<ReplacedRow>(superseded.Count);
        foreach (var some in superseded.OrderBy(s => s.Record).Chunk(AtOnce))
        {
            var split = Array.ConvertAll(some, s => RecordId.TrySplit(s.Record, out var batch, out var ordinal) ? new ReplacedRow(batch, ordinal) : throw new ArgumentException("Not the id of a record.", nameof(superseded)));
            using var insert = scope.Command("""
                INSERT INTO replaced(dataset, batch, ordinal, by_record) SELECT @dataset, batch, ordinal, by FROM unnest(@batches, @ordinals, @by) r(batch, ordinal, by) ON CONFLICT DO NOTHING RETURNING batch, ordinal
                """);
            insert.Set("@dataset", dataset).Set("@batches", Array.ConvertAll(split, r => RecordId.Bytes(r.Batch))).Set("@ordinals", Array.ConvertAll(split, r => (long)r.Ordinal)).Set("@by", Array.ConvertAll(some, s => RecordId.Bytes(s.By)));
            var inserted = new HashSet<ReplacedRow>(some.Length);
            using (var reader = insert.ExecuteReader())
            {
                while (reader.Read())
                    inserted.Add(new(RecordId.FromBytes((byte[])reader[0]), (uint)reader.GetInt64(1)));
            }
            // Each took its own place; whoever found it taken, by an earlier commit or by another of these, is named.
            for (var i = 0; i < split.Length; i++)
            {
                if (!inserted.Remove(split[i]))
                    throw new NotCurrentException(some[i].Record);
            }
            rows.AddRange(split);
        }
        return rows;
    }


    private const int AtOnce = 50_000;

    private static HashSet<long> HoldingTogether(WriteScope scope, IReadOnlyCollection<ReplacedRow> rows)
    {
        var found = new HashSet<long>();
        foreach (var some in rows.Chunk(AtOnce))
        {
            using var command = scope.Command("""
                SELECT DISTINCT l.segment FROM unnest(@batches, @ordinals) r(batch, ordinal) CROSS JOIN LATERAL
                    (SELECT segment, first_ordinal, rows FROM segment_batch WHERE batch = r.batch AND first_ordinal <= r.ordinal ORDER BY first_ordinal DESC LIMIT 1) l WHERE r.ordinal < l.first_ordinal + l.rows
                """);
            using var reader = command.Set("@batches", Array.ConvertAll(some, r => RecordId.Bytes(r.Batch))).Set("@ordinals", Array.ConvertAll(some, r => (long)r.Ordinal)).ExecuteReader();
            while (reader.Read())
                found.Add(reader.GetInt64(0));
        }
        return found;
    }

    /// <summary>The segments that hold any of the rows.</summary>
    private static HashSet<long> Holding(WriteScope scope, IEnumerable<ReplacedRow> rows)
    {
        var found = new HashSet<long>();
        using var command = scope.Command("SELECT first_ordinal, rows, segment FROM segment_batch WHERE batch = @batch ORDER BY first_ordinal");
        var batch = command.Parameter("@batch");
        foreach (var group in rows.GroupBy(r => r.Batch))
        {
            batch.Value = RecordId.Bytes(group.Key);
            using var reader = command.ExecuteReader();
            var ordinals = group.Select(r => r.Ordinal).Order().ToArray();
            while (reader.Read())
            {
                var (first, count) = (reader.GetInt64(0), reader.GetInt64(1));
                var at = Array.BinarySearch(ordinals, (uint)first);
                at = at < 0 ? ~at : at;
                if (at < ordinals.Length && ordinals[at] < first + count)
                    found.Add(reader.GetInt64(2));
            }
        }
        return found;
    }
}
