using System.Text.Json;

namespace Gongzhi.Core.Records;

/// <summary>What sort of thing is not as it was committed.</summary>
public enum CheckKind
{
    /// <summary>The database file itself cannot be read.</summary>
    Database,

    /// <summary>A dataset's definition that rows were written under cannot be read.</summary>
    Definition,

    /// <summary>A segment file is missing, unreadable, or not the one its name says.</summary>
    Segment,

    /// <summary>Rows in a segment are not the rows that were committed.</summary>
    SegmentRow,

    /// <summary>Rows of the tail are not the rows that were committed.</summary>
    TailRow,

    /// <summary>A batch's row in the database does not agree with its ledger entry, its tree or its rows.</summary>
    Batch,

    /// <summary>An audited change of state does not agree with its ledger entry, or the state with its changes.</summary>
    StateEntry,

    /// <summary>A row is hidden as superseded that no committed row supersedes, or the other way round.</summary>
    Correction,

    /// <summary>An erasure does not agree with its ledger entry, or a row is kept as a leaf that no erasure took away.</summary>
    Erasure,

    /// <summary>The places are not what the last import committed to.</summary>
    Place,

    /// <summary>An access does not agree with its ledger entry.</summary>
    AccessEntry,

    /// <summary>An entry kept in the database is not the one in the log.</summary>
    LedgerEntry,

    /// <summary>A tile of hashes of the log.</summary>
    Tile,

    /// <summary>A bundle of entries of the log.</summary>
    EntryBundle,

    /// <summary>The log's signed checkpoint.</summary>
    Checkpoint,
}

/// <summary>One thing that is not what was committed.</summary>
/// <param name="Place">Where to look: a file below the data directory, or a table of the database and its key.</param>
/// <param name="English">One sentence.</param>
/// <param name="Chinese">The same in Chinese.</param>
public sealed record CheckFinding(CheckKind Kind, string Place, string English, string Chinese)
{
    public string? Dataset { get; init; }
    public Guid? Batch { get; init; }

    /// <summary>The rows of the batch among which the fault lies, by ordinal from 0, both inclusive. Batch trees are kept over runs of 256 rows.</summary>
    public long? FirstRow { get; init; }
    public long? LastRow { get; init; }

    /// <summary>Index in the ledger.</summary>
    public long? Index { get; init; }

    /// <summary>Stable, for programs: <c>check.segment-row</c>.</summary>
    public string Code => "check." + JsonNamingPolicy.KebabCaseLower.ConvertName(Kind.ToString());

    public string In(bool chinese) => chinese ? Chinese : English;
}

/// <summary>How far a check is. <paramref name="Done"/> and <paramref name="Total"/> count entries, rows, batches by stage.</summary>
public sealed record RecordCheckProgress(CheckStage Stage, long Done, long Total);

public enum CheckStage { Ledger, Segments, Tail, Batches, State }

/// <summary>The outcome of a check.</summary>
/// <param name="Findings">The first findings, at most <see cref="RecordCheck.FindingsMax"/>.</param>
/// <param name="Found">How many there were in all.</param>
public sealed record RecordCheckReport(IReadOnlyList<CheckFinding> Findings, long Found, long Entries, long Segments, long Rows, long Batches)
{
    public bool Ok => Found == 0;

    /// <summary>Entries that an operator took back into the log after a loss, without what they speak of.</summary>
    public long Lost { get; init; }
}

/// <summary>Gathers findings from several threads, each thing once.</summary>
internal sealed class CheckFindings
{
    private readonly Lock _lock = new();
    private readonly List<CheckFinding> _list = [];
    private readonly HashSet<(CheckKind, string, Guid?, long?, long?)> _known = [];

    public long Found { get; private set; }

    public IReadOnlyList<CheckFinding> List
    {
        get
        {
            lock (_lock)
                return [.. _list.OrderBy(f => f.Kind).ThenBy(f => f.Place, StringComparer.Ordinal).ThenBy(f => f.FirstRow).ThenBy(f => f.Index)];
        }
    }

    public void Add(CheckFinding finding)
    {
        lock (_lock)
        {
            if (_list.Count < RecordCheck.FindingsMax && !_known.Add((finding.Kind, finding.Place, finding.Batch, finding.FirstRow, finding.Index)))
                return;
            Found++;
            if (_list.Count < RecordCheck.FindingsMax)
                _list.Add(finding);
        }
    }

    public bool Names(CheckKind kind, string place)
    {
        lock (_lock)
            return _list.Exists(f => f.Kind == kind && f.Place == place);
    }
}
