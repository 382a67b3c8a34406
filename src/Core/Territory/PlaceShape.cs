using System.Text.Json;
using NetTopologySuite.Geometries;

namespace Gongzhi.Core.Territory;

/// <summary>
/// Reads the outline of a place from GeoJSON (RFC 7946): a Point, Polygon or MultiPolygon, bare or as a Feature. Coordinates are
/// converted to WGS-84; a third coordinate is dropped. The standard knows only WGS-84, but Chinese sources publish others in the
/// same form, so the system is declared beside it.
/// </summary>
public static class PlaceShape
{
    /// <summary>Longest text, in characters.</summary>
    public const int CharactersMax = 8 * 1024 * 1024;

    /// <summary>Most corners of one outline: the most detailed published province has some tens of thousands.</summary>
    public const int VerticesMax = 100_000;

    private static readonly GeometryFactory Factory = new(new PrecisionModel(), 4326);

    /// <summary>Reads an outline, or says in one sentence why not.</summary>
    public static Result<Geometry> Read(string geoJson, CoordinateSystem declared)
    {
        ArgumentNullException.ThrowIfNull(geoJson);
        if (geoJson.Length > CharactersMax) return Refuse($"The shape has more than {CharactersMax} characters.");
        try
        {
            using var document = JsonDocument.Parse(geoJson, new JsonDocumentOptions { MaxDepth = 16 });
            return Read(document.RootElement, declared);
        }
        catch (JsonException)
        {
            return Refuse("The shape is not JSON.");
        }
    }

    /// <inheritdoc cref="Read(string, CoordinateSystem)"/>
    public static Result<Geometry> Read(JsonElement root, CoordinateSystem declared)
    {
        try
        {
            if (TypeOf(root) == "Feature") root = root.TryGetProperty("geometry", out var inner) ? inner : default;
            var vertices = 0;
            Geometry geometry;
            switch (TypeOf(root))
            {
                case "Point":
                    geometry = Factory.CreatePoint(ReadPosition(CoordinatesOf(root), declared, ref vertices));
                    break;
                case "Polygon":
                    geometry = ReadPolygon(CoordinatesOf(root), declared, ref vertices);
                    break;
                case "MultiPolygon":
                    var polygons = new List<Polygon>();
                    foreach (var part in Elements(CoordinatesOf(root))) polygons.Add(ReadPolygon(part, declared, ref vertices));
                    if (polygons.Count == 0) return Refuse("A multipolygon needs at least one polygon.");
                    geometry = Factory.CreateMultiPolygon([.. polygons]);
                    break;
                default:
                    return Refuse("The shape must be a Point, Polygon or MultiPolygon.");
            }

            return geometry.IsValid ? geometry : Refuse("The outline crosses itself or its parts overlap.");
        }
        catch (ShapeException exception)
        {
            return Refuse(exception.Message);
        }
    }

    /// <summary>Writes a kept outline as a GeoJSON geometry, in the system a map draws in.</summary>
    public static void Write(Utf8JsonWriter json, Geometry geometry, CoordinateSystem to)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteStartObject();
        json.WriteString("type", geometry.GeometryType);
        json.WritePropertyName("coordinates");
        switch (geometry)
        {
            case Point point:
                WritePosition(json, point.Coordinate, to);
                break;
            case Polygon polygon:
                WritePolygon(json, polygon, to);
                break;
            default:
                json.WriteStartArray();
                foreach (var part in ((MultiPolygon)geometry).Geometries) WritePolygon(json, (Polygon)part, to);
                json.WriteEndArray();
                break;
        }

        json.WriteEndObject();
    }

    private static void WritePolygon(Utf8JsonWriter json, Polygon polygon, CoordinateSystem to)
    {
        json.WriteStartArray();
        foreach (var ring in polygon.InteriorRings.Prepend(polygon.ExteriorRing))
        {
            json.WriteStartArray();
            foreach (var corner in ring.Coordinates) WritePosition(json, corner, to);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    // Seven decimals are a centimetre: what conversion adds beyond is no knowledge.
    private static void WritePosition(Utf8JsonWriter json, Coordinate at, CoordinateSystem to)
    {
        var (lon, lat) = Coordinates.FromWgs84(at.X, at.Y, to);
        json.WriteStartArray();
        json.WriteNumberValue(Math.Round(lon, 7));
        json.WriteNumberValue(Math.Round(lat, 7));
        json.WriteEndArray();
    }

    private static Problem Refuse(string sentence) => Problem.Invalid("territory.shape", sentence);

    private static string? TypeOf(JsonElement element) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String ? type.GetString() : null;

    private static JsonElement CoordinatesOf(JsonElement element) =>
        element.TryGetProperty("coordinates", out var coordinates) ? coordinates : throw new ShapeException("The shape has no coordinates.");

    private static JsonElement.ArrayEnumerator Elements(JsonElement element) =>
        element.ValueKind == JsonValueKind.Array ? element.EnumerateArray() : throw new ShapeException("Coordinates must be nested arrays of numbers.");

    private static Polygon ReadPolygon(JsonElement element, CoordinateSystem declared, ref int vertices)
    {
        var rings = new List<LinearRing>();
        foreach (var ring in Elements(element))
        {
            var corners = new List<Coordinate>();
            foreach (var position in Elements(ring)) corners.Add(ReadPosition(position, declared, ref vertices));
            if (corners.Count < 4 || !corners[0].Equals2D(corners[^1])) throw new ShapeException("A ring needs four positions or more, the last equal to the first.");
            rings.Add(Factory.CreateLinearRing([.. corners]));
        }

        if (rings.Count == 0) throw new ShapeException("A polygon needs an outer ring.");
        return Factory.CreatePolygon(rings[0], [.. rings.Skip(1)]);
    }

    private static Coordinate ReadPosition(JsonElement element, CoordinateSystem declared, ref int vertices)
    {
        if (++vertices > VerticesMax) throw new ShapeException($"The shape has more than {VerticesMax} positions.");
        if (element.ValueKind != JsonValueKind.Array || element.GetArrayLength() is < 2 or > 3) throw new ShapeException("A position is two or three numbers.");
        var (lon, lat) = (element[0], element[1]);
        if (lon.ValueKind != JsonValueKind.Number || lat.ValueKind != JsonValueKind.Number
            || !lon.TryGetDouble(out var x) || !lat.TryGetDouble(out var y) || !Coordinates.TryRead(x, y, declared, out var point))
            throw new ShapeException("A position is not on the globe; longitude comes first.");
        return new Coordinate(point.Lon, point.Lat);
    }

    // Carries a sentence out of the nested reading; never leaves this file.
    private sealed class ShapeException(string message) : Exception(message);
}
