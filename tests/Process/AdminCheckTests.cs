using System.Text;
using System.Text.Json;
using Gongzhi.Core.Records;
using Microsoft.Data.Sqlite;

namespace Gongzhi.Tests.Process;

/// <summary>The directory of a node that ran and was stopped, with something of everything in it. Made once, copied by each test.</summary>
public sealed class WorkedDirectory : IAsyncLifetime
{
    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-worked-");

    public string Data => Path.Combine(_place.FullName, "data");

    /// <summary>The log's key, kept elsewhere than in the directory.</summary>
    public string Key => Path.Combine(_place.FullName, "vkey");

    public Guid Large { get; private set; }
    public Guid Small { get; private set; }

    /// <summary>Salt of one row of the large batch; it lies in the segment as it is.</summary>
    public byte[] Salt { get; private set; } = [];

    /// <summary>What the command said beside the running node.</summary>
    internal Shell Beside { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        using var node = await RunningNode.StartAsync(Data);
        await node.DefineAsync("people", personal: true, ("key", "string"), ("n", "integer"));
        Large = await ContributeAsync(node, 5_000);
        Small = await ContributeAsync(node, 20);
        await node.QueryAsync(new { dataset = "people", purpose = "check", measures = new[] { new { name = "n", function = "count" } } });
        var proof = await node.GetAsync($"/api/v1/datasets/people/records/{RecordId.Of(Large, 1_234)}/proof");
        Salt = proof.GetProperty("row").GetProperty("salt").GetBytesFromBase64();
        await File.WriteAllTextAsync(Key, await node.Http.GetStringAsync("/ledger/vkey"));
        Beside = await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", Data, "--key", Key);
        await ContributeAsync(node, 1);
    }

    public ValueTask DisposeAsync()
    {
        _place.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }

    private static async Task<Guid> ContributeAsync(RunningNode node, int rows)
    {
        var content = new StringContent("key,n\n" + string.Concat(Enumerable.Range(0, rows).Select(i => $"k{i % 7},{i}\n")), Encoding.ASCII, "text/csv");
        var (status, receipt) = await node.ContributeAsync("people", content, query: "?wait=proof");
        Assert.True(status == 201, receipt.ToString());
        return receipt.GetProperty("batch").GetGuid();
    }
}

/// <summary><c>gongzhi admin check</c> as an operator types it: one changed byte is found, and named as the thing it is.</summary>
public sealed class AdminCheckTests(WorkedDirectory made) : IClassFixture<WorkedDirectory>, IDisposable
{
    private readonly string _copy = Copy(made.Data);

    public void Dispose() => Directory.Delete(_copy, recursive: true);

