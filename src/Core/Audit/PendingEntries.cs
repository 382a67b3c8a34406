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
    public static void AddBatch(WriteScope scope, Guid id, byte[] entry) => Bind(scope.Kept(InsertSql), id, entry).ExecuteNonQuery();

    private static void Insert(DbConnection connection, DbTransaction transaction, Guid id, byte[] entry)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = InsertSql;
        Bind(command, id, entry).ExecuteNonQuery();
    }

    private static DbCommand Bind(DbCommand command, Guid id, byte[] entry)
    {
        var bytes = id.ToByteArray(bigEndian: true);
        if (bytes[6] >> 4 != 7)
            throw new ArgumentException("An entry id is a UUIDv7.", nameof(id));
        return command.Set("@id", bytes).Set("@entry", entry).Set("@created", (BinaryPrimitives.ReadInt64BigEndian(bytes) >> 16 & 0xFFFF_FFFF_FFFF) * 1_000);
    }
}
