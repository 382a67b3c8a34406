using System.Text;
using System.Text.Json;
using CsCheck;
using Gongzhi.Core.Territory;
using Xunit;

namespace Gongzhi.Tests.Unit.Territory;

public sealed class PlaceCodeTests
{
    [Theory]
    [InlineData("12", "12", PlaceLevel.Province)]
    [InlineData("120000", "12", PlaceLevel.Province)]
    [InlineData("120000000000", "12", PlaceLevel.Province)]
    [InlineData("120101000000", "120101", PlaceLevel.County)]
    [InlineData("441900", "4419", PlaceLevel.Prefecture)]
    [InlineData("441900000000", "4419", PlaceLevel.Prefecture)]
    [InlineData("441900003", "441900003", PlaceLevel.Street)]
    [InlineData("441900003000", "441900003", PlaceLevel.Street)]
    [InlineData("469001", "469001", PlaceLevel.County)]
    [InlineData("110101001010", "110101001010", PlaceLevel.Community)]
    [InlineData("110101001010007", "110101001010007", PlaceLevel.Cell)]
    [InlineData("110101001010000", "110101001010", PlaceLevel.Community)]
    [InlineData("20", "20", PlaceLevel.Province)]
    public void Any_form_of_a_code_becomes_the_stripped_one(string text, string stripped, PlaceLevel level)
    {
        Assert.True(PlaceCode.TryParse(text, out var code));
        Assert.True(PlaceCode.TryParse(Encoding.UTF8.GetBytes(text), out var fromBytes));
        Assert.Equal(code, fromBytes);
        Assert.Equal(stripped, code.ToString());
        Assert.Equal(level, code.Level);
        Assert.Equal(stripped.Length, code.Length);
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("123")]
    [InlineData("11010")]
    [InlineData("01")]
    [InlineData("00")]
    [InlineData("000000000000")]
    [InlineData("11 1")]
    [InlineData("１１")]
    [InlineData("-1")]
    [InlineData("1101010010100071")]
    [InlineData("11010x")]
    public void Anything_else_is_refused(string text)
    {
        Assert.False(PlaceCode.TryParse(text, out var code));
        Assert.True(code.IsNone);
        Assert.False(PlaceCode.TryParse(Encoding.UTF8.GetBytes(text), out _));
    }

    [Fact]
    public void Parents_pass_over_segments_of_zeros()
    {
        Assert.Equal(PlaceCode.Parse("4419"), PlaceCode.Parse("441900003").Parent);
        Assert.Equal(PlaceCode.Parse("44"), PlaceCode.Parse("4419").Parent);
        Assert.True(PlaceCode.Parse("44").Parent.IsNone);
        Assert.Equal(PlaceCode.Parse("110101001010"), PlaceCode.Parse("110101001010007").Parent);
    }

    [Fact]
    public void Cells_are_numbered_inside_a_community()
    {
        var community = PlaceCode.Parse("110101001010");
        Assert.Equal("110101001010007", PlaceCode.Cell(community, 7).Display12);
        Assert.Throws<ArgumentOutOfRangeException>(() => PlaceCode.Cell(community, 1000));
        Assert.Throws<ArgumentException>(() => PlaceCode.Cell(PlaceCode.Parse("110101001"), 1));
    }

    [Fact]
    public void Json_shows_twelve_digits_and_reads_any_form()
    {
        Assert.Equal("\"120000000000\"", JsonSerializer.Serialize(PlaceCode.Parse("12")));
        Assert.Equal(PlaceCode.Parse("12"), JsonSerializer.Deserialize<PlaceCode>("\"1200\""));
        Assert.Throws<JsonException>(() => JsonSerializer.Deserialize<PlaceCode>("12"));
    }

    [Fact]
    public void Reading_does_not_allocate()
    {
        var good = "441900003000"u8.ToArray();
        var bad = "441900003x00"u8.ToArray();
        Assert.True(PlaceCode.TryParse(good, out _));
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) _ = PlaceCode.TryParse(good, out _) ^ PlaceCode.TryParse(bad, out _);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void Order_and_inside_agree_with_the_stripped_texts()
    {
        var segment2 = Gen.OneOf(Gen.Const(0), Gen.Int[0, 99]);
        var segment3 = Gen.OneOf(Gen.Const(0), Gen.Int[0, 999]);
        var codes = Gen.Select(Gen.Int[10, 12], segment2, segment2, segment3, segment3, segment3)
            .Select((a, b, c, d, e, f) => PlaceCode.Parse($"{a:D2}{b:D2}{c:D2}{d:D3}{e:D3}{f:D3}"));
        Gen.Select(codes, codes).Sample((one, other) =>
        {
            Assert.Equal(one, PlaceCode.Parse(one.ToString()));
            Assert.Equal(one, PlaceCode.Parse(one.Display12));
            Assert.Equal(one, PlaceCode.FromPacked(one.Packed));
            Assert.Equal(Math.Sign(string.CompareOrdinal(one.ToString(), other.ToString())), Math.Sign(one.CompareTo(other)));
            Assert.Equal(one.ToString().StartsWith(other.ToString(), StringComparison.Ordinal), one.IsWithin(other));
            Assert.True(one.Parent.IsNone ? one.Level == PlaceLevel.Province : one.IsWithin(one.Parent) && one.Parent < one);

            var range = Assert.Single(PlaceRanges.Prefix(one));
            var text = other.ToString();
            Assert.Equal(other.IsWithin(one), string.CompareOrdinal(text, range.From) >= 0 && string.CompareOrdinal(text, range.To) < 0);
        });
    }

    [Fact]
    public void The_last_region_has_an_upper_end_too()
    {
        Assert.Equal(new PlaceRange("99", "A"), Assert.Single(PlaceRanges.Prefix(PlaceCode.Parse("99"))));
        Assert.Equal(new PlaceRange("1199", "12"), Assert.Single(PlaceRanges.Prefix(PlaceCode.Parse("1199"))));
    }
}
