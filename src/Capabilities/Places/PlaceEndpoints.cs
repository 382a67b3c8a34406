using System.Text.Json.Serialization;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Territory;

namespace Gongzhi.Capabilities.Places;

/// <summary><c>/api/v1/places</c>: the territory is public; the system administrator or a steward imports it.</summary>
internal static class PlaceEndpoints
{
    private const int LimitMax = 1_000;
    private const long ImportBytesMax = 256L << 20;

    public static void MapPlaceRoutes(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/places", List).WithName("listPlaces").AllowAnonymous().Produces<PlaceList>().ProducesProblem(400);
        app.MapGet("/api/v1/places/{code}", Get).WithName("getPlace").AllowAnonymous().Produces<ShownPlace>().ProducesProblem(404);
        app.MapPost("/api/v1/places", ImportAsync).WithName("importPlaces").RequireCaller(Roles.SystemAdministrator, Roles.Steward).AcceptsBody(ImportBytesMax)
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
        var total = await territory.ImportAsync(import.Places, callers.Required.Party, cancel).ConfigureAwait(false);
        return Results.Json(new PlacesImported(import.Places.Count, total));
    }

    private static readonly Problem BadCode = Problem.BadRequest("place.code", "This is not a division code.");

    private static ShownPlace Shown(Place place, TerritoryIndex index) => new(
        place.Code.ToString(), place.Code.Display12, place.Name, place.NameEn, place.Level.ToString().ToLowerInvariant(),
        index.ParentOf(place.Code) is { IsNone: false } parent ? parent.ToString() : null,
        [.. index.Path(place.Code).Where(p => !p.IsPseudo).Select(p => p.Name)],
        place.ValidFrom, place.ValidTo, place.Successors.Count == 0 ? null : [.. place.Successors.Select(s => s.ToString())],
        place.Centre is { } c ? new Centre(c.Lon, c.Lat) : null);

    /// <param name="Total">Of the whole territory; absent where the list answers a search or names a parent.</param>
    internal sealed record PlaceList(
        IReadOnlyList<ShownPlace> Places, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? Total = null);

    /// <param name="Display">The code with 12 digits.</param>
    /// <param name="Path">Names from the top down to this one.</param>
    internal sealed record ShownPlace(
        string Code, string Display, string Name, string? NameEn, string Level, string? Parent, IReadOnlyList<string> Path, DateOnly? ValidFrom, DateOnly? ValidTo,
        IReadOnlyList<string>? Successors, Centre? Centre);

    internal sealed record Centre(double Lon, double Lat);

    internal sealed record PlacesImported(int Imported, int Total);
}