    [Fact]
    public async Task An_untouched_directory_and_a_running_node_are_what_was_committed()
    {
        Assert.Contains("All is what was committed", made.Beside.Demand(), StringComparison.Ordinal);
        Assert.Contains("All is what was committed", (await CheckAsync()).Demand(), StringComparison.Ordinal);
        var json = JsonDocument.Parse((await CheckAsync("--json")).Demand()).RootElement;
        Assert.True(json.GetProperty("ok").GetBoolean());
        Assert.Equal(5_021, json.GetProperty("rows").GetInt64());
        var chinese = await Shell.RunAsync("gongzhi", [("LC_ALL", "zh_CN.UTF-8")], "admin", "check", "--data", _copy);
        Assert.Contains("全部与所承诺的相符", chinese.Demand(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Somebody_elses_program_reads_the_log_of_a_stopped_node()
    {
        if (!GoSumdb.Installed)
            Assert.Skip("install Debian's golang-go and golang-golang-x-mod-dev");
        Assert.Matches(@"^ok [1-9]\d*\n$", (await GoSumdb.ReadAsync(Path.Combine(_copy, "ledger"), made.Key)).Demand());
    }

    [Fact]
    public async Task Segment_row()
    {
        var (path, at) = Directory.GetFiles(Path.Combine(_copy, "segments")).Select(p => (p, File.ReadAllBytes(p).AsSpan().IndexOf(made.Salt))).Single(f => f.Item2 > 0);
        Change(path, at + 3);
        var found = await FindAsync("check.segment-row", "segments/" + Path.GetFileName(path));
        Assert.Equal(made.Large, found.GetProperty("batch").GetGuid());
        Assert.InRange(1_234, found.GetProperty("firstRow").GetInt64(), found.GetProperty("lastRow").GetInt64());
    }

    [Fact]
    public async Task Tail_row()
    {
        Sql("UPDATE tail SET row = CAST(substr(row, 1, length(row) - 1) || X'17' AS BLOB) WHERE batch = $id AND ordinal = 7");
        Assert.Equal(made.Small, (await FindAsync("check.tail-row", "node.db tail")).GetProperty("batch").GetGuid());
    }

    [Fact]
    public async Task Batch()
    {
        Sql("UPDATE batch SET root = CAST(substr(root, 1, 31) || CASE substr(root, 32) WHEN X'00' THEN X'01' ELSE X'00' END AS BLOB) WHERE id = $id");
        Assert.Equal(made.Small, (await FindAsync("check.batch", $"node.db batch {made.Small}")).GetProperty("batch").GetGuid());
    }

    [Fact]
    public async Task Audited_state_entry()
    {
        Sql("DROP TRIGGER audit_change_fixed; UPDATE audit_change SET content = CAST(replace(CAST(content AS TEXT), 'people', 'peopla') AS BLOB) WHERE CAST(content AS TEXT) LIKE '%people%'");
        await FindAsync("check.state-entry", null);
    }

    [Theory]
    [InlineData("tile/0/", "check.tile")]
    [InlineData("tile/entries/", "check.entry-bundle")]
    [InlineData("checkpoint", "check.checkpoint")]
    public async Task File_of_the_log(string part, string code)
    {
        var ledger = Path.Combine(_copy, "ledger");
        var path = Directory.GetFiles(ledger, "*", SearchOption.AllDirectories).Where(f => Path.GetRelativePath(ledger, f).StartsWith(part, StringComparison.Ordinal))
            .OrderByDescending(f => new FileInfo(f).Length).First();
        Change(path, Random.Shared.Next((int)new FileInfo(path).Length));
        await FindAsync(code, "ledger/" + Path.GetRelativePath(ledger, path));
    }

    [Fact]
    public async Task A_log_signed_anew_by_another_key_is_found_by_the_key_kept_elsewhere()
    {
        var other = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            using (var node = await RunningNode.StartAsync(other))
                File.Copy(Path.Combine(other, "keys", "ledger.skey"), Path.Combine(_copy, "keys", "ledger.skey"), overwrite: true);
            Assert.Equal(0, (await CheckAsync()).Exit);
            var believed = await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", _copy);
            Assert.Equal(1, believed.Exit);
            Assert.Contains("check.checkpoint", believed.Output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(other, recursive: true);
        }
    }

    [Fact]
    public async Task What_is_no_node_and_what_is_no_key_are_refused_in_one_line()
    {
        var nothing = await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", Path.GetTempPath());
        Assert.Equal((2, 1), (nothing.Exit, nothing.Error.Trim().Split('\n').Length));
        var noKey = await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", _copy, "--key", Path.Combine(_copy, "world.json"));
        Assert.Equal((2, 1), (noKey.Exit, noKey.Error.Trim().Split('\n').Length));
        File.Delete(Path.Combine(_copy, "node.db"));
        Assert.Contains("check.database", (await CheckAsync()).Output, StringComparison.Ordinal);
    }

    /// <summary>The finding of this kind at this place; the same is said as a sentence, and the exit code says that something was found.</summary>
    private async Task<JsonElement> FindAsync(string code, string? place)
    {
        var said = await CheckAsync("--json");
        Assert.True(said.Exit == 1, said.Output + said.Error);
        var lines = said.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement).ToList();
        Assert.False(lines[^1].GetProperty("ok").GetBoolean());
        var found = lines[..^1].FirstOrDefault(f => f.GetProperty("code").GetString() == code && (place is null || f.GetProperty("place").GetString() == place));
        Assert.True(found.ValueKind == JsonValueKind.Object, said.Output);
        Assert.NotEmpty(found.GetProperty("sentence").GetString()!);
        return found;
    }

    private Task<Shell> CheckAsync(params string[] more) => Shell.RunAsync("gongzhi", [], ["admin", "check", "--data", _copy, "--key", made.Key, .. more]);

    private void Sql(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(_copy, "node.db")};Pooling=False");
        connection.Open();
        connection.CreateFunction("gz_audit_open", () => 1L);
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.Parameters.AddWithValue("$id", RecordId.Bytes(made.Small));
        Assert.True(command.ExecuteNonQuery() > 0);
    }

    private static void Change(string path, int at)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[at] ^= 4;
        File.WriteAllBytes(path, bytes);
    }

    private static string Copy(string from)
    {
        var to = Directory.CreateTempSubdirectory("gongzhi-checked-").FullName;
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
        return to;
    }
}
