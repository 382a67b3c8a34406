using CsCheck;
using Gongzhi.Core.Territory;
using Xunit;

namespace Gongzhi.Tests.Unit.Territory;

public sealed class CoordinatesTests
{
    [Fact]
    public void Every_system_comes_back_to_where_it_was() =>
        Gen.Select(Gen.Double[73.5, 135], Gen.Double[4, 53.5], Gen.Enum<CoordinateSystem>()).Sample((lon, lat, system) =>
        {
            var (there, north) = Coordinates.FromWgs84(lon, lat, system);
            var (back, south) = Coordinates.ToWgs84(there, north, system);
            Assert.InRange(Math.Abs(back - lon), 0, 1e-8);
            Assert.InRange(Math.Abs(south - lat), 0, 1e-8);
        });

    [Fact]
    public void Tiananmen_is_shifted_by_half_a_kilometre()
    {
        var (lon, lat) = Coordinates.FromWgs84(116.39127, 39.90720, CoordinateSystem.Gcj02);
        Assert.InRange(Coordinates.DistanceMetres(116.39127, 39.90720, lon, lat), 400, 700);
        Assert.True(lon > 116.39127 && lat > 39.90720);
        var (bdLon, bdLat) = Coordinates.FromWgs84(116.39127, 39.90720, CoordinateSystem.Bd09);
        Assert.InRange(Coordinates.DistanceMetres(lon, lat, bdLon, bdLat), 500, 1200);
    }

    [Theory]
    [InlineData(2.35, 48.85)]
    [InlineData(-74.0, 40.7)]
    public void Outside_China_nothing_is_shifted(double lon, double lat)
    {
        Assert.Equal((lon, lat), Coordinates.FromWgs84(lon, lat, CoordinateSystem.Gcj02));
        Assert.Equal((lon, lat), Coordinates.ToWgs84(lon, lat, CoordinateSystem.Gcj02));
        Assert.Equal((lon, lat), Coordinates.FromWgs84(lon, lat, CoordinateSystem.Bd09));
    }

    [Fact]
    public void Cgcs2000_is_taken_as_it_is_and_the_declaration_kept()
    {
        Assert.True(Coordinates.TryRead(116.4, 39.9, CoordinateSystem.Cgcs2000, out var point));
        Assert.Equal(new GeoPoint(116.4, 39.9, CoordinateSystem.Cgcs2000), point);
    }

    [Theory]
    [InlineData(double.NaN, 39)]
    [InlineData(double.PositiveInfinity, 39)]
    [InlineData(181, 39)]
    [InlineData(116, -91)]
    public void Numbers_off_the_globe_are_refused(double lon, double lat) =>
        Assert.False(Coordinates.TryRead(lon, lat, CoordinateSystem.Wgs84, out _));
}
