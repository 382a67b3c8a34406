using System.Text;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Microsoft.Data.Sqlite;

namespace Gongzhi.Core.Audit;

/// <summary>Ledger entries that a transaction leaves for the sequencer. Entry bytes are those of docs/contracts/canonical.md.</summary>
public sealed class PendingEntriesSchema : IHotSchema
{
    public string Sql => """
        CREATE TABLE IF NOT EXISTS ledger_pending (
            id BLOB PRIMARY KEY,
            entry BLOB NOT NULL,
            created INTEGER NOT NULL,
            log_index INTEGER
        ) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS ledger_pending_waiting ON ledger_pending(id) WHERE log_index IS NULL;
        """;
}

/// <summary>Adds pending entries in the transaction of the change they commit to.</summary>
public static class PendingEntries
{
    public static void AddBatch(SqliteConnection connection, SqliteTransaction transaction, Guid id, string dataset, int schemaVersion, Guid batch, long rows, ReadOnlySpan<byte> root)
    {
        Span<byte> buffer = stackalloc byte[256 + 32];
        var n = Head(buffer, 9, "batch"u8, id);
        n += Cbor.WriteText(buffer[n..], Encoding.UTF8.GetBytes(dataset));
        n += Cbor.WriteInt(buffer[n..], schemaVersion);
        n += Cbor.WriteBytes(buffer[n..], RecordId.Bytes(batch));
        n += Cbor.WriteInt(buffer[n..], rows);
        n += Cbor.WriteBytes(buffer[n..], root);
        Insert(connection, transaction, id, buffer[..n].ToArray());
    }

    /// <summary>An entry that holds one salted commitment: <c>state</c>, <c>access</c> or <c>erasure</c>.</summary>
    public static void Add(SqliteConnection connection, SqliteTransaction transaction, Guid id, string kind, ReadOnlySpan<byte> commitment)
    {
        Span<byte> buffer = stackalloc byte[128];
        var n = Head(buffer, 5, Encoding.UTF8.GetBytes(kind), id);
        n += Cbor.WriteBytes(buffer[n..], commitment);
        Insert(connection, transaction, id, buffer[..n].ToArray());
    }

    private static int Head(Span<byte> to, int items, ReadOnlySpan<byte> kind, Guid id)
    {
        var n = Cbor.WriteArrayHead(to, items);
        n += Cbor.WriteText(to[n..], "gongzhi/entry"u8);
        n += Cbor.WriteInt(to[n..], 1);
        n += Cbor.WriteText(to[n..], kind);
        return n + Cbor.WriteBytes(to[n..], RecordId.Bytes(id));
    }

    private static void Insert(SqliteConnection connection, SqliteTransaction transaction, Guid id, byte[] entry)
    {
        using var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = "INSERT INTO ledger_pending(id, entry, created) VALUES ($id, $entry, unixepoch('subsec') * 1000000)";
        command.Parameters.AddWithValue("$id", RecordId.Bytes(id));
        command.Parameters.AddWithValue("$entry", entry);
        command.ExecuteNonQuery();
    }
}
