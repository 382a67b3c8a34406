namespace Gongzhi.Verifier;

/// <summary>How a check came out; the number is the exit code.</summary>
public enum Outcome
{
    /// <summary>Everything claimed follows from the key.</summary>
    Proven = 0,

    /// <summary>Something does not agree: tampered with, or not provable from what was given.</summary>
    NotProven = 1,

    /// <summary>The input could not be read at all, so nothing is said about it.</summary>
    Unusable = 2,
}

/// <summary>What one check found, as one sentence in each language.</summary>
/// <param name="Outcome">The result.</param>
/// <param name="Code">Stable and dotted, for scripts: <c>row.proven</c>, <c>row.inclusion</c>.</param>
/// <param name="English">The sentence in English.</param>
/// <param name="Chinese">The sentence in Chinese.</param>
public sealed record Verdict(Outcome Outcome, string Code, string English, string Chinese)
{
    /// <summary>What was proven or how far it went, for <c>--json</c>.</summary>
    public IReadOnlyDictionary<string, object?> Facts { get; init; } = new Dictionary<string, object?>();

    public static Verdict Not(string code, string english, string chinese) => new(Outcome.NotProven, code, english, chinese);

    public static Verdict Unusable(string english, string chinese) => new(Outcome.Unusable, "input.unusable", english, chinese);

    public string In(bool chinese) => chinese ? Chinese : English;
}
