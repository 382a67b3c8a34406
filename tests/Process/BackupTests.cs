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

        // The key's passphrase is needed, and must be the right one; without it nothing is begun.
        Assert.Contains("sealed", (await Shell.RunAsync("gongzhi", [], Restore(backups, "new"))).Error, StringComparison.Ordinal);
        Assert.Contains("passphrase", (await Shell.RunAsync("gongzhi", [("GONGZHI_BACKUP_PASSPHRASE", "another one altogether")], Restore(backups, "new"))).Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(At("new")));
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
        var killed = 0;
        foreach (var seen in (string[])["backups", "backups/repository.json", "backups/backups/*/node.db", "backups/segments/*", "backups/ledger/*/checkpoint", "backups/backups/*/keys.sealed"])
            killed += await KilledAsync(seen, Sealed(), "admin", "backup", "make", "--data", data, "--to", backups) ? 1 : 0;
        Assert.True(killed > 0);
        await MakeAsync(data, backups, expectNew: null);
        Assert.Empty(Directory.GetDirectories(Path.Combine(backups, "backups"), "*.unfinished"));
        Assert.Contains("every file", (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups)).Demand(), StringComparison.Ordinal);
        killed = 0;
        foreach (var seen in (string[])["new/restoring", "new/node.db", "new/segments/*", "new/ledger/checkpoint"])
        {
            if (File.Exists(Path.Combine(At("new"), "restored.json")))
                break;
            killed += await KilledAsync(seen, Sealed(), Restore(backups, "new")) ? 1 : 0;
            // Half a world is none.
            if (File.Exists(Path.Combine(At("new"), "restoring")))
                Assert.Contains("being restored", (await Shell.RunAsync("gongzhi", [], "serve", "--data", At("new"), "--urls", "http://127.0.0.1:0")).Error, StringComparison.Ordinal);
        }
        Assert.True(killed > 0);
        // As if it had ended between its last two steps.
        await File.WriteAllTextAsync(Path.Combine(At("new"), "restoring"), Path.GetFileName(Directory.GetDirectories(Path.Combine(backups, "backups")).Order(StringComparer.Ordinal).Last()), Stop);
        (await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "new"))).Demand();
        Assert.False(File.Exists(Path.Combine(At("new"), "restoring")));
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
        var changed = Directory.GetFiles(Path.Combine(backups, "backups"), "*", SearchOption.AllDirectories)
            .Concat(Directory.GetFiles(Path.Combine(backups, "segments"))).ToList();
        // State, keys, world, manifest, its sum and its proof of who wrote it, a segment.
        Assert.True(changed.Count >= 7, string.Join(' ', changed));
        foreach (var path in changed)
        {
            var bytes = await File.ReadAllBytesAsync(path, Stop);
            bytes[bytes.Length / 2] ^= 1;
            await File.WriteAllBytesAsync(path, bytes, Stop);
            // Who does not know the passphrase cannot tell who wrote the manifest; a restore can.
            var sealedOnly = Path.GetFileName(path) == "manifest.mac";
            var verified = await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups);
            Assert.Equal(sealedOnly ? 0 : 1, verified.Exit);
            if (!sealedOnly)
                Assert.Contains(Path.GetFileName(path).Replace("manifest.sha256", "manifest.json", StringComparison.Ordinal), verified.Output, StringComparison.Ordinal);
            Assert.Equal(1, (await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "new"))).Exit);
            Assert.False(File.Exists(Path.Combine(At("new"), "restored.json")));
            if (Directory.Exists(At("new")))
                Directory.Delete(At("new"), recursive: true);
            bytes[bytes.Length / 2] ^= 1;
            await File.WriteAllBytesAsync(path, bytes, Stop);
        }
        // Somebody who may write there, and knows how sums are made, but not the passphrase.
        var manifest = Directory.GetFiles(backups, "manifest.json", SearchOption.AllDirectories).Single();
        var written = await File.ReadAllTextAsync(manifest, Stop);
        var forged = System.Text.Encoding.UTF8.GetBytes(written + "\n");
        await File.WriteAllBytesAsync(manifest, forged, Stop);
        var sum = Path.ChangeExtension(manifest, ".sha256");
        var summed = await File.ReadAllTextAsync(sum, Stop);
        await File.WriteAllTextAsync(sum, $"{Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(forged))}  manifest.json\n", Stop);
        (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups)).Demand();
        var refused = await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "new"));
        Assert.Equal(1, refused.Exit);
        Assert.Contains("not written by who sealed", refused.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(At("new")));
        await File.WriteAllTextAsync(manifest, written, Stop);
        await File.WriteAllTextAsync(sum, summed, Stop);
        // The copy of the log is followed to its signature, by a verification too.
        Assert.Contains("every file", (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups)).Demand(), StringComparison.Ordinal);
        foreach (var part in (string[])["entries", "checkpoint"])
        {
            var path = Directory.GetFiles(Path.Combine(backups, "ledger"), "*", SearchOption.AllDirectories).First(f => f.Contains(part, StringComparison.Ordinal));
            var bytes = await File.ReadAllBytesAsync(path, Stop);
            bytes[40] ^= 1;
            await File.WriteAllBytesAsync(path, bytes, Stop);
            var verified = await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups);
            Assert.Equal(1, verified.Exit);
            Assert.Contains(part, verified.Output, StringComparison.Ordinal);
            Assert.Equal(1, (await Shell.RunAsync("gongzhi", Sealed(), Restore(backups, "broken-" + part))).Exit);
            Assert.False(File.Exists(Path.Combine(At("broken-" + part), "restored.json")));
            bytes[40] ^= 1;
            await File.WriteAllBytesAsync(path, bytes, Stop);
        }
        // A backup that lost its manifest is not passed over in silence.
        File.Delete(Directory.GetFiles(Path.Combine(backups, "backups"), "manifest.json", SearchOption.AllDirectories)[0]);
        Assert.Contains("manifest.json", (await Shell.RunAsync("gongzhi", [], "admin", "backup", "verify", "--in", backups)).Output, StringComparison.Ordinal);
        Assert.Equal(1, (await Shell.RunAsync("gongzhi", [], "admin", "backup", "prune", "--in", backups, "--keep-days", "0")).Exit);
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
        // What a pruning left that was ended in the middle goes with the next one: it may hold what was erased.
        await MakeAsync(data, backups, expectNew: 0);
        var half = Directory.GetDirectories(Path.Combine(backups, "backups")).Order(StringComparer.Ordinal).First();
        Directory.Move(half, half + ".unfinished");
        Assert.Single((await Shell.RunAsync("gongzhi", [], "admin", "backup", "list", "--in", backups)).Demand().Trim().Split('\n'));
        (await Shell.RunAsync("gongzhi", [], "admin", "backup", "prune", "--in", backups, "--keep-days", "30")).Demand();
        Assert.False(Directory.Exists(half + ".unfinished"));
        // A first backup that ended before it said whose it is keeps nobody from the next.
        Directory.CreateDirectory(At("begun"));
        await File.WriteAllTextAsync(Path.Combine(At("begun"), "repository.json.new"), "{", Stop);
        (await Shell.RunAsync("gongzhi", Sealed(), "admin", "backup", "make", "--data", data, "--to", At("begun"))).Demand();
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

    /// <summary>Kills a command as soon as something of this pattern is there; false when it came to its end before.</summary>
    private async Task<bool> KilledAsync(string seen, (string Name, string Value)[] environment, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
            start.Environment[name] = value;
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "gongzhi.dll"));
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        var there = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var watcher = new FileSystemWatcher(_root) { IncludeSubdirectories = true, InternalBufferSize = 64 << 10 };
        var before = Matching(_root, seen.Split('/')).ToHashSet(StringComparer.Ordinal);
        void Look()
        {
            // What an earlier one left does not count.
            if (Matching(_root, seen.Split('/')).Any(p => !before.Contains(p)))
                there.TrySetResult();
        }
        watcher.Created += (_, _) => Look();
        watcher.Renamed += (_, _) => Look();
        watcher.Changed += (_, _) => Look();
        watcher.EnableRaisingEvents = true;
        using var command = System.Diagnostics.Process.Start(start)!;
        var ended = command.WaitForExitAsync(Stop);
        await Task.WhenAny(ended, there.Task);
        var killed = !command.HasExited;
        if (killed)
            command.Kill();
        await ended;
        return killed;
    }

    /// <summary>What is there of a path in which <c>*</c> stands for any name.</summary>
    private static IEnumerable<string> Matching(string directory, string[] names)
    {
        string[] found;
        try
        {
            found = Directory.Exists(directory) ? Directory.GetFileSystemEntries(directory, names[0]) : [];
        }
        catch (IOException)
        {
            // Gone while it was looked at.
            found = [];
        }
        return names.Length == 1 ? found : found.SelectMany(d => Matching(d, names[1..]));
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
