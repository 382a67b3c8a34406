using System.Buffers.Binary;
using System.Data.Common;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Audit;

/// <summary>
/// Ledger entries that wait for their index, written in the transaction of the change they speak of. The sequencer takes those with no
/// index yet, never "id greater than n".
/// </summary>
public static class PendingEntries
{
    private const string InsertSql = "INSERT INTO ledger_pending(id, entry, created, log_index) VALUES (@id, @entry, @created, NULL)";

    internal static string Table(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS ledger_pending(
            id {store.Bytes} PRIMARY KEY NOT NULL CHECK(length(id) = 16),
            entry {store.Bytes} NOT NULL,
            created {store.Number} NOT NULL,
            log_index {store.Number} NULL);
        CREATE INDEX IF NOT EXISTS ledger_pending_waiting ON ledger_pending(created) WHERE log_index IS NULL;
        CREATE UNIQUE INDEX IF NOT EXISTS ledger_pending_index ON ledger_pending(log_index) WHERE log_index IS NOT NULL;
        """;

    /// <summary>What keeps entries as they are: none is removed, changed or replaced, and an index is given once.</summary>
    internal static IReadOnlyList<Guard> Guards(SqlStore store) => store.KeepPending();

    /// <summary>Adds an entry with one salted commitment, SHA-256(0x00 ‖ canonical JSON ‖ salt). The id is a UUIDv7; its time becomes <c>created</c>.</summary>
    public static void Add(DbConnection connection, DbTransaction transaction, Guid id, string kind, byte[] commitment32) =>
        Insert(connection, transaction, id, EntryBytes.Commitment(id, kind, commitment32));

    /// <summary>Adds the entry of a batch. The id is a UUIDv7.</summary>
    public static void AddBatch(WriteScope scope, Guid id, byte[] entry) => scope.Later(InsertSql, ("@id", Bytes(id)), ("@entry", entry), ("@created", Created(id)));

    /// <summary>As <see cref="Add(DbConnection, DbTransaction, Guid, string, byte[])"/>, for what runs often.</summary>
    public static void Add(WriteScope scope, Guid id, string kind, byte[] commitment32) => AddBatch(scope, id, EntryBytes.Commitment(id, kind, commitment32));

    private static void Insert(DbConnection connection, DbTransaction transaction, Guid id, byte[] entry)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = InsertSql;
        command.Set("@id", Bytes(id)).Set("@entry", entry).Set("@created", Created(id)).ExecuteNonQuery();
    }

    private static byte[] Bytes(Guid id)
    {
        var bytes = id.ToByteArray(bigEndian: true);
        return bytes[6] >> 4 == 7 ? bytes : throw new ArgumentException("An entry id is a UUIDv7.", nameof(id));
    }

    internal static long Created(Guid id) => (BinaryPrimitives.ReadInt64BigEndian(id.ToByteArray(bigEndian: true)) >> 16 & 0xFFFF_FFFF_FFFF) * 1_000;
}
