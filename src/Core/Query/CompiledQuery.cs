using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Query;

/// <summary>One column of an answer. <paramref name="Scale"/> is the digits after the point of a decimal.</summary>
public sealed record ResultColumn(string Name, FieldType Type, int Scale = 0)
{
    /// <summary>The word the answer uses for the type.</summary>
    public string TypeName => Type switch
    {
        FieldType.Decimal or FieldType.Double => "number",
        FieldType.DateTime => "datetime",
        FieldType.YearMonth => "yearmonth",
        _ => Type.ToString().ToLowerInvariant(),
    };
}

/// <summary>
/// A permitted question, ready to run. Holds no caller's text in its SQL: identifiers are our own aliases and the dataset's
/// fields, values are parameters. The parameters may hold the pseudonym key, so they must never be logged.
/// </summary>
public sealed record CompiledQuery
{
    /// <summary>One SELECT. Its columns are <see cref="Columns"/>, then the hidden tie-breakers of a paged row query.</summary>
    public required string Sql { get; init; }

    /// <summary>Values of $1, $2, …: string, long, double, bool, byte[].</summary>
    public required IReadOnlyList<object?> Parameters { get; init; }
    public required IReadOnlyList<ResultColumn> Columns { get; init; }

    /// <summary>The grant it was compiled from.</summary>
    public required string Grant { get; init; }
    public required string Dataset { get; init; }
    public required string Purpose { get; init; }
    public long Epoch { get; init; }

    /// <summary>Everything with a ledger index below this was in view.</summary>
    public long LedgerIndex { get; init; }

    /// <summary>What running it shows, for the access log.</summary>
    public Reading Reading(byte[] question) => new(Dataset, Grant, Purpose, Epoch, LedgerIndex, Columns.Select(c => c.Name), question);

    /// <summary>Rows in one page; the SQL asks for one more, to know whether there is a next page. 0 when not paged.</summary>
    public int PageSize { get; init; }

    /// <summary>Makes the cursor from the last row's values; null when not paged.</summary>
    internal QueryCursor? Cursor { get; init; }

    /// <summary>Result positions whose values a cursor holds, in order of the sort.</summary>
    internal IReadOnlyList<int> KeyColumns { get; init; } = [];

    /// <summary>Segments that may hold an answer, after pruning: what is to be on this machine before it runs.</summary>
    public IReadOnlyList<Records.Segment> Segments { get; init; } = [];

    /// <summary>How many these are; for measuring.</summary>
    public int SegmentsRead => Segments.Count;
}
