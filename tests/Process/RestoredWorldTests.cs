using System.Net;
using System.Text.Json;

namespace Gongzhi.Tests.Process;

/// <summary>A world that came back from a backup never signs a second history, whichever machine starts first and whatever is done with it before.</summary>
public sealed class RestoredWorldTests : IDisposable
{
    private const string Secret = "a secret of the tests' own, of no use elsewhere", Passphrase = "a passphrase of the tests' own";

    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-restored-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string At(string name) => Path.Combine(_root, name);

    private static (string, string)[] Sealed(params (string, string)[] more) => [("GONGZHI_BACKUP_PASSPHRASE", Passphrase), .. more];

    [Fact]
    public async Task A_checkpoint_that_somebody_kept_tells_what_is_missing_and_holds_the_start_until_it_is_mended()
    {
        var data = At("data");
        using (var node = await RunningNode.StartAsync(data))
        {
            await node.DefineAsync("d", personal: false, ("v", "string"));
            await File.WriteAllTextAsync(At("vkey"), await node.Http.GetStringAsync("/ledger/vkey", Stop), Stop);
            await KeepAsync(node, "kept-old");
            await ContributeAsync(node, "before");
            await KeepAsync(node, "kept-before");
            (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", data, "--to", At("backups"))).Demand();
            await ContributeAsync(node, "after");
            await KeepAsync(node, "kept-after");
            await node.TerminateAsync();
            await node.ExitAsync();
        }
        // Of before the backup: everything is there.
        var whole = (await Shell.RunAsync("gongzhi", Sealed(), [.. Restore("whole"), "--checkpoint", At("kept-before")])).Demand();
        Assert.Contains("everything up to the checkpoint", whole, StringComparison.Ordinal);
        // Who has seen less cannot say that there was nothing more: an older checkpoint, or a witness that is asked for the first time.
        await ReadOnlyAsync(At("whole"), "that has seen as much", ("RetainedCheckpoint", At("kept-old")));
        using (var fresh = await RunningNode.StartAsync(At("fresh"), ("WitnessedLogs", (await File.ReadAllTextAsync(At("vkey"), Stop)).Trim())))
        {
            var witness = $"{(await fresh.Http.GetStringAsync("/witness/vkey", Stop)).Trim()} {new Uri(fresh.Http.BaseAddress!, "/witness/")}";
            await ReadOnlyAsync(At("whole"), "that has seen as much", ("Witnesses", witness));
        }
        using (var node = await RunningNode.StartAsync(At("whole"), ("RetainedCheckpoint", At("kept-before"))))
            await ContributeAsync(node, "again");

        // Of after it: said, counted, and remembered, so that an older checkpoint does not open the gate.
        var short1 = await Shell.RunAsync("gongzhi", Sealed(), [.. Restore("short"), "--checkpoint", At("kept-after"), "--json"]);
        Assert.Equal(1, short1.Exit);
        Assert.True(JsonDocument.Parse(short1.Output).RootElement.GetProperty("missing").GetInt64() > 0, short1.Output);
        await ReadOnlyAsync(At("short"), "was known then", ("RetainedCheckpoint", At("kept-before")));
        // Nor does it go on in another place.
        var moved = await Shell.RunAsync("gongzhi", [], "admin", "move", "--data", At("short"), "--to", "Host=127.0.0.1;Port=1;Database=x", "--new-data", At("moved"));
        Assert.NotEqual(0, moved.Exit);
        Assert.Contains("takes no changes", moved.Error, StringComparison.Ordinal);
        (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "recover", "--data", At("short"), "--from", Path.Combine(data, "ledger"))).Demand();
        using (var node = await RunningNode.StartAsync(At("short"), ("RetainedCheckpoint", At("kept-after"))))
            await ContributeAsync(node, "again");
        Assert.False(File.Exists(Path.Combine(At("short"), "restored.json")));

        // Or nobody has them, and the log goes on under another key; then the old one never comes back from these backups.
        Assert.Equal(1, (await Shell.RunAsync("gongzhi", Sealed(), [.. Restore("lost"), "--checkpoint", At("kept-after")])).Exit);
        (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "succeed", "--data", At("lost"), "--reason", "the entries since the backup are lost")).Demand();
        using (var node = await RunningNode.StartAsync(At("lost"), ("RetainedCheckpoint", At("kept-after"))))
        {
            await ContributeAsync(node, "again");
            (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", At("lost"), "--to", At("backups"))).Demand();
        }
        var first = (await Shell.RunAsync("gongzhi", [], "admin", "backup", "list", "--in", At("backups"))).Demand().Split('\t')[0];
        Assert.Contains("goes on under another key", (await Shell.RunAsync("gongzhi", Sealed(), [.. Restore("old-key"), "--backup", first])).Error, StringComparison.Ordinal);
        Assert.Contains("every file", (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", At("backups"))).Demand(), StringComparison.Ordinal);
        (await Shell.RunAsync("gongzhi", Sealed(), Restore("new-key"))).Demand();
    }

    [Fact]
    public async Task A_checkpoint_of_another_log_is_refused_and_keys_that_were_left_out_are_asked_for()
    {
        var data = At("data");
        using (var node = await RunningNode.StartAsync(data))
        {
            await node.DefineAsync("d", personal: false, ("v", "string"));
            await ContributeAsync(node, "a");
            var made = await Shell.RunAsync("gongzhi", [], "admin", "backup", "make", "--data", data, "--to", At("backups"));
            Assert.Equal(0, made.Exit);
            Assert.Contains("The keys are not in it", made.Error, StringComparison.Ordinal);
        }
        Assert.Empty(Directory.GetFiles(At("backups"), "keys*", SearchOption.AllDirectories));
        Assert.Contains("--keys", (await Shell.RunAsync("gongzhi", [], Restore("none"))).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(At("none")));
        using (var other = await RunningNode.StartAsync(At("other")))
            await KeepAsync(other, "theirs");
        var theirs = await Shell.RunAsync("gongzhi", [], [.. Restore("theirs-new"), "--keys", Path.Combine(data, "keys"), "--checkpoint", At("theirs")]);
        Assert.Equal(1, theirs.Exit);
        Assert.Contains("not one that this log's key signed", theirs.Error, StringComparison.Ordinal);
        (await Shell.RunAsync("gongzhi", [], [.. Restore("given"), "--keys", Path.Combine(data, "keys")])).Demand();
        // A segment that the node itself has lost is named, and no backup is made of the rest.
        using (var node = await RunningNode.StartAsync(data))
        {
            using var body = new StringContent("v\n" + string.Concat(Enumerable.Range(0, 6_000).Select(i => $"b{i}\n")), null, "text/csv");
            Assert.Equal(201, (await node.ContributeAsync("d", body)).Status);
        }
        var segment = Directory.GetFiles(Path.Combine(data, "segments"), "*.parquet")[0];
        File.Delete(segment);
        var lost = await Shell.RunAsync("gongzhi", [], "admin", "backup", "make", "--data", data, "--to", At("backups"));
        Assert.Equal(1, lost.Exit);
        Assert.Contains(Path.GetFileNameWithoutExtension(segment), lost.Error, StringComparison.Ordinal);
        Assert.Single((await Shell.RunAsync("gongzhi", [], "admin", "backup", "list", "--in", At("backups"))).Demand().Trim().Split('\n'));
    }

    [Fact]
    public async Task An_erasure_after_the_backup_is_counted_when_it_comes_back()
    {
        var data = At("data");
        using (var node = await RunningNode.StartAsync(data))
        {
            await node.DefineAsync("d", personal: true, ("v", "string"));
            var record = await ContributeAsync(node, "somebody");
            (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", data, "--to", At("backups"))).Demand();
            await node.PostAsync("/api/v1/datasets/d/erasures", new { records = new[] { record }, reason = "asked for" });
            // Entries come into the log in order: this one after the erasure's.
            await ContributeAsync(node, "somebody else");
            (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", data, "--to", At("backups"))).Demand();
        }
        var names = (await Shell.RunAsync("gongzhi", [], "admin", "backup", "list", "--in", At("backups"))).Demand().Trim().Split('\n').Select(l => l.Split('\t')[0]).ToList();
        async Task<long> ErasuresAsync(string backup) =>
            JsonDocument.Parse((await Shell.RunAsync("gongzhi", Sealed(), [.. Restore(backup), "--backup", backup, "--json"])).Demand()).RootElement.GetProperty("erasures").GetInt64();
        Assert.Equal(1, await ErasuresAsync(names[0]));
        Assert.Equal(0, await ErasuresAsync(names[1]));
    }

    [Fact]
    public async Task A_machine_that_never_saw_the_restore_asks_too_and_an_interrupted_end_is_gone_on_with()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        await using var postgres = await PostgresServer.StartAsync(durable: false);
        (string, string)[] On(string database, string segments) => [("Cluster", database), ("Segments", At(segments)), ("ClusterSecret", Secret)];
        (string, string)[] Environment(string database, string segments) => Sealed([.. On(database, segments).Select(s => ("GONGZHI__" + s.Item1, s.Item2))]);
        var (from, to) = (await postgres.NewDatabaseAsync(), await postgres.NewDatabaseAsync());
        using (var one = await RunningNode.StartAsync(At("one"), On(from, "segments")))
        {
            await one.DefineAsync("d", personal: false, ("v", "string"));
            await ContributeAsync(one, "a");
            await KeepAsync(one, "kept");
            (await Shell.RunAsync("gongzhi", Environment(from, "segments"), "admin", "backup", "make", "--data", At("one"), "--to", At("backups"))).Demand();
        }
        (await Shell.RunAsync("gongzhi", Environment(to, "new-segments"), Restore("new"))).Demand();
        // As if it had ended between its last word to the database and the last to the directory.
        await File.WriteAllTextAsync(Path.Combine(At("new"), "restoring"), Path.GetFileName(Directory.GetDirectories(Path.Combine(At("backups"), "backups"))[0]), Stop);
        Assert.Contains("being restored", (await Shell.RunAsync("gongzhi", Environment(to, "new-segments"), "serve", "--data", At("new"), "--urls", "http://127.0.0.1:0")).Error, StringComparison.Ordinal);
        (await Shell.RunAsync("gongzhi", Environment(to, "new-segments"), Restore("new"))).Demand();

        await ReadOnlyAsync(At("elsewhere"), "came back from a backup", On(to, "new-segments"));
        using (var node = await RunningNode.StartAsync(At("third"), [.. On(to, "new-segments"), ("RetainedCheckpoint", At("kept"))]))
            await ContributeAsync(node, "b");
        // Once allowed anywhere, it is a cluster like any other.
        using var again = await RunningNode.StartAsync(At("new"), On(to, "new-segments"));
        await ContributeAsync(again, "c");
    }

    [Fact]
    public async Task One_machine_on_PostgreSQL_comes_back_with_its_segments_and_its_sealed_keys()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        await using var postgres = await PostgresServer.StartAsync(durable: false);
        var (from, to) = (await postgres.NewDatabaseAsync(), await postgres.NewDatabaseAsync());
        string[][] rows;
        var question = new { dataset = "d", purpose = "check", groupBy = new[] { "v" }, measures = new object[] { new { name = "n", function = "count" } } };
        using (var node = await RunningNode.StartAsync(At("data"), ("Database", from)))
        {
            await node.DefineAsync("d", personal: true, ("v", "string"));
            using var body = new StringContent("v\n" + string.Concat(Enumerable.Range(0, 6_000).Select(i => $"k{i % 7}\n")), null, "text/csv");
            Assert.Equal(201, (await node.ContributeAsync("d", body)).Status);
            rows = [.. (await node.QueryAsync(question)).OrderBy(r => r[0], StringComparer.Ordinal)];
            (await Shell.RunAsync("gongzhi", Sealed(("GONGZHI__Database", from)), "admin", "backup", "make", "--data", At("data"), "--to", At("backups"))).Demand();
            await KeepAsync(node, "kept");
        }
        Assert.Single(Directory.GetFiles(Path.Combine(At("backups"), "segments")));
        // A file's state is not put into a database, nor the other way round.
        Assert.Contains("PostgreSQL", (await Shell.RunAsync("gongzhi", Sealed(), Restore("new"))).Error, StringComparison.Ordinal);
        (await Shell.RunAsync("gongzhi", Sealed(("GONGZHI__Database", to)), Restore("new"))).Demand();
        using var restored = await RunningNode.StartAsync(At("new"), ("Database", to), ("RetainedCheckpoint", At("kept")));
        Assert.Equal(rows, [.. (await restored.QueryAsync(question)).OrderBy(r => r[0], StringComparer.Ordinal)]);
        Assert.Equal(7, rows.Length);
    }

    private string[] Restore(string to) => ["admin", "restore", "--from", At("backups"), "--data", At(to)];

    private async Task KeepAsync(RunningNode node, string name) => await File.WriteAllBytesAsync(At(name), await node.Http.GetByteArrayAsync("/ledger/checkpoint", Stop), Stop);

    /// <summary>Until it is in the log; answers the record.</summary>
    private static async Task<string> ContributeAsync(RunningNode node, string value)
    {
        using var body = new StringContent($"v\n{value}\n", null, "text/csv");
        var (status, answer) = await node.ContributeAsync("d", body, query: "?wait=proof");
        Assert.True(status == 201, answer.ToString());
        return answer.GetProperty("firstRecord").GetString()!;
    }

    private static async Task ReadOnlyAsync(string data, string reason, params (string, string)[] settings)
    {
        using var node = RunningNode.Spawn(data, settings);
        Assert.True(await node.ListeningAsync(), node.Said);
        var health = await node.GetAsync("/health/ready");
        Assert.Equal("degraded", health.GetProperty("status").GetString());
        Assert.Contains(reason, health.GetProperty("why").GetProperty("ledger").GetString(), StringComparison.Ordinal);
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = "boot", ["client_secret"] = RunningNode.Client.Split(':')[1] });
        using var refused = await node.Http.PostAsync("/connect/token", form, Stop);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
    }
}
