namespace Gongzhi.SampleCity;

/// <summary>Enum values as they are written in JSON and CSV.</summary>
internal static class Names
{
    public static string Of(PlaceLevel level) => level switch
    {
        PlaceLevel.Province => "province",
        PlaceLevel.City => "city",
        PlaceLevel.District => "district",
        PlaceLevel.Street => "street",
        PlaceLevel.Community => "community",
        _ => "cell",
    };
}
