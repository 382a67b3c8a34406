using System.Text;
using System.Text.RegularExpressions;
using CsCheck;
using Gongzhi.Core.Intake;

namespace Gongzhi.Tests.Unit.Intake;

public sealed class BytePatternTests
{
    [Theory]
    [InlineData("^9901[0-9]{12}$")]
    [InlineData("[A-Z]{2}-[0-9]+")]
    [InlineData("^[a-z]*[0-9]{2,4}$")]
    [InlineData("[0-9]{3,}")]
    [InlineData("[A-Za-z0-9]{18}")]
    [InlineData("a?b")]
    [InlineData("")]
    public void Agrees_with_the_regular_expression(string pattern)
    {
        var ours = BytePattern.TryCreate(pattern);
        Assert.NotNull(ours);
        var theirs = new Regex($@"\A(?:{pattern})\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        // Texts near the pattern: digits, letters and a few strangers, long enough to reach every count.
        var text = Gen.Char["0123456789abzABZ-9901\n ９é"].Array[0, 20].Select(c => new string(c));
        text.Sample(t => Assert.Equal(theirs.IsMatch(t), ours.IsMatch(Encoding.UTF8.GetBytes(t))));
        foreach (var t in (string[])["9901123456789012", "9901123456789012\n", "99011234567890123", "AB-1", "AB-", "ab12", "12345", "1234", "123", "b", "ab", "aab", ""])
            Assert.Equal(theirs.IsMatch(t), ours.IsMatch(Encoding.UTF8.GetBytes(t)));
    }

    [Theory]
    [InlineData("[0-9]*[0-9]{2}")]
    [InlineData("a|b")]
    [InlineData("(ab)+")]
    [InlineData(@"\d{4}")]
    [InlineData("[^a]")]
    [InlineData("a.c")]
    [InlineData("a+?")]
    [InlineData("[]a]")]
    [InlineData("京[0-9]")]
    [InlineData("a{2")]
    public void Leaves_what_it_cannot_match(string pattern) => Assert.Null(BytePattern.TryCreate(pattern));
}
