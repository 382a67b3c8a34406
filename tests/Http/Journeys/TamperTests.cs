using System.Net;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>One byte changed behind the node's back, wherever it lies, is found and named.</summary>
[Collection("Journeys")]
public sealed class TamperTests
{
    [Fact]
    public async Task A_changed_segment_file_gives_no_proof_of_what_was_changed()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var receipt = await journey.ContributeAsync("d", Samples.Csv(3_000), 3_000);
        var path = Assert.Single(Directory.GetFiles(journey.World.SegmentDirectory));
        var whole = await File.ReadAllBytesAsync(path);
        var refused = 0;
        for (var i = 0; i < 40; i++)
        {
            var changed = whole.ToArray();
            var at = Random.Shared.Next(4, whole.Length - 12);
            changed[at] ^= (byte)(1 << Random.Shared.Next(8));
            Replace(path, changed);
            var row = (uint)Random.Shared.Next(3_000);
            using var response = await journey.ProofAsync(receipt, row);
            if (response.StatusCode == HttpStatusCode.OK)
            {
                // The byte lay elsewhere (another group of rows, a statistic): what is handed out is still what was committed.
                await journey.VerifyAsync([(row, await response.Content.ReadAsStringAsync())]);
                continue;
            }
            var problem = System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
            Assert.True(response.StatusCode == HttpStatusCode.InternalServerError, $"byte {at}: {problem}");
            Assert.Equal("records.corrupt", problem.GetProperty("code").GetString());
            Assert.Contains(Path.GetFileName(path), problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
            refused++;
        }
        Assert.True(refused > 0, "No change of 40 was noticed.");
        Replace(path, whole);
        await journey.VerifyAsync(await journey.ProofsAsync(receipt, 5));
    }

    [Fact]
    public async Task A_changed_tail_row_is_named_and_its_neighbours_in_other_batches_still_prove()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var receipt = await journey.ContributeAsync("d", Samples.Csv(20), 20);
        var other = await journey.ContributeAsync("d", Samples.Csv(20), 20);
        var batch = receipt.GetProperty("batch").GetGuid();
        Assert.Equal(1, Shared.TestStore.Tamper(journey.World, "UPDATE tail SET row = CAST(substr(row, 1, length(row) - 1) || x'00' AS BLOB) WHERE batch = @id AND ordinal = 7", ("id", RecordId.Bytes(batch))));
        using var response = await journey.ProofAsync(receipt, 7);
        Assert.Equal(HttpStatusCode.InternalServerError, response.StatusCode);
        var problem = System.Text.Json.JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement;
        Assert.Equal("records.corrupt", problem.GetProperty("code").GetString());
        Assert.Contains("the tail", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        var proofs = journey.Node.App.Services.GetRequiredService<ProofService>();
        var found = await Assert.ThrowsAsync<RecordsCorruptException>(() => proofs.ProveRowAsync("d", RecordId.Of(batch, 7), CancellationToken.None));
        Assert.Equal(batch, found.Batch);
        Assert.Contains(batch.ToString(), found.Message, StringComparison.Ordinal);
        await journey.VerifyAsync(await journey.ProofsAsync(other));
    }

