using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Audit;

/// <summary>
/// An audit entry for a change of state that is kept in plain tables rather than in audited entities: who, when and why, how much, and the digest of what was written.
/// It holds no change of an entity, so the verifier compares no table with it.
/// </summary>
public static class AuditNote
{
    /// <summary>Adds the entry and its commitment in the transaction of the change.</summary>
    /// <param name="what">Kind of state, as an entity's name would stand there.</param>
    /// <param name="digest">SHA-256 of what was written.</param>
    /// <param name="state">SHA-256 of all of it as it is afterwards, which a check can compare; left out where it is empty.</param>
    public static void Add(WriteScope scope, AuditContext audit, string what, long count, ReadOnlySpan<byte> digest, ReadOnlySpan<byte> state = default)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("author", audit.Author);
            json.WriteStartArray("changes");
            json.WriteEndArray();
            json.WriteNumber("count", count);
            json.WriteString("digest", Convert.ToHexStringLower(digest));
            json.WriteString("reason", audit.Reason);
            if (!state.IsEmpty)
                json.WriteString("state", Convert.ToHexStringLower(state));
            json.WriteNumber("time", Microseconds.From(audit.Time));
            json.WriteString("what", what);
            json.WriteEndObject();
        }
        var (id, content, salt) = (Guid.CreateVersion7(audit.Time), stream.ToArray(), RandomNumberGenerator.GetBytes(16));
        using var command = scope.Command("INSERT INTO audit_change(id, content, salt) VALUES (@id, @content, @salt)");
        command.Set("@id", id.ToByteArray(bigEndian: true));
        command.Set("@content", content);
        command.Set("@salt", salt);
        command.ExecuteNonQuery();
        PendingEntries.Add(scope.Connection, scope.Transaction, id, "state", EntryBytes.Commit(content, salt));
    }
}
