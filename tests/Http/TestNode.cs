using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Gongzhi.Tests.Shared;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Gongzhi.Tests.Http;

/// <summary>A real node on a free port over a fresh directory, with a few routes that show what the host does for a module.</summary>
internal sealed class TestNode : IAsyncDisposable
{
    public const string Client = "boot";
    public const string Secret = "a-long-client-secret";
    public const string Password = "correct horse battery";

    private readonly bool _ownsDirectory;

    private TestNode(WebApplication app, NodeOptions options, bool ownsDirectory)
    {
        (App, Options, _ownsDirectory) = (app, options, ownsDirectory);
        Address = new Uri(app.Urls.First());
    }

    public WebApplication App { get; }
    public NodeOptions Options { get; }
    public Uri Address { get; }

    public static NodeOptions NewOptions() => NewOptions(Directory.CreateTempSubdirectory("gongzhi-test-").FullName);

    /// <summary>Of a directory that a node may have run on before.</summary>
    public static NodeOptions NewOptions(string data)
    {
        var options = NewOptions(data, TestStore.Of(data, "node", MakeSchema)?.ConnectionString);
        if (options.Database is { } database && Copies.TryAdd(database, false))
            Claim(options);
        return options;
    }

    /// <summary>Databases that are copies, and whether a node has been started on them.</summary>
    private static readonly ConcurrentDictionary<string, bool> Copies = new(StringComparer.Ordinal);

    /// <summary>A copy is whose it is copied for, and not the world's that the schema was made for.</summary>
    private static void Claim(NodeOptions options)
    {
        using var connection = new NpgsqlConnection(options.Database);
        connection.Open();
        using var command = new NpgsqlCommand("UPDATE node_schema SET name = @name, kind = @kind, origin = @origin", connection);
        command.Parameters.AddWithValue("@name", options.World);
        command.Parameters.AddWithValue("@kind", options.Kind.ToString());
        command.Parameters.AddWithValue("@origin", options.LedgerOrigin ?? $"gongzhi.invalid/{options.World}-{RandomNumberGenerator.GetHexString(12, lowercase: true)}");
        command.ExecuteNonQuery();
    }

    private static NodeOptions NewOptions(string data, string? database) => new()
    {
        Data = data,
        Database = database,
        World = "test",
        Kind = WorldKind.Test,
        Urls = "http://127.0.0.1:0",
        BootstrapClient = $"{Client}:{Secret}",
    };

    /// <summary>The schema alone, once for the run: what a node makes of an empty database is tested where databases are empty (<see cref="ProviderAnswerTests"/>, the processes).</summary>
    private static void MakeSchema(PostgresAddress at)
    {
        var directory = Directory.CreateTempSubdirectory("gongzhi-test-");
        var options = NewOptions(directory.FullName, at.ConnectionString);
        using (var world = WorldDirectory.Open(options))
            NodeHost.MakeSchemaAsync(options, world, TestContext.Current.CancellationToken).GetAwaiter().GetResult();
        TestStore.Release();
        directory.Delete(recursive: true);
    }

    /// <param name="change">Other options than <see cref="NewOptions()"/>.</param>
    /// <param name="extend">More services.</param>
    /// <param name="ownsDirectory">Whether the directory goes with the node.</param>
    /// <param name="ownKeys">Whether it makes its token keys itself, for tests that would not notice if two nodes had the same (<see cref="TestKeys"/>).</param>
    public static async Task<TestNode> StartAsync(
        Func<NodeOptions, NodeOptions>? change = null, Action<WebApplicationBuilder>? extend = null, bool ownsDirectory = true, bool ownKeys = false)
    {
        var options = change?.Invoke(NewOptions()) ?? NewOptions();
        if (options.Database is { } database && Copies.TryUpdate(database, true, false))
            Claim(options);
        if (!ownKeys && options is { ClusterSecret: null, ClusterSecretFile: null })
            TestKeys.Give(options.Data);
        var app = await NodeHost.BuildAsync(options, extend: extend, map: MapTestRoutes);
        await app.StartAsync();
        return new TestNode(app, options, ownsDirectory);
    }

