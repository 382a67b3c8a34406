using System.Text;
using Gongzhi.Core.Territory;
using NetTopologySuite.Geometries;
using Xunit;
using Coordinates = Gongzhi.Core.Territory.Coordinates;

namespace Gongzhi.Tests.Unit.Territory;

public sealed class PlaceShapeTests
{
    private const string Square = """{"type":"Polygon","coordinates":[[[116,39],[117,39],[117,40],[116,40],[116,39]]]}""";

    [Fact]
    public void A_polygon_a_multipolygon_and_a_feature_are_read()
    {
        var polygon = Assert.IsType<Polygon>(PlaceShape.Read(Square, CoordinateSystem.Wgs84).Value);
        Assert.Equal(1, polygon.Area, 9);
        Assert.Equal(4326, polygon.SRID);
        var feature = PlaceShape.Read($$"""{"type":"Feature","properties":{},"geometry":{{Square}}}""", CoordinateSystem.Wgs84);
        Assert.True(polygon.EqualsExact(feature.Value));
        var multi = PlaceShape.Read("""{"type":"MultiPolygon","coordinates":[[[[1,1],[2,1],[2,2],[1,1]]],[[[5,5,9],[6,5,9],[6,6,9],[5,5,9]]]]}""", CoordinateSystem.Wgs84);
        Assert.Equal(2, Assert.IsType<MultiPolygon>(multi.Value).NumGeometries);
    }

    [Fact]
    public void A_shifted_source_is_put_right()
    {
        var point = Assert.IsType<Point>(PlaceShape.Read("""{"type":"Point","coordinates":[116.4,39.9]}""", CoordinateSystem.Gcj02).Value);
        Assert.InRange(Coordinates.DistanceMetres(point.X, point.Y, 116.4, 39.9), 400, 700);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"type":"Feature"}""")]
    [InlineData("""{"type":"LineString","coordinates":[[1,1],[2,2]]}""")]
    [InlineData("""{"type":"Polygon"}""")]
    [InlineData("""{"type":"Polygon","coordinates":[]}""")]
    [InlineData("""{"type":"Polygon","coordinates":7}""")]
    [InlineData("""{"type":"Polygon","coordinates":[[[1,1],[2,2],[1,1]]]}""")]
    [InlineData("""{"type":"Polygon","coordinates":[[[1,1],[2,1],[2,2],[1,2]]]}""")]
    [InlineData("""{"type":"Polygon","coordinates":[[[1,1],["2",1],[2,2],[1,1]]]}""")]
    [InlineData("""{"type":"Polygon","coordinates":[[[0,0],[1,1],[1,0],[0,1],[0,0]]]}""")]
    [InlineData("""{"type":"Point","coordinates":[1e400,1]}""")]
    [InlineData("""{"type":"Point","coordinates":[39.9,116.4]}""")]
    [InlineData("""{"type":"MultiPolygon","coordinates":[]}""")]
    public void Anything_else_is_a_problem_and_never_an_exception(string text) =>
        Assert.Equal("territory.shape", PlaceShape.Read(text, CoordinateSystem.Wgs84).Problem?.Code);

    [Fact]
    public void Too_many_corners_are_refused()
    {
        var text = new StringBuilder("""{"type":"Polygon","coordinates":[[""");
        for (var i = 0; i <= PlaceShape.VerticesMax; i++) text.Append("[1,1],");
        text.Append("[1,1]]]}");
        Assert.False(PlaceShape.Read(text.ToString(), CoordinateSystem.Wgs84).Ok);
    }
}
