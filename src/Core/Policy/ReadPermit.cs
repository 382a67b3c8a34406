using System.Text.Json;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Policy;

/// <summary>How a grant lets one field be seen.</summary>
public enum TransformKind
{
    /// <summary>As it is.</summary>
    Plain,

    /// <summary>Partly hidden by a named mask (<c>name</c>, <c>phone</c>, <c>identity-number</c>, <c>card</c>, <c>all</c>).</summary>
    Mask,

    /// <summary>Replaced by a keyed pseudonym: equal values stay equal within one grant, and nowhere else.</summary>
    Pseudonym,

    /// <summary>Made coarser: a date to its month or year, a place to a level, a number to a step.</summary>
    Generalise,

    /// <summary>Never shown and never grouped by; only inside measures over groups of at least k rows.</summary>
    AggregateOnly,
}

/// <summary>One field's transform with its argument, for instance Mask("name") or Generalise("month").</summary>
public sealed record FieldTransform(TransformKind Kind, string? Argument = null)
{
    public static readonly FieldTransform Plain = new(TransformKind.Plain);
}

/// <summary>Which rows may be seen. Every part must hold; a null part does not restrict.</summary>
public sealed record RowScope
{
    /// <summary>Any of these ranges; an empty list admits nothing (a grant asleep under the current posture of every area).</summary>
    public IReadOnlyList<PlaceRange>? Places { get; init; }

    /// <summary>Event time in microseconds UTC, inclusive.</summary>
    public long? TimeFrom { get; init; }

    /// <summary>Event time in microseconds UTC, exclusive.</summary>
    public long? TimeTo { get; init; }

    /// <summary>A predicate on raw field values, set by whoever granted (not by the reader).</summary>
    public Filter? Filter { get; init; }
}

/// <summary>What the policy allows one caller for one purpose on one dataset: the only thing a query can be compiled from.</summary>
public sealed record ReadPermit
{
    public required string Grant { get; init; }
    public required string Dataset { get; init; }
    public required string Purpose { get; init; }

    /// <summary>Fields absent here do not exist for the reader.</summary>
    public required IReadOnlyDictionary<string, FieldTransform> Fields { get; init; }
    public RowScope Rows { get; init; } = new();

    /// <summary>Groups with fewer rows than this are withheld; 0 or 1 means no threshold. Above 1, only grouped queries are allowed.</summary>
    public int MinimumGroup { get; init; }

    /// <summary>Secret of this grant's pseudonyms, 32 bytes.</summary>
    public ReadOnlyMemory<byte> PseudonymKey { get; init; }

    /// <summary>The policy epoch at which this was decided.</summary>
    public long Epoch { get; init; }
}

/// <summary>A condition over fields, as it stands in queries and grants.</summary>
public abstract record Filter
{
    public sealed record And(IReadOnlyList<Filter> Parts) : Filter;
    public sealed record Or(IReadOnlyList<Filter> Parts) : Filter;
    public sealed record Not(Filter Inner) : Filter;

    /// <param name="Field">A field name, or <c>_time</c>, <c>_place</c>.</param>
    /// <param name="Op">eq ne lt le gt ge in within contains startsWith isNull</param>
    /// <param name="Value">The JSON value to compare with; an array for <c>in</c>.</param>
    public sealed record Compare(string Field, string Op, JsonElement Value) : Filter;
}
