namespace Gongzhi.SampleCity;

/// <summary>One community in one month.</summary>
/// <param name="Year">From 2024.</param>
/// <param name="Month">1–12.</param>
/// <param name="Population">Persons at the end of the month.</param>
/// <param name="Households">Households at the end of the month.</param>
/// <param name="Community">Code of the community.</param>
/// <param name="Births">Of residents still living in the community on the last day.</param>
/// <param name="Deaths">In the month.</param>
/// <param name="MovedIn">Persons, in the month.</param>
/// <param name="MovedOut">Persons, in the month.</param>
public sealed record CommunityMonth(
    string Community, int Year, int Month, int Population, int Households, int Births, int Deaths, int MovedIn, int MovedOut);

/// <summary>
/// Counts by month, worked out backwards from the residents of the last day, so that the last month agrees with the register and every month
/// with the next: population = the month before + births − deaths + moved in − moved out.
/// </summary>
internal static class PopulationHistory
{
    public const string Dataset = "community-population";
    public const int Months = 24;
    private const int FirstYear = 2024;

    // March 2025: a new estate is let.
    private const int EstateMonth = 14;
    private const int EstateMovedIn = 260;

    /// <summary>Ordered by month, then community.</summary>
    public static (List<CommunityMonth> Rows, PlantedTruth Estate) Build(ulong seed, IReadOnlyList<Place> communities, IEnumerable<Resident> residents)
    {
        var index = communities.Select((place, at) => (place.Code, at)).ToDictionary(pair => pair.Code, pair => pair.at, StringComparer.Ordinal);
        var (people, households) = (new int[communities.Count], new int[communities.Count]);
        var births = new int[communities.Count, Months];
        var lastHousehold = "";
        foreach (var resident in residents)
        {
            var at = index[resident.Community];
            people[at]++;
            if (resident.Household != lastHousehold)
                households[at]++;
            lastHousehold = resident.Household;
            if (resident.BirthDate.Year >= FirstYear)
                births[at, (resident.BirthDate.Year - FirstYear) * 12 + resident.BirthDate.Month - 1]++;
        }

        var random = new SampleRandom(seed, RandomStream.Population);
        var estate = random.Below(communities.Count);
        var rows = new List<CommunityMonth>(communities.Count * Months);
        for (var at = 0; at < communities.Count; at++)
        {
            var population = people[at];
            for (var month = Months - 1; month >= 0; month--)
            {
                var deaths = random.Below(population / 700 + 2);
                var movedIn = random.Below(population / 120 + 3) + (at == estate && month == EstateMonth ? EstateMovedIn : 0);
                var movedOut = random.Below(population / 130 + 3);
                rows.Add(new(
                    communities[at].Code, FirstYear + month / 12, month % 12 + 1, population,
                    (int)((long)population * households[at] / people[at]), births[at, month], deaths, movedIn, movedOut));
                population -= births[at, month] - deaths + movedIn - movedOut;
            }
        }
        rows = [.. rows.OrderBy(row => row.Year).ThenBy(row => row.Month).ThenBy(row => row.Community, StringComparer.Ordinal)];
        var code = communities[estate].Code;
        var truth = new PlantedTruth(
            "new-estate", Dataset, new($"A new estate brings {EstateMovedIn} people into one community in one month", $"一个社区因新建小区入住，单月迁入{EstateMovedIn}人"),
            [code], City.Local(2025, 3, 1), City.Local(2025, 4, 1), [code + "|2025-03"], []);
        return (rows, truth);
    }
}
