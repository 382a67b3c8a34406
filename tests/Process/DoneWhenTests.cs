using System.Globalization;
using System.IO.Compression;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gongzhi.Tests.Process;

/// <summary>
/// The whole road by real programs and real files: in by HTTP and by command line, read back under two grants with different masks, refused without
/// one, and a hundred random rows of each proven with the node stopped, from exported files and the log's key alone.
/// </summary>
public sealed class DoneWhenTests(ITestOutputHelper log) : IAsyncDisposable
{
    private const int Proven = 100;

    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-done-");
    private RunningNode? _node;

    private string At(string name) => Path.Combine(_place.FullName, name);

    private string Data => At("data");

    /// <param name="First">What the first grant shows, and how: one field transformed, the text field as it is.</param>
    /// <param name="FirstMasked">The field that the first grant transforms.</param>
    /// <param name="FirstIsMasked">Whether a value of it looks as the first grant must show it.</param>
    /// <param name="Second">What the second grant shows, and how: the text field transformed.</param>
    /// <param name="Text">A string field that a committed row must hold exactly as the file's line has it.</param>
    /// <param name="SecondIsMasked">Whether a value of <paramref name="Text"/> looks as the second grant must show it.</param>
    public sealed record RealFile(
        string Path, int Rows, string Fields, string First, string FirstMasked, Func<string, bool> FirstIsMasked, string Second, string Text, Func<string, bool> SecondIsMasked)
    {
        public override string ToString() => System.IO.Path.GetFileName(Path);
    }

    public static TheoryData<RealFile> Files =>
    [
        new RealFile("city/admin_china/streets.csv", 41_352,
            """[{"name":"code","type":"string"},{"name":"name","type":"string"},{"name":"areaCode","type":"string"},{"name":"provinceCode","type":"string"},{"name":"cityCode","type":"string"}]""",
            """{"code":"plain","name":"plain","areaCode":{"mask":"all"}}""", "areaCode", seen => seen == "***",
            """{"code":"plain","name":{"mask":"name"}}""", "name", seen => seen.EndsWith("**", StringComparison.Ordinal) && seen.Length <= 4),
        new RealFile("aml/benford/corporate.payment.csv", 189_470,
            """[{"name":"VendorNum","type":"string"},{"name":"Date","type":"date"},{"name":"InvNum","type":"string"},{"name":"Amount","type":"number","scale":2}]""",
            """{"VendorNum":"pseudonym","InvNum":"plain","Amount":"plain"}""", "VendorNum", IsPseudonym,
            """{"InvNum":"pseudonym","Date":{"generalise":"month"}}""", "InvNum", IsPseudonym),
        new RealFile("mobility/skmob/geolife_sample.txt.gz", 217_653,
            """[{"name":"lat","type":"number"},{"name":"lng","type":"number"},{"name":"datetime","type":"datetime"},{"name":"uid","type":"string"}]""",
            """{"lat":{"generalise":0.01},"lng":"plain","datetime":"plain","uid":"plain"}""", "lat", IsHundredth,
            """{"uid":{"mask":"all"},"datetime":{"generalise":"month"}}""", "uid", seen => seen == "***"),
    ];

    private static bool IsPseudonym(string seen) => seen.Length == 32 && seen.All(char.IsAsciiHexDigitLower);

    private static bool IsHundredth(string seen) => double.Parse(seen, CultureInfo.InvariantCulture) * 100 is var times && Math.Abs(times - Math.Round(times)) < 1e-6;

