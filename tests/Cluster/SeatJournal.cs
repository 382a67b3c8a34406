using Gongzhi.Node.Cluster;
using Npgsql;

namespace Gongzhi.Tests.Cluster;

/// <summary>What happened to seats, in the order of one database, so that silos in several processes can be compared. It tells whoever waits.</summary>
internal sealed class SeatJournal(string database)
{
    public sealed record Event(string Kind, string Silo, string What, DateTime At)
    {
        public override string ToString() => FormattableString.Invariant($"{At:HH:mm:ss.fff} {Kind} {Silo} {What}");
    }

    public async Task CreateAsync() => await ExecuteAsync(
        "CREATE TABLE seat_event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text, silo text, what text, at timestamptz DEFAULT clock_timestamp())");

    public Task WriteAsync(string kind, string silo, string what) =>
        ExecuteAsync("WITH noted AS (INSERT INTO seat_event (kind, silo, what) VALUES ($1, $2, $3)) SELECT pg_notify('seat', $2)", kind, silo, what);

    public async Task<IReadOnlyList<Event>> ReadAsync()
    {
        await using var connection = await OpenAsync();
        return await ReadAsync(connection);
    }

    /// <summary>Waits until the events are as wanted.</summary>
    public async Task<IReadOnlyList<Event>> WaitAsync(Func<IReadOnlyList<Event>, bool> wanted, TimeSpan limit)
    {
        await using var connection = await OpenAsync();
        await using (var listen = new NpgsqlCommand("LISTEN seat", connection))
            await listen.ExecuteNonQueryAsync();
        using var end = new CancellationTokenSource(limit);
        while (true)
        {
            var events = await ReadAsync(connection);
            if (wanted(events))
                return events;
            try
            {
                await connection.WaitAsync(end.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"Not within {limit.TotalSeconds} s:\n{string.Join('\n', events)}");
            }
        }
    }

    /// <summary>The silo that holds the seat, by the journal: the last that began and did not end.</summary>
    public static string? Holder(IReadOnlyList<Event> events, string kind) =>
        events.Where(e => e.Kind == kind).GroupBy(e => e.Silo).Where(g => g.Last().What == "began").MaxBy(g => g.Last().At)?.Key;

    private static async Task<IReadOnlyList<Event>> ReadAsync(NpgsqlConnection connection)
    {
        await using var command = new NpgsqlCommand("SELECT kind, silo, what, at FROM seat_event ORDER BY id", connection);
        await using var row = await command.ExecuteReaderAsync();
        var events = new List<Event>();
        while (await row.ReadAsync())
            events.Add(new Event(row.GetString(0), row.GetString(1), row.GetString(2), row.GetDateTime(3)));
        return events;
    }

    private async Task ExecuteAsync(string statement, params string[] values)
    {
        await using var connection = await OpenAsync();
        await using var command = new NpgsqlCommand(statement, connection);
        foreach (var value in values)
            command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = value });
        await command.ExecuteNonQueryAsync();
    }

    private async Task<NpgsqlConnection> OpenAsync()
    {
        var connection = new NpgsqlConnection(database + ";Pooling=false");
        await connection.OpenAsync();
        return connection;
    }
}

/// <summary>Work that notes when it begins and ends, and does nothing in between.</summary>
internal sealed class NotingWork(string kind, string silo, SeatJournal journal) : ISeatWork
{
    public string Kind { get; } = kind;

    public async Task RunAsync(CancellationToken cancel)
    {
        await journal.WriteAsync(Kind, silo, "began");
        await Task.Delay(Timeout.Infinite, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await journal.WriteAsync(Kind, silo, "ended");
    }
}
