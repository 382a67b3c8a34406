using System.Globalization;
using System.Net;
using System.Text;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Verifier;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Tests.Process.Kill;

/// <summary>Compares a node after its restart with what its clients were told.</summary>
internal sealed class KillOracle(string data, Told told)
{
    private const int ProofsPerCheck = 4;
    private readonly string _key = Path.Combine(data, "trusted-vkey");

    /// <summary>The key is taken once, from the node that was never killed yet.</summary>
    public async Task TrustAsync(RunningNode node) => await File.WriteAllTextAsync(_key, await node.Http.GetStringAsync("/ledger/vkey"));

    /// <summary>Answers how many contributions were committed without their acknowledgement having arrived.</summary>
    /// <param name="round">Checks what this round sent, or everything ever when null.</param>
    public async Task<int> CheckAsync(RunningNode node, int? round, Random random)
    {
        DiskEvidence.AssertSwept(data);
        var found = await CountsAsync(node, round);
        foreach (var (key, acknowledged) in Of(round))
        {
            Assert.True(found.Remove(key, out var kept), $"{key} was acknowledged and is gone");
            AssertWhole(acknowledged.Sent, kept);
        }
        foreach (var (key, kept) in found)
        {
            Assert.True(told.Open.TryGetValue(key, out var sent), $"{key} is there and nobody sent it");
            AssertWhole(sent, kept);
        }
        // Sending again what got no answer ends with everything there once, whichever way each went.
        foreach (var sent in told.Open.Values.ToList())
        {
            var (status, answer) = await KillLoad.Submit(node, sent, wait: false);
            Assert.True(status == (int)(found.ContainsKey(sent.Key) ? HttpStatusCode.OK : HttpStatusCode.Created), $"{sent.Key}: {status} {answer}");
            KillLoad.Keep(told, sent, answer, round ?? 0);
        }
        var after = await CountsAsync(node, round);
        Assert.Equal(Of(round).Select(a => a.Key).Order(), after.Keys.Order());
        Assert.All(Of(round), a => AssertWhole(a.Value.Sent, after[a.Key]));

        await CheckNotesAsync(node, round, random);
        await CheckKeysAsync(node, random);
        await CheckSomeRowsAsync(node, random);
        await CheckStateAsync(node);
        // The last entry proven means the sequencer is at rest, so that the log's files stand still while they are read.
        var (_, last) = await KillLoad.Submit(node, new Sent(KillLoad.Datasets[0], $"rest{round}-{random.Next()}", 1, 0), wait: true);
        Assert.Equal(1, last.GetProperty("accepted").GetInt64());
        await VerifyLogAsync(round);
        CheckAudit();
        return found.Count;
    }

    private IEnumerable<KeyValuePair<string, Acknowledged>> Of(int? round) =>
        told.Contributions.Where(c => round is null || c.Key.StartsWith($"r{round}w", StringComparison.Ordinal));

    private static void AssertWhole(Sent sent, (string Dataset, long Rows, long Sum, long Max) kept)
    {
        var rows = (long)sent.Rows;
        Assert.Equal((sent.Dataset, rows, rows * (rows - 1) / 2, rows - 1), kept);
    }

    private static async Task<Dictionary<string, (string Dataset, long Rows, long Sum, long Max)>> CountsAsync(RunningNode node, int? round)
    {
        var all = new Dictionary<string, (string, long, long, long)>();
        foreach (var dataset in KillLoad.Datasets)
        {
            foreach (var line in await node.QueryAsync(new
            {
                dataset, purpose = "check", filter = new { field = "key", op = "startsWith", value = round is null ? "r" : $"r{round}w" }, groupBy = new[] { "key" },
                measures = new[] { new { name = "rows", function = "count", field = "n" }, new { name = "sum", function = "sum", field = "n" }, new { name = "max", function = "max", field = "n" } },
            }))
            {
                if (!line[0].StartsWith("rest", StringComparison.Ordinal))
                    all.Add(line[0], (dataset, Number(line[1]), Number(line[2]), Number(line[3])));
            }
        }
        return all;
    }

