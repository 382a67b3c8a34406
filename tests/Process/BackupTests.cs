using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Gongzhi.Tests.Process;

/// <summary>Backups taken beside a node that works, and worlds made anew from them.</summary>
public sealed class BackupTests : IDisposable
{
    private const string Secret = "a secret of the tests' own, of no use elsewhere", Passphrase = "a passphrase of the tests' own";

    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-backup-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string At(string name) => Path.Combine(_root, name);

    private static (string, string)[] Sealed(params (string, string)[] more) => [("GONGZHI_BACKUP_PASSPHRASE", Passphrase), .. more];

    [Fact]
    public async Task A_node_that_works_is_backed_up_and_made_anew_to_the_last_row()
    {
        var (data, backups) = (At("data"), At("backups"));
        string key, first, second;
        long rows;
        using (var node = await RunningNode.StartAsync(data))
        {
            await node.DefineAsync("d", personal: true, ["v"], ("v", "string"), ("w", "integer"));
            await ContributeAsync(node, "big", 6_000);
            key = await KeyAsync(node);
            using var stop = new CancellationTokenSource();
            var writing = WriteAsync(node, stop.Token);
            first = await MakeAsync(data, backups, expectNew: 1);
            await ContributeAsync(node, "more", 6_000);
            // Only what is new is copied.
            second = await MakeAsync(data, backups, expectNew: 1);
            await stop.CancelAsync();
            Assert.True(await writing > 0);
            rows = await CountAsync(node);
        }
        Assert.Equal([first, second], (await Shell.RunAsync("gongzhi", [], "admin", "backup", "list", "--in", backups)).Demand().Trim().Split('\n').Select(l => l.Split('\t')[0]));
        Assert.Contains("2 backups, every file", (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups)).Demand(), StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFiles(backups, "*.skey", SearchOption.AllDirectories), _ => true);

