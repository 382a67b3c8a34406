using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Records;

/// <summary>One immutable Parquet file and what is known of it for pruning.</summary>
public sealed record Segment
{
    public required long Number { get; init; }

    /// <summary>Absolute path at which this machine reads it; the file name is the lower-case hex SHA-256 of the content.</summary>
    public required string Path { get; init; }

    /// <summary>The hash that it is named by.</summary>
    public string Name => System.IO.Path.GetFileNameWithoutExtension(Path);

    /// <summary>Of a file that was just written for a store of several machines: until when it may be listed.</summary>
    public SegmentPromise? Promise { get; init; }
    public required int SchemaVersion { get; init; }
    public required long Rows { get; init; }
    public required long Bytes { get; init; }

    /// <summary>Bounds of the event time in microseconds UTC, both inclusive.</summary>
    public required long TimeMin { get; init; }
    public required long TimeMax { get; init; }

    /// <summary>Bounds of the place code, both inclusive; null when the dataset has no place or a row has none.</summary>
    public string? PlaceMin { get; init; }
    public string? PlaceMax { get; init; }

    /// <summary>Whether any row here has been superseded or erased, so that the replaced list must be joined away.</summary>
    public bool HasReplaced { get; init; }
}

/// <summary>
/// What a dataset holds at one moment: its segments and the in-memory copy of its tail. Held while a query runs, so that
/// nothing it names is swept away; dispose it after.
/// </summary>
/// <remarks>
/// Columns, in segments and tail alike: <c>_batch</c> BLOB (16 bytes), <c>_ordinal</c> INTEGER, <c>_time</c> TIMESTAMP (UTC),
/// <c>_place</c> VARCHAR or null, then one column per field under its own name: String and Place VARCHAR; Integer, Year and YearMonth BIGINT; Decimal
/// DECIMAL(18, scale); Double DOUBLE; Boolean BOOLEAN; Date DATE; DateTime TIMESTAMP (UTC, never WITH TIME ZONE, whose truncations depend on a session setting); Time TIME. Segments of an older schema
/// version may lack later fields (<c>union_by_name</c>).
/// </remarks>
public sealed class RecordSnapshot(Dataset dataset, IReadOnlyList<Segment> segments, string? tailTable, string? replacedTable, long ledgerIndex, Action? release = null)
    : IDisposable
{
    private Action? _release = release;

    public Dataset Dataset { get; } = dataset;
    public IReadOnlyList<Segment> Segments { get; } = segments;

    /// <summary>Name of the DuckDB table holding the tail's rows, or null when the tail is empty.</summary>
    public string? TailTable { get; } = tailTable;

    /// <summary>Name of the DuckDB table (<c>_batch</c> BLOB, <c>_ordinal</c> INTEGER) of superseded and erased rows, or null when there are none.</summary>
    public string? ReplacedTable { get; } = replacedTable;

    /// <summary>Rows of the two tables with a higher <c>_seq</c> came later and are not in the snapshot; null when the tables have no such column.</summary>
    public long? Sequence { get; init; }

    /// <summary>Everything with a ledger index below this is in the snapshot.</summary>
    public long LedgerIndex { get; } = ledgerIndex;

    /// <summary>Adds what is to be let go with the snapshot: the hold on its segment files.</summary>
    internal void Hold(IDisposable files)
    {
        var before = _release;
        _release = () =>
        {
            before?.Invoke();
            files.Dispose();
        };
    }

    public void Dispose() => Interlocked.Exchange(ref _release, null)?.Invoke();
}
