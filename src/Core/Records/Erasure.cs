using Gongzhi.Core.Catalog;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>What is to be erased: records by their ids, or every row about a subject, superseded versions included.</summary>
public sealed record ErasureRequest
{
    public required Dataset Dataset { get; init; }

    /// <summary>The party who orders it.</summary>
    public required string Author { get; init; }
    public IReadOnlyList<Guid> Records { get; init; } = [];
    public string? Subject { get; init; }

    /// <summary>The legal basis in words; kept and committed to, so it must not repeat what is erased.</summary>
    public required string Reason { get; init; }
}

/// <summary>An erasure that took place.</summary>
/// <param name="Repeated">It was made by an earlier request; this one found nothing more to do.</param>
public sealed record Erasure(Guid Id, string Dataset, string Author, DateTimeOffset Time, string Reason, long Records, bool Repeated);

/// <summary>Erasures, and which rows each took away. No content: the leaf that stays is in <c>replaced</c>.</summary>
public sealed class ErasureSchema : IHotSchema
{
    public string Sql => """
        CREATE TABLE IF NOT EXISTS erasure (
            id BLOB PRIMARY KEY,
            dataset INTEGER NOT NULL,
            author TEXT NOT NULL,             -- party id
            time INTEGER NOT NULL,
            reason TEXT NOT NULL,
            records INTEGER NOT NULL,
            request BLOB NOT NULL,            -- what was asked, hashed under the node's subject key: tells a repeat
            content TEXT NOT NULL,            -- canonical JSON of the erasure
            salt BLOB NOT NULL,
            finished INTEGER                  -- when the last copy was gone; null until then
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS erasure_request ON erasure(request);

        CREATE TABLE IF NOT EXISTS erased (
            dataset INTEGER NOT NULL,
            batch BLOB NOT NULL,
            ordinal INTEGER NOT NULL,
            erasure BLOB NOT NULL REFERENCES erasure(id),
            PRIMARY KEY (dataset, batch, ordinal)
        ) WITHOUT ROWID;

        CREATE TABLE IF NOT EXISTS segment_discarded (
            name TEXT PRIMARY KEY,            -- a file that is not listed any more and must be deleted
            erasure BLOB NOT NULL
        ) WITHOUT ROWID;
        """;
}
