using Gongzhi.Core.Territory;
using Xunit;

namespace Gongzhi.Tests.Unit.Territory;

/// <summary>The published national tables, when the test data is at hand.</summary>
public sealed class NationalDivisionsTests
{
    private static readonly Lazy<(DivisionImport Import, TerritoryIndex Index)> Country = new(() =>
    {
        var import = DivisionCsv.ReadFolder(Path.Combine(Environment.GetEnvironmentVariable("GONGZHI_TESTDATA")!, "city", "admin_china"));
        return (import, TerritoryIndex.Build(import.Places, new DateOnly(2026, 7, 1)));
    });

    private static (DivisionImport Import, TerritoryIndex Index) Load()
    {
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable("GONGZHI_TESTDATA"))) Assert.Skip("set GONGZHI_TESTDATA");
        return Country.Value;
    }

    [Fact]
    public void Every_published_code_is_read_and_hangs_on_a_parent()
    {
        var (import, index) = Load();
        Assert.Empty(import.Errors);

        // 44,703 rows; Dongguan, Zhongshan and Danzhou stand twice (as city and as their own county), Jinmen as county and as its own street.
        Assert.Equal(4, import.Merged);
        Assert.Equal(44_699, import.Places.Count);
        foreach (var place in import.Places)
        {
            Assert.Equal(place.Code, PlaceCode.Parse(place.Code.Display12));
            Assert.Equal(place.Code, PlaceCode.Parse(place.Code.ToString()));
            Assert.True(place.Parent.IsNone ? place.Level == PlaceLevel.Province : index.IsKnown(place.Parent));
        }

        Assert.Equal(31, index.Children(default).Count);
        Assert.Equal(36, index.Children(PlaceCode.Parse("441900000000")).Count);
        Assert.Equal(["北京市", "东城区", "东华门街道"], index.Path(PlaceCode.Parse("110101001")).Select(place => place.Name));
        Assert.Equal(["广东省", "东莞市"], index.Path(PlaceCode.Parse("441900003")).Take(2).Select(place => place.Name));
    }

    [Fact]
    public void Nearly_every_character_of_a_name_has_a_letter()
    {
        var (import, _) = Load();
        var without = import.Places.SelectMany(place => place.Name.Zip(PinyinInitials.Of(place.Name)))
            .Where(pair => pair.Second == PinyinInitials.Unknown && char.IsLetter(pair.First)).Select(pair => pair.First).Distinct().Order().ToArray();
        Assert.Equal("㯊䃥䢺".Order(), without);
    }

    [Theory]
    [InlineData("dhm", "东华门街道")]
    [InlineData("东华门", "东华门街道")]
    [InlineData("bjs", "北京市")]
    [InlineData("cqs", "重庆市")]
    [InlineData("xms", "厦门市")]
    [InlineData("las", "六安市")]
    [InlineData("css", "长沙市")]
    [InlineData("110101", "东城区")]
    public void Known_places_are_among_the_first_hits(string text, string name) =>
        Assert.Contains(name, Load().Index.Search(text, 20).Select(hit => hit.Place.Name));

    [Theory]
    [InlineData("dhm")]
    [InlineData("镇")]
    [InlineData("街道")]
    [InlineData("1101")]
    [InlineData("不存在")]
    public void A_search_of_the_whole_country_makes_little_however_many_places_match(string text)
    {
        var (_, index) = Load();
        index.Search(text, 20);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.True(index.Search(text, 20).Count <= 20);
        // A copy of the names alone would be more than a megabyte.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }
}
