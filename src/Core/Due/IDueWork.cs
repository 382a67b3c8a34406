using System.Data.Common;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Due;

/// <summary>Something that fell due and was not dealt with yet.</summary>
/// <param name="Item">Tells it from every other of the same work, for ever; at most 200 characters.</param>
public sealed record DueItem(string Item, DateTimeOffset At);

/// <summary>A kind of thing that falls due at moments which are in SQL: the end of a posture, later a deadline.</summary>
public interface IDueWork
{
    /// <summary>1 to 32 lower-case letters, digits, hyphens; never changes.</summary>
    string Name { get; }

    /// <summary>At most so many of what fell due by <paramref name="now"/> and is not in <c>due_done</c> under <see cref="Name"/>, the earliest first. One statement, with an index to go by.</summary>
    IReadOnlyList<DueItem> Find(DbConnection connection, DateTimeOffset now, int most);

    /// <summary>Does what falls due, in the transaction that notes it as done. It is called once for each item that is kept, whoever looks at the same time.</summary>
    void Act(WriteScope scope, DueItem item, DateTimeOffset now);
}

/// <summary>What fell due and was dealt with.</summary>
public sealed class DueSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS due_done (
            work {store.Text} NOT NULL,
            item {store.Text} NOT NULL,
            time {store.Number} NOT NULL,          -- when it was dealt with
            PRIMARY KEY (work, item)
        ){store.Clustered};
        """;
}
