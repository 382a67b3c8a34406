using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;
using Gongzhi.Node.Hosting;
using Gongzhi.SampleCity;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Perf;

/// <summary>A whole node in this process, as <c>gongzhi serve</c> composes it, over a directory of its own, with the places of the sample city.</summary>
internal sealed class BenchNode : IAsyncDisposable
{
    private const string Client = "bench", Secret = "a-client-secret-for-benchmarks";

    private BenchNode(WebApplication app, NodeOptions options)
    {
        (App, Options) = (app, options);
        Http = new HttpClient { BaseAddress = new Uri(app.Urls.First()), Timeout = TimeSpan.FromMinutes(10) };
    }

    public WebApplication App { get; }
    public NodeOptions Options { get; }
    public HttpClient Http { get; }
    public IServiceProvider Services => App.Services;
    public Catalog Catalog => Services.GetRequiredService<Catalog>();
    public World World => Services.GetRequiredService<World>();

    /// <summary>The client's party, which holds every role in the first unit.</summary>
    public Caller Caller => Services.GetRequiredService<PartyDirectory>().Resolve("client:" + Client)!;

    public static async Task<BenchNode> StartAsync(Bench bench, string name, BenchCluster? cluster = null)
    {
        var options = new NodeOptions
        {
            Data = bench.File(name), World = "bench", Kind = WorldKind.Test, Urls = "http://127.0.0.1:0", BootstrapClient = $"{Client}:{Secret}",
            TokensPerMinute = 0, CallerRequestsPerSecond = 0,
            Cluster = cluster?.Database, Segments = cluster?.Segments, ClusterSecret = cluster is null ? null : BenchCluster.Secret,
        };
        // Logs of requests would be measured too; the program's own default is the same level.
        var app = await NodeHost.BuildAsync(options);
        await app.StartAsync();
        var node = new BenchNode(app, options);
        var city = City.Generate();
        await node.Services.GetRequiredService<TerritoryStore>().ImportAsync([.. city.Places.Select(p => new Core.Territory.Place
        {
            Code = PlaceCode.Parse(p.Code), Name = p.NameZh, NameEn = p.NameEn, Centre = new Core.Territory.GeoPoint(p.Centre.Longitude, p.Centre.Latitude, CoordinateSystem.Wgs84),
        })], "bench", CancellationToken.None);
        return node;
    }

    public async Task SignInAsync()
    {
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = Client, ["client_secret"] = Secret });
        using var response = await Http.PostAsync("/connect/token", form);
        var token = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("access_token").GetString();
        Http.DefaultRequestHeaders.Authorization = new("Bearer", token);
    }

    /// <summary>A dataset of payments under this id, as the sample city defines it: key, patterns, ranges, code list, known places.</summary>
    public Task<Dataset> DefinePaymentsAsync(string id) => DefineAsync(id, PaymentsGenerator.TableSchemaJson);

    public async Task<Dataset> DefineAsync(string id, string definition)
    {
        var json = JsonNode.Parse(definition)!.AsObject();
        json["owner"] = "node";
        using var document = JsonDocument.Parse(json.ToJsonString());
        var put = await Catalog.PutAsync(Caller, id, document.RootElement, null, CancellationToken.None);
        return put.Ok ? put.Value.Dataset : throw new InvalidOperationException(put.Problem.Detail);
    }

    /// <summary>The file through the door every contribution takes: detected, checked, canonical, hashed, durable, committed.</summary>
    public async Task<IntakeReceipt> ContributeAsync(Dataset dataset, Stream body, string contentType)
    {
        var outcome = await TryContributeAsync(dataset, body, contentType);
        return outcome.Ok ? outcome.Value : throw new InvalidOperationException($"{outcome.Problem.Detail} {JsonSerializer.Serialize(outcome.Problem.Extensions)}");
    }

    /// <summary>The same, when a refusal is an answer too.</summary>
    public async Task<Result<IntakeReceipt>> TryContributeAsync(Dataset dataset, Stream body, string contentType)
    {
        var source = await CellSources.OpenAsync(body, contentType, null, [.. dataset.Fields.Select(f => f.Name)], World.SpoolDirectory, new SourceOptions(), CancellationToken.None);
        await using (source)
        {
            return await Services.GetRequiredService<IntakeService>().ContributeAsync(
                new Contribution { Dataset = dataset, Contributor = Caller.Party, Source = source, Origin = "bench " + contentType }, CancellationToken.None);
        }
    }

    public Task<IntakeReceipt> ContributeAsync(Dataset dataset, string path, string contentType) => ContributeAsync(dataset, File.OpenRead(path), contentType);

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await App.StopAsync();
        await App.DisposeAsync();
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(Options.Data, recursive: true);
    }
}
