using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.SampleCity;
using Npgsql;

namespace Gongzhi.Tests.Process;

/// <summary>The made-up city, with a file of payments (real ones where they are at hand), taken from a directory to PostgreSQL and served there by two machines.</summary>
public sealed class MoveTests(ITestOutputHelper output) : IDisposable
{
    private const string Secret = "a secret of the tests' own, of no use elsewhere";

    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-move-").FullName;

    private string Old => Path.Combine(_root, "old");

    private string New => Path.Combine(_root, "new");

    private string Segments => Path.Combine(_root, "segments");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task A_world_moves_to_the_last_row_however_often_it_is_interrupted()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        var payments = Environment.GetEnvironmentVariable("GONGZHI_TESTDATA") is { Length: > 0 } data ? Path.Combine(data, "aml/benford/corporate.payment.csv") : null;
        long rows;
        string[] content;
        using (var node = await RunningNode.StartAsync(Old, ["--sample"]))
        {
            await node.PrintedAsync("Check the whole ledger", TimeSpan.FromMinutes(3));
            if (payments is null)
                await DefineMadeUpAsync(node);
            else
                await node.DefineAsync("payments", personal: true, ("VendorNum", "string"), ("Date", "date"), ("InvNum", "string"), ("Amount", "number"));
            await node.DefineAsync("letters", personal: false, ["v"], ("v", "string"), ("w", "string"));
            using var body = new StreamContent(payments is null ? MadeUp() : File.OpenRead(payments)) { Headers = { ContentType = new("text/csv") } };
            var (status, answer) = await node.ContributeAsync("payments", body);
            Assert.True(status == 201, answer.ToString());
            rows = answer.GetProperty("accepted").GetInt64();
            Assert.Equal(payments is null ? MadeUpRows : 189_470, rows);
            // A tail, keys in SQL and in a file, a correction, a rejected row.
            using var many = new StringContent("v,w\n" + string.Concat(Enumerable.Range(0, 5_000).Select(i => $"k{i},x\n")), null, "text/csv");
            Assert.Equal(201, (await node.ContributeAsync("letters", many)).Status);
            using var few = new StringContent("v,w\nq1,x\nk17,twice\n", null, "text/csv");
            Assert.Equal(201, (await node.ContributeAsync("letters", few, query: "?mode=partial")).Status);
            content = await ContentAsync(node);
            await node.TerminateAsync();
            Assert.Equal(0, await node.ExitAsync());
        }
        var before = Hashes(Old);

        await using var postgres = await PostgresServer.StartAsync();
        var database = await postgres.NewDatabaseAsync();
        // Killed again and again, each time later; each call goes on where the one before was.
        var kills = 0;
        kills += await KillAsync(database, async () => await ScalarAsync(database, "SELECT count(*) FROM copy_progress") > 2);
        kills += await KillAsync(database, async () => await ScalarAsync(database, "SELECT count(*) FROM copy_progress") > 25);
        kills += await KillAsync(database, async () => await ScalarAsync(database, "SELECT count(*) FROM ledger_tile") > 0);
        kills += await KillAsync(database, () => Task.FromResult(Directory.Exists(Segments) && Directory.EnumerateFiles(Segments, "*.parquet", SearchOption.AllDirectories).Any()));
        Assert.True(kills >= 2, "Most kills came too late to say anything.");
        var moved = (await Shell.RunAsync("gongzhi", [], Move(database, "--json"))).Demand();
        using (var report = JsonDocument.Parse(moved))
        {
            Assert.Equal(2_230, report.RootElement.GetProperty("tables").GetProperty("place").GetInt64());
            Assert.True(report.RootElement.GetProperty("rows").GetInt64() >= 280_634 + rows + 5_001);
            Assert.Equal(Directory.GetFiles(Path.Combine(Old, "segments"), "*.parquet").Length, report.RootElement.GetProperty("segments").GetInt64());
            output.WriteLine(moved);
        }
        // The old directory is as it was, but for what a settled node adds (the database's own file, the log's end and how far it was seen), and does not start.
        var after = Hashes(Old);
        var changed = before.Where(f => after.GetValueOrDefault(f.Key) != f.Value).Select(f => f.Key)
            .Where(f => f != "node.db" && !f.StartsWith("ledger/checkpoint", StringComparison.Ordinal) && !f.Contains(".p/", StringComparison.Ordinal) && f != "keys/seen-checkpoint").ToList();
        Assert.True(changed.Count == 0, string.Join(' ', changed));
        // Interrupted between its two last steps, neither place serves; the same call ends it.
        await ExecuteAsync(database, "DELETE FROM copy_progress WHERE item = 'finished'");
        var unfinished = await ServeAsync(database);
        Assert.True(unfinished.Exit != 0, unfinished.Output);
        (await Shell.RunAsync("gongzhi", [], Move(database))).Demand();
        var refused = await Shell.RunAsync("gongzhi", [], "serve", "--data", Old, "--urls", "http://127.0.0.1:0");
        Assert.Equal(1, refused.Exit);
        Assert.Contains("was moved to", refused.Error, StringComparison.Ordinal);
        // Called once more, and to where something is: refused.
        Assert.Equal(1, (await Shell.RunAsync("gongzhi", [], Move(database))).Exit);
        Assert.Contains("was moved to", (await Shell.RunAsync("gongzhi", [], Move(await postgres.NewDatabaseAsync()))).Error, StringComparison.Ordinal);

