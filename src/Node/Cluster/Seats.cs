using System.Collections.Concurrent;
using System.Collections.Frozen;

namespace Gongzhi.Node.Cluster;

/// <summary>
/// Work that one silo of the cluster does at a time: sequencing the ledger, folding tails, polling due times. It is registered on every silo, and runs on the one that holds the
/// <b>seat</b> of its kind.
/// </summary>
/// <remarks>
/// That it runs once is a courtesy that saves work, <b>never a guarantee that correctness may rest on</b>. While a silo is being declared dead, is frozen, or is cut off, two may run for some
/// seconds. What protects is the store: every step must be a compare-and-set, or harmless when done twice.
/// </remarks>
public interface ISeatWork
{
    /// <summary>The seat's name, the same on every silo: <c>sequencer</c>, <c>upkeep</c>, <c>clock</c>.</summary>
    string Kind { get; }

    /// <summary>Whether the silos share the seats of such works among them, instead of leaving each to the silo that asks first.</summary>
    bool Spread => false;

    /// <summary>Works until it is told to stop, and then stops promptly. When it fails or ends by itself it is started again, after a pause that grows.</summary>
    /// <param name="cancel">The seat is given up: the node stops, or the seat moves.</param>
    Task RunAsync(CancellationToken cancel);
}

/// <summary>One seat: whoever holds its activation does its work.</summary>
public interface ISeatGrain : IGrainWithStringKey
{
    /// <summary>Keeps the seat taken; takes it when nobody has it.</summary>
    /// <returns>The silo that holds it, as <c>address:port@generation</c>.</returns>
    [ResponseTimeout("00:00:05")]
    Task<string> KeepAsync();

    /// <summary>Gives the seat up when its silo is leaving: answers when the work has stopped.</summary>
    [ResponseTimeout("00:00:15")]
    Task LeaveAsync();
}

/// <summary>The works of this silo by their kind, and whether it still takes seats.</summary>
internal sealed class SeatWorks(IEnumerable<ISeatWork> works)
{
    private readonly FrozenDictionary<string, ISeatWork> _works = works.ToFrozenDictionary(w => w.Kind, StringComparer.Ordinal);
    private volatile bool _leaving;

    public IReadOnlyList<string> Kinds => _works.Keys;

    /// <summary>The kinds whose seat is here.</summary>
    public ConcurrentDictionary<string, bool> Held { get; } = new(StringComparer.Ordinal);

    /// <summary>The kinds whose seat is here and belongs on another silo, which is there by now.</summary>
    public ConcurrentDictionary<string, bool> Misplaced { get; } = new(StringComparer.Ordinal);

    /// <summary>Set once, when the node stops: no seat is taken any more.</summary>
    public bool Leaving
    {
        get => _leaving;
        set => _leaving = value;
    }

    public ISeatWork? Find(string kind) => _works.GetValueOrDefault(kind);
}
