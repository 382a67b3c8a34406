using Npgsql;

// What a careful team would write without the platform: one minimal route, one INSERT a request, durable before the answer.
// Arguments: the address to listen on, the connection string, how many datasets there are.
var (url, connection, datasets) = (args[0], args[1], int.Parse(args[2], System.Globalization.CultureInfo.InvariantCulture));
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.ClearProviders();
builder.WebHost.UseUrls(url);
var source = new NpgsqlDataSourceBuilder(connection).Build();
var statements = Enumerable.Range(0, datasets)
    .Select(i => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"INSERT INTO report_{i} (id, place, at, amount, note) VALUES ($1, $2, $3, $4, $5)")).ToArray();
var app = builder.Build();
app.MapPost("/datasets/{number:int}/records", async (int number, Report report, CancellationToken cancel) =>
{
    if (number < 0 || number >= statements.Length || report.Place.Length is 0 or > 12 || report.Amount < 0 || report.Note.Length > 200)
        return Results.UnprocessableEntity();
    await using var command = source.CreateCommand(statements[number]);
    command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = report.Id });
    command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = report.Place });
    command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = report.At.UtcDateTime });
    command.Parameters.Add(new NpgsqlParameter<decimal> { TypedValue = report.Amount });
    command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = report.Note });
    await command.ExecuteNonQueryAsync(cancel);
    return Results.StatusCode(StatusCodes.Status201Created);
});
// What the machine can do at most with requests of this kind: the body is read and nothing is kept.
app.MapPost("/nothing-kept", (Report report) => Results.StatusCode(report.Id.Length == 0 ? StatusCodes.Status422UnprocessableEntity : StatusCodes.Status201Created));
await app.StartAsync();
Console.WriteLine($"listening on {app.Urls.First()}");
await app.WaitForShutdownAsync();

internal sealed record Report(string Id, string Place, DateTimeOffset At, decimal Amount, string Note);
