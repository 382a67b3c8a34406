using CsCheck;
using Gongzhi.Core.Storage;
using Gongzhi.Privacy;
using Xunit;

namespace Gongzhi.Tests.Unit.Privacy;

public sealed class TransformTests
{
    [Theory]
    [InlineData("name", "王小明", "王**")]
    [InlineData("name", "欧阳", "欧**")]
    [InlineData("name", "Ada Lovelace", "A**")]
    [InlineData("name", "𠮷田", "𠮷**")]
    [InlineData("name", "王", "***")]
    [InlineData("name", "", "***")]
    [InlineData("phone", "13812341234", "138****1234")]
    [InlineData("phone", "+8613812341234", "+86****1234")]
    [InlineData("phone", "110", "***")]
    [InlineData("identity-number", "11010119900307123X", "110101***********X")]
    [InlineData("identity-number", "110101900307123", "110101***********3")]
    [InlineData("identity-number", "11010119900307", "***")]
    [InlineData("card", "6222020200012345678", "****5678")]
    [InlineData("card", "12345678901", "***")]
    [InlineData("all", "anything", "***")]
    [InlineData("all", "", "***")]
    [InlineData("name", null, null)]
    public void Masks_show_what_the_guide_says(string mask, string? value, string? shown) => Assert.Equal(shown, Masks.Apply(mask, value));

    [Fact]
    public void An_unknown_mask_is_refused() => Assert.Throws<ArgumentException>(() => Masks.Apply("nose", "x"));

    [Fact]
    public void Pseudonyms_are_the_documented_bytes()
    {
        // printf '%032d%s' … | sha256sum: the key is 32 bytes 0x30, the value "6222".
        var key = Enumerable.Repeat((byte)'0', 32).ToArray();
        var expected = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("000000000000000000000000000000006222"u8))[..32];
        Assert.Equal(expected, Pseudonym.Of(key, "6222"));
        Assert.Null(Pseudonym.Of(key, null));
        Assert.Throws<ArgumentException>(() => Pseudonym.Of(key.AsSpan(1), "x"));
        key[0] ^= 1;
        Assert.NotEqual(expected, Pseudonym.Of(key, "6222"));
    }

    [Fact]
    public void Steps_round_down_and_stay_near() =>
        Gen.Select(Gen.Long[-1_000_000_000_000, 1_000_000_000_000], Gen.Long[1, 1_000_000]).Sample((value, step) =>
        {
            var coarse = Generalise.Number(value, step);
            return coarse % step == 0 && coarse <= value && value - coarse < step;
        });

    [Fact]
    public void Coarser_dates_and_places()
    {
        Assert.Equal(new DateOnly(2010, 5, 1), Generalise.Date(new(2010, 5, 31), "month"));
        Assert.Equal(new DateOnly(2010, 1, 1), Generalise.Date(new(2010, 5, 31), "year"));
        Assert.Equal(2010 * 12, Generalise.YearMonth((2010 * 12) + 11));
        Assert.Equal("1201", Generalise.Place("120105001", "4"));
        Assert.Equal("12", Generalise.Place("12", "4"));
        Assert.Equal(-1.5, Generalise.Number(-1.2, 0.5));
        Assert.Throws<OverflowException>(() => Generalise.Number(long.MinValue, 10));
        var shanghai = TimeZoneInfo.FindSystemTimeZoneById("Asia/Shanghai");
        var newYear = Microseconds.From(new DateTimeOffset(2010, 1, 1, 0, 0, 0, TimeSpan.FromHours(8)));
        Assert.Equal(new DateOnly(2010, 1, 1), Generalise.Moment(newYear, "month", shanghai));
        Assert.Equal(new DateOnly(2010, 1, 1), Generalise.Moment(newYear + 1, "year", shanghai));
        Assert.Equal(new DateOnly(2009, 12, 1), Generalise.Moment(newYear - 1, "month", shanghai));
    }
}
