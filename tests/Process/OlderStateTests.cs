using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using Gongzhi.Ledger;

namespace Gongzhi.Tests.Process;

/// <summary>An older state comes back in the place of a newer one: nothing is signed on it, what it has can be read, and there are two ways on.</summary>
public sealed class OlderStateTests : IDisposable
{
    private const string Secret = "a secret of the tests' own, of no use elsewhere";

    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-older-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string At(string name) => Path.Combine(_root, name);

    [Fact]
    public async Task A_directory_put_back_whole_is_read_only_until_the_missing_entries_are_taken_from_a_copy()
    {
        var (data, backup, mirror, kept) = (At("data"), At("backup"), At("mirror"), At("kept"));
        await GrowAsync(data, 3, define: true);
        Copy(data, backup);
        string lost;
        string key;
        using (var node = await RunningNode.StartAsync(data))
        {
            lost = await ContributeAsync(node, 40);
            key = await KeyAsync(node);
            await File.WriteAllBytesAsync(kept, await node.Http.GetByteArrayAsync("/ledger/checkpoint", Stop), Stop);
            // Somebody else keeps a copy of the public log, twice: the second time little is new.
            var ledger = new Uri(node.Http.BaseAddress!, "/ledger/").ToString();
            Assert.Contains("all lead to the signed root", (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "mirror", "--from", ledger, "--to", mirror, "--vkey", key)).Demand(), StringComparison.Ordinal);
            Assert.Contains("0 of them new", (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "mirror", "--from", ledger, "--to", mirror, "--vkey", key)).Demand(), StringComparison.Ordinal);
            await StopAsync(node);
        }
        PutBack(backup, data);
        var before = await File.ReadAllBytesAsync(Path.Combine(data, "ledger", "checkpoint"), Stop);

        using (var node = await ReadOnlyAsync(data, "older state", ("RetainedCheckpoint", kept)))
            Assert.Equal(before, await node.Http.GetByteArrayAsync("/ledger/checkpoint", Stop));
        Assert.Equal(before, await File.ReadAllBytesAsync(Path.Combine(data, "ledger", "checkpoint"), Stop));

        var recovered = (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "recover", "--data", data, "--from", mirror)).Demand();
        Assert.Contains("Start the node", recovered, StringComparison.Ordinal);
        using (var node = await RunningNode.StartAsync(data, ("RetainedCheckpoint", kept)))
        {
            await ContributeAsync(node, 2);
            await VerifyAsync(node, key, from: kept);
            // The log says itself what came back, and without what; the rows are gone, and can be contributed again.
            var happened = (await node.GetAsync("/ledger/events")).GetProperty("events")[0];
            Assert.Equal("recovery", happened.GetProperty("kind").GetString());
            var range = JsonDocument.Parse(happened.GetProperty("content").GetString()!).RootElement;
            Assert.True(range.GetProperty("past").GetInt64() - range.GetProperty("first").GetInt64() >= 40);
            Assert.Equal(HttpStatusCode.NotFound, (await node.Http.GetAsync("/api/v1/receipts/" + lost, Stop)).StatusCode);
            await StopAsync(node);
        }
        var check = (await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", data, "--key", key, "--json")).Demand();
        Assert.True(JsonDocument.Parse(check.Trim().Split('\n')[^1]).RootElement.GetProperty("lost").GetInt64() >= 40, check);
    }

    [Fact]
    public async Task Where_only_the_database_came_back_the_log_beside_it_is_enough()
    {
        var (data, backup) = (At("data"), At("backup"));
        await GrowAsync(data, 3, define: true);
        Copy(data, backup);
        await GrowAsync(data, 30);
        var newest = await File.ReadAllBytesAsync(Path.Combine(data, "ledger", "checkpoint"), Stop);
        foreach (var file in Directory.GetFiles(data, "node.db*"))
            File.Delete(file);
        File.Copy(Path.Combine(backup, "node.db"), Path.Combine(data, "node.db"));

        // The newer log goes on being served, and nothing is added to it.
        using (var node = await ReadOnlyAsync(data, "the state is older than the log"))
            Assert.Equal(newest, await node.Http.GetByteArrayAsync("/ledger/checkpoint", Stop));
        Assert.Contains("recover it", (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "succeed", "--data", data, "--reason", "x")).Error, StringComparison.Ordinal);
        (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "recover", "--data", data)).Demand();
        using var again = await RunningNode.StartAsync(data);
        await File.WriteAllBytesAsync(At("newest"), newest, Stop);
        await ContributeAsync(again, 1);
        await VerifyAsync(again, await KeyAsync(again), from: At("newest"));
    }

    [Fact]
    public async Task A_witness_notices_what_the_directory_cannot_and_a_succession_goes_on()
    {
        var (data, backup, watch) = (At("data"), At("backup"), At("watch"));
        await GrowAsync(data, 3, define: true);
        string key;
        using (var node = await RunningNode.StartAsync(data))
            key = await KeyAsync(node);
        using var witness = await RunningNode.StartAsync(watch, ("WitnessedLogs", (await File.ReadAllTextAsync(key, Stop)).Trim()));
        var witnessKey = At("witness.vkey");
        await File.WriteAllTextAsync(witnessKey, await witness.Http.GetStringAsync("/witness/vkey", Stop), Stop);
        (string, string)[] settings = [("Witnesses", $"{(await File.ReadAllTextAsync(witnessKey, Stop)).Trim()} {new Uri(witness.Http.BaseAddress!, "/witness/")}"), ("WitnessSeconds", "1"), ("WitnessesNeeded", "1")];
        using (var node = await RunningNode.StartAsync(data, settings))
            await StopAsync(node);
        Copy(data, backup);
        byte[] abandoned;
        using (var node = await RunningNode.StartAsync(data, settings))
        {
            await ContributeAsync(node, 20);
            await CosignedAsync(node, key, witnessKey);
            abandoned = await node.Http.GetByteArrayAsync("/ledger/checkpoint", Stop);
            await StopAsync(node);
        }
        PutBack(backup, data);
        using (var node = await ReadOnlyAsync(data, "it has cosigned", settings))
        {
            // Asked for by a person, the page says it.
            using var request = new HttpRequestMessage(HttpMethod.Get, "/") { Headers = { { "Accept", "text/html" }, { "Accept-Language", "zh-CN" } } };
            using var page = await node.Http.SendAsync(request, Stop);
            Assert.Equal(HttpStatusCode.OK, page.StatusCode);
            Assert.Contains("本节点目前仅供查阅", WebUtility.HtmlDecode(await page.Content.ReadAsStringAsync(Stop)), StringComparison.Ordinal);
        }

        var succeeded = (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "succeed", "--data", data, "--reason", "The newer state is lost", "--json")).Demand();
        var next = At("next.vkey");
        await File.WriteAllTextAsync(next, JsonDocument.Parse(succeeded).RootElement.GetProperty("new").GetString() + "\n", Stop);
        Assert.Empty(Directory.GetFiles(Path.Combine(data, "keys"), "ledger.skey"));
        // The witness does not know the new log yet, so it is not asked for.
        using (var node = await RunningNode.StartAsync(data))
        {
            await ContributeAsync(node, 2);
            var statement = At("statement");
            await File.WriteAllBytesAsync(statement, await node.Http.GetByteArrayAsync("/ledger/succession/1", Stop), Stop);
            var led = (await Shell.RunAsync("gongzhi-verify", [], "succession", statement, "--vkey", key)).Demand();
            Assert.Contains((await File.ReadAllTextAsync(next, Stop)).Trim(), led, StringComparison.Ordinal);
            Assert.Equal(1, (await Shell.RunAsync("gongzhi-verify", [], "succession", statement, "--vkey", next)).Exit);
            await VerifyAsync(node, next);
            // What the old key signed before is a beginning of the new log; what it signed beyond is not there.
            Assert.True(Succession.TryOpen(await File.ReadAllBytesAsync(statement, Stop), out var succession));
            Assert.True(Checkpoint.TryOpen(abandoned, succession.Old, out var beyond));
            Assert.True(beyond.Size > succession.Size);
            Assert.Equal("The newer state is lost", succession.Reason);
            var entry = (await node.GetAsync("/ledger/events")).GetProperty("events")[0];
            Assert.Equal(await File.ReadAllTextAsync(statement, Stop), entry.GetProperty("content").GetString());
            await StopAsync(node);
        }
        (await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", data, "--key", next)).Demand();
        // And once more, from the second key to a third.
        (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "succeed", "--data", data, "--reason", "Keys are changed")).Demand();
        using var last = await RunningNode.StartAsync(data);
        var statements = await Task.WhenAll(new[] { 1, 2 }.Select(async n =>
        {
            await File.WriteAllBytesAsync(At("s" + n), await last.Http.GetByteArrayAsync("/ledger/succession/" + n, Stop), Stop);
            return At("s" + n);
        }));
        Assert.Contains((await last.Http.GetStringAsync("/ledger/vkey", Stop)).Trim(), (await Shell.RunAsync("gongzhi-verify", [], ["succession", .. statements, "--vkey", key])).Demand(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_succession_that_is_interrupted_is_completed_by_the_next_start_or_call()
    {
        var data = At("data");
        await GrowAsync(data, 2, define: true);
        // Killed at ever later moments; each call after the first finishes or repeats nothing.
        for (var after = 300; after <= 2_700; after += 400)
        {
            using var command = System.Diagnostics.Process.Start(new ProcessStartInfo("dotnet")
            {
                ArgumentList = { Path.Combine(AppContext.BaseDirectory, "gongzhi.dll"), "admin", "ledger", "succeed", "--data", data, "--reason", "try" }, RedirectStandardOutput = true, RedirectStandardError = true,
            })!;
            await Task.WhenAny(command.WaitForExitAsync(Stop), Task.Delay(after, Stop));
            if (!command.HasExited)
                command.Kill();
            await command.WaitForExitAsync(Stop);
            using var node = await RunningNode.StartAsync(data);
            await ContributeAsync(node, 1);
            var events = (await node.GetAsync("/ledger/events")).GetProperty("events").EnumerateArray().ToList();
            await VerifyAsync(node, await KeyAsync(node));
            Assert.All(events, e => Assert.Equal("succession", e.GetProperty("kind").GetString()));
            await StopAsync(node);
        }
        (await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", data)).Demand();
    }

    [Fact]
    public async Task A_restored_directory_asks_for_somebody_who_knows()
    {
        var data = At("data");
        await GrowAsync(data, 2, define: true);
        await File.WriteAllTextAsync(Path.Combine(data, "restored.json"), "{}", Stop);
        File.Copy(Path.Combine(data, "ledger", "checkpoint"), At("kept"));
        using (await ReadOnlyAsync(data, "came back from a backup"))
        {
        }
        using (var node = await RunningNode.StartAsync(data, ("RetainedCheckpoint", At("kept"))))
            await ContributeAsync(node, 1);
        // Once allowed, it is a node like any other.
        Assert.False(File.Exists(Path.Combine(data, "restored.json")));
        using var again = await RunningNode.StartAsync(data);
    }

    [Fact]
    public async Task A_replica_that_missed_the_last_commits_is_read_only_and_recovers_from_a_mirror()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        await using var primary = await PostgresServer.StartAsync();
        var database = await primary.NewDatabaseAsync();
        (string, string)[] On(string address) => [("Cluster", address), ("Segments", At("segments")), ("ClusterSecret", Secret)];
        await using var replica = await primary.ReplicaAsync();
        var (one, two) = (At("one"), At("two"));
        string key;
        using (var first = await RunningNode.StartAsync(one, On(database)))
        using (var second = await RunningNode.StartAsync(two, On(database)))
        {
            await first.DefineAsync("d", personal: false, ("v", "string"));
            await ContributeAsync(first, 3);
            key = await KeyAsync(first);
            await replica.CaughtUpAsync(primary);
            // Acknowledged by the primary; the replica never hears of it.
            await replica.StopAsync();
            await ContributeAsync(second, 25);
            (await Shell.RunAsync("gongzhi", [], "admin", "ledger", "mirror", "--from", new Uri(second.Http.BaseAddress!, "/ledger/").ToString(), "--to", At("mirror"), "--vkey", key)).Demand();
            await StopAsync(first);
            await StopAsync(second);
        }
        await primary.StopAsync("immediate");
        await replica.StartAgainAsync();
        await replica.PromoteAsync();
        var older = replica.ConnectionString(new Npgsql.NpgsqlConnectionStringBuilder(database).Database!);
        using (await ReadOnlyAsync(one, "older state", On(older)))
        {
        }
        (string, string)[] secret = [("GONGZHI__ClusterSecret", Secret), ("GONGZHI__Cluster", older), ("GONGZHI__Segments", At("segments"))];
        (await Shell.RunAsync("gongzhi", secret, "admin", "ledger", "recover", "--data", one, "--from", At("mirror"))).Demand();
        using var again = await RunningNode.StartAsync(one, On(older));
        using var other = await RunningNode.StartAsync(two, On(older));
        await ContributeAsync(other, 2);
        await VerifyAsync(again, key, from: Path.Combine(At("mirror"), "checkpoint"));
    }

    /// <summary>Starts a node that must take no change, and looks at what it does instead.</summary>
    private static async Task<RunningNode> ReadOnlyAsync(string data, string reason, params (string, string)[] settings)
    {
        var node = RunningNode.Spawn(data, settings);
        try
        {
            Assert.True(await node.ListeningAsync(), node.Said);
            var health = await node.GetAsync("/health/ready");
            Assert.Equal("degraded", health.GetProperty("status").GetString());
            Assert.Contains(reason, health.GetProperty("why").GetProperty("ledger").GetString(), StringComparison.Ordinal);
            // Even a token is a change.
            using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = "boot", ["client_secret"] = RunningNode.Client.Split(':')[1] });
            using var refused = await node.Http.PostAsync("/connect/token", form, Stop);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            Assert.Equal("ledger.readOnly", JsonDocument.Parse(await refused.Content.ReadAsStringAsync(Stop)).RootElement.GetProperty("code").GetString());
            Assert.Contains("\"d\"", await node.Http.GetStringAsync("/api/v1/datasets", Stop), StringComparison.Ordinal);
            return node;
        }
        catch
        {
            node.Dispose();
            throw;
        }
    }

    private static async Task CosignedAsync(RunningNode node, string key, string witnessKey)
    {
        var size = (await node.Http.GetStringAsync("/ledger/checkpoint", Stop)).Split('\n')[1];
        while (true)
        {
            using var answer = await node.Http.GetAsync("/ledger/witnessed", Stop);
            if (answer.IsSuccessStatusCode && (await answer.Content.ReadAsStringAsync(Stop)).Split('\n')[1] == size)
                break;
            await Task.Delay(50, Stop);
        }
        var proven = (await Shell.RunAsync("gongzhi-verify", [], "checkpoint", new Uri(node.Http.BaseAddress!, "/ledger/witnessed").ToString(), "--vkey", key, "--witness", witnessKey)).Demand();
        Assert.Contains("cosigned by 1", proven, StringComparison.Ordinal);
        // And to people, by the name in the witness's key.
        var name = (await File.ReadAllTextAsync(witnessKey, Stop)).Split('+')[0];
        Assert.Contains($"<code>{name}</code>", await node.Http.GetStringAsync("/ledger", Stop), StringComparison.Ordinal);
    }

    private static async Task GrowAsync(string data, int batches, bool define = false)
    {
        using var node = await RunningNode.StartAsync(data);
        if (define)
            await node.DefineAsync("d", personal: false, ("v", "string"));
        await ContributeAsync(node, batches);
        await StopAsync(node);
    }

    /// <summary>The receipt of the last.</summary>
    private static async Task<string> ContributeAsync(RunningNode node, int batches)
    {
        var receipt = "";
        for (var i = 0; i < batches; i++)
        {
            using var body = new StringContent($"v\n{i}\n", null, "text/csv");
            var (status, answer) = await node.ContributeAsync("d", body, query: i == batches - 1 ? "?wait=proof" : "");
            Assert.True(status == 201, answer.ToString());
            receipt = answer.GetProperty("receipt").GetString()!;
        }
        return receipt;
    }

    private async Task<string> KeyAsync(RunningNode node)
    {
        var path = At("vkey-" + Path.GetRandomFileName());
        await File.WriteAllTextAsync(path, await node.Http.GetStringAsync("/ledger/vkey", Stop), Stop);
        return path;
    }

    private static async Task VerifyAsync(RunningNode node, string key, string? from = null)
    {
        string[] arguments = ["log", new Uri(node.Http.BaseAddress!, "/ledger/").ToString(), "--vkey", key, .. from is null ? Array.Empty<string>() : ["--from", from]];
        Assert.Contains("Proven: all", (await Shell.RunAsync("gongzhi-verify", [], arguments)).Demand(), StringComparison.Ordinal);
    }

    private static async Task StopAsync(RunningNode node)
    {
        await node.TerminateAsync();
        Assert.Equal(0, await node.ExitAsync());
    }

    private static void PutBack(string backup, string data)
    {
        Directory.Delete(data, recursive: true);
        Copy(backup, data);
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var directory in Directory.GetDirectories(from, "*", SearchOption.AllDirectories))
            Directory.CreateDirectory(Path.Combine(to, Path.GetRelativePath(from, directory)));
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)));
    }
}
