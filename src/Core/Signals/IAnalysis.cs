using Gongzhi.Core.Catalog;
using Gongzhi.Core.Records;

namespace Gongzhi.Core.Signals;

/// <summary>One contribution, as analyses see it: no contributor, who may be a person, only the unit.</summary>
/// <param name="Index">Its ledger index.</param>
/// <param name="Dataset">The definition under which it came.</param>
/// <param name="Unit">The unit it was contributed for, or null where that is not one.</param>
/// <param name="Rows">As contributed; rows superseded or erased since are counted.</param>
/// <param name="Received">When its receipt began.</param>
public sealed record AnalysisBatch(long Index, Guid Id, Dataset Dataset, string? Unit, long Rows, DateTimeOffset Received);

/// <summary>A definition and when it began to hold.</summary>
public sealed record DatedDefinition(DateTimeOffset From, Dataset Dataset);

/// <summary>
/// What watches datasets and raises signals. It gets the batches of its datasets in ledger order, partition by partition, at least once; what it writes (its state, its signals) is kept with
/// the offset in one transaction, so that each batch counts once. All it knows is its state and what it is given: no clock, no store, no chance. Then a replay raises the same signals.
/// </summary>
/// <remarks>One object serves all partitions, by several threads; it holds nothing.</remarks>
public interface IAnalysis
{
    /// <summary>1 to 32 lower-case letters, digits, hyphens; never changes.</summary>
    string Name { get; }

    /// <summary>Raised when states of before cannot be read, or mean something else: all is then replayed from the first entry.</summary>
    int Version { get; }

    /// <summary>Whether it wants the rows too, not only the headers of batches.</summary>
    bool ReadsRows => false;

    bool Watches(Dataset dataset);

    /// <summary>
    /// The partitions that a batch belongs to (or, where rows are read, a piece of a batch): at most 200 characters each, beginning with what it is about, and never naming a person.
    /// The same for the same content, always.
    /// </summary>
    IEnumerable<string> Partitions(AnalysisBatch batch, RowColumns? rows);

    /// <summary>A partition that is watched before anything comes, or null.</summary>
    string? Standing(Dataset dataset) => null;

    /// <summary>The state of a partition as it was kept, or a new one.</summary>
    /// <param name="partition">One of those it gave.</param>
    /// <param name="snapshot">What <see cref="IAnalysisState.Snapshot"/> gave last; null for a new one.</param>
    /// <param name="definitions">The versions of the definition of the dataset whose id the partition begins with (up to <c>/</c>), the oldest first.</param>
    IAnalysisState Open(string partition, byte[]? snapshot, IReadOnlyList<DatedDefinition> definitions);
}

/// <summary>One partition's state, while a step works on it.</summary>
public interface IAnalysisState
{
    /// <summary>Takes a batch, or the next piece of its rows. Erased rows are not among them; superseded ones are: they were what was reported then.</summary>
    void Process(AnalysisBatch batch, RowColumns? rows, SignalSink sink);

    /// <summary>Notices what has not happened. Called once <see cref="Due"/> has come and every batch known by then was processed; afterwards <see cref="Due"/> is later, or null.</summary>
    void Tick(DateTimeOffset now, SignalSink sink);

    /// <summary>When it wants to be told the time; null: not before the next batch.</summary>
    DateTimeOffset? Due { get; }

    /// <summary>All it knows, at most <see cref="AnalysisRunner.StateBytesMax"/> bytes.</summary>
    byte[] Snapshot();
}

/// <summary>Takes what a partition notices in one step.</summary>
public sealed class SignalSink
{
    /// <summary>Signals of one partition in one step; more is a defect of the analysis.</summary>
    public const int EventsMax = 1_000;

    private readonly List<SignalEvent> _events = [];

    internal IReadOnlyList<SignalEvent> Events => _events;

    /// <summary>Something is so from <paramref name="moment"/> on. The same again, while it is open, is the analysis's to leave out.</summary>
    public void Raise(string kind, SignalSeverity severity, long dataset, string? unit, string? place, string key, long firstIndex, long lastIndex, DateTimeOffset moment, IReadOnlyDictionary<string, Figure> figures)
    {
        if (figures.Count > Signal.FiguresMax)
            throw new ArgumentException($"A signal has at most {Signal.FiguresMax} figures.", nameof(figures));
        Add(new(kind, severity, dataset, unit, place, key, firstIndex, lastIndex, moment, figures));
    }

    /// <summary>What was raised under this key is over.</summary>
    /// <param name="index">Ledger index that ends it, or the last one known.</param>
    public void End(string key, long index, DateTimeOffset moment) => Add(new(null, default, 0, null, null, key, index, index, moment, null));

    private void Add(SignalEvent one)
    {
        if (_events.Count == EventsMax)
            throw new InvalidOperationException($"More than {EventsMax} signals in one step.");
        _events.Add(one);
    }
}

/// <param name="Kind">Null: the end of what is open under the key.</param>
internal sealed record SignalEvent(
    string? Kind, SignalSeverity Severity, long Dataset, string? Unit, string? Place, string Key, long FirstIndex, long LastIndex, DateTimeOffset Moment, IReadOnlyDictionary<string, Figure>? Figures);
