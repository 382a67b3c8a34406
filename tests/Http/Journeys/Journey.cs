using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Tokens;
using Gongzhi.Verifier;
using Microsoft.Extensions.DependencyInjection;
using OpenIddict.Abstractions;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>A node as a client meets it over HTTP, and the verifier that trusts nothing but the log's key.</summary>
internal sealed class Journey : IAsyncDisposable
{
    public const string CsvType = "text/csv";

    /// <summary>The key a reader got from somewhere else than the node it checks; the verifier is given this file.</summary>
    private readonly DirectoryInfo _kept = Directory.CreateTempSubdirectory("gongzhi-journey-");
    private bool _stopped;

    private Journey(TestNode node, HttpClient http) => (Node, Http) = (node, http);

    public TestNode Node { get; }
    public HttpClient Http { get; }
    public World World => Node.App.Services.GetRequiredService<World>();
    public string KeyFile => Path.Combine(_kept.FullName, "vkey");

    public static async Task<Journey> StartAsync(Func<NodeOptions, NodeOptions>? change = null, Action<Microsoft.AspNetCore.Builder.WebApplicationBuilder>? extend = null)
    {
        var node = await TestNode.StartAsync(o => (change ?? (same => same))(o with { TokensPerMinute = 0 }), extend);
        var journey = new Journey(node, await SignInAsync(node, TestNode.Client, TestNode.Secret));
        await File.WriteAllTextAsync(journey.KeyFile, await journey.Http.GetStringAsync("/ledger/vkey"));
        return journey;
    }

    /// <summary>A second organisation: a unit below the first, a client party with one role there, and its own token.</summary>
    public async Task<HttpClient> OtherPartyAsync(string name, string role)
    {
        await PostAsync("/api/v1/units", new { id = "unit-" + name, nameZh = "单位" + name, place = "120101", level = 1, parent = "node" });
        await PostAsync("/api/v1/parties", new { id = "client:" + name, kind = "client", displayName = name });
        await PostAsync($"/api/v1/parties/client:{name}/roles", new { role, unit = "unit-" + name });
        using var scope = Node.App.Services.CreateScope();
        var application = new OpenIddictApplicationDescriptor
        {
            ClientId = name,
            ClientSecret = TestNode.Secret,
            ClientType = OpenIddictConstants.ClientTypes.Confidential,
            Permissions = { OpenIddictConstants.Permissions.Endpoints.Token, OpenIddictConstants.Permissions.GrantTypes.ClientCredentials },
        };
        application.Properties[BootstrapClient.PartyProperty] = JsonSerializer.SerializeToElement("client:" + name);
        await scope.ServiceProvider.GetRequiredService<IOpenIddictApplicationManager>().CreateAsync(application);
        return await SignInAsync(Node, name, TestNode.Secret);
    }

    public async Task DefineAsync(string id, object definition)
    {
        using var response = await Http.PutAsync($"/api/v1/datasets/{id}", Json(definition));
        Assert.True(response.StatusCode == HttpStatusCode.Created, await response.Content.ReadAsStringAsync());
    }

