namespace Gongzhi.SampleCity;

/// <summary>What kind of organisation a unit is.</summary>
public enum UnitKind { Government, Committee, Utility, Hospital, Ngo, Media }

/// <summary>A made-up organisation.</summary>
/// <param name="Id">Lower-case letters, digits and hyphens.</param>
/// <param name="Place">Code of the place it serves.</param>
/// <param name="Level">Level of that place.</param>
/// <param name="Parent">Id of the unit above, or null.</param>
/// <param name="NameZh">Chinese name.</param>
/// <param name="NameEn">English name.</param>
/// <param name="Kind">What kind of organisation it is.</param>
public sealed record Unit(string Id, string NameZh, string NameEn, UnitKind Kind, string Place, PlaceLevel Level, string? Parent);

/// <summary>The organisations of the city, from the city government down to the workstation of each community.</summary>
internal static class UnitDirectory
{
    private const string Government = "city-government";

    private static readonly (string Id, string Zh, string En, UnitKind Kind)[] CityUnits =
    [
        ("city-data-bureau", "数据局", "Data Bureau", UnitKind.Government),
        ("city-statistics", "统计局", "Bureau of Statistics", UnitKind.Government),
        ("city-public-security", "公安局", "Public Security Bureau", UnitKind.Government),
        ("city-health", "卫生健康委员会", "Health Commission", UnitKind.Government),
        ("city-civil-affairs", "民政局", "Civil Affairs Bureau", UnitKind.Government),
        ("city-finance", "财政局", "Finance Bureau", UnitKind.Government),
        ("city-audit", "审计局", "Audit Office", UnitKind.Government),
        ("city-market-regulation", "市场监督管理局", "Market Regulation Bureau", UnitKind.Government),
        ("city-environment", "生态环境局", "Ecology and Environment Bureau", UnitKind.Government),
        ("city-emergency", "应急管理局", "Emergency Management Bureau", UnitKind.Government),
        ("city-transport", "交通运输局", "Transport Bureau", UnitKind.Government),
        ("city-education", "教育局", "Education Bureau", UnitKind.Government),
        ("city-hotline", "政务热线中心", "Public Hotline Centre", UnitKind.Government),
        ("city-water", "自来水有限公司", "Water Company", UnitKind.Utility),
        ("city-power", "供电公司", "Power Company", UnitKind.Utility),
        ("city-hospital", "第一人民医院", "First People's Hospital", UnitKind.Hospital),
        ("ngo-qinghe", "清禾社区互助中心", "Qinghe Neighbourhood Aid Centre", UnitKind.Ngo),
        ("media-evening-post", "晚报", "Evening Post", UnitKind.Media),
    ];

    private static readonly (string Id, string Zh, string En)[] DistrictOffices =
        [("health", "卫生健康局", "Health Bureau"), ("civil-affairs", "民政局", "Civil Affairs Bureau"), ("emergency", "应急管理局", "Emergency Management Bureau")];

    public static List<Unit> Build(IReadOnlyList<Place> places)
    {
        var city = places.First(place => place.Level == PlaceLevel.City);
        var (cityStem, cityStemEn) = (city.NameZh[..^1], city.NameEn[..^" City".Length]);
        var units = new List<Unit>
        {
            new(Government, city.NameZh + "人民政府", city.NameEn + " Government", UnitKind.Government, city.Code, PlaceLevel.City, null),
        };
        foreach (var (id, zh, en, kind) in CityUnits)
        {
            var (name, parent) = kind switch
            {
                UnitKind.Government or UnitKind.Hospital => (city.NameZh + zh, Government),
                UnitKind.Utility => (cityStem + zh, Government),
                _ => (cityStem + zh, null),
            };
            units.Add(new(id, name, $"{cityStemEn} {en}", kind, city.Code, PlaceLevel.City, parent));
        }
        foreach (var place in places)
            AddLocal(place, units);
        return units;
    }

    private static void AddLocal(Place place, List<Unit> units)
    {
        switch (place.Level)
        {
            case PlaceLevel.District:
                var district = "district-government-" + place.Code;
                units.Add(new(district, place.NameZh + "人民政府", place.NameEn + " Government", UnitKind.Government, place.Code, place.Level, Government));
                foreach (var (id, zh, en) in DistrictOffices)
                {
                    units.Add(new(
                        $"district-{id}-{place.Code}", place.NameZh + zh, $"{place.NameEn} {en}", UnitKind.Government, place.Code, place.Level, district));
                }
                break;
            case PlaceLevel.Street:
                units.Add(new(
                    "street-office-" + place.Code, place.NameZh + "办事处", place.NameEn + " Office", UnitKind.Government, place.Code, place.Level,
                    "district-government-" + place.Parent));
                break;
            case PlaceLevel.Community:
                units.Add(new(
                    "community-" + place.Code, place.NameZh + "工作站", place.NameEn + " Workstation", UnitKind.Committee, place.Code, place.Level,
                    "street-office-" + place.Parent));
                break;
        }
    }
}
