using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>Rows of one batch that lie one after another.</summary>
/// <param name="Batch">Its id.</param>
/// <param name="First">Ordinal of the first.</param>
/// <param name="Count">Ordinals spanned.</param>
internal readonly record struct RowRun(Guid Batch, long First, long Count);

/// <summary>
/// What is done with many runs of rows in one transaction. Thousands of single reports are thousands of runs: where each statement is a way to a server and back, under the one lock under which machines write, they
/// go in one statement. The server is told how to find each run (a function's rows first, then the table by its key), since what it knows of the tables' sizes may be hours old.
/// </summary>
internal static class RowRuns
{
    // What one statement carries: some megabytes.
    private const int AtOnce = 50_000;

    /// <summary>Whether any of these rows was superseded or erased.</summary>
    public static bool AnyReplaced(WriteScope scope, long dataset, IReadOnlyCollection<RowRun> runs)
    {
        if (scope.Store.IsFar)
        {
            return runs.Chunk(AtOnce).Any(some =>
            {
                using var together = scope.Command("""
                    SELECT EXISTS (SELECT 1 FROM unnest(@batches, @firsts, @counts) r(batch, first, count) CROSS JOIN LATERAL
                        (SELECT 1 FROM replaced WHERE dataset = @dataset AND batch = r.batch AND ordinal >= r.first AND ordinal < r.first + r.count LIMIT 1) x)
                    """);
                return With(together.Set("@dataset", dataset), some).IsTrue();
            });
        }
        using var command = scope.Command("SELECT EXISTS (SELECT 1 FROM replaced WHERE dataset = @dataset AND batch = @batch AND ordinal >= @first AND ordinal < @end)").Set("@dataset", dataset);
        var (batch, first, end) = (command.Parameter("@batch"), command.Parameter("@first"), command.Parameter("@end"));
        foreach (var run in runs)
        {
            (batch.Value, first.Value, end.Value) = (RecordId.Bytes(run.Batch), run.First, run.First + run.Count);
            if (command.IsTrue())
                return true;
        }
        return false;
    }

    /// <summary>Takes the rows out of the tail; answers how many there were.</summary>
    public static long TakeFromTail(WriteScope scope, long dataset, IReadOnlyCollection<RowRun> runs)
    {
        long taken = 0;
        if (scope.Store.IsFar)
        {
            foreach (var some in runs.Chunk(AtOnce))
            {
                using var together = scope.Command("""
                    DELETE FROM tail WHERE ctid = ANY (ARRAY(SELECT t.at FROM unnest(@batches, @firsts, @counts) r(batch, first, count) CROSS JOIN LATERAL
                        (SELECT ctid AS at FROM tail WHERE dataset = @dataset AND batch = r.batch AND ordinal >= r.first AND ordinal < r.first + r.count OFFSET 0) t))
                    """);
                taken += With(together.Set("@dataset", dataset), some).ExecuteNonQuery();
            }
            return taken;
        }
        using var delete = scope.Command("DELETE FROM tail WHERE dataset = @dataset AND batch = @batch AND ordinal >= @first AND ordinal < @end").Set("@dataset", dataset);
        var (batch, first, end) = (delete.Parameter("@batch"), delete.Parameter("@first"), delete.Parameter("@end"));
        foreach (var run in runs)
        {
            (batch.Value, first.Value, end.Value) = (RecordId.Bytes(run.Batch), run.First, run.First + run.Count);
            taken += delete.ExecuteNonQuery();
        }
        return taken;
    }

    /// <summary>Notes that a segment holds them.</summary>
    public static void Link(WriteScope scope, long segment, IReadOnlyCollection<RowRun> runs)
    {
        if (scope.Store.IsFar)
        {
            foreach (var some in runs.Chunk(AtOnce))
            {
                using var together = scope.Command("INSERT INTO segment_batch(batch, first_ordinal, segment, rows) SELECT batch, first, @segment, count FROM unnest(@batches, @firsts, @counts) r(batch, first, count)");
                With(together.Set("@segment", segment), some).ExecuteNonQuery();
            }
            return;
        }
        using var insert = scope.Command("INSERT INTO segment_batch(batch, first_ordinal, segment, rows) VALUES (@batch, @first, @segment, @rows)").Set("@segment", segment);
        var (batch, first, rows) = (insert.Parameter("@batch"), insert.Parameter("@first"), insert.Parameter("@rows"));
        foreach (var run in runs)
        {
            (batch.Value, first.Value, rows.Value) = (RecordId.Bytes(run.Batch), run.First, run.Count);
            insert.ExecuteNonQuery();
        }
    }

    private static System.Data.Common.DbCommand With(System.Data.Common.DbCommand command, RowRun[] runs) => command
        .Set("@batches", Array.ConvertAll(runs, r => RecordId.Bytes(r.Batch))).Set("@firsts", Array.ConvertAll(runs, r => r.First)).Set("@counts", Array.ConvertAll(runs, r => r.Count));
}
