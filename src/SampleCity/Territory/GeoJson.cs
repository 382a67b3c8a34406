using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Gongzhi.SampleCity;

/// <summary>Writes places as an RFC 7946 FeatureCollection of polygons, WGS 84, six decimals.</summary>
public static class GeoJson
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>One feature a place, its id the code; properties code, parent, level, nameZh, nameEn, centre [longitude, latitude].</summary>
    public static void Write(IBufferWriter<byte> destination, IEnumerable<Place> places)
    {
        ArgumentNullException.ThrowIfNull(places);
        using var json = new Utf8JsonWriter(destination, Options);
        json.WriteStartObject();
        json.WriteString("type", "FeatureCollection");
        json.WriteStartArray("features");
        foreach (var place in places)
            WriteFeature(json, place);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteFeature(Utf8JsonWriter json, Place place)
    {
        json.WriteStartObject();
        json.WriteString("type", "Feature");
        json.WriteString("id", place.Code);
        json.WriteStartObject("properties");
        json.WriteString("code", place.Code);
        json.WriteString("parent", place.Parent);
        json.WriteString("level", Names.Of(place.Level));
        json.WriteString("nameZh", place.NameZh);
        json.WriteString("nameEn", place.NameEn);
        json.WritePropertyName("centre");
        WritePoint(json, place.Centre);
        json.WriteEndObject();
        json.WriteStartObject("geometry");
        json.WriteString("type", "Polygon");
        json.WriteStartArray("coordinates");
        json.WriteStartArray();
        foreach (var point in place.Ring)
            WritePoint(json, point);
        json.WriteEndArray();
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WritePoint(Utf8JsonWriter json, GeoPoint point)
    {
        json.WriteStartArray();
        json.WriteNumberValue(Degrees(point.LongitudeE6));
        json.WriteNumberValue(Degrees(point.LatitudeE6));
        json.WriteEndArray();
    }

    private static decimal Degrees(int millionths) => new(Math.Abs(millionths), 0, 0, millionths < 0, 6);
}
