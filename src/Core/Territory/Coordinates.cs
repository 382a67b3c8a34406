namespace Gongzhi.Core.Territory;

/// <summary>
/// Conversion between the coordinate systems a source in China may use. The shift of GCJ-02 is the published approximation: a series
/// in longitude and latitude on the Krasovsky 1940 ellipsoid, good to metres.
/// </summary>
public static class Coordinates
{
    // Krasovsky 1940: semi-major axis in metres, and the square of the first eccentricity.
    private const double SemiMajorAxis = 6378245.0;
    private const double EccentricitySquared = 0.00669342162296594323;

    // The pivot the series is developed around, in degrees.
    private const double PivotLon = 105.0;
    private const double PivotLat = 35.0;

    // BD-09's own offset, in degrees, and the angular rate of its ripple.
    private const double BdOffsetLon = 0.0065;
    private const double BdOffsetLat = 0.006;
    private const double BdRate = Math.PI * 3000.0 / 180.0;

    // Degrees; a ten-thousandth of a metre. The fixed-point iterations below gain about two digits a round.
    private const double Tolerance = 1e-9;
    private const int RoundsMax = 30;

    /// <summary>
    /// Makes a point of what a source gave. Refuses numbers that are not finite or not on the globe.
    /// </summary>
    public static bool TryRead(double lon, double lat, CoordinateSystem declared, out GeoPoint point)
    {
        point = default;
        if (!(lon is >= -180 and <= 180) || !(lat is >= -90 and <= 90) || !Enum.IsDefined(declared)) return false;
        var (toLon, toLat) = ToWgs84(lon, lat, declared);
        point = new GeoPoint(toLon, toLat, declared);
        return true;
    }

    /// <summary>Longitude and latitude in degrees WGS-84.</summary>
    public static (double Lon, double Lat) ToWgs84(double lon, double lat, CoordinateSystem from)
    {
        if (!IsShifted(lon, lat)) return (lon, lat);
        switch (from)
        {
            case CoordinateSystem.Gcj02:
                return Unshift(lon, lat);
            case CoordinateSystem.Bd09:
                var (gcjLon, gcjLat) = BdToGcj(lon, lat);
                return Unshift(gcjLon, gcjLat);
            default:
                return (lon, lat);
        }
    }

    /// <summary>The point in another system, for a map that draws in it.</summary>
    public static (double Lon, double Lat) FromWgs84(double lon, double lat, CoordinateSystem to)
    {
        if (!IsShifted(lon, lat)) return (lon, lat);
        switch (to)
        {
            case CoordinateSystem.Gcj02:
                return Shift(lon, lat);
            case CoordinateSystem.Bd09:
                var (gcjLon, gcjLat) = Shift(lon, lat);
                return GcjToBd(gcjLon, gcjLat);
            default:
                return (lon, lat);
        }
    }

    /// <summary>Metres between two points on the sphere of mean radius; within half a percent of the ellipsoid.</summary>
    public static double DistanceMetres(double fromLon, double fromLat, double toLon, double toLat)
    {
        const double meanRadius = 6371008.8;
        var (a, b) = (fromLat * Math.PI / 180, toLat * Math.PI / 180);
        var halfLat = Math.Sin((b - a) / 2);
        var halfLon = Math.Sin((toLon - fromLon) * Math.PI / 360);
        var h = halfLat * halfLat + Math.Cos(a) * Math.Cos(b) * halfLon * halfLon;
        return 2 * meanRadius * Math.Asin(Math.Min(1, Math.Sqrt(h)));
    }

    /// <summary>Outside this box, around China with its seas, the shifted systems are taken as WGS-84.</summary>
    public static bool IsShifted(double lon, double lat) => lon is >= 72.004 and <= 137.8347 && lat is >= 0.8293 and <= 55.8271;