    /// <summary>A client that keeps cookies and follows no redirects.</summary>
    public HttpClient NewClient() => new(new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = new CookieContainer() }) { BaseAddress = Address };

    public async Task<string> TokenAsync()
    {
        using var client = NewClient();
        var (status, body) = await client.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", Client), ("client_secret", Secret));
        Assert.Equal(HttpStatusCode.OK, status);
        return body.GetProperty("access_token").GetString()!;
    }

    /// <summary>Sends JSON as the client that may do everything.</summary>
    public Task<HttpResponseMessage> PostAsync(string path, object body) => SendAsync(HttpMethod.Post, path, body);

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, object? body = null)
    {
        using var client = NewClient();
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) }.WithToken(await TokenAsync());
        return await client.SendAsync(request);
    }

    public async Task<Account> AddAccountAsync(string name)
    {
        using var scope = App.Services.CreateScope();
        var users = scope.ServiceProvider.GetRequiredService<UserManager<Account>>();
        await scope.ServiceProvider.GetRequiredService<Core.Storage.NodeWriter>().ChangeAsync((db, _) =>
        {
            db.Audit = new Core.Audit.AuditContext("test", TimeProvider.System.GetUtcNow());
            db.Add(new Core.Parties.Party { Id = "person:" + name, Kind = Core.Parties.PartyKind.Person, DisplayName = name });
            return true;
        });
        var account = new Account { UserName = name, PartyId = "person:" + name };
        var result = await users.CreateAsync(account, Password);
        Assert.True(result.Succeeded, string.Join(", ", result.Errors.Select(e => e.Code)));
        return account;
    }

    public async ValueTask DisposeAsync()
    {
        await App.StopAsync();
        await App.DisposeAsync();
        TestStore.Release();
        if (!_ownsDirectory)
            return;
        TestStore.Drop(Options.Data);
        Directory.Delete(Options.Data, recursive: true);
    }

    public sealed record Echo(string Name, int Count);

    private static void MapTestRoutes(WebApplication app)
    {
        var api = app.MapGroup("/api/test");
        api.MapGet("/whoami", (CallerAccessor callers) => callers.Required).WithName("test-whoami").RequireCaller();
        api.MapGet("/stewards", () => "ok").WithName("test-stewards").RequireCaller(Roles.Steward);
        api.MapPost("/echo", (Echo echo) => echo).WithName("test-echo").AllowAnonymous().AcceptsBody(1_000);
        api.MapPost("/change", () => "changed").WithName("test-change").RequireCaller().AcceptsBody(1_000);
        api.MapPost("/upload", async (HttpRequest request) =>
        {
            var total = 0L;
            var buffer = new byte[1 << 16];
            for (int n; (n = await request.Body.ReadAsync(buffer)) > 0;)
                total += n;
            return total;
        }).WithName("test-upload").RequireCaller().AcceptsUpload(app.Services.GetRequiredService<UploadLimits>());
        api.MapGet("/refused", () => Problem.Invalid("test.refused", "It holds {n} wrong rows.") with
        {
            Extensions = new Dictionary<string, object?> { ["n"] = 3, ["errors"] = new[] { new { row = 7 } } },
        } is var problem ? problem.ToResult() : Results.Ok()).WithName("test-refused").AllowAnonymous();
        api.MapGet("/fails/{kind}", string (string kind) => throw (kind switch
        {
            "store" => new StoreUnavailableException(new IOException("disk full")),
            "writer" => new WriterStoppedException(new IOException("gone")),
            _ => new InvalidOperationException("secret detail"),
        })).WithName("test-fails").AllowAnonymous();
        api.MapGet("/slow", async (CancellationToken cancel) =>
        {
            await new TaskCompletionSource().Task.WaitAsync(cancel);
            return "never";
        }).WithName("test-slow").AllowAnonymous();
    }
}

internal static partial class ClientExtensions
{
    public static async Task<(HttpStatusCode Status, JsonElement Body)> FormAsync(this HttpClient client, string path, params (string, string)[] form)
    {
        using var response = await client.PostAsync(path, Form(form));
        var text = await response.Content.ReadAsStringAsync();
        return (response.StatusCode, text.StartsWith('{') ? JsonDocument.Parse(text).RootElement.Clone() : default);
    }

    /// <summary>Posts a form the way a page does: with the form token and its cookie.</summary>
    public static async Task<HttpResponseMessage> SubmitAsync(this HttpClient client, string path, params (string, string)[] form)
    {
        var token = await client.GetFromJsonAsync<Dictionary<string, string>>("/account/form-token");
        return await client.PostAsync(path, Form([.. form, (token!["field"], token["token"])]));
    }

    public static Task<HttpResponseMessage> SignInAsync(this HttpClient client, string name, string password, string returnUrl = "/") =>
        client.SubmitAsync("/account/sign-in", ("name", name), ("password", password), ("returnUrl", returnUrl));

    public static async Task<JsonElement> ProblemAsync(this HttpResponseMessage response, HttpStatusCode status, string code)
    {
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(status == response.StatusCode, $"{(int)response.StatusCode}: {text}");
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        var body = JsonDocument.Parse(text).RootElement;
        Assert.Equal(code, body.GetProperty("code").GetString());
        Assert.Equal((int)status, body.GetProperty("status").GetInt32());
        Assert.Equal("urn:gongzhi:problem:" + code, body.GetProperty("type").GetString());
        foreach (var name in new[] { "title", "detail", "traceId" })
            Assert.NotEmpty(body.GetProperty(name).GetString()!);
        return body;
    }

    public static HttpRequestMessage WithToken(this HttpRequestMessage request, string token)
    {
        request.Headers.Authorization = new("Bearer", token);
        return request;
    }

    public static string Hidden(string html, string name) =>
        WebUtility.HtmlDecode(Regex.Match(html, $"name=\"{name}\" value=\"([^\"]*)\"").Groups[1].Value);

    private static FormUrlEncodedContent Form((string, string)[] form) =>
        new(form.Select(f => KeyValuePair.Create(f.Item1, f.Item2)));
}
