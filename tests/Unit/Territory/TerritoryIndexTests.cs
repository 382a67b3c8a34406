using CsCheck;
using Gongzhi.Core.Territory;
using Xunit;

namespace Gongzhi.Tests.Unit.Territory;

public sealed class TerritoryIndexTests
{
    private static readonly DateOnly Today = new(2026, 7, 1);
    private static readonly DateOnly Reform = new(2020, 1, 1);

    private static PlaceCode Code(string text) => PlaceCode.Parse(text);

    private static Place At(string code, string name, string? successors = null, string? zone = null, DateOnly? validFrom = null) => new()
    {
        Code = Code(code),
        Name = name,
        ValidFrom = validFrom,
        ValidTo = successors is null ? null : Reform,
        Successors = successors is null ? [] : [.. successors.Split(' ').Select(Code)],
        AdministeredBy = zone is null ? default : Code(zone),
    };

    // Two prefectures; district 990103 merged into 990102; 990104 split into 990101 and 990201; county 990203 moved over to 990105;
    // the zone 990190 runs a street of 990101 and one of 990201.
    private static readonly TerritoryIndex City = TerritoryIndex.Build(
    [
        At("99", "示例省"), At("9901", "东市"), At("9902", "西市"),
        At("990101", "城关区"), At("990102", "河东区"), At("990103", "河西区", "990102"), At("990104", "旧区", "990101 990201"),
        At("990105", "新县", validFrom: Reform), At("990190", "高新区"),
        At("990201", "西城区"), At("990203", "老县", "990105"),
        At("990101001", "一街道"), At("990101002", "二街道", zone: "990190"), At("990103001", "三街道"),
        At("990201001", "四街道"), At("990201002", "五街道", zone: "990190"), At("990203100", "老镇"),
    ], Today);

    private static bool Covers(string scope, string code)
    {
        var ranges = City.Within(Code(scope));
        var byRange = ranges.Any(range => string.CompareOrdinal(code, range.From) >= 0 && string.CompareOrdinal(code, range.To) < 0);
        Assert.Equal(byRange, ranges.Contains(Code(code)));
        return byRange;
    }

    [Fact]
    public void A_record_from_before_a_merger_is_accepted_and_rolls_up()
    {
        Assert.True(City.ValidAt(Code("990103"), new DateOnly(2019, 6, 1)));
        Assert.False(City.ValidAt(Code("990103"), Reform));
        Assert.False(City.ValidAt(Code("990105"), new DateOnly(2019, 6, 1)));
        Assert.False(City.ValidAt(Code("990177"), new DateOnly(2019, 6, 1)));
        Assert.Equal([Code("990102")], City.RollUp(Code("990103")));
        Assert.Equal([Code("990101"), Code("990201")], City.RollUp(Code("990104")));
        Assert.Equal([Code("990101")], City.RollUp(Code("990101")));
    }

    [Fact]
    public void Codes_are_grouped_by_what_stands_today()
    {
        Assert.Equal("990102", Group("990103", PlaceLevel.County));
        Assert.Equal("990102", Group("990103001", PlaceLevel.County));
        Assert.Equal("990103001", Group("990103001", PlaceLevel.Street));
        Assert.Equal("9901", Group("990103001", PlaceLevel.Prefecture));
        // The county moved to the other prefecture; the zone's streets are the zone's, and in the zone's prefecture.
        Assert.Equal("990105", Group("990203100", PlaceLevel.County));
        Assert.Equal("9901", Group("990203100", PlaceLevel.Prefecture));
        Assert.Equal("990190", Group("990101002", PlaceLevel.County));
        Assert.Equal("990190", Group("990201002005", PlaceLevel.County));
        Assert.Equal("9901", Group("990201002", PlaceLevel.Prefecture));
        Assert.Equal("9902", Group("990201001", PlaceLevel.Prefecture));
        // Split between two prefectures: shown as what it was, but still in the province.
        Assert.Equal("990104", Group("990104", PlaceLevel.County));
        Assert.Equal("9901", Group("990104", PlaceLevel.Prefecture));
        Assert.Equal("99", Group("990104", PlaceLevel.Province));
        Assert.Equal("990101", Group("990101001", PlaceLevel.County));
        Assert.Equal("9901", Group("9901", PlaceLevel.County));
        Assert.Empty(City.Groups(PlaceLevel.Province).Prefixes);
        var plain = TerritoryIndex.Build([At("99", "示例省"), At("9901", "东市")], Today);
        Assert.All(Enum.GetValues<PlaceLevel>().Skip(1), level => Assert.Empty(plain.Groups(level).Prefixes.Concat(plain.Groups(level).Whole)));

        static string Group(string code, PlaceLevel level)
        {
            var groups = City.Groups(level);
            foreach (var (prefix, group) in groups.Prefixes)
            {
                if (code.StartsWith(prefix.ToString(), StringComparison.Ordinal)) return group.ToString();
            }
            foreach (var (whole, group) in groups.Whole)
            {
                if (code == whole.ToString()) return group.ToString();
            }
            return Code(code).At(level).ToString();
        }
    }