    private static (double Lon, double Lat) Shift(double lon, double lat)
    {
        if (!IsShifted(lon, lat)) return (lon, lat);
        var (deltaLon, deltaLat) = Delta(lon, lat);
        return (lon + deltaLon, lat + deltaLat);
    }

    // Solves Shift(x) = given by subtracting what is still missing; the shift varies slowly, so this contracts. A point within the
    // box shifted over its edge, or the reverse, has no exact original; then the last estimate stands, some metres off.
    private static (double Lon, double Lat) Unshift(double lon, double lat)
    {
        if (!IsShifted(lon, lat)) return (lon, lat);
        var (atLon, atLat) = (lon, lat);
        for (var round = 0; round < RoundsMax; round++)
        {
            var (deltaLon, deltaLat) = Delta(atLon, atLat);
            var (missLon, missLat) = (atLon + deltaLon - lon, atLat + deltaLat - lat);
            (atLon, atLat) = (atLon - missLon, atLat - missLat);
            if (Math.Abs(missLon) < Tolerance && Math.Abs(missLat) < Tolerance) break;
        }

        return (atLon, atLat);
    }

    private static (double Lon, double Lat) GcjToBd(double lon, double lat)
    {
        var radius = Math.Sqrt(lon * lon + lat * lat) + 0.00002 * Math.Sin(lat * BdRate);
        var angle = Math.Atan2(lat, lon) + 0.000003 * Math.Cos(lon * BdRate);
        return (radius * Math.Cos(angle) + BdOffsetLon, radius * Math.Sin(angle) + BdOffsetLat);
    }

    // The customary inverse is good to a metre only, so it is the first estimate of an iteration as above.
    private static (double Lon, double Lat) BdToGcj(double lon, double lat)
    {
        var (atLon, atLat) = (lon - BdOffsetLon, lat - BdOffsetLat);
        for (var round = 0; round < RoundsMax; round++)
        {
            var (bdLon, bdLat) = GcjToBd(atLon, atLat);
            var (missLon, missLat) = (bdLon - lon, bdLat - lat);
            (atLon, atLat) = (atLon - missLon, atLat - missLat);
            if (Math.Abs(missLon) < Tolerance && Math.Abs(missLat) < Tolerance) break;
        }

        return (atLon, atLat);
    }

    private static (double Lon, double Lat) Delta(double lon, double lat)
    {
        var (x, y) = (lon - PivotLon, lat - PivotLat);
        var common = (20.0 * Math.Sin(6.0 * x * Math.PI) + 20.0 * Math.Sin(2.0 * x * Math.PI)) * 2.0 / 3.0;
        var north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.Sqrt(Math.Abs(x)) + common
            + (20.0 * Math.Sin(y * Math.PI) + 40.0 * Math.Sin(y / 3.0 * Math.PI)) * 2.0 / 3.0
            + (160.0 * Math.Sin(y / 12.0 * Math.PI) + 320.0 * Math.Sin(y * Math.PI / 30.0)) * 2.0 / 3.0;
        var east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.Sqrt(Math.Abs(x)) + common
            + (20.0 * Math.Sin(x * Math.PI) + 40.0 * Math.Sin(x / 3.0 * Math.PI)) * 2.0 / 3.0
            + (150.0 * Math.Sin(x / 12.0 * Math.PI) + 300.0 * Math.Sin(x / 30.0 * Math.PI)) * 2.0 / 3.0;

        // Metres north and east to degrees, by the ellipsoid's radii of curvature at the latitude.
        var radians = lat * Math.PI / 180.0;
        var w2 = 1 - EccentricitySquared * Math.Sin(radians) * Math.Sin(radians);
        var w = Math.Sqrt(w2);
        var meridian = SemiMajorAxis * (1 - EccentricitySquared) / (w2 * w);
        var parallel = SemiMajorAxis / w * Math.Cos(radians);
        return (east * 180.0 / (parallel * Math.PI), north * 180.0 / (meridian * Math.PI));
    }
}
