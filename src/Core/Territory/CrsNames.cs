namespace Gongzhi.Core.Territory;

/// <summary>The names by which sources declare their coordinate system.</summary>
public static class CrsNames
{
    /// <summary>Reads WGS-84, CGCS2000, GCJ-02 or BD-09, in any case and with or without the hyphen; null for anything else.</summary>
    public static CoordinateSystem? Read(string text) => text.ToUpperInvariant().Replace("-", "", StringComparison.Ordinal).Replace(" ", "", StringComparison.Ordinal) switch
    {
        "WGS84" => CoordinateSystem.Wgs84,
        "CGCS2000" => CoordinateSystem.Cgcs2000,
        "GCJ02" => CoordinateSystem.Gcj02,
        "BD09" => CoordinateSystem.Bd09,
        _ => null,
    };

    public static string Of(CoordinateSystem system) => system switch
    {
        CoordinateSystem.Wgs84 => "WGS-84",
        CoordinateSystem.Cgcs2000 => "CGCS2000",
        CoordinateSystem.Gcj02 => "GCJ-02",
        _ => "BD-09",
    };
}
