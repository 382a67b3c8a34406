using System.Data.Common;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Query;

/// <summary>Which accesses to list; null does not restrict. <paramref name="Before"/> is the last access of the page before.</summary>
public sealed record AccessFilter(string? Dataset = null, string? Reader = null, DateTimeOffset? From = null, DateTimeOffset? To = null, Guid? Before = null, int Limit = Accesses.PageDefault);

/// <summary>One reading as it was recorded. <paramref name="Content"/> with <paramref name="Salt"/> opens the commitment in the ledger.</summary>
/// <param name="Content">Canonical JSON; its bytes are what was committed.</param>
/// <param name="Entry">Index of its ledger entry, once it has one.</param>
public sealed record AccessView(Guid Id, string Dataset, string Reader, DateTimeOffset Time, string Content, byte[] Salt, long? Entry)
{
    /// <summary>The content as JSON.</summary>
    public JsonElement Json()
    {
        using var document = JsonDocument.Parse(Content);
        return document.RootElement.Clone();
    }
}

/// <summary>
/// Who read what. Readers see their own readings, stewards those of the datasets their units own, audit administrators all: the fact of a reading, its
/// purpose and columns, never a row.
/// </summary>
public sealed class Accesses(World world, Catalog.Catalog catalog, PartyDirectory directory)
{
    public const int PageDefault = 100, PageMax = 1_000;

    /// <summary>The newest first.</summary>
    public IReadOnlyList<AccessView> List(Caller caller, AccessFilter filter)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        var sql = new StringBuilder("SELECT a.id, a.dataset, a.reader, a.time, a.content, a.salt, p.log_index FROM access a LEFT JOIN ledger_pending p ON p.id = a.id WHERE ");
        if (Everything(caller))
        {
            sql.Append("1 = 1");
        }
        else
        {
            sql.Append("(a.reader = @me OR ").Append(SqlStore.Of(world).IsOneOf("a.dataset", "@stewarded")).Append(')');
            command.Set("@me", caller.Party);
            command.Set("@stewarded", JsonSerializer.Serialize(catalog.All.Where(d => directory.Holds(caller, Roles.Steward, d.Owner)).Select(d => d.Id)));
        }
        When("a.dataset = @dataset", "@dataset", filter.Dataset);
        When("a.reader = @reader", "@reader", filter.Reader);
        When("a.time >= @from", "@from", filter.From is { } from ? Microseconds.From(from) : null);
        When("a.time < @to", "@to", filter.To is { } to ? Microseconds.From(to) : null);
        When("a.id < @before", "@before", filter.Before is { } before ? RecordId.Bytes(before) : null);
        sql.Append(" ORDER BY a.id DESC LIMIT @limit");
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

    /// <summary>One access, when the caller may know of it.</summary>
    public AccessView? Find(Caller caller, Guid id)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT a.id, a.dataset, a.reader, a.time, a.content, a.salt, p.log_index FROM access a LEFT JOIN ledger_pending p ON p.id = a.id WHERE a.id = @id";
        command.Set("@id", RecordId.Bytes(id));
        return Read(command) is [var found] && (Everything(caller) || (caller.Party.Length > 0 && found.Reader == caller.Party)
            || (catalog.Find(found.Dataset) is { } dataset && directory.Holds(caller, Roles.Steward, dataset.Owner))) ? found : null;
    }

    private bool Everything(Caller caller) => caller.Has(Roles.AuditAdministrator) && directory.Acts(caller.Party);

    private static List<AccessView> Read(DbCommand command)
    {
        var list = new List<AccessView>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            list.Add(new(
                RecordId.FromBytes((byte[])reader.GetValue(0)), reader.GetString(1), reader.GetString(2), Microseconds.ToTime(reader.GetInt64(3)), reader.GetString(4),
                (byte[])reader.GetValue(5), reader.IsDBNull(6) ? null : reader.GetInt64(6)));
        }
        return list;
    }
}
