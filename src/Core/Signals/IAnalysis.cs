using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Signals;

/// <summary>A batch as analyses see it: what came, when, how much, from which unit. No person is named.</summary>
/// <param name="Index">Index of its entry in the ledger.</param>
/// <param name="Source">The unit that the contributor acted for when it came; <c>?</c> when none is known.</param>
public sealed record BatchHeader(long Index, Guid Id, Dataset Dataset, string Source, DateTimeOffset Received, long Rows, long Rejected);

/// <summary>Takes what an analysis notices.</summary>
public interface ISignals
{
    /// <summary>Raises a signal; the same key again raises nothing.</summary>
    void Raise(Noticed noticed);

    /// <summary>What a signal told of is over.</summary>
    void End(string kind, string key);
}

/// <summary>
/// Something that watches what comes in. It is given the batches of its datasets in the order of the ledger, those with one partition key one after another, and keeps a state for each. State, signals
/// and position are kept in one transaction: however often a step is tried, and by how many machines at once, what it did counts once.
/// </summary>
/// <remarks>
/// Everything it does must follow from its arguments: no clock, no chance, nothing kept between calls. A batch may be given again after a failure, with the state of before. Rows are not given yet;
/// the first analysis that needs them brings that.
/// </remarks>
public interface IAnalysis
{
    /// <summary>Lower-case letters, digits and hyphens; part of what is kept.</summary>
    string Name { get; }

    /// <summary>Raised when states of before cannot be read: the analysis then begins anew at the first entry, and signals that it raises again are the same ones.</summary>
    int Version { get; }

    bool Watches(Dataset dataset);

    /// <summary>Batches with the same answer are taken one after another and share a state; at most 200 characters.</summary>
    string Partition(BatchHeader batch);

    /// <summary>Takes a batch.</summary>
    /// <param name="state">The state of its partition; null before the first.</param>
    /// <returns>The state after it, at most <see cref="AnalysisRunner.StateBytesMax"/>.</returns>
    byte[] Take(byte[]? state, BatchHeader batch, ISignals signals);

    /// <summary>Time has passed: for what must notice that nothing came.</summary>
    /// <returns>The state after it; null when it is as it was.</returns>
    byte[]? Tick(string partition, byte[] state, DateTimeOffset now, ISignals signals);
}
