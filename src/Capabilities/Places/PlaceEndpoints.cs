using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Territory;

namespace Gongzhi.Capabilities.Places;

/// <summary><c>/api/v1/places</c>: the territory is public; the system administrator alone imports it, since who runs a place decides what grants cover.</summary>
internal static class PlaceEndpoints
{
    private const int LimitMax = 1_000;
    private const long ImportBytesMax = 256L << 20;
    private const long ShapesBytesMax = 64L << 20;

    public static void MapPlaceRoutes(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/places", List).WithName("listPlaces").AllowAnonymous().Produces<PlaceList>().ProducesProblem(400);
        app.MapGet("/api/v1/places/{code}", Get).WithName("getPlace").AllowAnonymous().Produces<ShownPlace>().ProducesProblem(404);
        app.MapGet("/api/v1/places/{code}/shape", Shape).WithName("getPlaceShape").AllowAnonymous().Produces<string>(200, "application/geo+json").ProducesProblem(404);
        app.MapPost("/api/v1/places/shapes", ImportShapesAsync).WithName("importPlaceShapes").RequireCaller(Roles.SystemAdministrator).AcceptsBody(ShapesBytesMax)
            .TakesBody(typeof(string), "application/geo+json").Produces<ShapesImported>().ProducesProblem(422).DisableAntiforgery();
        app.MapPost("/api/v1/places", ImportAsync).WithName("importPlaces").RequireCaller(Roles.SystemAdministrator).AcceptsBody(ImportBytesMax)
            .TakesBody(typeof(string), "text/csv").Produces<PlacesImported>().ProducesProblem(422).DisableAntiforgery();
    }

    private static IResult List(TerritoryStore territory, string? search, string? within, string? parent, int? limit)
    {
        var index = territory.Index;
        var most = Math.Clamp(limit ?? 50, 1, LimitMax);
        PlaceRanges? scope = null;
        if (within is not null)
        {
            if (!PlaceCode.TryParse(within, out var code))
                return BadCode.ToResult();
            scope = index.Within(code);
        }
        if (search is { Length: > 0 })
        {
            return search.Length > 100
                ? Problem.BadRequest("request.search", "A search has at most 100 characters.").ToResult()
                : Results.Json(new PlaceList([.. index.Search(search, most, scope).Select(hit => Shown(hit.Place, index))]));
        }
        if (parent is not null)
        {
            return PlaceCode.TryParse(parent, out var code)
                ? Results.Json(new PlaceList([.. index.Children(code).Take(most).Select(p => Shown(p, index))]))
                : BadCode.ToResult();
        }
        return Results.Json(new PlaceList([.. index.Places.Where(p => scope is null || scope.Contains(p.Code)).Take(most).Select(p => Shown(p, index))], index.Places.Count));
    }

    private static IResult Get(string code, TerritoryStore territory) =>
        PlaceCode.TryParse(code, out var parsed) && territory.Index.TryGet(parsed, out var place)
            ? Results.Json(Shown(place, territory.Index))
            : Problem.NotFound("place.unknown", "No place has this division code.").ToResult();

    private static async Task<IResult> ImportAsync(HttpContext http, TerritoryStore territory, CallerAccessor callers, CancellationToken cancel)
    {
        DivisionImport import;
        using (var buffer = new MemoryStream())
        {
            try
            {
                var text = await Encodings.OpenUtf8Async(http.Request.Body, cancel).ConfigureAwait(false);
                await text.CopyToAsync(buffer, cancel).ConfigureAwait(false);
            }
            catch (SourceFormatException e)
            {
                return Problem.Invalid(e.Code, e.Message).ToResult();
            }
            buffer.Position = 0;
            using var reader = new StreamReader(buffer);
            import = DivisionCsv.Read(reader, "body", territory.Index.IsKnown);
        }
        if (!import.Ok)
        {
            return (Problem.Invalid("places.invalid", "The list of places has errors, so nothing was kept.") with
            {
                Extensions = new Dictionary<string, object?> { ["errors"] = import.Errors, ["errorCount"] = import.Errors.Count },
            }).ToResult();
        }
        return (await territory.ImportAsync(import.Places, callers.Required.Party, cancel).ConfigureAwait(false))
            .ToResult(total => Results.Json(new PlacesImported(import.Places.Count, total)));
    }

