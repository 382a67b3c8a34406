using System.Buffers.Binary;
using Gongzhi.Core.Storage;
using Microsoft.Data.Sqlite;

namespace Gongzhi.Core.Audit;

/// <summary>
/// Ledger entries that wait for their index, written in the transaction of the change they speak of. The sequencer takes those with no
/// index yet, never "id greater than n".
/// </summary>
public static class PendingEntries
{
    private const string InsertSql = "INSERT INTO ledger_pending(id, entry, created, log_index) VALUES ($id, $entry, $created, NULL)";

    /// <summary>Idempotent; also run by <see cref="NodeDatabase.Prepare"/>.</summary>
    public const string Sql = """
        CREATE TABLE IF NOT EXISTS ledger_pending(
            id BLOB PRIMARY KEY NOT NULL CHECK(length(id) = 16),
            entry BLOB NOT NULL,
            created INTEGER NOT NULL,
            log_index INTEGER NULL);
        CREATE INDEX IF NOT EXISTS ledger_pending_waiting ON ledger_pending(created) WHERE log_index IS NULL;
        CREATE TRIGGER IF NOT EXISTS ledger_pending_fixed BEFORE UPDATE OF id, entry, created ON ledger_pending
        BEGIN SELECT RAISE(ABORT, 'a ledger entry never changes'); END;
        CREATE TRIGGER IF NOT EXISTS ledger_pending_kept BEFORE DELETE ON ledger_pending
        BEGIN SELECT RAISE(ABORT, 'a ledger entry is never removed'); END;
        CREATE TRIGGER IF NOT EXISTS ledger_pending_placed BEFORE UPDATE OF log_index ON ledger_pending
        WHEN OLD.log_index IS NOT NULL OR EXISTS (SELECT 1 FROM ledger_pending WHERE log_index = NEW.log_index)
        BEGIN SELECT RAISE(ABORT, 'a ledger entry keeps its index, and an index its entry'); END;
        CREATE TRIGGER IF NOT EXISTS ledger_pending_once BEFORE INSERT ON ledger_pending
        WHEN NEW.log_index IS NOT NULL OR EXISTS (SELECT 1 FROM ledger_pending WHERE id = NEW.id OR rowid = NEW.rowid)
        BEGIN SELECT RAISE(ABORT, 'a ledger entry is never replaced, and waits for its index'); END;
        """;

    /// <summary>Adds an entry with one salted commitment, SHA-256(0x00 ‖ canonical JSON ‖ salt). The id is a UUIDv7; its time becomes <c>created</c>.</summary>
    public static void Add(SqliteConnection connection, SqliteTransaction transaction, Guid id, string kind, byte[] commitment32) =>
        Insert(connection, transaction, id, EntryBytes.Commitment(id, kind, commitment32));

    /// <summary>Adds the entry of a batch. The id is a UUIDv7.</summary>
    public static void AddBatch(WriteScope scope, Guid id, byte[] entry) => Bind(scope.Kept(InsertSql), id, entry).ExecuteNonQuery();

    private static void Insert(SqliteConnection connection, SqliteTransaction transaction, Guid id, byte[] entry)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = InsertSql;
        Bind(command, id, entry).ExecuteNonQuery();
    }

    private static SqliteCommand Bind(SqliteCommand command, Guid id, byte[] entry)
    {
        var bytes = id.ToByteArray(bigEndian: true);
        if (bytes[6] >> 4 != 7)
            throw new ArgumentException("An entry id is a UUIDv7.", nameof(id));
        return command.Set("$id", bytes).Set("$entry", entry).Set("$created", (BinaryPrimitives.ReadInt64BigEndian(bytes) >> 16 & 0xFFFF_FFFF_FFFF) * 1_000);
    }
}
