using Microsoft.EntityFrameworkCore.Diagnostics;

namespace Gongzhi.Core.Storage;

/// <summary>
/// Whether this process takes changes. Shut once and for the life of the process, when what is stored turns out to be older than what is known of the world's ledger, or another history: what is
/// there may be looked at, and nothing may be built on it.
/// </summary>
public sealed class WriteGate
{
    private volatile ReadOnlyException? _shut;

    /// <summary>Why nothing is changed; null while changes are taken.</summary>
    public ReadOnlyException? Shut => _shut;

    /// <summary>Takes no change any more, for this reason; the first one given stays.</summary>
    public void Close(string reason) => Interlocked.CompareExchange(ref _shut, new ReadOnlyException(reason), null);

    /// <exception cref="ReadOnlyException">No change is taken.</exception>
    public void Demand()
    {
        // A new one each time: an exception that is thrown twice at once mixes up its traces.
        if (_shut is { } shut)
            throw new ReadOnlyException(shut.Reason);
    }
}

/// <summary>The process takes no changes, since what it stores does not continue what is known of the ledger. Trying again does not help; an operator has to mend it.</summary>
public sealed class ReadOnlyException(string reason) : Exception($"The node takes no changes: {reason}")
{
    /// <summary>What does not continue what, for the operator.</summary>
    public string Reason { get; } = reason;
}

/// <summary>The same for what the stores of libraries save beside the writer.</summary>
public sealed class WriteGateInterceptor(WriteGate gate) : SaveChangesInterceptor
{
    public override InterceptionResult<int> SavingChanges(DbContextEventData eventData, InterceptionResult<int> result)
    {
        gate.Demand();
        return result;
    }

    public override ValueTask<InterceptionResult<int>> SavingChangesAsync(DbContextEventData eventData, InterceptionResult<int> result, CancellationToken cancellationToken = default)
    {
        gate.Demand();
        return ValueTask.FromResult(result);
    }
}
