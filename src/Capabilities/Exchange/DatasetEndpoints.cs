using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>/api/v1/datasets</c>: the catalogue is public, definitions are made by stewards.</summary>
internal static class DatasetEndpoints
{
    public static void MapDatasets(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/datasets", List).WithName("listDatasets").AllowAnonymous();
        app.MapGet("/api/v1/datasets/{id}", Get).WithName("getDataset").AllowAnonymous();
        app.MapGet("/api/v1/datasets/{id}/schema", Schema).WithName("getDatasetSchema").AllowAnonymous().ProducesProblem(404);
        app.MapPut("/api/v1/datasets/{id}", PutAsync).WithName("putDataset").RequireCaller().AcceptsBody(1L << 20)
            .Accepts<JsonElement>("application/json").Produces<PutAnswer>().ProducesProblem(403).ProducesProblem(409).ProducesProblem(422);
    }

    private static IResult List(Catalog catalog, RecordStore records) => Results.Json(new JsonObject
    {
        ["datasets"] = new JsonArray([.. catalog.All.Select(d => (JsonNode)Described(d, records))]),
    });

    private static IResult Get(string id, Catalog catalog, RecordStore records, HttpContext http)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        http.Response.Headers.ETag = $"\"{dataset.Version}\"";
        return Results.Json(Described(dataset, records));
    }

    /// <summary>The schema alone, as Frictionless Table Schema has it: for other people's tools.</summary>
    private static IResult Schema(string id, Catalog catalog, HttpContext http)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        http.Response.Headers.ETag = $"\"{dataset.Version}\"";
        http.Response.Headers.ContentLanguage = CultureInfo.CurrentUICulture.Name;
        return Results.Text(TableSchema.Render(dataset, CultureInfo.CurrentUICulture.Name).ToJsonString(Readable), TableSchema.MediaType, Encoding.UTF8);
    }

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static async Task<IResult> PutAsync(string id, HttpContext http, Catalog catalog, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel)
    {
        int? expected = null;
        if (http.Request.Headers.IfMatch.ToString() is { Length: > 0 } match)
        {
            if (!int.TryParse(match.Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var version))
                return Problem.BadRequest("request.ifMatch", "If-Match must be a version as ETag gave it.").ToResult();
            expected = version;
        }
        JsonDocument definition;
        try
        {
            definition = await JsonDocument.ParseAsync(http.Request.Body, new JsonDocumentOptions { MaxDepth = 32 }, cancel).ConfigureAwait(false);
        }
        catch (JsonException)
        {
            return HostProblems.Malformed.ToResult();
        }
        using (definition)
        {
            // A steward here is not a steward there: only the units in which the role is held count.
            var caller = callers.Required;
            caller = caller with { Units = [.. caller.Units.Where(unit => parties.Holds(caller, Roles.Steward, unit))] };
            var put = await catalog.PutAsync(caller, id, definition.RootElement, expected, cancel).ConfigureAwait(false);
            return put.ToResult(outcome =>
            {
                var answer = new PutAnswer(outcome.Dataset.Id, outcome.Dataset.Version);
                http.Response.Headers.ETag = $"\"{outcome.Dataset.Version}\"";
                return outcome.Created ? Results.Created($"/api/v1/datasets/{id}", answer) : Results.Ok(answer);
            });
        }
    }

    private static JsonObject Described(Dataset dataset, RecordStore records)
    {
        var json = DatasetJson.ToJson(dataset);
        json["records"] = records.Manifest(dataset.Number).Rows;
        return json;
    }

    internal sealed record PutAnswer(string Id, int Version);
}
