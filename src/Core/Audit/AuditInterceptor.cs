using System.Data.Common;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Storage;

namespace Gongzhi.Core.Audit;

/// <summary>
/// Writes, for every save that touches audited entities, one entry with what changed, in the same transaction and before the change itself;
/// a failing save takes the entry with it. A save without a transaction or an author is refused.
/// </summary>
public sealed class AuditInterceptor : SaveChangesInterceptor
{
    /// <summary>Bytes of one entry's content; more in one save means the work must be split.</summary>
    public const int ContentBytesMax = 4 * 1024 * 1024;

    private static readonly JsonWriterOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>One gate per connection; open only while an audited save runs. The writer's connection is used by one thread at a time.</summary>
    private static readonly ConditionalWeakTable<DbConnection, Gate> Gates = [];

    public override InterceptionResult<int> SavingChanges(DbContextEventData eventData, InterceptionResult<int> result)
    {
        Begin(eventData.Context);
        return result;
    }

    public override ValueTask<InterceptionResult<int>> SavingChangesAsync(DbContextEventData eventData, InterceptionResult<int> result, CancellationToken cancellationToken = default)
    {
        Begin(eventData.Context);
        return ValueTask.FromResult(result);
    }

    public override int SavedChanges(SaveChangesCompletedEventData eventData, int result)
    {
        End(eventData.Context, kept: true);
        return result;
    }

    public override ValueTask<int> SavedChangesAsync(SaveChangesCompletedEventData eventData, int result, CancellationToken cancellationToken = default)
    {
        End(eventData.Context, kept: true);
        return ValueTask.FromResult(result);
    }

    public override void SaveChangesFailed(DbContextErrorEventData eventData) => End(eventData.Context, kept: false);

    public override Task SaveChangesFailedAsync(DbContextErrorEventData eventData, CancellationToken cancellationToken = default)
    {
        End(eventData.Context, kept: false);
        return Task.CompletedTask;
    }

    public override void SaveChangesCanceled(DbContextEventData eventData) => End(eventData.Context, kept: false);

    public override Task SaveChangesCanceledAsync(DbContextEventData eventData, CancellationToken cancellationToken = default)
    {
        End(eventData.Context, kept: false);
        return Task.CompletedTask;
    }

    private static void Begin(DbContext? context)
    {
        if (context is not NodeDb db)
            return;
        db.ChangeTracker.DetectChanges();
        var changes = db.ChangeTracker.Entries()
            .Where(e => e.State is EntityState.Added or EntityState.Modified or EntityState.Deleted && AuditModel.Audited(e.Metadata))
            .ToList();
        if (changes.Count == 0)
            return;
        if (db.Audit is not { Author.Length: > 0 } audit)
            throw new AuditBypassException($"A change of {changes[0].Metadata.ShortName()} has no author.");
        if (db.Database.CurrentTransaction?.GetDbTransaction() is not { Connection: { } connection } transaction)
            throw new AuditBypassException("Audited state is saved by the node's writer only: there is no transaction.");
        var content = Content(audit, changes);
        var salt = RandomNumberGenerator.GetBytes(16);
        var id = Guid.CreateVersion7(audit.Time);
        var gate = Gates.GetValue(connection, static _ => new Gate());
        // A gate left open by a save of an earlier transaction is no save under way.
        if (gate.Open && ReferenceEquals(gate.Transaction, transaction))
            throw new AuditBypassException("Another audited save is under way on this connection.");
        transaction.Save("audit");
        gate.Transaction = transaction;
        gate.Open = true;
        try
        {
            SqlStore.Of(connection).SetAuditGate(connection, transaction, open: true);
            using var command = connection.CreateCommand();
            command.Transaction = transaction;
            command.CommandText = "INSERT INTO audit_change(id, content, salt) VALUES (@id, @content, @salt)";
            command.Set("@id", id.ToByteArray(bigEndian: true));
            command.Set("@content", content);
            command.Set("@salt", salt);
            command.ExecuteNonQuery();
            PendingEntries.Add(connection, transaction, id, "state", EntryBytes.Commit(content, salt));
        }
        catch
        {
            End(db, kept: false);
            throw;
        }
    }

