using Gongzhi.Core.Territory;
using Xunit;

namespace Gongzhi.Tests.Unit.Territory;

public sealed class PlaceSearchTests
{
    private static readonly TerritoryIndex Index = TerritoryIndex.Build(
    [
        new Place { Code = PlaceCode.Parse("11"), Name = "北京市", NameEn = "Beijing" },
        new Place { Code = PlaceCode.Parse("1101"), Name = "市辖区", IsPseudo = true },
        new Place { Code = PlaceCode.Parse("110101"), Name = "东城区", NameEn = "Dongcheng" },
        new Place { Code = PlaceCode.Parse("110101001"), Name = "东华门街道" },
        new Place { Code = PlaceCode.Parse("110101003"), Name = "东城区", ValidTo = new DateOnly(2020, 1, 1) },
        new Place { Code = PlaceCode.Parse("43"), Name = "长沙市" },
        new Place { Code = PlaceCode.Parse("50"), Name = "重庆市" },
        new Place { Code = PlaceCode.Parse("3502"), Name = "厦门市" },
        new Place { Code = PlaceCode.Parse("3415"), Name = "六安市" },
        new Place { Code = PlaceCode.Parse("140428"), Name = "长子县" },
    ], new DateOnly(2026, 7, 1));

    private static string? First(string text) => Index.Search(text, 5) is [var hit, ..] ? hit.Place.Name : null;

    [Theory]
    [InlineData("dhm", "东华门街道")]
    [InlineData("DHM", "东华门街道")]
    [InlineData("华门", "东华门街道")]
    [InlineData("东华门街道", "东华门街道")]
    [InlineData("beij", "北京市")]
    [InlineData("jing", "北京市")]
    [InlineData("cq", "重庆市")]
    [InlineData("xm", "厦门市")]
    [InlineData("la", "六安市")]
    [InlineData("cs", "长沙市")]
    [InlineData("zzx", "长子县")]
    [InlineData("110101000000", "东城区")]
    [InlineData("3502", "厦门市")]
    [InlineData("zzzz", null)]
    [InlineData("  ", null)]
    [InlineData("'; drop table", null)]
    public void A_place_is_found_by_what_people_type(string text, string? name) => Assert.Equal(name, First(text));

    [Fact]
    public void Exact_comes_first_then_beginning_and_places_in_use_before_retired()
    {
        var hits = Index.Search("东城区", 10);
        Assert.Equal(["110101", "110101003"], hits.Select(hit => hit.Place.Code.ToString()));
        Assert.All(hits, hit => Assert.Equal(PlaceMatch.Exact, hit.Match));
        Assert.Equal([PlaceMatch.Prefix, PlaceMatch.Prefix, PlaceMatch.Prefix], Index.Search("东", 10).Select(hit => hit.Match));
        Assert.Equal(["东城区"], Index.Search("东", 1).Select(hit => hit.Place.Name));
    }

    [Fact]
    public void Search_stays_within_a_scope_and_a_limit()
    {
        Assert.Empty(Index.Search("东", 10, Index.Within(PlaceCode.Parse("50"))));
        Assert.Equal(3, Index.Search("东", int.MaxValue, Index.Within(PlaceCode.Parse("11"))).Count);
        Assert.Empty(Index.Search(new string('东', 10_000), 10));
    }
}
