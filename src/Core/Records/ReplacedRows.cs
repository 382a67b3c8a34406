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
        var segments = Holding(scope, rows);
        using var mark = scope.Command("UPDATE segment SET has_replaced = 1 WHERE number = @number AND has_replaced = 0");
        var number = mark.Parameter("@number");
        foreach (var segment in segments)
        {
            number.Value = segment;
            mark.ExecuteNonQuery();
        }
        return new(rows, segments);
    }

    /// <summary>Whether any of these rows is superseded; for a fold, which takes them to a new segment.</summary>
    public static bool Any(WriteScope scope, long dataset, Guid batch, long first, long count)
    {
        using var command = scope.Command("SELECT EXISTS (SELECT 1 FROM replaced WHERE dataset = @dataset AND batch = @batch AND ordinal >= @first AND ordinal < @end)");
        command.Set("@dataset", dataset);
        command.Set("@batch", RecordId.Bytes(batch));
        command.Set("@first", first);
        command.Set("@end", first + count);
        return command.IsTrue();
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