    private static void End(DbContext? context, bool kept)
    {
        if (context?.Database.CurrentTransaction?.GetDbTransaction() is not { Connection: { } connection } transaction
            || !Gates.TryGetValue(connection, out var gate) || !gate.Open)
            return;
        (gate.Open, gate.Transaction) = (false, null);
        if (!kept)
            transaction.Rollback("audit");
        SqlStore.Of(connection).SetAuditGate(connection, transaction, open: false);
        transaction.Release("audit");
    }

    /// <summary>The change as JSON: keys in ordinal order, no white space, values as SQLite holds them, bytes as base64.</summary>
    private static byte[] Content(AuditContext audit, List<EntityEntry> changes)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Plain))
        {
            json.WriteStartObject();
            json.WriteString("author", audit.Author);
            json.WriteStartArray("changes");
            foreach (var (entry, key) in changes.Select(e => (e, Key(e))).OrderBy(c => c.e.Metadata.Name, StringComparer.Ordinal).ThenBy(c => c.Item2, StringComparer.Ordinal))
                Write(json, entry, key);
            json.WriteEndArray();
            json.WriteString("reason", audit.Reason);
            json.WriteNumber("time", Microseconds.From(audit.Time));
            json.WriteEndObject();
        }
        if (stream.Length > ContentBytesMax)
            throw new AuditBypassException("One save changes more audited state than an entry may hold.");
        return stream.ToArray();
    }

    private static void Write(Utf8JsonWriter json, EntityEntry entry, string key)
    {
        var properties = entry.Properties.Where(p => entry.State != EntityState.Modified || p.IsModified)
            .OrderBy(p => p.Metadata.Name, StringComparer.Ordinal).ToList();
        json.WriteStartObject();
        WriteValues("after", entry.State == EntityState.Deleted, p => p.CurrentValue);
        WriteValues("before", entry.State == EntityState.Added, p => p.OriginalValue);
        json.WriteString("entity", entry.Metadata.ShortName());
        json.WriteString("key", key);
        json.WriteString("op", entry.State switch { EntityState.Added => "added", EntityState.Modified => "modified", _ => "deleted" });
        json.WriteStartArray("secrets");
        foreach (var property in properties.Where(p => AuditModel.Secret(p.Metadata)))
            json.WriteStringValue(property.Metadata.Name);
        json.WriteEndArray();
        json.WriteEndObject();

        void WriteValues(string name, bool absent, Func<PropertyEntry, object?> value)
        {
            if (absent)
            {
                json.WriteNull(name);
                return;
            }
            json.WriteStartObject(name);
            foreach (var property in properties.Where(p => !AuditModel.Secret(p.Metadata)))
            {
                json.WritePropertyName(property.Metadata.Name);
                WriteValue(json, AuditModel.Stored(property.Metadata, value(property)));
            }
            json.WriteEndObject();
        }
    }

    internal static void WriteValue(Utf8JsonWriter json, object? stored)
    {
        switch (stored)
        {
            case null: json.WriteNullValue(); break;
            case long number: json.WriteNumberValue(number); break;
            case double number: json.WriteNumberValue(number); break;
            case byte[] bytes: json.WriteStringValue("base64:" + Convert.ToBase64String(bytes)); break;
            case string text: json.WriteStringValue(text); break;
            default: throw new AuditBypassException($"An audit entry cannot hold a {stored.GetType().Name}.");
        }
    }

    /// <summary>The key as it stands in entries: a JSON array of the key's values.</summary>
    private static string Key(EntityEntry entry)
    {
        var key = entry.Metadata.FindPrimaryKey()!;
        if (key.Properties.Any(p => entry.Property(p.Name).IsTemporary))
            throw new AuditBypassException($"{entry.Metadata.ShortName()} leaves its key to the database; audited keys are set by the program.");
        return KeyText(key.Properties.Select(p => AuditModel.Stored(p, entry.Property(p.Name).CurrentValue)));
    }

    internal static string KeyText(IEnumerable<object?> values)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Plain))
        {
            json.WriteStartArray();
            foreach (var value in values)
                WriteValue(json, value);
            json.WriteEndArray();
        }
        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    private sealed class Gate
    {
        public volatile bool Open;
        public DbTransaction? Transaction;
    }
}