        (string, string)[] settings = [("Cluster", database), ("Segments", Segments), ("ClusterSecret", Secret)];
        using var one = await RunningNode.StartAsync(New, settings);
        using var two = await RunningNode.StartAsync(Path.Combine(_root, "second"), settings);
        foreach (var node in new[] { one, two })
        {
            var counted = await node.QueryAsync(new { dataset = "payments", purpose = "check", groupBy = Array.Empty<string>(), measures = new object[] { new { name = "n", function = "count" } } });
            Assert.Equal(rows.ToString(CultureInfo.InvariantCulture), counted[0][0]);
            Assert.Equal(content, await ContentAsync(node));
            Assert.Equal(2, (await node.QueryAsync(new { dataset = "letters", purpose = "check", fields = new[] { "v" }, filter = new { field = "v", op = "in", value = new[] { "q1", "k17" } } })).Length);
            // Its keys came along: nobody has them twice.
            using var again = new StringContent("v,w\nk4711,x\n", null, "text/csv");
            Assert.Equal(422, (await node.ContributeAsync("letters", again)).Status);
            var verified = await Shell.RunAsync("gongzhi-verify", [], "log", new Uri(node.Http.BaseAddress!, "/ledger/").ToString(), "--vkey", await KeyAsync(node));
            Assert.Contains("Proven: all", verified.Demand(), StringComparison.Ordinal);
        }
        // And goes on there, under the same key.
        using var more = new StringContent("v,w\nafter,x\n", null, "text/csv");
        Assert.Equal(201, (await two.ContributeAsync("letters", more)).Status);
        Assert.Single(await one.QueryAsync(new { dataset = "letters", purpose = "check", fields = new[] { "v" }, filter = new { field = "v", op = "eq", value = "after" } }));
    }

    [Fact]
    public async Task A_move_is_refused_to_where_something_is_and_its_mark_can_be_taken_back()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        using (var node = await RunningNode.StartAsync(Old))
        {
            await node.DefineAsync("d", personal: false, ("v", "string"));
            var running = await Shell.RunAsync("gongzhi", [], Move("Host=127.0.0.1;Port=1;Database=x"));
            Assert.NotEqual(0, running.Exit);
            Assert.Contains("another node is running", running.Error, StringComparison.Ordinal);
        }
        await using var postgres = await PostgresServer.StartAsync(durable: false);
        var used = await postgres.NewDatabaseAsync();
        using (var other = await RunningNode.StartAsync(Path.Combine(_root, "other"), ("Database", used)))
            await other.DefineAsync("theirs", personal: false, ("v", "string"));
        var refused = await Shell.RunAsync("gongzhi", [], Move(used));
        Assert.NotEqual(0, refused.Exit);
        Assert.Contains("belongs to the world", refused.Error, StringComparison.Ordinal);

        var database = await postgres.NewDatabaseAsync();
        (await Shell.RunAsync("gongzhi", [], "admin", "move", "--data", Old, "--to", database, "--new-data", Path.Combine(_root, "elsewhere"))).Demand();
        Assert.Contains("was moved to", (await Shell.RunAsync("gongzhi", [], "serve", "--data", Old, "--urls", "http://127.0.0.1:0")).Error, StringComparison.Ordinal);
        (await Shell.RunAsync("gongzhi", [], "admin", "move", "--data", Old, "--take-back")).Demand();
        using var back = await RunningNode.StartAsync(Old);
        Assert.Equal("d", (await back.GetAsync("/api/v1/datasets/d")).GetProperty("id").GetString());
    }

    private string[] Move(string database, params string[] more) => ["admin", "move", "--data", Old, "--to", database, "--segments", Segments, "--new-data", New, .. more];

    /// <summary>Starts the move and ends it with SIGKILL when it has come so far, which is before its end. Answers 0, and does nothing, when the kill before came so late that it is so far already; else 1.</summary>
    private async Task<int> KillAsync(string database, Func<Task<bool>> far)
    {
        if (await far())
            return 0;
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in new[] { Path.Combine(AppContext.BaseDirectory, "gongzhi.dll") }.Concat(Move(database)))
            start.ArgumentList.Add(argument);
        using var process = System.Diagnostics.Process.Start(start)!;
        var (said, printed) = (process.StandardError.ReadToEndAsync(), process.StandardOutput.ReadToEndAsync());
        for (var began = TimeProvider.System.GetTimestamp(); !process.HasExited && !await far(); await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System))
            Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromMinutes(3), "It did not come so far.");
        Assert.False(process.HasExited, "It ended before it could be killed. " + (process.HasExited ? await printed + await said : ""));
        process.Kill();
        await process.WaitForExitAsync();
        Assert.False(File.Exists(Path.Combine(Old, "moved.json")), "It was done before it was killed.");
        return 1;
    }

    /// <summary>The whole of the letters, and of the payments what tells one content from another.</summary>
    private static async Task<string[]> ContentAsync(RunningNode node)
    {
        var letters = await node.QueryAsync(new { dataset = "letters", purpose = "check", fields = new[] { "v", "w" } });
        var payments = await node.QueryAsync(new { dataset = "payments", purpose = "check", groupBy = Array.Empty<string>(), measures = new object[] { new { name = "n", function = "count" }, new { name = "total", function = "sum", field = Amount }, new { name = "most", function = "max", field = Amount } } });
        return [.. letters.Concat(payments).Select(r => string.Join(',', r)).Order(StringComparer.Ordinal)];
    }

    private static string Amount => Environment.GetEnvironmentVariable("GONGZHI_TESTDATA") is { Length: > 0 } ? "Amount" : "amount";

    private async Task<Shell> ServeAsync(string database) =>
        await Shell.RunAsync("gongzhi", [("GONGZHI__CLUSTER", database), ("GONGZHI__SEGMENTS", Segments), ("GONGZHI__CLUSTERSECRET", Secret)], "serve", "--data", New, "--urls", "http://127.0.0.1:0");

    private static async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    /// <summary>A number that is asked of the new database, beside the program; 0 before there is such a table.</summary>
    private static async Task<long> ScalarAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        try
        {
            return (long)(await command.ExecuteScalarAsync())!;
        }
        catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.UndefinedTable)
        {
            return 0;
        }
    }

    private const int MadeUpRows = 190_000;

    private static async Task DefineMadeUpAsync(RunningNode node)
    {
        var definition = JsonNode.Parse(PaymentsGenerator.TableSchemaJson)!.AsObject();
        definition["owner"] = "node";
        using var put = await node.Http.PutAsJsonAsync("/api/v1/datasets/payments", definition);
        Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        await node.PostAsync("/api/v1/grants", new { dataset = "payments", grantee = new { party = "client:boot" }, purposes = new[] { "check" }, fields = new Dictionary<string, string> { ["id"] = "plain", ["amount"] = "plain" } });
    }

    private static FileStream MadeUp()
    {
        var file = new FileStream(Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
        PaymentsGenerator.WriteCsv(file, MadeUpRows, seed: 7);
        file.Position = 0;
        return file;
    }

    private async Task<string> KeyAsync(RunningNode node)
    {
        var path = Path.Combine(_root, "vkey");
        await File.WriteAllTextAsync(path, await node.Http.GetStringAsync("/ledger/vkey"));
        return path;
    }

    private static Dictionary<string, string> Hashes(string directory) => Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories)
        .Where(p => Path.GetFileName(p) is not ("node.lock" or "node.db-wal" or "node.db-shm"))
        .ToDictionary(p => Path.GetRelativePath(directory, p), p => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(p))));
}
