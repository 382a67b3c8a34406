using System.Data.Common;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Audit;

/// <summary>Which changes to list; null does not restrict. <paramref name="Before"/> is the last number of the page before.</summary>
/// <param name="Entity">Kind of state that was changed: Grant, Party, RoleHolding, Unit, DatasetState, Place, …</param>
/// <param name="Key">Part of the key of what was changed.</param>
public sealed record AuditFilter(
    string? Entity = null, string? Key = null, string? Author = null, DateTimeOffset? From = null, DateTimeOffset? To = null, long? Before = null, int Limit = AuditTrail.PageDefault);

/// <summary>One audited change. <paramref name="Content"/> with <paramref name="Salt"/> opens the commitment in the ledger.</summary>
public sealed record AuditEntry(long Number, Guid Id, byte[] Content, byte[] Salt, long? Entry)
{
    /// <summary>The content as JSON: author, time, reason, and each change with before and after.</summary>
    public JsonElement Json()
    {
        using var document = JsonDocument.Parse(Content);
        return document.RootElement.Clone();
    }
}

/// <summary>Reads the audited changes, the newest first. Who may is for the caller's route to say: the audit administrator.</summary>
public sealed class AuditTrail(World world)
{
    public const int PageDefault = 100, PageMax = 1_000;

    public IReadOnlyList<AuditEntry> List(AuditFilter filter)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        var sql = new StringBuilder("SELECT c.seq, c.id, c.content, c.salt, p.log_index FROM audit_change c LEFT JOIN ledger_pending p ON p.id = c.id WHERE 1 = 1");
        var store = SqlStore.Of(world);
        When($"{store.JsonText("c.content", "author")} = @author", "@author", filter.Author);
        When($"{store.JsonNumber("c.content", "time")} >= @from", "@from", filter.From is { } from ? Microseconds.From(from) : null);
        When($"{store.JsonNumber("c.content", "time")} < @to", "@to", filter.To is { } to ? Microseconds.From(to) : null);
        var items = store.JsonItems("c.content", "changes");
        When($"({store.JsonText("c.content", "what")} = @entity OR EXISTS (SELECT 1 FROM {items} WHERE {store.JsonItemText("entity")} = @entity))", "@entity", filter.Entity);
        When($"EXISTS (SELECT 1 FROM {items} WHERE {store.Contains(store.JsonItemText("key"), "@key")})", "@key", filter.Key);
        When("c.seq < @before", "@before", filter.Before);
        sql.Append(" ORDER BY c.seq DESC LIMIT @limit");
        command.Set("@limit", Math.Clamp(filter.Limit, 1, PageMax));
        command.CommandText = sql.ToString();
        return Read(command);

        void When(string condition, string name, object? value)
        {
            if (value is null)
                return;
            sql.Append(" AND ").Append(condition);
            command.Set(name, value);
        }
    }

    public AuditEntry? Find(Guid id)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT c.seq, c.id, c.content, c.salt, p.log_index FROM audit_change c LEFT JOIN ledger_pending p ON p.id = c.id WHERE c.id = @id";
        command.Set("@id", id.ToByteArray(bigEndian: true));
        return Read(command) is [var found] ? found : null;
    }

    private static List<AuditEntry> Read(DbCommand command)
    {
        var list = new List<AuditEntry>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            list.Add(new(
                reader.GetInt64(0), new Guid((byte[])reader.GetValue(1), bigEndian: true), (byte[])reader.GetValue(2), (byte[])reader.GetValue(3),
                reader.IsDBNull(4) ? null : reader.GetInt64(4)));
        }
        return list;
    }
}
