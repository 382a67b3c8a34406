using System.Data.Common;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>What sort of break was mended, in the ledger's own words.</summary>
public static class LedgerEventKind
{
    /// <summary>Entries came back into the log without what they speak of.</summary>
    public const string Recovery = "recovery";

    /// <summary>The log goes on under another key.</summary>
    public const string Succession = "succession";
}

/// <summary>Something that an operator did to the log itself after a loss. Public, and an entry of the log like everything else.</summary>
/// <param name="Id">Its ledger entry.</param>
/// <param name="Kind">One of <see cref="LedgerEventKind"/>.</param>
/// <param name="Content">What the entry commits to, without salt: canonical JSON, or a signed <see cref="Succession"/>.</param>
/// <param name="Index">The entry's index; null until it has one.</param>
public sealed record LedgerEvent(Guid Id, string Kind, byte[] Content, long? Index);

/// <summary>A table of what was done to the log itself; see <see cref="LedgerEvent"/>.</summary>
public sealed class LedgerEventSchema : IHotSchema
{
    public string Sql(SqlStore store) => $"""
        CREATE TABLE IF NOT EXISTS ledger_event (
            number {store.Counter},
            id {store.Bytes} NOT NULL UNIQUE,
            kind {store.Text} NOT NULL,
            content {store.Bytes} NOT NULL,
            first_index {store.Number} NULL,
            past_index {store.Number} NULL
        );
        """;
}

/// <summary>Reads and writes <see cref="LedgerEvent"/>s.</summary>
public static class LedgerEvents
{
    /// <summary>In order; none where the database has no such table yet.</summary>
    public static IReadOnlyList<LedgerEvent> List(World world)
    {
        using var connection = NodeDatabase.OpenReader(world);
        return List(connection, null);
    }

    internal static IReadOnlyList<LedgerEvent> List(DbConnection connection, DbTransaction? transaction)
    {
        if (!SqlStore.Of(connection).HasTable(connection, transaction, "ledger_event"))
            return [];
        using var command = connection.Command("SELECT v.id, v.kind, v.content, p.log_index FROM ledger_event v LEFT JOIN ledger_pending p ON p.id = v.id ORDER BY v.number", transaction);
        using var reader = command.ExecuteReader();
        var events = new List<LedgerEvent>();
        while (reader.Read())
            events.Add(new(RecordId.FromBytes((byte[])reader[0]), reader.GetString(1), (byte[])reader[2], reader.IsDBNull(3) ? null : reader.GetInt64(3)));
        return events;
    }

    /// <summary>The successions of the log's keys, oldest first.</summary>
    /// <exception cref="LedgerCorruptException">One cannot be read, or does not go on from the one before.</exception>
    public static IReadOnlyList<Succession> Successions(World world)
    {
        var found = new List<Succession>();
        foreach (var kept in List(world).Where(e => e.Kind == LedgerEventKind.Succession))
        {
            if (!Succession.TryOpen(kept.Content, out var succession) || (found.Count > 0 && found[^1].New.ToString() != succession.Old.ToString()))
                throw new LedgerCorruptException("node.db ledger_event", "A succession of the log's key is not what was signed.");
            found.Add(succession);
        }
        return found;
    }

    /// <summary>Canonical JSON of a recovery: which entries came back, from where the log stood.</summary>
    internal static byte[] RecoveryContent(long first, long past, DateTimeOffset at) => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
        $$"""{"first":{{first}},"past":{{past}},"time":{{Microseconds.From(at)}}}"""));

    internal static void Add(DbConnection connection, DbTransaction transaction, Guid id, string kind, byte[] content, (long First, long Past)? lost)
    {
        PendingEntries.Add(connection, transaction, id, kind, SHA256.HashData([0, .. content]));
        using var command = connection.Command("INSERT INTO ledger_event(id, kind, content, first_index, past_index) VALUES (@id, @kind, @content, @first, @past)", transaction);
        command.Set("@id", RecordId.Bytes(id)).Set("@kind", kind).Set("@content", content).Set("@first", lost?.First).Set("@past", lost?.Past).ExecuteNonQuery();
    }

    /// <summary>How many entries came back without what they speak of.</summary>
    internal static long Lost(DbConnection connection, DbTransaction snapshot)
    {
        if (!SqlStore.Of(connection).HasTable(connection, snapshot, "ledger_event"))
            return 0;
        using var command = connection.Command("SELECT CAST(COALESCE(sum(past_index - first_index), 0) AS bigint) FROM ledger_event WHERE kind = 'recovery'", snapshot);
        return (long)command.ExecuteScalar()!;
    }

    /// <summary>Every event against its ledger entry.</summary>
    internal static void Check(DbConnection connection, DbTransaction snapshot, CheckFindings findings)
    {
        if (!SqlStore.Of(connection).HasTable(connection, snapshot, "ledger_event"))
            return;
        using var command = connection.Command("SELECT v.id, v.kind, v.content, v.first_index, v.past_index, p.entry, p.log_index FROM ledger_event v LEFT JOIN ledger_pending p ON p.id = v.id", snapshot);
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            var (id, kind, content) = (RecordId.FromBytes((byte[])reader[0]), reader.GetString(1), (byte[])reader[2]);
            var expected = EntryBytes.Commitment(id, kind, SHA256.HashData([0, .. content]));
            if (!reader.IsDBNull(5) && expected.AsSpan().SequenceEqual((byte[])reader[5]) && (kind != LedgerEventKind.Recovery || Says(content, reader.GetInt64(3), reader.GetInt64(4))))
                continue;
            findings.Add(new CheckFinding(CheckKind.LedgerEntry, $"node.db ledger_event {id}",
                $"What was done to the log ({kind}) is not what its ledger entry commits to.", $"对存证日志所作处理（{kind}）的记录与其存证日志条目的承诺不符。") { Index = reader.IsDBNull(6) ? null : reader.GetInt64(6) });
        }
    }

    private static bool Says(byte[] content, long first, long past)
    {
        try
        {
            using var json = JsonDocument.Parse(content);
            return json.RootElement.GetProperty("first").GetInt64() == first && json.RootElement.GetProperty("past").GetInt64() == past;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return false;
        }
    }
}
