using System.Data.Common;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Storage;

/// <summary>
/// The SQL database under a world: SQLite on one machine, PostgreSQL under several. What the two do differently is here and in what derives from it; everywhere else a statement
/// is written once, in what both understand, with parameters as <c>@name</c>.
/// </summary>
/// <remarks>
/// Both hold whole numbers as 64 bits, times as microseconds UTC, ids as 16 big-endian bytes, text in the order of its UTF-8 bytes. A truth value in a plain table is 0 or 1.
/// A reader must be read to its end, or disposed, before its connection runs another statement.
/// </remarks>
public abstract class SqlStore
{
    private protected SqlStore()
    {
    }

    public static SqlStore Of(World world) => world.Database is null ? SqliteStore.Instance : PostgresStore.Instance;

    public static SqlStore Of(WriteScope scope) => scope.Store;

    public static SqlStore Of(DbConnection connection) => connection is SqliteConnection ? SqliteStore.Instance : PostgresStore.Instance;

    /// <summary>Type of a column of bytes.</summary>
    public abstract string Bytes { get; }

    /// <summary>Type of a column of whole numbers, 64 bits.</summary>
    public abstract string Number { get; }

    /// <summary>Type of a column of text that sorts by its bytes.</summary>
    public abstract string Text { get; }

    /// <summary>Type and constraint of a key that the database counts up by itself; after a rollback a number may be missing.</summary>
    public abstract string Counter { get; }

    /// <summary>Likewise, and never gives a number twice, even when the last row is gone.</summary>
    public abstract string Sequence { get; }

    /// <summary>Stands after a table's closing parenthesis where its rows are to lie in the order of the key, if the database can.</summary>
    public abstract string Clustered { get; }

    /// <summary>The database as a program would have to be told, without any secret: for sentences to the operator.</summary>
    public abstract string Describe(World world);

    /// <summary>Whether there is a database to be read at all, as far as that can be told without asking a server.</summary>
    public virtual bool IsThere(World world) => true;

    /// <summary>Whether the state can be put back to an older one without this machine's own files: its server has a life of its own.</summary>
    public virtual bool IsElsewhere => true;

    /// <summary>Opens a connection for the writer, with the settings that durability depends on; not pooled with those of readers.</summary>
    public abstract DbConnection OpenWriter(World world);

    /// <summary>Opens a pooled connection for reading.</summary>
    public abstract DbConnection OpenReader(World world);

    /// <summary>A connection that cannot write, also where this process may not even make a file beside the database.</summary>
    internal abstract DbConnection OpenReadOnly(World world);

    /// <summary>What the database itself says is wrong with it; empty when nothing is.</summary>
    internal abstract IReadOnlyList<string> Faults(DbConnection connection, DbTransaction transaction);

    /// <summary>A transaction in which every statement sees the same moment. It holds up no writer.</summary>
    public abstract DbTransaction BeginSnapshot(DbConnection connection);

    /// <summary>A transaction that is the only one of the world that writes, until it ends.</summary>
    public abstract DbTransaction BeginWrite(DbConnection connection);

    /// <summary>Whether each statement costs a way to a server and back, so that those whose answer nobody waits for are better sent together.</summary>
    internal virtual bool IsFar => false;

    /// <summary>Whether a failed statement or commit left nothing behind, and trying again is right.</summary>
    public abstract bool KeptNothing(Exception e);

    /// <summary>Whether a commit that failed with this is certain to have kept nothing.</summary>
    public virtual bool CommitKeptNothing(Exception e, DbConnection connection) => KeptNothing(e);

    /// <summary>Writes into a group's transaction, last of all, by what it can be found again, and what it tells other machines; null where a commit's own answer is all there is.</summary>
    /// <exception cref="WriterStoppedException">Somebody else has written since: what this process has in memory is not what the database holds.</exception>
    internal virtual (Guid Id, long Number)? Mark(DbConnection connection, DbTransaction transaction, ChangeFeed feed, IReadOnlyCollection<(FeedTopic, long[])> told) => null;

    /// <summary>After a commit that gave no answer: whether it was kept. Waits until the database can tell; null when it could not for too long.</summary>
    /// <param name="stop">Gives up waiting.</param>
    internal virtual bool? Outcome(World world, Guid mark, CancellationToken stop) => null;

    /// <summary>Whether the failure is a second row with the same value in a column that allows one.</summary>
    public abstract bool IsDuplicate(Exception e, string table, string column);

    /// <summary>Whether the database has a table of this name.</summary>
    public abstract bool HasTable(DbConnection connection, DbTransaction? transaction, string name);

    /// <summary>Names of the triggers there are.</summary>
    internal abstract IReadOnlyCollection<string> Triggers(DbConnection connection, DbTransaction? transaction);