    /// <summary>
    /// A record that is corrected is there once, at the number last acknowledged or, where the next had no answer, at either; one that is erased is not there.
    /// Asking again for what had no answer ends with it done once.
    /// </summary>
    private async Task CheckNotesAsync(RunningNode node, int? round, Random random)
    {
        var notes = told.Notes.Values.Where(n => round is null || n.Key.StartsWith($"r{round}n", StringComparison.Ordinal)).ToList();
        var found = await NotesAsync(node, round);
        Assert.Empty(found.Keys.Except(notes.Select(n => n.Key)));
        foreach (var note in notes)
        {
            (Guid Id, int N)? kept = found.TryGetValue(note.Key, out var row) ? row : null;
            if (note.Record is null)
            {
                Assert.True(kept is null or { N: 0 }, note.Key);
                Assert.Equal(kept is null ? 201 : 200, await KillLoad.ContributeAsync(node, note));
            }
            else if (note.Erasing)
            {
                Assert.True(kept is null || kept == (note.Record, note.N), note.Key);
                await KillLoad.EraseAsync(node, note);
            }
            else if (note.Erased)
            {
                Assert.True(kept is null, $"{note.Key} was erased and is there");
            }
            else if (note.Correcting)
            {
                Assert.True(kept is { } there && there.N - note.N is 0 or 1, $"{note.Key}: {kept}, acknowledged at {note.N}");
                Assert.Equal(kept.Value.N == note.N ? 201 : 200, await KillLoad.CorrectAsync(node, note));
            }
            else
            {
                Assert.Equal((note.Record.Value, note.N), kept);
            }
        }
        var after = await NotesAsync(node, round);
        Assert.Equal(
            notes.Where(n => !n.Erased).Select(n => $"{n.Key} {n.Record} {n.N}").Order(StringComparer.Ordinal),
            after.Select(n => $"{n.Key} {n.Value.Id} {n.Value.N}").Order(StringComparer.Ordinal));
        foreach (var note in notes.OrderBy(_ => random.Next()).Take(ProofsPerCheck))
        {
            // Every version once, in order, and of an erased one only the leaf.
            var versions = (await node.GetAsync($"/api/v1/datasets/{KillLoad.Noted}/records/{note.Record}/history")).GetProperty("versions").EnumerateArray().ToList();
            Assert.Equal(note.N + 1, versions.Count);
            Assert.Equal(note.Record, versions[^1].GetProperty("record").GetGuid());
            Assert.Equal(note.Erased ? "erased" : "current", versions[^1].GetProperty("state").GetString());
            Assert.All(versions.SkipLast(1), v => Assert.Equal("superseded", v.GetProperty("state").GetString()));
            if (note.Erased)
            {
                using var gone = await node.Http.GetAsync(versions[^1].GetProperty("proof").GetString());
                Assert.Equal(HttpStatusCode.Gone, gone.StatusCode);
            }
        }
    }

    private static async Task<Dictionary<string, (Guid Id, int N)>> NotesAsync(RunningNode node, int? round) =>
        (await node.QueryAsync(new
        {
            dataset = KillLoad.Noted, purpose = "check", fields = new[] { "_id", "key", "n" }, filter = new { field = "key", op = "startsWith", value = round is null ? "r" : $"r{round}n" },
        })).ToDictionary(r => r[1], r => (Guid.Parse(r[0]), int.Parse(r[2], CultureInfo.InvariantCulture)));

    /// <summary>The primary key still knows what was there before the kill: the same rows under another idempotency key are refused.</summary>
    private async Task CheckKeysAsync(RunningNode node, Random random)
    {
        var keyed = told.Contributions.Values.Where(c => c.Sent.Dataset == KillLoad.Keyed && c.Sent.Rows <= 2_500).ToArray();
        if (keyed.Length == 0)
            return;
        var one = keyed[random.Next(keyed.Length)].Sent;
        var body = new StringContent($"key,n\n{one.Key},{random.Next(one.Rows)}\n", Encoding.ASCII, "text/csv");
        var (status, answer) = await node.ContributeAsync(KillLoad.Keyed, body, $"again-{random.Next()}");
        Assert.True(status == 422 && answer.GetProperty("code").GetString() == "records.duplicateKey", $"{status} {answer}");
    }

