using System.Globalization;

namespace Gongzhi.SampleCity;

/// <summary>Draws the tree: how many of what are where, their codes, names and shapes.</summary>
internal static class TerritoryBuilder
{
    public const string ProvinceCode = "99";
    public const string CityCode = "9901";
    public const int StreetCount = 24;
    public const int CommunityCount = 200;
    public const int CellCount = 2_000;

    /// <summary>All places, parents before children, in the order of codes within each level.</summary>
    public static List<Place> Build(ulong seed)
    {
        var layout = new SampleRandom(seed, RandomStream.Layout);
        int[] streetsIn = [7, 6, 6, 5];
        layout.Shuffle(streetsIn);
        var communitiesIn = Spread(StreetCount, CommunityCount, 6, 11, layout);
        var cellsIn = Spread(CommunityCount, CellCount, 8, 13, layout);
        var communityNames = PlaceNames.Communities(CommunityCount, new SampleRandom(seed, RandomStream.PlaceNames));

        var drafts = new List<Draft>();
        var sheet = new Subdivision(new SampleRandom(seed, RandomStream.Shapes));
        var outline = sheet.Outline();
        drafts.Add(new(ProvinceCode, null, PlaceLevel.Province, PlaceNames.Province, outline));
        drafts.Add(new(CityCode, ProvinceCode, PlaceLevel.City, PlaceNames.City, outline));

        // Sizes follow the number of cells beneath, so cells come out alike before the sheet is bent.
        var cellsOfStreet = Sums(communitiesIn, cellsIn);
        var cellsOfDistrict = Sums(streetsIn, cellsOfStreet);
        var (street, community) = (0, 0);
        var districtRings = sheet.Divide(outline, cellsOfDistrict);
        for (var d = 0; d < districtRings.Count; d++)
        {
            var district = Add(CityCode, d + 1, 2, PlaceLevel.District, PlaceNames.Districts[d], districtRings[d]);
            var streetRings = sheet.Divide(districtRings[d], cellsOfStreet[street..(street + streetsIn[d])]);
            for (var s = 0; s < streetRings.Count; s++, street++)
            {
                var streetCode = Add(district, s + 1, 3, PlaceLevel.Street, PlaceNames.Streets[street], streetRings[s]);
                var communityRings = sheet.Divide(streetRings[s], cellsIn[community..(community + communitiesIn[street])]);
                for (var c = 0; c < communityRings.Count; c++, community++)
                {
                    var name = communityNames[community];
                    var communityCode = Add(
                        streetCode, c + 1, 3, PlaceLevel.Community, new(name.En + " Community", name.Zh + "社区"), communityRings[c]);
                    var equal = new int[cellsIn[community]];
                    Array.Fill(equal, 1);
                    var cellRings = sheet.Divide(communityRings[c], equal);
                    for (var k = 0; k < cellRings.Count; k++)
                    {
                        var number = (k + 1).ToString("000", CultureInfo.InvariantCulture);
                        Add(communityCode, k + 1, 3, PlaceLevel.Cell, new($"{name.En} Cell {number}", $"{name.Zh}社区第{number}网格"), cellRings[k]);
                    }
                }
            }
        }

        // Shapes are taken last: until every cut is made, an edge may still gain corners.
        return [.. drafts.OrderBy(draft => draft.Level).ThenBy(draft => draft.Code, StringComparer.Ordinal).Select(draft => draft.Finish(sheet))];

        string Add(string parent, int number, int digits, PlaceLevel level, Bilingual name, int[] ring)
        {
            var code = parent + number.ToString(digits == 2 ? "00" : "000", CultureInfo.InvariantCulture);
            drafts.Add(new(code, parent, level, name, ring));
            return code;
        }
    }

    /// <summary>Splits a total over groups about evenly, moving ones at random between groups that stay within the bounds.</summary>
    private static int[] Spread(int groups, int total, int low, int high, SampleRandom random)
    {
        var sizes = new int[groups];
        for (var i = 0; i < groups; i++)
            sizes[i] = total / groups + (i < total % groups ? 1 : 0);
        for (var move = 0; move < groups * 3; move++)
        {
            var (from, to) = (random.Below(groups), random.Below(groups));
            if (from == to || sizes[from] <= low || sizes[to] >= high)
                continue;
            sizes[from]--;
            sizes[to]++;
        }
        return sizes;
    }

    private static int[] Sums(int[] groupSizes, int[] values)
    {
        var sums = new int[groupSizes.Length];
        var next = 0;
        for (var group = 0; group < sums.Length; group++)
        {
            for (var i = 0; i < groupSizes[group]; i++)
                sums[group] += values[next++];
        }
        return sums;
    }

    private sealed record Draft(string Code, string? Parent, PlaceLevel Level, Bilingual Name, int[] Ring)
    {
        public Place Finish(Subdivision sheet)
        {
            var ring = sheet.Draw(Ring);
            return new(Code, Parent, Level, Name.Zh, Name.En, ring, CentreOf(ring));
        }
    }

    /// <summary>Centre of gravity, measured from the first corner so that large coordinates do not eat the precision.</summary>
    private static GeoPoint CentreOf(GeoPoint[] ring)
    {
        var (area, x, y) = (0.0, 0.0, 0.0);
        for (var i = 1; i + 2 < ring.Length; i++)
        {
            double ax = ring[i].LongitudeE6 - ring[0].LongitudeE6, ay = ring[i].LatitudeE6 - ring[0].LatitudeE6;
            double bx = ring[i + 1].LongitudeE6 - ring[0].LongitudeE6, by = ring[i + 1].LatitudeE6 - ring[0].LatitudeE6;
            var cross = ax * by - bx * ay;
            area += cross;
            x += cross * (ax + bx);
            y += cross * (ay + by);
        }
        return new(ring[0].LongitudeE6 + (int)Math.Round(x / (3 * area)), ring[0].LatitudeE6 + (int)Math.Round(y / (3 * area)));
    }
}
