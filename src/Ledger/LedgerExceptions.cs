namespace Gongzhi.Ledger;

/// <summary>
/// What is stored does not agree with itself or with what was committed. The sequencer that meets this stops for good: it never
/// signs over a break, and a person has to look.
/// </summary>
public class LedgerCorruptException : Exception
{
    /// <summary>A break in <paramref name="file"/>, a path relative to the log.</summary>
    public LedgerCorruptException(string file, string reason) : base($"{file}: {reason}") => (File, Reason) = (file, reason);

    /// <summary>The file that broke, relative to the log: <c>checkpoint</c>, <c>tile/0/000</c>, <c>state/tree</c>.</summary>
    public string File { get; }

    /// <summary>What is wrong with it.</summary>
    public string Reason { get; }
}

/// <summary>
/// What is stored does not continue what was published before, or what somebody has kept: an older state, or another history, is in its place. Nothing in it need
/// be broken, and it may be read; signing on it would make a second history under one key.
/// </summary>
public sealed class LedgerDivergedException : LedgerCorruptException
{
    /// <summary>As the base's, with the size of what was published or kept before.</summary>
    public LedgerDivergedException(string file, string reason, long seen) : base(file, reason) => Seen = seen;

    /// <summary>How many entries the log is known to have had.</summary>
    public long Seen { get; }
}

/// <summary>
/// A step failed part way, so whether its entries are in the log is not known. Append them again under the same ids: what is
/// already there is found, not doubled.
/// </summary>
public sealed class LedgerStepException : Exception
{
    /// <summary>Wraps the failure of the step.</summary>
    public LedgerStepException(Exception inner)
        : base("The step failed part way; append the same entries under the same ids again.", inner)
    {
    }
}