    /// <summary>The outline as a GeoJSON Feature, in WGS-84 as RFC 7946 has it, or in the system a map draws in.</summary>
    private static IResult Shape(string code, string? crs, TerritoryStore territory)
    {
        var to = CoordinateSystem.Wgs84;
        if (crs is not null)
        {
            if (CrsNames.Read(crs) is not { } wanted)
                return BadCrs.ToResult();
            to = wanted;
        }
        if (!PlaceCode.TryParse(code, out var parsed) || !territory.Index.TryGet(parsed, out var place))
            return Problem.NotFound("place.unknown", "No place has this division code.").ToResult();
        if (territory.Shape(parsed) is not { } shape)
            return Problem.NotFound("place.noShape", "No outline of this place was imported.").ToResult();
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("type", "Feature");
            json.WriteString("id", place.Code.ToString());
            json.WriteStartObject("properties");
            json.WriteString("code", place.Code.ToString());
            json.WriteString("name", place.Name);
            json.WriteString("nameEn", place.NameEn);
            json.WriteString("crs", CrsNames.Of(to));
            json.WriteEndObject();
            json.WritePropertyName("geometry");
            PlaceShape.Write(json, shape, to);
            json.WriteEndObject();
        }
        return Results.Bytes(buffer.WrittenMemory.ToArray(), "application/geo+json");
    }

    private static async Task<IResult> ImportShapesAsync(HttpContext http, string? crs, TerritoryStore territory, CallerAccessor callers, CancellationToken cancel)
    {
        CoordinateSystem? declared = null;
        if (crs is not null && (declared = CrsNames.Read(crs)) is null)
            return BadCrs.ToResult();
        ShapeImport import;
        try
        {
            using var document = await JsonDocument.ParseAsync(http.Request.Body, new JsonDocumentOptions { MaxDepth = PlaceShapes.DepthMax }, cancel).ConfigureAwait(false);
            import = PlaceShapes.Read(document.RootElement, declared, territory.Index.IsKnown);
        }
        catch (JsonException)
        {
            import = new([], [new(0, "shapes.json", "The body is not JSON, or nested too deep.")]);
        }
        if (!import.Ok)
        {
            return (Problem.Invalid("places.shapesInvalid", "The outlines have errors, so nothing was kept.") with
            {
                Extensions = new Dictionary<string, object?> { ["errors"] = import.Errors, ["errorCount"] = import.Errors.Count },
            }).ToResult();
        }
        await territory.ImportShapesAsync(import.Shapes, callers.Required.Party, cancel).ConfigureAwait(false);
        return Results.Json(new ShapesImported(import.Shapes.Count));
    }

    private static readonly Problem BadCrs = Problem.BadRequest("place.crs", "The coordinate system is WGS-84, CGCS2000, GCJ-02 or BD-09.");

    private static readonly Problem BadCode = Problem.BadRequest("place.code", "This is not a division code.");

    private static ShownPlace Shown(Place place, TerritoryIndex index) => new(
        place.Code.ToString(), place.Code.Display12, place.Name, place.NameEn, place.Level.ToString().ToLowerInvariant(),
        index.ParentOf(place.Code) is { IsNone: false } parent ? parent.ToString() : null,
        [.. index.Path(place.Code).Where(p => !p.IsPseudo).Select(p => p.Name)],
        place.ValidFrom, place.ValidTo, place.AdministeredBy.IsNone ? null : place.AdministeredBy.ToString(), place.Successors.Count == 0 ? null : [.. place.Successors.Select(s => s.ToString())],
        place.Centre is { } c ? new Centre(c.Lon, c.Lat) : null);

    /// <param name="Total">Of the whole territory; absent where the list answers a search or names a parent.</param>
    internal sealed record PlaceList(
        IReadOnlyList<ShownPlace> Places, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Total = null);

    /// <param name="Display">The code with 12 digits.</param>
    /// <param name="Path">Names from the top down to this one.</param>
    internal sealed record ShownPlace(
        string Code, string Display, string Name, string? NameEn, string Level, string? Parent, IReadOnlyList<string> Path, DateOnly? ValidFrom, DateOnly? ValidTo,
        string? AdministeredBy, IReadOnlyList<string>? Successors, Centre? Centre);

    internal sealed record Centre(double Lon, double Lat);

    internal sealed record PlacesImported(int Imported, int Total);

    internal sealed record ShapesImported(int Imported);
}
