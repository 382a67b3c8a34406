using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Data.Common;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Pages;

/// <summary>What came in for one dataset, summed up for its page.</summary>
/// <param name="ByContributor">Rows and the last arrival of each contributing party, for each time in which its roles stood still.</param>
/// <param name="ByDay">Rows of each of the last days, oldest first, by UTC day.</param>
internal sealed record Received(
    Guid? Latest, IReadOnlyList<(string Party, long Rows, DateTimeOffset Last)> ByContributor, IReadOnlyList<(DateOnly Day, long Rows)> ByDay,
    IReadOnlyList<(int Version, DateTimeOffset Created)> Versions);

/// <summary>Reads arrivals from SQL. Sums are kept for a while: the pages are public, and summing reads every batch of the dataset.</summary>
internal sealed class ReceivedBatches(World world, PartyDirectory parties, TimeProvider clock)
{
    public const int Days = 30;

    /// <summary>Times told apart for one party: the last ones; what came before them is summed into the first.</summary>
    private const int ChangesMax = 100;

    private static readonly TimeSpan KeptFor = TimeSpan.FromSeconds(10);
    private readonly ConcurrentDictionary<long, (DateTimeOffset At, Received Sums)> _kept = new();

    /// <summary>When the last batch of each dataset came; datasets without one are left out.</summary>
    public IReadOnlyDictionary<long, DateTimeOffset> Last(IEnumerable<Dataset> datasets)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT MAX(received) FROM batch WHERE dataset = @dataset";
        var dataset = command.Parameter("@dataset");
        var last = new Dictionary<long, DateTimeOffset>();
        foreach (var one in datasets)
        {
            dataset.Value = one.Number;
            if (command.ExecuteScalar() is long at)
                last[one.Number] = Microseconds.ToTime(at);
        }
        return last;
    }

    public Received Of(Dataset dataset)
    {
        var now = clock.GetUtcNow();
        if (_kept.TryGetValue(dataset.Number, out var kept) && now - kept.At < KeptFor && kept.Sums.Versions.Count >= dataset.Version)
            return kept.Sums;
        var sums = Read(dataset, now);
        _kept[dataset.Number] = (now, sums);
        return sums;
    }

    /// <summary>What one party contributed between each two changes of its roles, so that each sum can be credited to where it then belonged.</summary>
    private List<(string Party, long Rows, DateTimeOffset Last)> Periods(DbConnection connection, Dataset dataset, string party)
    {
        using var command = connection.CreateCommand();
        var changes = parties.Changes(party).TakeLast(ChangesMax).ToList();
        var period = string.Join(" + ", changes.Select((_, i) => $"CASE WHEN received >= @c{i} THEN 1 ELSE 0 END").Prepend("0"));
        command.CommandText = $"SELECT {period}, CAST(SUM(rows) AS bigint), MAX(received) FROM batch WHERE dataset = @dataset AND contributor = @party GROUP BY 1";
        command.Set("@dataset", dataset.Number);
        command.Set("@party", party);
        for (var i = 0; i < changes.Count; i++)
            command.Set($"@c{i}", Microseconds.From(changes[i]));
        var sums = new List<(string, long, DateTimeOffset)>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            sums.Add((party, reader.GetInt64(1), Microseconds.ToTime(reader.GetInt64(2))));
        return sums;
    }

    private Received Read(Dataset dataset, DateTimeOffset now)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT DISTINCT contributor FROM batch WHERE dataset = @dataset";
        command.Set("@dataset", dataset.Number);
        var names = new List<string>();
        using (var reader = command.ExecuteReader())
        {
            while (reader.Read())
                names.Add(reader.GetString(0));
        }
        var contributors = names.SelectMany(name => Periods(connection, dataset, name)).ToList();
        command.CommandText = "SELECT id FROM batch WHERE dataset = @dataset ORDER BY received DESC LIMIT 1";
        var latest = command.ExecuteScalar() is byte[] id ? RecordId.FromBytes(id) : (Guid?)null;

        var today = DateOnly.FromDateTime(now.UtcDateTime);
        var first = today.AddDays(1 - Days);
        var perDay = new Dictionary<DateOnly, long>();
        command.CommandText = "SELECT received / 86400000000, CAST(SUM(rows) AS bigint) FROM batch WHERE dataset = @dataset AND received >= @from GROUP BY 1";
        command.Set("@from", Microseconds.From(new DateTimeOffset(first, TimeOnly.MinValue, TimeSpan.Zero)));
        using (var reader = command.ExecuteReader())
        {
            while (reader.Read())
                perDay[DateOnly.FromDateTime(DateTime.UnixEpoch).AddDays((int)reader.GetInt64(0))] = reader.GetInt64(1);
        }
        var versions = ImmutableArray.CreateBuilder<(int, DateTimeOffset)>();
        using var history = connection.CreateCommand();
        history.CommandText = "SELECT version, created FROM dataset_version WHERE dataset = @id ORDER BY version DESC";
        history.Set("@id", dataset.Id);
        using (var reader = history.ExecuteReader())
        {
            while (reader.Read())
                versions.Add((reader.GetInt32(0), Microseconds.ToTime(reader.GetInt64(1))));
        }
        return new Received(latest, contributors,
            [.. Enumerable.Range(0, Days).Select(i => first.AddDays(i)).Select(day => (day, perDay.GetValueOrDefault(day)))], versions.ToImmutable());
    }
}
