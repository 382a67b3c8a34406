using System.Text.Json;
using NetTopologySuite.Geometries;

namespace Gongzhi.Core.Territory;

/// <summary>Something wrong with a collection of outlines.</summary>
/// <param name="Feature">Its position in the collection, from 1; 0 when it concerns the whole.</param>
/// <param name="Code">Stable: <c>shapes.crs</c>, <c>shapes.code</c>, <c>shapes.unknown</c>, <c>shapes.duplicate</c>, <c>shapes.geometry</c>, …</param>
/// <param name="Sentence">One English sentence.</param>
public sealed record ShapeError(int Feature, string Code, string Sentence);

/// <summary>The outlines of a collection or, with any error, none.</summary>
public sealed record ShapeImport(IReadOnlyList<(PlaceCode Code, Geometry Shape)> Shapes, IReadOnlyList<ShapeError> Errors)
{
    public bool Ok => Errors.Count == 0;
}

/// <summary>
/// Reads outlines from a GeoJSON FeatureCollection: each feature names its place by its <c>id</c> or the property <c>code</c>. The coordinate
/// system is declared, by the caller or by the collection's member <c>crs</c> (a name, or the object of the GeoJSON of 2008); RFC 7946 knows WGS-84
/// alone, but what Chinese sources publish in its form often is not, and a shift of 500 metres is not seen by looking at numbers.
/// </summary>
public static class PlaceShapes
{
    /// <summary>Features in one collection: more than all streets of the country.</summary>
    public const int FeaturesMax = 50_000;

    /// <summary>Errors reported before giving up.</summary>
    public const int ErrorsMax = 100;

    /// <summary>Collection, features, feature, geometry, and the four levels of a MultiPolygon; the rest is room for properties.</summary>
    public const int DepthMax = 32;

    /// <param name="root">The collection.</param>
    /// <param name="declared">The system the caller names, or null for what the collection says.</param>
    /// <param name="isKnown">Whether there is such a place.</param>
    public static ShapeImport Read(JsonElement root, CoordinateSystem? declared, Func<PlaceCode, bool> isKnown)
    {
        ArgumentNullException.ThrowIfNull(isKnown);
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("type", out var type) || type.ValueKind != JsonValueKind.String || type.GetString() != "FeatureCollection"
            || !root.TryGetProperty("features", out var features) || features.ValueKind != JsonValueKind.Array)
            return Whole("shapes.form", "The outlines must be a GeoJSON FeatureCollection.");
        if (features.GetArrayLength() is 0 or > FeaturesMax) return Whole("shapes.count", $"A collection has 1 to {FeaturesMax} features.");
        var stated = root.TryGetProperty("crs", out var crs) && crs.ValueKind != JsonValueKind.Null ? StatedIn(crs) : default;
        if (stated is { Given: true, System: null } || (stated.System is { } its && declared is { } callers && its != callers))
            return Whole("shapes.crs", "The collection's crs is not WGS-84, CGCS2000, GCJ-02 or BD-09, or differs from the one declared beside it.");
        if ((declared ?? stated.System) is not { } system)
            return Whole("shapes.crs", "Declare the coordinate system: WGS-84, CGCS2000, GCJ-02 or BD-09.");

        var errors = new List<ShapeError>();
        var shapes = new Dictionary<PlaceCode, Geometry>();
        var at = 0;
        foreach (var feature in features.EnumerateArray())
        {
            at++;
            if (errors.Count >= ErrorsMax) break;
            if (CodeOf(feature) is not { } code) errors.Add(new(at, "shapes.code", "The feature names no place: its id, or the property code, must be a division code."));
            else if (!isKnown(code)) errors.Add(new(at, "shapes.unknown", $"No place has the division code {code}."));
            else if (PlaceShape.Read(feature, system) is var shape && !shape.Ok) errors.Add(new(at, "shapes.geometry", shape.Problem.Detail));
            else if (!shapes.TryAdd(code, shape.Value)) errors.Add(new(at, "shapes.duplicate", $"The place {code} has an outline in this collection already."));
        }

        return errors.Count > 0 ? new([], errors) : new([.. shapes.OrderBy(s => s.Key).Select(s => (s.Key, s.Value))], []);

        static ShapeImport Whole(string code, string sentence) => new([], [new(0, code, sentence)]);
    }

    private static (bool Given, CoordinateSystem? System) StatedIn(JsonElement crs)
    {
        if (crs.ValueKind == JsonValueKind.Object)
            crs = crs.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object && properties.TryGetProperty("name", out var name) ? name : default;
        if (crs.ValueKind != JsonValueKind.String) return (true, null);
        var text = crs.GetString()!;
        return (true, text.ToUpperInvariant() switch
        {
            "URN:OGC:DEF:CRS:OGC:1.3:CRS84" or "URN:OGC:DEF:CRS:OGC::CRS84" or "EPSG:4326" or "URN:OGC:DEF:CRS:EPSG::4326" => CoordinateSystem.Wgs84,
            "EPSG:4490" or "URN:OGC:DEF:CRS:EPSG::4490" => CoordinateSystem.Cgcs2000,
            _ => CrsNames.Read(text),
        });
    }

    private static PlaceCode? CodeOf(JsonElement feature)
    {
        if (feature.ValueKind != JsonValueKind.Object) return null;
        if (!feature.TryGetProperty("id", out var named)
            && !(feature.TryGetProperty("properties", out var properties) && properties.ValueKind == JsonValueKind.Object && properties.TryGetProperty("code", out named)))
            return null;
        return PlaceCode.TryParse(named.ValueKind switch { JsonValueKind.String => named.GetString(), JsonValueKind.Number => named.GetRawText(), _ => null }, out var code) ? code : null;
    }
}
