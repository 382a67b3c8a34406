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
using Microsoft.Net.Http.Headers;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>/api/v1/datasets</c>: the catalogue is public, definitions are made by stewards.</summary>
internal static class DatasetEndpoints
{
    public static void MapDatasets(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/datasets", List).WithName("listDatasets").AllowAnonymous().Produces<DatasetList>().ProducesProblem(400);
        app.MapGet("/api/v1/datasets/{id}", Get).WithName("getDataset").AllowAnonymous().Produces<DatasetAnswer>().ProducesProblem(404);
        app.MapGet("/api/v1/datasets/{id}/schema", Schema).WithName("getDatasetSchema").AllowAnonymous().Produces<TableSchema>(200, Core.Catalog.TableSchema.MediaType).ProducesProblem(404);
        app.MapPut("/api/v1/datasets/{id}", PutAsync).WithName("putDataset").RequireCaller().AcceptsBody(1L << 20)
            .Accepts<DatasetDefinition>("application/json").Produces<PutAnswer>().Produces<PutAnswer>(201).ProducesProblem(403).ProducesProblem(409).ProducesProblem(412).ProducesProblem(422);
    }

    private static IResult List(string? cursor, int? limit, Catalog catalog, RecordStore records, HttpContext http)
    {
        var most = Paging.Limit(limit, Paging.LimitMax);
        if (!most.Ok)
            return most.Problem.ToResult();
        var page = Paging.Of(http, catalog.All.OrderBy(d => d.Id, StringComparer.Ordinal), d => d.Id, cursor, most.Value);
        return Results.Json(new JsonObject
        {
            ["datasets"] = new JsonArray([.. page.Items.Select(d => (JsonNode)Described(d, records))]),
            ["next"] = page.Next,
        });
    }

    private static IResult Get(string id, Catalog catalog, RecordStore records, HttpContext http)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        http.Response.Headers.ETag = Tag(dataset.Version);
        return Results.Json(Described(dataset, records));
    }

    /// <summary>The schema alone, as Frictionless Table Schema has it: for other people's tools.</summary>
    private static IResult Schema(string id, Catalog catalog, HttpContext http)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        http.Response.Headers.ETag = $"\"{dataset.Version}\"";
        http.Response.Headers.ContentLanguage = CultureInfo.CurrentUICulture.Name;
        return Results.Text(Core.Catalog.TableSchema.Render(dataset, CultureInfo.CurrentUICulture.Name).ToJsonString(Readable), Core.Catalog.TableSchema.MediaType, Encoding.UTF8);
    }

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static async Task<IResult> PutAsync(string id, HttpContext http, Catalog catalog, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel)
    {
        var condition = Expected(http.Request.Headers, catalog.Find(id));
        if (!condition.Ok)
            return condition.Problem.ToResult();
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
            var put = await catalog.PutAsync(caller, id, definition.RootElement, condition.Value.Version, cancel).ConfigureAwait(false);
            return put.ToResult(outcome =>
            {
                var answer = new PutAnswer(outcome.Dataset.Id, outcome.Dataset.Version);
                http.Response.Headers.ETag = Tag(outcome.Dataset.Version);
                return outcome.Created ? Results.Created($"/api/v1/datasets/{id}", answer) : Results.Ok(answer);
            });
        }
    }

    /// <summary>
    /// The version that must still be the current one when the change is kept; 0: there must be none; null: whichever. <c>If-Match</c> is a list of tags as
    /// <c>ETag</c> gave them, or <c>*</c>; weak tags match nothing (RFC 9110, section 13.1.1). <c>If-None-Match: *</c> makes a dataset and changes none.
    /// </summary>
    private static Result<Condition> Expected(IHeaderDictionary headers, Dataset? current)
    {
        if (headers.IfNoneMatch.Count > 0)
            return headers.IfNoneMatch.ToString() == "*" && headers.IfMatch.Count == 0
                ? current is null ? new Condition(0) : Changed
                : Problem.BadRequest("request.ifMatch", "If-None-Match can only be *, and not go with If-Match.");
        if (headers.IfMatch.Count == 0)
            return new Condition(null);
        var given = headers.IfMatch.ToString();
        // A bare number was always taken, and is what people type.
        if (!EntityTagHeaderValue.TryParseList([given], out var tags)
            && !(int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out _) && EntityTagHeaderValue.TryParseList([$"\"{given}\""], out tags)))
            return Problem.BadRequest("request.ifMatch", "If-Match must be a version as ETag gave it, or *.");
        if (current is null)
            return Changed;
        return tags.Any(t => t == EntityTagHeaderValue.Any || (!t.IsWeak && t.Tag.Equals(Tag(current.Version), StringComparison.Ordinal))) ? new Condition(current.Version) : Changed;
    }

    private sealed record Condition(int? Version);

    private static string Tag(int version) => string.Create(CultureInfo.InvariantCulture, $"\"{version}\"");

    private static readonly Problem Changed = new("dataset.changed", 412, "The dataset is not what you took it to be: it was made or changed by someone else, or is not there; read it again.");

    private static JsonObject Described(Dataset dataset, RecordStore records)
    {
        var json = DatasetJson.ToJson(dataset);
        json["records"] = records.Manifest(dataset.Number).Rows;
        return json;
    }

    internal sealed record PutAnswer(string Id, int Version);
}
