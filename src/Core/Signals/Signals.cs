using System.Data.Common;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Signals;

/// <summary>Which signals to list; null does not restrict. <paramref name="Before"/> is the last signal of the page before.</summary>
public sealed record SignalFilter(string? Dataset = null, string? Analysis = null, bool? Open = null, SignalSeverity? AtLeast = null, Guid? Before = null, int Limit = Signals.PageDefault);

/// <summary>A signal as it is told: with the dataset's id, and what opens its ledger entry.</summary>
/// <param name="Content">Its bytes, with <paramref name="Salt"/>, are what the entry commits to.</param>
/// <param name="Entry">Index of its ledger entry, once it has one.</param>
public sealed record SignalView(Signal Signal, string Dataset, string Content, byte[] Salt, long? Entry);

/// <summary>
/// Signals tell how units work, so they are for those who answer for a dataset: stewards of the unit that owns it. Audit administrators see all. Nobody else, also where the dataset is open.
/// </summary>
public sealed class Signals(World world, Catalog.Catalog catalog, PartyDirectory directory)
{
    public const int PageDefault = 100, PageMax = 1_000;

    /// <summary>Whether the caller may see the signals of this dataset.</summary>
    public bool MaySee(Caller caller, Catalog.Dataset dataset) => Everything(caller) || directory.Holds(caller, Roles.Steward, dataset.Owner);

    /// <summary>Whether the caller may see how far the analyses are: audit and system administrators.</summary>
    public bool MaySeeProgress(Caller caller) => (caller.Has(Roles.AuditAdministrator) || caller.Has(Roles.SystemAdministrator)) && directory.Acts(caller.Party);

    /// <summary>Those the caller may see, the newest first.</summary>
    public IReadOnlyList<SignalView> List(Caller caller, SignalFilter filter)
    {
        var datasets = catalog.All.Where(d => MaySee(caller, d) && (filter.Dataset is null || d.Id == filter.Dataset)).ToDictionary(d => d.Number, d => d.Id);
        if (datasets.Count == 0)
            return [];
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        // Datasets by their numbers, which are the program's own.
        var sql = new StringBuilder("""
            SELECT s.id, s.analysis, s.part, s.same, s.kind, s.severity, s.dataset, s.unit, s.place, s.first_index, s.last_index, s.raised, s.ended, s.content, s.salt, p.log_index
            FROM signal s LEFT JOIN ledger_pending p ON p.id = s.id WHERE
            """);
        sql.Append(Everything(caller) && filter.Dataset is null ? " 1 = 1" : $" s.dataset IN ({string.Join(", ", datasets.Keys.Order())})");
        When("s.analysis = @analysis", "@analysis", filter.Analysis);
        When("s.severity >= @severity", "@severity", (long?)filter.AtLeast);
        When("s.id < @before", "@before", filter.Before is { } before ? RecordId.Bytes(before) : null);
        if (filter.Open is { } open)
            sql.Append(open ? " AND s.ended IS NULL" : " AND s.ended IS NOT NULL");
        sql.Append(" ORDER BY s.id DESC LIMIT @limit");
        command.Set("@limit", Math.Clamp(filter.Limit, 1, PageMax));
        command.CommandText = sql.ToString();
        return Read(command, datasets);

        void When(string condition, string name, object? value)
        {
            if (value is null)
                return;
            sql.Append(" AND ").Append(condition);
            command.Set(name, value);
        }
    }

    private bool Everything(Caller caller) => caller.Has(Roles.AuditAdministrator) && directory.Acts(caller.Party);

    private static List<SignalView> Read(DbCommand command, Dictionary<long, string> datasets)
    {
        var list = new List<SignalView>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            var content = reader.GetString(13);
            using var json = JsonDocument.Parse(content);
            var number = reader.GetInt64(6);
            list.Add(new(
                new Signal(
                    RecordId.FromBytes((byte[])reader[0]), reader.GetString(1), reader.GetString(2), reader.GetString(4), (SignalSeverity)(int)reader.GetInt64(5), number, Text(7), Text(8), reader.GetString(3),
                    reader.GetInt64(9), reader.GetInt64(10), Microseconds.ToTime(reader.GetInt64(11)), reader.IsDBNull(12) ? null : Microseconds.ToTime(reader.GetInt64(12)), Signal.ReadFigures(json.RootElement)),
                datasets.GetValueOrDefault(number, ""), content, (byte[])reader[14], reader.IsDBNull(15) ? null : reader.GetInt64(15)));
        }
        return list;

        string? Text(int column) => reader.IsDBNull(column) ? null : reader.GetString(column);
    }
}
