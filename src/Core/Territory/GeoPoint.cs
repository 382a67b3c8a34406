namespace Gongzhi.Core.Territory;

/// <summary>The coordinate systems a source may declare.</summary>
public enum CoordinateSystem
{
    /// <summary>GPS. What Gongzhi stores.</summary>
    Wgs84 = 0,
    /// <summary>国家大地坐标系 2000. Differs from WGS-84 by centimetres, less than any source here can measure, so it is taken as equal.</summary>
    Cgcs2000 = 1,
    /// <summary>The shifted system of Chinese web maps.</summary>
    Gcj02 = 2,
    /// <summary>GCJ-02 shifted once more, as one map provider does.</summary>
    Bd09 = 3,
}

/// <summary>
/// A point on the ground, stored once: longitude and latitude in degrees WGS-84, with the system the source declared. Make one
/// with <see cref="Coordinates.TryRead"/>, which converts.
/// </summary>
/// <param name="Lon">Degrees east, −180 to 180.</param>
/// <param name="Lat">Degrees north, −90 to 90.</param>
/// <param name="Declared">What the source gave; kept so that a wrong declaration can be put right later.</param>
public readonly record struct GeoPoint(double Lon, double Lat, CoordinateSystem Declared = CoordinateSystem.Wgs84);
