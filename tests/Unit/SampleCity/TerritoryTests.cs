using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.SampleCity;
using Xunit;

namespace Gongzhi.Tests.Unit.SampleCity;

public class TerritoryTests
{
    private static readonly City City = City.Generate();

    [Theory]
    [InlineData(PlaceLevel.Province, 1, 2)]
    [InlineData(PlaceLevel.City, 1, 4)]
    [InlineData(PlaceLevel.District, 4, 6)]
    [InlineData(PlaceLevel.Street, 24, 9)]
    [InlineData(PlaceLevel.Community, 200, 12)]
    [InlineData(PlaceLevel.Cell, 2_000, 15)]
    public void Levels_have_the_stated_numbers_of_places(PlaceLevel level, int count, int digits)
    {
        Assert.Equal(count, City.PlacesAt(level).Count);
        Assert.All(City.PlacesAt(level), place =>
        {
            Assert.Equal(digits, place.Code.Length);
            Assert.All(place.Code, c => Assert.True(char.IsAsciiDigit(c)));
        });
    }

    [Fact]
    public void Codes_are_unique_nested_and_of_no_real_province()
    {
        Assert.Equal(City.Places.Count, City.Places.Select(place => place.Code).Distinct().Count());
        Assert.All(City.Places, place =>
        {
            Assert.StartsWith("99", place.Code);
            if (place.Level == PlaceLevel.Province)
            {
                Assert.Null(place.Parent);
                return;
            }
            Assert.StartsWith(place.Parent!, place.Code);
            Assert.Equal(place.Level - 1, City.Place(place.Parent!).Level);
        });
    }

    [Fact]
    public void Names_are_unique_within_a_level()
    {
        foreach (var level in Enum.GetValues<PlaceLevel>())
        {
            Assert.Equal(City.PlacesAt(level).Count, City.PlacesAt(level).Select(place => place.NameZh).Distinct().Count());
            Assert.Equal(City.PlacesAt(level).Count, City.PlacesAt(level).Select(place => place.NameEn).Distinct().Count());
        }
    }

    [Fact]
    public void No_name_is_that_of_a_real_division()
    {
        if (Environment.GetEnvironmentVariable("GONGZHI_TESTDATA") is not { Length: > 0 } folder)
        {
            Assert.Skip("set GONGZHI_TESTDATA");
            return;
        }
        var real = new[] { "provinces", "cities", "areas", "streets" }
            .SelectMany(file => File.ReadLines(Path.Combine(folder, "city", "admin_china", file + ".csv")).Skip(1))
            .Select(line => Stem(line.Split(',')[1].Trim('"'))).ToHashSet();
        Assert.True(real.Count > 20_000);
        Assert.All(City.Places.Where(place => place.Level < PlaceLevel.Cell), place => Assert.DoesNotContain(Stem(place.NameZh), real));
    }

    [Theory]
    [InlineData(City.DefaultSeed)]
    [InlineData(1UL)]
    [InlineData(ulong.MaxValue)]
    public void Rings_are_closed_anticlockwise_and_do_not_cross_themselves(ulong seed)
    {
        foreach (var place in City.Generate(seed).Places)
        {
            Assert.Equal(place.Ring[0], place.Ring[^1]);
            Assert.True(TwiceArea(place) > 0, place.Code);
            Assert.Equal(place.Ring.Count - 1, place.Ring.Distinct().Count());
            Assert.True(IsSimple(place.Ring), place.Code);
            Assert.True(Contains(place.Ring, place.Centre), place.Code);
        }
    }

    [Theory]
    [InlineData(City.DefaultSeed)]
    [InlineData(7UL)]
    public void Children_tile_their_parent_exactly(ulong seed)
    {
        var city = City.Generate(seed);
        foreach (var siblings in city.Places.Where(place => place.Parent is not null).GroupBy(place => place.Parent!))
        {
            var parent = city.Place(siblings.Key);
            Assert.Equal(TwiceArea(parent), siblings.Sum(TwiceArea));

            // Every edge inside is walked once each way; what is left over is the parent's own ring. So there is neither gap nor overlap.
            var edges = new HashSet<(GeoPoint, GeoPoint)>();
            foreach (var edge in siblings.SelectMany(Edges))
                Assert.True(edges.Add(edge), siblings.Key);
            var outer = edges.Where(edge => !edges.Contains((edge.Item2, edge.Item1))).ToHashSet();
            Assert.Equal(Edges(parent).ToHashSet(), outer);
        }
    }