    [Theory, MemberData(nameof(Files), DisableDiscoveryEnumeration = true)]
    public async Task Files_go_in_are_read_under_grants_and_proven_with_the_node_stopped(RealFile file)
    {
        if (Environment.GetEnvironmentVariable("GONGZHI_TESTDATA") is not { Length: > 0 } root)
        {
            Assert.Skip("set GONGZHI_TESTDATA");
            return;
        }
        var path = Path.Combine(root, file.Path);
        var lines = await LinesAsync(path);
        Assert.Equal(file.Rows + 1, lines.Length);

        // A node, stopped once for its two readers: clients are made on the directory of a stopped node.
        (_node = await RunningNode.StartAsync(Data)).Dispose();
        var plain = await ReaderAsync("plain");
        var masked = await ReaderAsync("masked");
        _node = await RunningNode.StartAsync(Data);
        foreach (var reader in new[] { "plain", "masked" })
        {
            await AdminAsync("unit", "create", "unit-" + reader, "--name", "单位" + reader, "--place", "110101");
            await AdminAsync("role", "give", "client:" + reader, "reader", "unit-" + reader);
        }
        var key = At("vkey");
        await File.WriteAllTextAsync(key, await AdminAsync("key", "show"));

        foreach (var door in new[] { "http", "command-line" })
        {
            await File.WriteAllTextAsync(At(door + ".json"), """{"title":{"en":"Real"},"owner":"node","timeZone":"Etc/UTC","schema":{"fields":""" + file.Fields + "}}");
            await AdminAsync("dataset", "create", At(door + ".json"));
            var receipt = JsonDocument.Parse(door == "http" ? await PostAsync(door, path) : (await BootAsync("import", path, "--type", "text/csv", "--dataset", door, "--wait", "--json")).Demand()).RootElement;
            Assert.Equal((file.Rows, 0), (receipt.GetProperty("accepted").GetInt32(), receipt.GetProperty("rejected").GetInt32()));
            await File.WriteAllTextAsync(At(door + ".receipt"), receipt.GetRawText());
            await RefusedThenReadAsync(file, door, lines, plain, masked);
            await ExportProofsAsync(door);
        }
        _node.Dispose();
        _node = null;

        // From here on only files: the proofs, the receipts, the log's directory, and the key.
        foreach (var door in new[] { "http", "command-line" })
            await ProveAsync(file, door, lines, key);
        Assert.Contains("Proven", (await VerifyAsync("log", Path.Combine(Data, "ledger"), "--vkey", key)).Demand(), StringComparison.Ordinal);
        Assert.Contains("All is what was committed", (await Shell.RunAsync("gongzhi", [], "admin", "check", "--data", Data, "--key", key)).Demand(), StringComparison.Ordinal);
        // And by somebody else's program. This journey is asked for by name, so a machine without Go is told rather than passed.
        Assert.True(GoSumdb.Installed, "install Debian's golang-go and golang-golang-x-mod-dev");
        Assert.Matches(@"^ok [1-9]\d*\n$", (await GoSumdb.ReadAsync(Path.Combine(Data, "ledger"), key)).Demand());
        log.WriteLine($"{file}: {file.Rows} rows by HTTP and by command line, 2 × {Proven} proven with the node stopped");
    }

    public async ValueTask DisposeAsync()
    {
        _node?.Dispose();
        await Task.Run(() => _place.Delete(recursive: true));
    }

    private async Task<string> ReaderAsync(string id) =>
        (await Shell.RunAsync("gongzhi", [], "admin", "client", "create", id, "--data", Data)).Demand().Trim();

    private Task<Shell> BootAsync(params string[] arguments) => AsAsync(RunningNode.Client, arguments);

    private Task<Shell> AsAsync(string client, params string[] arguments) =>
        Shell.RunAsync("gongzhi", [("GONGZHI_URL", _node!.Http.BaseAddress!.ToString()), ("GONGZHI_CLIENT", client)], arguments);

    private async Task<string> AdminAsync(params string[] arguments) => (await BootAsync(["admin", .. arguments])).Demand();

    private static Task<Shell> VerifyAsync(params string[] arguments) => Shell.RunAsync("gongzhi-verify", [], arguments);

