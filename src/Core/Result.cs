using System.Diagnostics.CodeAnalysis;

namespace Gongzhi.Core;

/// <summary>
/// An expected refusal: what a caller did wrong or may not do. Anything unexpected is an exception, never a problem.
/// </summary>
/// <param name="Code">Stable, dotted, lower case: <c>records.invalid</c>. Scripts rely on it; see docs/contracts/problems.md.</param>
/// <param name="Status">The HTTP status this becomes (400–499, or 503 for "try again").</param>
/// <param name="Detail">One plain English sentence. Doors translate by code; this is the fallback and what the log shows.</param>
public sealed record Problem(string Code, int Status, string Detail)
{
    /// <summary>Values a translated sentence needs, and details a program may use (<c>errors</c>, <c>why</c>).</summary>
    public IReadOnlyDictionary<string, object?> Extensions { get; init; } = new Dictionary<string, object?>();

    /// <summary>The detail in both languages, where it depends on what was sent and no translation by code can say it.</summary>
    public Sentence? Why { get; init; }

    public static Problem BadRequest(string code, string detail) => new(code, 400, detail);
    public static Problem Denied(string code, string detail) => new(code, 403, detail);
    public static Problem NotFound(string code, string detail) => new(code, 404, detail);
    public static Problem Conflict(string code, string detail) => new(code, 409, detail);
    public static Problem Invalid(string code, string detail) => new(code, 422, detail);
}

/// <summary>Either a value or the problem that stands in its way.</summary>
public readonly struct Result<T>
{
    private Result(T? value, Problem? problem) => (Value, Problem) = (value, problem);

    public T? Value { get; }
    public Problem? Problem { get; }

    [MemberNotNullWhen(true, nameof(Value))]
    [MemberNotNullWhen(false, nameof(Problem))]
    public bool Ok => Problem is null;

    public static implicit operator Result<T>(T value) => new(value, null);
    public static implicit operator Result<T>(Problem problem) => new(default, problem);
}