    /// <summary>Points EF Core to the database.</summary>
    public abstract void Configure(DbContextOptionsBuilder options, World world);

    /// <summary>Makes the schema in an empty database, or brings an older one to what this program needs.</summary>
    /// <exception cref="SchemaException">A newer program wrote it, or there is no way from what it is.</exception>
    internal abstract void Prepare(World world, string create, string always, IEnumerable<SchemaStep> steps, int latest);

    /// <summary>Triggers that let rows be added to a table and never changed, removed or replaced.</summary>
    /// <param name="what">What a row is, for the sentence of who tries: <c>an audit entry</c>.</param>
    internal abstract IReadOnlyList<Audit.Guard> Keep(string table, string what);

    /// <summary>The triggers of the entries that wait for the ledger.</summary>
    internal abstract IReadOnlyList<Audit.Guard> KeepPending();

    /// <summary>Triggers that refuse these statements on a table while the gate is shut.</summary>
    internal abstract IReadOnlyList<Audit.Guard> Close(string table, IReadOnlyList<string> verbs, string message);

    /// <summary>Opens or shuts the gate that <see cref="Close"/> asks, for this transaction; shut unless opened.</summary>
    internal abstract void SetAuditGate(DbConnection connection, DbTransaction transaction, bool open);

    /// <summary>A statement in the transaction that takes rows out of the tail, so that no page keeps a copy of them; null where <see cref="ClearRemainsAsync"/> sees to it.</summary>
    internal abstract string? TailScrub { get; }

    /// <summary>Makes sure that nothing of what was deleted stays in what this database writes, as far as it can; for erasure.</summary>
    /// <exception cref="StoreUnavailableException">Somebody still looks at the past.</exception>
    internal abstract Task ClearRemainsAsync(World world, CancellationToken cancel);

    /// <summary>Gives waiting ledger entries their indexes, from <paramref name="first"/> on; answers how many of them were waiting.</summary>
    internal virtual int PlaceEntries(WriteScope scope, IReadOnlyList<byte[]> ids, long first)
    {
        using var place = scope.Command("UPDATE ledger_pending SET log_index = @index WHERE id = @id AND log_index IS NULL");
        var (index, id) = (place.Parameter("@index"), place.Parameter("@id"));
        var placed = 0;
        for (var i = 0; i < ids.Count; i++)
        {
            (index.Value, id.Value) = (first + i, ids[i]);
            placed += place.ExecuteNonQuery();
        }
        return placed;
    }

    /// <summary>The indexes of those of these ledger entries that have one.</summary>
    internal virtual List<(byte[] Id, long Index)> FindPlaced(DbConnection connection, IReadOnlyCollection<byte[]> ids)
    {
        using var command = connection.Command("SELECT log_index FROM ledger_pending WHERE id = @id");
        var id = command.Parameter("@id");
        var found = new List<(byte[], long)>();
        foreach (var one in ids)
        {
            id.Value = one;
            if (command.ExecuteScalar() is long index)
                found.Add((one, index));
        }
        return found;
    }

    /// <summary>The bytes as a literal.</summary>
    public abstract string Literal(ReadOnlySpan<byte> bytes);

    /// <summary>A text member of the JSON object that a column of bytes holds.</summary>
    internal abstract string JsonText(string bytesColumn, string member);

    /// <summary>Whether a column of bytes holds JSON.</summary>
    internal abstract string IsJson(string bytesColumn);

    /// <summary>A whole-number member likewise.</summary>
    internal abstract string JsonNumber(string bytesColumn, string member);

    /// <summary>The items of an array member, as a table <c>e</c> with the column <c>value</c>.</summary>
    internal abstract string JsonItems(string bytesColumn, string member);

    /// <summary>A text member of an item of <see cref="JsonItems"/>.</summary>
    internal abstract string JsonItemText(string member);

    /// <summary>Whether a text contains another.</summary>
    internal abstract string Contains(string text, string part);

    /// <summary>Whether a column is one of the texts in a parameter, which is a JSON array of texts.</summary>
    internal abstract string IsOneOf(string column, string parameter);
}

/// <summary>What both databases mean by a failure.</summary>
public static class StoreFaults
{
    /// <summary>Nothing was kept because the database is busy or cannot be reached at the moment.</summary>
    public static bool IsUnavailable(Exception? e) => e switch
    {
        null => false,
        SqliteException { SqliteErrorCode: 5 or 6 } => true,
        Npgsql.NpgsqlException npgsql => PostgresStore.IsUnavailable(npgsql),
        _ => IsUnavailable(e.InnerException),
    };

    /// <summary>The database file is damaged or is none.</summary>
    public static bool IsDamaged(Exception e) => e is SqliteException { SqliteErrorCode: 11 or 26 };
}