    /// <summary>Ids and values of a whole contribution by query, and one row of some by proof, checked by the auditor's own program.</summary>
    private async Task CheckSomeRowsAsync(RunningNode node, Random random)
    {
        var all = told.Contributions.Values.ToArray();
        for (var i = 0; i < ProofsPerCheck && all.Length > 0; i++)
        {
            var one = all[random.Next(all.Length)];
            Assert.True(RecordId.TrySplit(one.FirstRecord, out var batch, out _));
            if (one.Sent.Rows <= 2_500)
            {
                var rows = await node.QueryAsync(new
                {
                    dataset = one.Sent.Dataset, purpose = "check", fields = new[] { "_id", "n" }, filter = new { field = "key", op = "eq", value = one.Sent.Key },
                });
                Assert.Equal(
                    Enumerable.Range(0, one.Sent.Rows).Select(r => $"{RecordId.Of(batch, (uint)r)} {r}").Order(StringComparer.Ordinal),
                    rows.Select(r => $"{r[0]} {r[1]}").Order(StringComparer.Ordinal));
            }
            var (_, waited) = await KillLoad.Submit(node, one.Sent, wait: true);
            Assert.Equal(one.Receipt, waited.GetProperty("receipt").GetGuid());
            var row = (uint)random.Next(one.Sent.Rows);
            var record = RecordId.Of(batch, row);
            var proof = await node.Http.GetStringAsync($"/api/v1/datasets/{one.Sent.Dataset}/records/{record}/proof");
            var path = Path.Combine(data, "row-proof.json");
            await File.WriteAllTextAsync(path, proof);
            using var said = new StringWriter(CultureInfo.InvariantCulture);
            var exit = await Doors.RunAsync(["row", path, "--vkey", _key, "--lang", "en"], said, said);
            Assert.True(exit == 0, said.ToString());
            Assert.Contains(record.ToString(), said.ToString(), StringComparison.Ordinal);
            var bytes = Convert.FromBase64String(System.Text.Json.JsonDocument.Parse(proof).RootElement.GetProperty("row").GetProperty("bytes").GetString()!);
            Assert.True(bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(one.Sent.Key)) > 0, $"the proven row of {one.Sent.Key} is another's");
            if (one.Sent.Rejected > 0)
            {
                var rejects = await node.Http.GetStringAsync($"/api/v1/receipts/{one.Receipt}/rejects");
                Assert.Equal(one.Sent.Rejected, rejects.Split("\r\n", StringSplitOptions.RemoveEmptyEntries).Length - 1);
            }
        }
    }

    private async Task CheckStateAsync(RunningNode node)
    {
        var listed = new HashSet<string>();
        for (string? next = "/api/v1/grants"; next is not null;)
        {
            var page = await node.GetAsync(next);
            listed.UnionWith(page.GetProperty("grants").EnumerateArray()
                .Where(g => g.GetProperty("revokedAt").ValueKind == System.Text.Json.JsonValueKind.Null).Select(g => g.GetProperty("id").GetString()!));
            next = page.GetProperty("next").GetString() is { } cursor ? "/api/v1/grants?cursor=" + cursor : null;
        }
        foreach (var (id, stands) in told.Grants)
        {
            if (stands is { } expected)
                Assert.True(listed.Contains(id) == expected, $"grant {id} should {(expected ? "" : "not ")}stand");
            else
                // It got no answer; from now on it is what it turned out to be.
                told.Grants[id] = listed.Contains(id);
        }
        var units = (await node.GetAsync("/api/v1/units")).GetProperty("units").EnumerateArray().Select(u => u.GetProperty("id").GetString()!).ToHashSet();
        Assert.All(told.Units.Keys, unit => Assert.Contains(unit, units));
        told.OpenChanges = 0;
    }

    private async Task VerifyLogAsync(int? round)
    {
        var ledger = Path.Combine(data, "ledger");
        var from = Path.Combine(data, "trusted-checkpoint");
        // Each once when it is new, and all of them again at the end.
        foreach (var (checkpoint, seen) in told.Checkpoints)
        {
            if (round is not null && seen != round)
                continue;
            await File.WriteAllTextAsync(from, checkpoint);
            await VerifyAsync(["log", ledger, "--vkey", _key, "--lang", "en", "--from", from]);
        }
        await VerifyAsync(["log", ledger, "--vkey", _key, "--lang", "en"]);
    }

    private static async Task VerifyAsync(string[] command)
    {
        using var said = new StringWriter(CultureInfo.InvariantCulture);
        var exit = await Doors.RunAsync(command, said, said);
        Assert.True(exit == 0, said.ToString());
    }

    private void CheckAudit()
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(data, "node.db")};Mode=ReadOnly;Pooling=False");
        connection.Open();
        using var db = new NodeDb(new DbContextOptionsBuilder<NodeDb>().UseSqlite(connection).Options, [new CatalogModel(), new PartiesModel(), new PostureModel(), new GrantModel()]);
        Assert.Empty(AuditVerifier.Verify(connection, db.Model));
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