    private async Task<string> PostAsync(string dataset, string path)
    {
        await using var file = File.OpenRead(path);
        using var body = new StreamContent(file) { Headers = { ContentType = new("text/csv") } };
        using var response = await _node!.Http.PostAsync($"/api/v1/datasets/{dataset}/records?wait=proof", body);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.Created, text);
        return text;
    }

    /// <summary>The same question by each reader, before and after the grants: nothing, then everything as it is, then the masked fields and no other.</summary>
    private async Task RefusedThenReadAsync(RealFile file, string dataset, string[] lines, string plain, string masked)
    {
        foreach (var reader in new[] { plain, masked })
        {
            var refused = await AsAsync(reader, "query", "--dataset", dataset, "--purpose", "check");
            Assert.Equal((1, ""), (refused.Exit, refused.Output));
            Assert.Contains("policy.refused", refused.Error, StringComparison.Ordinal);
        }
        var question = new { dataset, purpose = "check" };
        using (var nobody = new HttpClient { BaseAddress = _node!.Http.BaseAddress })
        using (var answer = await nobody.PostAsJsonAsync("/api/v1/query", question))
            Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);

        await GrantAsync("plain", file.First);
        await GrantAsync("masked", file.Second);

        var header = lines[0].Split(',');
        var at = Array.IndexOf(header, file.Text);
        var raw = lines.Skip(1).Select(l => l.Split(',')[at].Trim('"')).Order(StringComparer.Ordinal).ToArray();
        var (seen, coarse) = await ReadAsync(plain, file.First, file.FirstMasked);
        Assert.Equal(raw, seen.Order(StringComparer.Ordinal));
        Assert.Equal(file.Rows, coarse.Count);
        Assert.All(coarse.Distinct(), value => Assert.True(file.FirstIsMasked(value), value));
        var other = Array.IndexOf(header, file.FirstMasked);
        var fine = lines.Skip(1).Select(l => l.Split(',')[other].Trim('"')).ToHashSet(StringComparer.Ordinal);
        Assert.False(fine.SetEquals(coarse), $"the first grant shows {file.FirstMasked} as it is");
        var (hidden, _) = await ReadAsync(masked, file.Second, file.Text);
        Assert.Equal(file.Rows, hidden.Count);
        Assert.All(hidden.Distinct(), value => Assert.True(file.SecondIsMasked(value), value));
        Assert.Empty(hidden.Intersect(raw, StringComparer.Ordinal));

        async Task GrantAsync(string reader, string shown)
        {
            var fields = JsonNode.Parse(shown)!.AsObject();
            var grant = new JsonObject { ["dataset"] = dataset, ["grantee"] = new JsonObject { ["party"] = "client:" + reader }, ["purposes"] = new JsonArray("check"), ["fields"] = fields };
            await File.WriteAllTextAsync(At("grant.json"), grant.ToJsonString());
            await AdminAsync("grant", "create", At("grant.json"));
        }

        // The columns are the granted ones and no others; the values are those of the text field and of one more.
        async Task<(List<string> Texts, List<string> Others)> ReadAsync(string reader, string shown, string more)
        {
            var columns = JsonNode.Parse(shown)!.AsObject().Select(f => f.Key);
            var others = new List<string>(file.Rows);
            (await AsAsync(reader, "export", "--dataset", dataset, "--purpose", "check", "--format", "ndjson", "--out", At("read.ndjson"))).Demand();
            var values = new List<string>(file.Rows);
            await foreach (var line in File.ReadLinesAsync(At("read.ndjson")))
            {
                using var row = JsonDocument.Parse(line);
                if (values.Count == 0)
                    Assert.Equal(columns.Order(StringComparer.Ordinal), row.RootElement.EnumerateObject().Select(p => p.Name).Where(n => n[0] != '_').Order(StringComparer.Ordinal));
                values.Add(row.RootElement.GetProperty(file.Text).GetString()!);
                others.Add(row.RootElement.GetProperty(more).ToString());
            }
            return (values, others);
        }
    }

    private async Task ExportProofsAsync(string door)
    {
        // Drawn from what may be read, and from the receipt.
        string[] rows = door == "http" ? ["--purpose", "own-work"] : ["--receipt", At(door + ".receipt")];
        (await BootAsync(["export", "--dataset", door, "--proofs", At(door), "--rows", Proven.ToString(CultureInfo.InvariantCulture), .. rows])).Demand();
    }

    private async Task ProveAsync(RealFile file, string door, string[] lines, string key)
    {
        var proofs = Directory.GetFiles(At(door), "*.json");
        Assert.Equal(Proven, proofs.Length);
        var fieldAt = JsonNode.Parse(file.Fields)!.AsArray().Select(f => f!["name"]!.GetValue<string>()).ToList().IndexOf(file.Text);
        var columnAt = Array.IndexOf(lines[0].Split(','), file.Text);
        var ordinals = new HashSet<int>();
        foreach (var line in (await VerifyAsync(["row", .. proofs, "--vkey", key, "--json"])).Demand().Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var said = JsonDocument.Parse(line);
            Assert.Equal("Proven", said.RootElement.GetProperty("outcome").GetString());
            var facts = said.RootElement.GetProperty("facts");
            var ordinal = facts.GetProperty("ordinal").GetInt32();
            Assert.True(ordinals.Add(ordinal));
            Assert.Equal(lines[ordinal + 1].Split(',')[columnAt].Trim('"'), facts.GetProperty("fields")[fieldAt].GetString());
        }
        Assert.Equal(Proven, ordinals.Count);
        Assert.Contains("Proven", (await VerifyAsync("receipt", At(door + ".receipt"), "--vkey", key)).Demand(), StringComparison.Ordinal);

        // The same files with one row's bytes changed, and with another log's key, prove nothing.
        var changed = JsonNode.Parse(await File.ReadAllTextAsync(proofs[0]))!;
        var bytes = Convert.FromBase64String(changed["row"]!["bytes"]!.GetValue<string>());
        bytes[^1] ^= 1;
        changed["row"]!["bytes"] = Convert.ToBase64String(bytes);
        await File.WriteAllTextAsync(At("changed.json"), changed.ToJsonString());
        Assert.Equal(1, (await VerifyAsync("row", At("changed.json"), "--vkey", key)).Exit);
    }

    private static async Task<string[]> LinesAsync(string path)
    {
        await using var file = File.OpenRead(path);
        await using Stream stream = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(stream);
        return [.. (await reader.ReadToEndAsync()).TrimEnd('\r', '\n').Split('\n').Select(l => l.TrimEnd('\r'))];
    }
}