    public async Task<JsonElement> PostAsync(string path, object body, HttpStatusCode? status = null)
    {
        using var response = await Http.PostAsync(path, Json(body));
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(status is null ? response.IsSuccessStatusCode : response.StatusCode == status, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    public async Task<HttpResponseMessage> SendAsync(string dataset, byte[] body, string type, string query = "", string? key = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/api/v1/datasets/{dataset}/records{query}") { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        if (key is not null)
            request.Headers.Add("Idempotency-Key", key);
        return await Http.SendAsync(request);
    }

    /// <summary>Contributes, and answers the receipt with its proof.</summary>
    public async Task<JsonElement> ContributeAsync(string dataset, byte[] body, string type = CsvType, long? rows = null)
    {
        using var response = await SendAsync(dataset, body, type, "?wait=proof");
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.Created, text);
        var receipt = JsonDocument.Parse(text).RootElement;
        Assert.Equal(rows ?? receipt.GetProperty("accepted").GetInt64(), receipt.GetProperty("accepted").GetInt64());
        Assert.Equal(JsonValueKind.Object, receipt.GetProperty("entry").ValueKind);
        return receipt;
    }

    public Task<JsonElement> ContributeAsync(string dataset, string csv, long? rows = null) => ContributeAsync(dataset, Encoding.UTF8.GetBytes(csv), CsvType, rows);

    /// <summary>Proofs of up to <paramref name="sample"/> random rows of the batch, in random order, each as the node wrote it.</summary>
    public async Task<List<(uint Row, string Proof)>> ProofsAsync(JsonElement receipt, int sample = 100)
    {
        var rows = receipt.GetProperty("accepted").GetInt64();
        var picks = Enumerable.Range(0, checked((int)rows)).ToArray();
        Random.Shared.Shuffle(picks);
        var proofs = new List<(uint, string)>();
        foreach (var row in picks.Take(sample))
        {
            using var response = await ProofAsync(receipt, (uint)row);
            var text = await response.Content.ReadAsStringAsync();
            Assert.True(response.StatusCode == HttpStatusCode.OK, $"row {row}: {text}");
            proofs.Add(((uint)row, text));
        }
        return proofs;
    }

    public Task<HttpResponseMessage> ProofAsync(JsonElement receipt, uint row) =>
        Http.GetAsync($"/api/v1/datasets/{receipt.GetProperty("dataset").GetString()}/records/{RecordId.Of(receipt.GetProperty("batch").GetGuid(), row)}/proof");

    /// <summary>The rows are proven by the verifier's own program, and each is the row with the index that was asked for.</summary>
    public async Task VerifyAsync(IReadOnlyCollection<(uint Row, string Proof)> proofs)
    {
        var path = Path.Combine(_kept.FullName, Path.GetRandomFileName() + ".ndjson");
        await File.WriteAllLinesAsync(path, proofs.Select(p => p.Proof));
        var (exit, output) = await VerifierAsync("row", path, "--vkey", KeyFile, "--json", "--lang", "en");
        Assert.True(exit == 0, output);
        Assert.Equal(proofs.Count, output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Count(line => line.Contains("\"Proven\"", StringComparison.Ordinal)));
        foreach (var (row, proof) in proofs)
            Assert.Equal(row, JsonDocument.Parse(proof).RootElement.GetProperty("index").GetInt64());
    }

    public async Task VerifyReceiptAsync(JsonElement receipt)
    {
        var path = Path.Combine(_kept.FullName, $"receipt-{receipt.GetProperty("receipt").GetGuid()}.json");
        await File.WriteAllTextAsync(path, receipt.GetRawText());
        var (exit, output) = await VerifierAsync("receipt", path, "--vkey", KeyFile, "--lang", "en");
        Assert.True(exit == 0, output);
    }

    public Task<(int Exit, string Output)> VerifyLogAsync(string place) => VerifierAsync("log", place, "--vkey", KeyFile, "--lang", "en");

    public static async Task<(HttpStatusCode Status, string Text)> QueryAsync(HttpClient http, object query, string accept = "application/json")
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query") { Content = Json(query) };
        request.Headers.Accept.ParseAdd(accept);
        using var response = await http.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    /// <summary>Lets the party behind a client read fields of a dataset; a reader is always somebody with a grant.</summary>
    public async Task<string> GrantAsync(string dataset, string party, object fields) =>
        (await PostAsync("/api/v1/grants", new { dataset, grantee = new { party }, purposes = new[] { "check" }, fields }, HttpStatusCode.Created)).GetProperty("id").GetString()!;

    public async Task StopAsync()
    {
        _stopped = true;
        await Node.App.StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        if (!_stopped)
            await Node.App.StopAsync();
        await Node.DisposeAsync();
        _kept.Delete(recursive: true);
    }

    private static async Task<(int Exit, string Output)> VerifierAsync(params string[] args)
    {
        using var output = new StringWriter(CultureInfo.InvariantCulture);
        var exit = await Doors.RunAsync(args, output, output);
        return (exit, output.ToString());
    }

    private static async Task<HttpClient> SignInAsync(TestNode node, string client, string secret)
    {
        var http = node.NewClient();
        http.Timeout = TimeSpan.FromMinutes(5);
        var (status, body) = await http.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret));
        Assert.True(status == HttpStatusCode.OK, body.ToString());
        http.DefaultRequestHeaders.Authorization = new("Bearer", body.GetProperty("access_token").GetString());
        return http;
    }

    private static StringContent Json(object body) => new(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");
}
