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
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS erasure (
            id {store.Bytes} PRIMARY KEY,
            dataset {store.Number} NOT NULL,
            author {store.Text} NOT NULL,             -- party id
            time {store.Number} NOT NULL,
            reason {store.Text} NOT NULL,
            records {store.Number} NOT NULL,
            request {store.Bytes} NOT NULL,            -- what was asked, hashed under the node's subject key: tells a repeat
            content {store.Text} NOT NULL,            -- canonical JSON of the erasure
            salt {store.Bytes} NOT NULL,
            finished {store.Number}                  -- when the last copy was gone; null until then
        ){store.Clustered};
        CREATE INDEX IF NOT EXISTS erasure_request ON erasure(request);

        CREATE TABLE IF NOT EXISTS erased (
            dataset {store.Number} NOT NULL,
            batch {store.Bytes} NOT NULL,
            ordinal {store.Number} NOT NULL,
            erasure {store.Bytes} NOT NULL REFERENCES erasure(id),
            PRIMARY KEY (dataset, batch, ordinal)
        ){store.Clustered};

        CREATE TABLE IF NOT EXISTS segment_discarded (
            name {store.Text} PRIMARY KEY,            -- a file that is not listed any more and must be deleted
            erasure {store.Bytes} NOT NULL
        ){store.Clustered};
        """;
}