    [Fact]
    public void Shapes_and_names_are_the_recorded_ones()
    {
        var buffer = new ArrayBufferWriter<byte>();
        City.WriteGeoJson(PlaceLevel.Cell, buffer);
        Assert.Equal("e1d3ef2de7bbea97", Convert.ToHexStringLower(SHA256.HashData(buffer.WrittenSpan))[..16]);
    }

    [Fact]
    public void Geojson_has_one_polygon_a_place()
    {
        var buffer = new ArrayBufferWriter<byte>();
        City.WriteGeoJson(PlaceLevel.Street, buffer);
        using var json = JsonDocument.Parse(buffer.WrittenMemory);
        var features = json.RootElement.GetProperty("features");
        Assert.Equal(24, features.GetArrayLength());
        foreach (var feature in features.EnumerateArray())
        {
            var place = City.Place(feature.GetProperty("id").GetString()!);
            var ring = feature.GetProperty("geometry").GetProperty("coordinates")[0];
            Assert.Equal(place.Ring.Count, ring.GetArrayLength());
            Assert.Equal(place.Ring[0].Longitude, ring[0][0].GetDouble(), 1e-9);
            Assert.Equal(place.NameZh, feature.GetProperty("properties").GetProperty("nameZh").GetString());
        }
    }

    [Fact]
    public void Units_form_a_forest_over_places_that_exist()
    {
        var units = City.Units.ToDictionary(unit => unit.Id);
        Assert.Equal(24, units.Keys.Count(id => id.StartsWith("street-office-", StringComparison.Ordinal)));
        Assert.Equal(200, units.Keys.Count(id => id.StartsWith("community-", StringComparison.Ordinal)));
        Assert.Equal(Enum.GetValues<UnitKind>().ToHashSet(), City.Units.Select(unit => unit.Kind).ToHashSet());
        Assert.All(City.Units, unit =>
        {
            Assert.Equal(unit.Level, City.Place(unit.Place).Level);
            Assert.Matches("^[a-z][a-z0-9-]{0,63}$", unit.Id);
            if (unit.Parent is not null)
                Assert.StartsWith(units[unit.Parent].Place, unit.Place);
        });
        Assert.All(City.Datasets, dataset => Assert.Contains(dataset.Owner, units.Keys));
    }

    private static string Stem(string name)
    {
        foreach (var ending in new[] { "街道办事处", "街道", "社区", "省", "市", "区", "县", "镇", "乡" })
        {
            if (name.Length > ending.Length + 1 && name.EndsWith(ending, StringComparison.Ordinal))
                return name[..^ending.Length];
        }
        return name;
    }

    private static IEnumerable<(GeoPoint, GeoPoint)> Edges(Place place) => place.Ring.Zip(place.Ring.Skip(1));

    private static long TwiceArea(Place place) =>
        Edges(place).Sum(edge => (long)edge.Item1.LongitudeE6 * edge.Item2.LatitudeE6 - (long)edge.Item2.LongitudeE6 * edge.Item1.LatitudeE6);

    private static bool IsSimple(IReadOnlyList<GeoPoint> ring)
    {
        var edges = ring.Count - 1;
        for (var i = 0; i < edges; i++)
        {
            for (var j = i + 2; j < edges; j++)
            {
                if (i == 0 && j == edges - 1)
                    continue;
                if (Turn(ring[i], ring[i + 1], ring[j]) * Turn(ring[i], ring[i + 1], ring[j + 1]) <= 0
                    && Turn(ring[j], ring[j + 1], ring[i]) * Turn(ring[j], ring[j + 1], ring[i + 1]) <= 0)
                    return false;
            }
        }
        return true;
    }

    private static int Turn(GeoPoint a, GeoPoint b, GeoPoint c) => Math.Sign(
        (long)(b.LongitudeE6 - a.LongitudeE6) * (c.LatitudeE6 - a.LatitudeE6) - (long)(b.LatitudeE6 - a.LatitudeE6) * (c.LongitudeE6 - a.LongitudeE6));

    private static bool Contains(IReadOnlyList<GeoPoint> ring, GeoPoint point)
    {
        var inside = false;
        for (var i = 0; i + 1 < ring.Count; i++)
        {
            var (a, b) = (ring[i], ring[i + 1]);
            if (a.LatitudeE6 > point.LatitudeE6 != b.LatitudeE6 > point.LatitudeE6
                && point.Longitude < (b.Longitude - a.Longitude) * (point.Latitude - a.Latitude) / (b.Latitude - a.Latitude) + a.Longitude)
                inside = !inside;
        }
        return inside;
    }
}
