using System.Data.Common;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata;

namespace Gongzhi.Core.Audit;

/// <summary>
/// Something that does not agree with the audit: <c>entry-missing</c>, <c>entry-differs</c>, <c>content-missing</c>, <c>content-unreadable</c>,
/// <c>history-broken</c>, <c>state-differs</c>, <c>state-unexplained</c>, <c>state-gone</c>, <c>guard-missing</c>; with the entry's id when there is one.
/// </summary>
public sealed record AuditFinding(string Code, Guid? Change, string? Entity, string? Key, string Detail);

/// <summary>
/// Checks that every audit entry is what its ledger entry commits to, and that the state found in the tables is what the entries lead to. Values
/// marked secret are not in the entries and so are not compared.
/// </summary>
public static class AuditVerifier
{
    private sealed record Known(Guid Change, Dictionary<string, string> Values);

    /// <summary>Reads the node's database in one transaction, so that a running node does not disturb it.</summary>
    public static IReadOnlyList<AuditFinding> Verify(DbConnection connection, IModel model, CancellationToken cancel = default)
    {
        using var transaction = connection.BeginSnapshot();
        var findings = new List<AuditFinding>();
        var state = new Dictionary<(string Entity, string Key), Known>();
        using (var command = Command(connection, transaction, "SELECT c.id, c.content, c.salt, p.entry FROM audit_change c LEFT JOIN ledger_pending p ON p.id = c.id ORDER BY c.seq"))
        using (var reader = command.ExecuteReader())
        {
            while (reader.Read())
            {
                cancel.ThrowIfCancellationRequested();
                var id = Id(reader);
                var content = Blob(reader, 1);
                if (reader.IsDBNull(3))
                    findings.Add(new("entry-missing", id, null, null, "The change has no ledger entry."));
                else if (!Blob(reader, 3).AsSpan().SequenceEqual(EntryBytes.Commitment(id, "state", EntryBytes.Commit(content, Blob(reader, 2)))))
                    findings.Add(new("entry-differs", id, null, null, "The ledger entry does not commit to this content."));
                Follow(id, content, state, findings);
            }
        }
        using (var command = Command(connection, transaction, $"SELECT p.id, p.entry FROM ledger_pending p WHERE NOT EXISTS (SELECT 1 FROM audit_change c WHERE c.id = p.id){LostEntries.Without(connection, transaction)}"))
        using (var reader = command.ExecuteReader())
        {
            while (reader.Read())
            {
                if (EntryBytes.IsKind(Blob(reader, 1), "state"))
                    findings.Add(new("content-missing", Id(reader), null, null, "The ledger entry's content is gone."));
            }
        }
        foreach (var missing in AuditSchema.MissingGuards(connection, transaction, model))
            findings.Add(new("guard-missing", null, null, missing, "A trigger that keeps audited tables closed is gone; the next start puts it back."));
        foreach (var entity in AuditModel.Check(model))
            Compare(connection, transaction, entity, state, findings, cancel);
        foreach (var (at, known) in state)
            findings.Add(new("state-gone", known.Change, at.Entity, at.Key, "The last entry says this exists, but it does not."));
        return findings;
    }

    private static void Follow(Guid id, byte[] content, Dictionary<(string, string), Known> state, List<AuditFinding> findings)
    {
        try
        {
            using var json = JsonDocument.Parse(content);
            foreach (var change in json.RootElement.GetProperty("changes").EnumerateArray())
            {
                var at = (change.GetProperty("entity").GetString()!, change.GetProperty("key").GetString()!);
                var exists = state.TryGetValue(at, out var known);
                var op = change.GetProperty("op").GetString();
                if (exists == (op == "added"))
                    findings.Add(new("history-broken", id, at.Item1, at.Item2, exists ? "Added although it existed." : "Changed although it did not exist."));
                var values = known?.Values ?? [];
                if (change.GetProperty("before") is { ValueKind: JsonValueKind.Object } before)
                {
                    foreach (var property in before.EnumerateObject())
                    {
                        if (exists && values.GetValueOrDefault(property.Name) != property.Value.GetRawText())
                            findings.Add(new("history-broken", id, at.Item1, at.Item2, $"{property.Name} was not what this entry says it was before."));
                    }
                }
                if (op == "deleted")
                {
                    state.Remove(at);
                    continue;
                }
                foreach (var property in change.GetProperty("after").EnumerateObject())
                    values[property.Name] = property.Value.GetRawText();
                state[at] = new(id, values);
            }
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            findings.Add(new("content-unreadable", id, null, null, "The content is not an audit entry."));
        }
    }

    private static void Compare(
        DbConnection connection, DbTransaction transaction, IEntityType entity, Dictionary<(string, string), Known> state, List<AuditFinding> findings, CancellationToken cancel)
    {
        var keys = entity.FindPrimaryKey()!.Properties;
        var properties = entity.GetProperties().Where(p => !AuditModel.Secret(p)).ToList();
        var columns = keys.Concat(properties).Select(p => AuditSchema.Quote(p.GetColumnName()));
        using var command = Command(connection, transaction, $"SELECT {string.Join(", ", columns)} FROM {AuditSchema.Quote(entity.GetTableName()!)}");
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            cancel.ThrowIfCancellationRequested();
            var key = AuditInterceptor.KeyText(Enumerable.Range(0, keys.Count).Select(i => Value(reader, i)));
            if (!state.Remove((entity.ShortName(), key), out var known))
            {
                findings.Add(new("state-unexplained", null, entity.ShortName(), key, "It exists, but no entry says so."));
                continue;
            }
            for (var i = 0; i < properties.Count; i++)
            {
                // A column that came with a newer program has no value in older entries; its default is no change.
                if (known.Values.TryGetValue(properties[i].Name, out var expected) && expected != Text(Value(reader, keys.Count + i)))
                    findings.Add(new("state-differs", known.Change, entity.ShortName(), key, $"{properties[i].Name} is not what its last entry says."));
            }
        }
    }

    /// <summary>The bytes of a column, whatever type a stranger has turned it into.</summary>
    private static byte[] Blob(DbDataReader reader, int column) => reader.GetValue(column) switch
    {
        byte[] bytes => bytes,
        string text => Encoding.UTF8.GetBytes(text),
        _ => [],
    };

    private static Guid Id(DbDataReader reader) => Blob(reader, 0) is { Length: 16 } bytes ? new Guid(bytes, bigEndian: true) : Guid.Empty;

    /// <summary>As entries hold it: what PostgreSQL keeps as a truth value or a smaller number is a whole number there.</summary>
    private static object? Value(DbDataReader reader, int column) => reader.GetValue(column) switch
    {
        DBNull => null,
        bool truth => truth ? 1L : 0L,
        int or short => Convert.ToInt64(reader.GetValue(column), CultureInfo.InvariantCulture),
        var value => value,
    };

    private static string Text(object? value)
    {
        var array = AuditInterceptor.KeyText([value]);
        return array[1..^1];
    }

    private static DbCommand Command(DbConnection connection, DbTransaction transaction, string sql)
    {
        var command = connection.CreateCommand();
        command.Transaction = transaction;
        command.CommandText = sql;
        return command;
    }
}