        // The key's passphrase is needed, and must be the right one.
        Assert.Contains("sealed", (await Shell.RunAsync("gongzhi", [], Restore(backups, "new"))).Error, StringComparison.Ordinal);
        Assert.Contains("passphrase", (await Shell.RunAsync("gongzhi", [("GONGZHI_BACKUP_PASSPHRASE", "another one altogether")], Restore(backups, "new"))).Error, StringComparison.Ordinal);
        Directory.Delete(At("new"), recursive: true);
        var restored = (await Shell.RunAsync("gongzhi", Sealed(), [.. Restore(backups, "new"), "--json"])).Demand();
        var report = JsonDocument.Parse(restored).RootElement;
        Assert.Equal(second, report.GetProperty("backup").GetString());
        Assert.True(report.GetProperty("rows").GetInt64() >= 12_000);
        Assert.Contains("is not empty", (await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "new"))).Error, StringComparison.Ordinal);
        // It waits for somebody who knows, and then it is the node that it was.
        File.Copy(Path.Combine(At("new"), "ledger", "checkpoint"), At("kept"));
        using (var node = await RunningNode.StartAsync(At("new"), ("RetainedCheckpoint", At("kept"))))
        {
            Assert.InRange(await CountAsync(node), 12_000, rows);
            await ContributeAsync(node, "after", 10);
            Assert.Contains("Proven: all", (await Shell.RunAsync("gongzhi-verify", [], "log", new Uri(node.Http.BaseAddress!, "/ledger/").ToString(), "--vkey", key, "--from", At("kept"))).Demand(), StringComparison.Ordinal);
        }
        // An older backup: the log of the newer one comes along, so that no second history is signed.
        var older = JsonDocument.Parse((await Shell.RunAsync("gongzhi", Sealed(), [.. Restore(backups, "older"), "--backup", first, "--json"])).Demand()).RootElement;
        Assert.True(older.GetProperty("recovered").GetInt64() > 0);
        using (var node = await RunningNode.StartAsync(At("older"), ("RetainedCheckpoint", At("kept"))))
        {
            Assert.InRange(await CountAsync(node), 6_000, rows - 6_000);
            await ContributeAsync(node, "after", 10);
        }
        (await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", At("older"), "--key", key)).Demand();
    }

    [Fact]
    public async Task Backups_and_restores_that_are_killed_leave_nothing_that_counts()
    {
        var (data, backups) = (At("data"), At("backups"));
        using var node = await RunningNode.StartAsync(data);
        await node.DefineAsync("d", personal: false, ["v"], ("v", "string"), ("w", "integer"));
        for (var i = 0; i < 4; i++)
            await ContributeAsync(node, "b" + i, 6_000);
        for (var after = 400; after <= 2_000; after += 400)
            await KilledAsync(after, "admin", "backup", "make", "--data", data, "--to", backups);
        var made = (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "list", "--in", backups));
        Assert.True(made.Exit is 0 or 1, made.Error);
        await MakeAsync(data, backups, expectNew: null);
        Assert.Empty(Directory.GetDirectories(Path.Combine(backups, "backups"), "*.unfinished"));
        Assert.Contains("every file", (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups)).Demand(), StringComparison.Ordinal);
        for (var after = 600; after <= 3_000; after += 800)
        {
            await KilledAsync(after, Restore(backups, "new"));
            // Half a world is none.
            if (File.Exists(Path.Combine(At("new"), "restoring")))
                Assert.Contains("being restored", (await Shell.RunAsync("gongzhi", [], "serve", "--data", At("new"), "--urls", "http://127.0.0.1:0")).Error, StringComparison.Ordinal);
        }
        if (!File.Exists(Path.Combine(At("new"), "restored.json")))
            (await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "new"))).Demand();
        (await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", At("new"), "--key", await KeyAsync(node))).Demand();
    }

    [Fact]
    public async Task A_changed_file_is_named_and_nothing_is_made_of_it()
    {
        var (data, backups) = (At("data"), At("backups"));
        using (var node = await RunningNode.StartAsync(data))
        {
            await node.DefineAsync("d", personal: false, ["v"], ("v", "string"), ("w", "integer"));
            await ContributeAsync(node, "b", 6_000);
            await MakeAsync(data, backups, expectNew: 1);
        }
        var changed = Directory.GetFiles(Path.Combine(backups, "backups"), "*", SearchOption.AllDirectories).Where(f => !f.EndsWith("manifest.json", StringComparison.Ordinal))
            .Concat(Directory.GetFiles(Path.Combine(backups, "segments"))).ToList();
        Assert.True(changed.Count >= 4, string.Join(' ', changed));
        foreach (var path in changed)
        {
            var bytes = await File.ReadAllBytesAsync(path, Stop);
            bytes[bytes.Length / 2] ^= 1;
            await File.WriteAllBytesAsync(path, bytes, Stop);
            var verified = await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups);
            Assert.Equal(1, verified.Exit);
            Assert.Contains(Path.GetFileName(path), verified.Output, StringComparison.Ordinal);
            Assert.Equal(1, (await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "new"))).Exit);
            Assert.False(File.Exists(Path.Combine(At("new"), "restored.json")));
            if (Directory.Exists(At("new")))
                Directory.Delete(At("new"), recursive: true);
            bytes[bytes.Length / 2] ^= 1;
            await File.WriteAllBytesAsync(path, bytes, Stop);
        }
        // The copy of the log is followed to its signature.
        var bundle = Directory.GetFiles(Path.Combine(backups, "ledger"), "*", SearchOption.AllDirectories).First(f => f.Contains("entries", StringComparison.Ordinal));
        var entry = await File.ReadAllBytesAsync(bundle, Stop);
        entry[40] ^= 1;
        await File.WriteAllBytesAsync(bundle, entry, Stop);
        Assert.Equal(1, (await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "new"))).Exit);
    }

    [Fact]
    public async Task Old_backups_go_with_the_segments_that_only_they_name()
    {
        var (data, backups) = (At("data"), At("backups"));
        using var node = await RunningNode.StartAsync(data);
        await node.DefineAsync("d", personal: false, ["v"], ("v", "string"), ("w", "integer"));
        await ContributeAsync(node, "b", 6_000);
        await MakeAsync(data, backups, expectNew: 1);
        await MakeAsync(data, backups, expectNew: 0);
        var pruned = JsonDocument.Parse((await Shell.RunAsync("gongzhi", [], "admin", "backup", "prune", "--in", backups, "--keep", "1", "--keep-days", "0", "--json")).Demand()).RootElement;
        Assert.Equal((1, 0, 1), (pruned.GetProperty("backups").GetInt32(), pruned.GetProperty("segments").GetInt32(), pruned.GetProperty("left").GetInt32()));
        // The newest stays, however old; and what it names.
        Assert.Contains("every file", (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups)).Demand(), StringComparison.Ordinal);
        await File.WriteAllBytesAsync(Path.Combine(backups, "segments", new string('0', 64) + ".parquet"), [1], Stop);
        pruned = JsonDocument.Parse((await Shell.RunAsync("gongzhi", [], "admin", "backup", "prune", "--in", backups, "--keep-days", "30", "--json")).Demand()).RootElement;
        Assert.Equal((0, 1), (pruned.GetProperty("backups").GetInt32(), pruned.GetProperty("segments").GetInt32()));
        // Another world's backups are not mixed in, and a directory of something else is left alone.
        using (var other = await RunningNode.StartAsync(At("other")))
            await other.DefineAsync("d", personal: false, ("v", "string"));
        Assert.Contains("another world", (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", At("other"), "--to", backups)).Error, StringComparison.Ordinal);
        Assert.Contains("not a directory of backups", (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", At("other"), "--to", data)).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cluster_is_backed_up_beside_its_machines_and_made_anew_in_an_empty_database()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        await using var postgres = await PostgresServer.StartAsync(durable: false);
        (string, string)[] On(string database, string segments) => [("Cluster", database), ("Segments", At(segments)), ("ClusterSecret", Secret)];
        (string, string)[] Environment(string database, string segments) => Sealed([.. On(database, segments).Select(s => ("GONGZHI__" + s.Item1, s.Item2))]);
        var (from, to) = (await postgres.NewDatabaseAsync(), await postgres.NewDatabaseAsync());
        long rows;
        string key;
        using (var one = await RunningNode.StartAsync(At("one"), On(from, "segments")))
        using (var two = await RunningNode.StartAsync(At("two"), On(from, "segments")))
        {
            await one.DefineAsync("d", personal: true, ["v"], ("v", "string"), ("w", "integer"));
            await ContributeAsync(two, "big", 6_000);
            await ContributeAsync(one, "few", 20);
            rows = await CountAsync(two);
            key = await KeyAsync(one);
            (await Shell.RunAsync("gongzhi", Environment(from, "segments"), "admin", "backup", "make", "--data", At("one"), "--to", At("backups"))).Demand();
            await File.WriteAllBytesAsync(At("kept"), await one.Http.GetByteArrayAsync("/ledger/checkpoint", Stop), Stop);
        }
        var wrong = await Shell.RunAsync("gongzhi", Sealed(("GONGZHI__Cluster", await postgres.NewDatabaseAsync()), ("GONGZHI__ClusterSecret", Secret + "!"), ("GONGZHI__Segments", At("wrong-segments"))), Restore(At("backups"), "wrong"));
        Assert.Contains("ClusterSecret", wrong.Error, StringComparison.Ordinal);
        var report = JsonDocument.Parse((await Shell.RunAsync("gongzhi", Environment(to, "new-segments"), [.. Restore(At("backups"), "new"), "--json"])).Demand()).RootElement;
        Assert.True(report.GetProperty("rows").GetInt64() >= rows);
        using var again = await RunningNode.StartAsync(At("new"), [.. On(to, "new-segments"), ("RetainedCheckpoint", At("kept"))]);
        using var second = await RunningNode.StartAsync(At("second"), On(to, "new-segments"));
        Assert.Equal(rows, await CountAsync(second));
        await ContributeAsync(second, "after", 10);
        Assert.Contains("Proven: all", (await Shell.RunAsync("gongzhi-verify", [], "log", new Uri(again.Http.BaseAddress!, "/ledger/").ToString(), "--vkey", key, "--from", At("kept"))).Demand(), StringComparison.Ordinal);
    }

    private string[] Restore(string backups, string to) => ["admin", "restore", "--from", backups, "--data", At(to)];

    private static async Task<string> MakeAsync(string data, string backups, int? expectNew)
    {
        var report = JsonDocument.Parse((await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", data, "--to", backups, "--json")).Demand()).RootElement;
        if (expectNew is { } wanted)
            Assert.Equal(wanted, report.GetProperty("segmentsNew").GetInt32());
        return report.GetProperty("backup").GetString()!;
    }

    private static async Task KilledAsync(int after, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["GONGZHI_BACKUP_PASSPHRASE"] = Passphrase } };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "gongzhi.dll"));
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        using var command = System.Diagnostics.Process.Start(start)!;
        await Task.WhenAny(command.WaitForExitAsync(Stop), Task.Delay(after, Stop));
        if (!command.HasExited)
            command.Kill();
        await command.WaitForExitAsync(Stop);
    }

    /// <summary>Small contributions until told to stop; answers how many.</summary>
    private static async Task<int> WriteAsync(RunningNode node, CancellationToken until)
    {
        var written = 0;
        while (!until.IsCancellationRequested)
            await ContributeAsync(node, $"small{written++}-", 3);
        return written;
    }

    private static async Task ContributeAsync(RunningNode node, string prefix, int rows)
    {
        using var body = new StringContent("v,w\n" + string.Concat(Enumerable.Range(0, rows).Select(i => $"{prefix}{i},{i}\n")), null, "text/csv");
        var (status, answer) = await node.ContributeAsync("d", body);
        Assert.True(status == 201, answer.ToString());
    }

    private static async Task<long> CountAsync(RunningNode node) =>
        long.Parse((await node.QueryAsync(new { dataset = "d", purpose = "check", groupBy = Array.Empty<string>(), measures = new object[] { new { name = "n", function = "count" } } }))[0][0], CultureInfo.InvariantCulture);

    private async Task<string> KeyAsync(RunningNode node)
    {
        var path = At("vkey");
        await File.WriteAllTextAsync(path, await node.Http.GetStringAsync("/ledger/vkey", Stop), Stop);
        return path;
    }
}
