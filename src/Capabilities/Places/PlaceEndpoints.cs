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

    public static void MapPlaceRoutes(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/places", List).WithName("listPlaces").AllowAnonymous();
        app.MapGet("/api/v1/places/{code}", Get).WithName("getPlace").AllowAnonymous();
        app.MapPost("/api/v1/places", ImportAsync).WithName("importPlaces").RequireCaller(Roles.SystemAdministrator).AcceptsBody(ImportBytesMax).DisableAntiforgery();
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
                : Results.Json(new { places = index.Search(search, most, scope).Select(hit => Shown(hit.Place, index)) });
        }
        if (parent is not null)
        {
            return PlaceCode.TryParse(parent, out var code)
                ? Results.Json(new { places = index.Children(code).Take(most).Select(p => Shown(p, index)) })
                : BadCode.ToResult();
        }
        return Results.Json(new { places = index.Places.Where(p => scope is null || scope.Contains(p.Code)).Take(most).Select(p => Shown(p, index)), total = index.Places.Count });
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
            .ToResult(total => Results.Json(new { imported = import.Places.Count, total }));
    }

    private static readonly Problem BadCode = Problem.BadRequest("place.code", "This is not a division code.");

    private static object Shown(Place place, TerritoryIndex index) => new
    {
        code = place.Code.ToString(),
        display = place.Code.Display12,
        name = place.Name,
        nameEn = place.NameEn,
        level = place.Level.ToString().ToLowerInvariant(),
        parent = index.ParentOf(place.Code) is { IsNone: false } parent ? parent.ToString() : null,
        path = index.Path(place.Code).Where(p => !p.IsPseudo).Select(p => p.Name),
        validFrom = place.ValidFrom,
        validTo = place.ValidTo,
        successors = place.Successors.Count == 0 ? null : place.Successors.Select(s => s.ToString()),
        centre = place.Centre is { } c ? new { lon = c.Lon, lat = c.Lat } : null,
    };
}
