namespace Gongzhi.SampleCity;

/// <summary>The levels of the administrative tree, from the top.</summary>
public enum PlaceLevel { Province, City, District, Street, Community, Cell }

/// <summary>A point in millionths of a degree, WGS 84 (about 0.1 m); whole numbers, so that shared corners are equal exactly.</summary>
public readonly record struct GeoPoint(int LongitudeE6, int LatitudeE6)
{
    /// <summary>Degrees east.</summary>
    public double Longitude => LongitudeE6 / 1e6;

    /// <summary>Degrees north.</summary>
    public double Latitude => LatitudeE6 / 1e6;
}

/// <summary>A node of the made-up administrative tree.</summary>
/// <param name="Code">2, 4, 6, 9, 12 or 15 digits by level; a child's code begins with its parent's.</param>
/// <param name="Parent">The parent's code; null for the province.</param>
/// <param name="Ring">Closed (the first point is also the last), anticlockwise, without self-crossing; neighbours share corners exactly.</param>
/// <param name="Centre">The centre of gravity of the ring.</param>
/// <param name="Level">Follows from the length of the code.</param>
/// <param name="NameZh">Chinese name with its kind, such as 听澜街道.</param>
/// <param name="NameEn">English name with its kind, such as Tinglan Subdistrict.</param>
public sealed record Place(
    string Code, string? Parent, PlaceLevel Level, string NameZh, string NameEn, IReadOnlyList<GeoPoint> Ring, GeoPoint Centre);