    [Fact]
    public void A_street_is_in_use_no_longer_than_what_it_lies_in()
    {
        Assert.True(City.ValidAt(Code("990103001"), Reform.AddDays(-1)));
        Assert.False(City.ValidAt(Code("990103001"), Reform));
        Assert.Equal(["990103"], City.DatesOf(Code("990103001")).Select(p => p.Code.ToString()));
        Assert.Empty(City.DatesOf(Code("990101001")));
    }

    [Fact]
    public void Known_codes_are_found_in_any_form_without_allocating()
    {
        Assert.True(City.IsKnown("990101000000"));
        Assert.True(City.IsKnown("990101"u8));
        Assert.False(City.IsKnown("990177"u8));
        Assert.False(City.IsKnown("不是代码"u8));
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) City.IsKnown("990101001000"u8);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Theory]
    [InlineData("990102", "990102", true)]
    [InlineData("990102", "990103", true)] // merged into it
    [InlineData("990102", "990103001", true)] // and what was inside
    [InlineData("990101", "990104", false)] // half of a split is not the whole
    [InlineData("99", "990104", true)] // both halves are in the province
    [InlineData("9901", "990104", false)] // its own prefix, but half went away
    [InlineData("9901", "990203", true)] // came over from the other prefecture
    [InlineData("9901", "990203100", true)]
    [InlineData("9902", "990203", false)]
    [InlineData("9902", "990203100", false)]
    [InlineData("990190", "990101002", true)] // run by the zone
    [InlineData("990190", "990201002", true)]
    [InlineData("990101", "990101002", false)]
    [InlineData("990101", "990101001", true)]
    [InlineData("990201", "990201002", false)]
    [InlineData("9901", "990201002", true)] // by way of the zone, which lies in 9901
    [InlineData("9902", "990201002", false)]
    [InlineData("990103", "990103001", true)] // a retired scope keeps its history
    [InlineData("990101002", "990101002", true)]
    [InlineData("990101", "9901", false)]
    public void Within_says_who_a_place_belongs_to_today(string scope, string code, bool expected) => Assert.Equal(expected, Covers(scope, code));

    [Fact]
    public void Ranges_are_as_few_as_can_be()
    {
        Assert.Equal([new PlaceRange("99", "A")], City.Within(Code("99")));
        Assert.Equal([new PlaceRange("990102", "990104")], City.Within(Code("990102"))); // 990103 touches it
        Assert.Equal([new PlaceRange("990101", "990101002"), new PlaceRange("990101003", "990102")], City.Within(Code("990101")));
        Assert.Empty(City.Within(default));
    }

    [Fact]
    public void Circles_in_the_data_end_and_grant_nothing()
    {
        var index = TerritoryIndex.Build(
            [At("99", "省"), At("9901", "甲", "9902"), At("9902", "乙", "9901"), At("9903", "丙", zone: "990401"), At("9904", "丁"), At("990401", "戊", zone: "9903")], Today);
        Assert.Equal([Code("9901")], index.RollUp(Code("9901")));
        Assert.False(index.IsWithin(Code("9901"), Code("99")));
        Assert.False(index.IsWithin(Code("9903"), Code("9904")));
        Assert.NotNull(index.Ancestors(Code("9903")));
    }

    [Fact]
    public void The_tree_can_be_walked()
    {
        Assert.Equal(["9901", "9902"], City.Children(Code("99")).Select(place => place.Code.ToString()));
        Assert.Equal(["990101", "990102", "990105", "990190"], City.Children(Code("9901")).Select(place => place.Code.ToString()));
        Assert.Equal(["990101001"], City.Children(Code("990101")).Select(place => place.Code.ToString()));
        Assert.Equal(["990101002", "990201002"], City.Children(Code("990190")).Select(place => place.Code.ToString()));
        Assert.Equal(["99"], City.Children(default).Select(place => place.Code.ToString()));
        Assert.Equal(["示例省", "东市", "高新区", "五街道"], City.Path(Code("990201002")).Select(place => place.Name));
    }

    [Fact]
    public void Grants_over_several_scopes_join_and_filters_under_them_cut()
    {
        var both = City.Within(Code("990101")).Union(City.Within(Code("990190")));
        Assert.True(both.Contains(Code("990101002")));
        Assert.Equal(["990101", "990190", "990201002"], both.Select(range => range.From));
        var cut = both.Intersect(City.Within(Code("9902")));
        Assert.Empty(cut); // the street with a code in 9902 is run by a zone in 9901
        Assert.Equal([new PlaceRange("990101002", "990101003")], City.Within(Code("990190")).Intersect(PlaceRanges.Prefix(Code("990101"))));
        Assert.False(both.Contains(default));
    }

    [Fact]
    public void A_reform_takes_effect_on_its_day()
    {
        Place[] places = [At("99", "省"), At("9901", "甲", "9902"), At("9902", "乙", validFrom: Reform)];
        var before = TerritoryIndex.Build(places, Reform.AddDays(-1));
        Assert.Equal([Code("9901")], before.RollUp(Code("9901")));
        Assert.False(before.IsWithin(Code("9901"), Code("9902")));
        Assert.True(TerritoryIndex.Build(places, Reform).IsWithin(Code("9901"), Code("9902")));
    }

    [Fact]
    public void A_code_twice_is_refused() =>
        Assert.Throws<ArgumentException>(() => TerritoryIndex.Build([At("99", "a"), At("99", "b")], Today));

    [Fact]
    public void Ranges_agree_with_walking_the_links_one_by_one()
    {
        // Small random trees with reforms and zones; the oracle asks each place's owner in turn.
        string[] all = [.. from prefecture in Enumerable.Range(1, 2) from county in Enumerable.Range(0, 4) select county == 0 ? $"99{prefecture:D2}" : $"99{prefecture:D2}{county:D2}"];
        var kinds = Gen.Select(Gen.Int[0, 5], Gen.Int[0, all.Length - 1], Gen.Int[0, all.Length - 1]).Array[all.Length];
        Gen.Select(kinds, Gen.Int[0, all.Length - 1]).Sample((kind, scopeAt) =>
        {
            var places = all.Select((code, i) => kind[i].Item1 switch
            {
                0 when kind[i].Item2 > i => At(code, "x", all[kind[i].Item2]),
                1 when kind[i].Item2 > i && kind[i].Item3 > i => At(code, "x", $"{all[kind[i].Item2]} {all[kind[i].Item3]}"),
                2 when kind[i].Item2 > i && code.Length == 6 && all[kind[i].Item2].Length == 6 => At(code, "x", zone: all[kind[i].Item2]),
                _ => At(code, "x"),
            }).Append(At("99", "x")).ToArray();
            var byCode = places.ToDictionary(place => place.Code);
            var index = TerritoryIndex.Build(places, Today);
            var scope = Code(all[scopeAt]);
            var retired = byCode[scope].ValidTo is not null;
            var ranges = index.Within(scope);
            foreach (var place in places) Assert.Equal(Belongs(place.Code, 0), ranges.Contains(place.Code));
            for (var i = 1; i < ranges.Count; i++) Assert.True(string.CompareOrdinal(ranges[i - 1].To, ranges[i].From) < 0);

            bool Belongs(PlaceCode code, int depth)
            {
                if (code == scope || (retired && code.IsWithin(scope))) return true;
                if (code.IsNone || depth > 60) return false;
                var place = byCode[code];
                if (place.Successors.Count > 0) return place.Successors.All(next => Belongs(next, depth + 1));
                return Belongs(place.AdministeredBy.IsNone ? code.Parent : place.AdministeredBy, depth + 1);
            }
        });
    }
}