    [Theory]
    [InlineData("checkpoint")]
    [InlineData("tile/0/")]
    [InlineData("tile/1/")]
    [InlineData("tile/entries/")]
    public async Task A_changed_byte_of_the_log_is_found_and_its_file_named(string part)
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        // More entries than one tile holds, so that there is a second level.
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async _ =>
        {
            for (var i = 0; i < 40; i++)
            {
                using var kept = await journey.SendAsync("d", "name\nx\n"u8.ToArray(), Journey.CsvType);
                Assert.Equal(HttpStatusCode.Created, kept.StatusCode);
            }
        }));
        var receipt = await journey.ContributeAsync("d", Samples.Csv(20), 20);
        var ledger = Shared.TestStore.LogDirectory(journey.World);
        var (exit, output) = await journey.VerifyLogAsync(ledger);
        Assert.True(exit == 0, output);
        // The widest file of a kind is the one that readers use.
        var path = Directory.GetFiles(ledger, "*", SearchOption.AllDirectories)
            .Where(f => Path.GetRelativePath(ledger, f).StartsWith(part, StringComparison.Ordinal))
            .OrderByDescending(f => new FileInfo(f).Length).First();
        var name = Path.GetRelativePath(ledger, path);
        var whole = await File.ReadAllBytesAsync(path);
        var changed = whole.ToArray();
        changed[Random.Shared.Next(changed.Length)] ^= 1;
        Shared.TestStore.ReplaceLogFile(journey.World, name, changed);
        ledger = Shared.TestStore.LogDirectory(journey.World);
        foreach (var place in new[] { ledger, journey.Node.Address + "ledger/" })
        {
            if (part == "checkpoint" && place != ledger)
                continue; // The running node publishes the checkpoint it signed, not the file.
            (exit, output) = await journey.VerifyLogAsync(place);
            Assert.True(exit == 1, $"{name}: {output}");
            Assert.Contains($"Broken at {name.Split(".p")[0]}", output, StringComparison.Ordinal);
        }
        // The check beside the running node names the same file.
        var found = Assert.Single(await CheckAsync(journey));
        Assert.Equal("ledger/" + name, found.Place);
        Shared.TestStore.ReplaceLogFile(journey.World, name, whole);
        Assert.Empty(await CheckAsync(journey));
        await journey.VerifyAsync(await journey.ProofsAsync(receipt, 3));
    }

    [Fact]
    public async Task A_changed_audited_row_is_named_by_the_audit()
    {
        // That PostgreSQL's own triggers stand in the way, and that what passes them is named, the core's tests show.
        Shared.TestStore.OnlySqlite();
        await using var journey = await Journey.StartAsync();
        using var other = await journey.OtherPartyAsync("tax", Roles.Reader);
        Assert.Empty(Audit(journey));
        await using var db = await journey.Node.App.Services.GetRequiredService<IDbContextFactory<NodeDb>>().CreateDbContextAsync();
        var entity = db.Model.FindEntityType(typeof(Unit))!;
        var (table, column) = (entity.GetTableName(), entity.FindProperty(nameof(Unit.NameZh))!.GetColumnName());
        var sql = $"UPDATE \"{table}\" SET \"{column}\" = 'x' WHERE \"Id\" = $id";
        // The wall in the database holds against whoever does not take it down.
        Assert.Throws<SqliteException>(() => Execute(journey, sql, "unit-tax", 1));
        using (var connection = Connect(journey))
        {
            var triggers = new List<(string Name, string Sql)>();
            using (var list = connection.CreateCommand())
            {
                list.CommandText = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = $t";
                list.Parameters.AddWithValue("$t", table);
                using var reader = list.ExecuteReader();
                while (reader.Read())
                    triggers.Add((reader.GetString(0), reader.GetString(1)));
            }
            triggers.ForEach(t => Run(connection, $"DROP TRIGGER \"{t.Name}\""));
            Assert.Equal(1, Run(connection, sql, "unit-tax"));
            triggers.ForEach(t => Run(connection, t.Sql));
        }
        var named = Assert.Single(await CheckAsync(journey));
        Assert.Equal((CheckKind.StateEntry, "node.db Unit"), (named.Kind, named.Place[..12]));
        var finding = Assert.Single(Audit(journey));
        Assert.Equal("state-differs", finding.Code);
        Assert.Contains("unit-tax", finding.Key!, StringComparison.Ordinal);
    }

    private static async Task<IReadOnlyList<CheckFinding>> CheckAsync(Journey journey)
    {
        await using var db = await journey.Node.App.Services.GetRequiredService<IDbContextFactory<NodeDb>>().CreateDbContextAsync();
        return (await RecordCheck.RunAsync(journey.World, new RecordCheckOptions { Model = db.Model }, null, CancellationToken.None)).Findings;
    }

    private static IReadOnlyList<AuditFinding> Audit(Journey journey)
    {
        using var db = journey.Node.App.Services.GetRequiredService<IDbContextFactory<NodeDb>>().CreateDbContext();
        using var connection = Connect(journey);
        return AuditVerifier.Verify(connection, db.Model);
    }

    private static SqliteConnection Connect(Journey journey)
    {
        var connection = new SqliteConnection($"Data Source={journey.World.DatabasePath};Pooling=False;Default Timeout=30");
        connection.Open();
        return connection;
    }

    private static void Execute(Journey journey, string sql, object id, int rows)
    {
        using var connection = Connect(journey);
        Assert.Equal(rows, Run(connection, sql, id));
    }

    private static int Run(SqliteConnection connection, string sql, object? id = null)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        if (id is not null)
            command.Parameters.AddWithValue("$id", id);
        return command.ExecuteNonQuery();
    }

    /// <summary>Another file under the same name; a file that is read-only or mapped is none the wiser.</summary>
    private static void Replace(string path, byte[] content)
    {
        File.WriteAllBytes(path + ".changed", content);
        File.Move(path + ".changed", path, overwrite: true);
    }
}
