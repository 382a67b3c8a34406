using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Resources;
using System.Text;
using System.Text.RegularExpressions;
using Gongzhi.Ui;
using Xunit;

namespace Gongzhi.Tests.Ui;

public sealed partial class StyleTests
{
    private static readonly string Css = Read();

    [Fact]
    public void The_style_sheet_is_small_and_asks_nobody_else_for_anything()
    {
        Assert.True(Encoding.UTF8.GetByteCount(Css) < 28_000);
        Assert.DoesNotContain("url(", Css);
        Assert.DoesNotContain("@import", Css);
    }

    // Text needs 4.5:1, borders of controls and the focus ring 3:1 (WCAG 2.2, 1.4.3 and 1.4.11).
    [Theory]
    [InlineData("text", "bg", 4.5)]
    [InlineData("text", "surface", 4.5)]
    [InlineData("text", "sunken", 4.5)]
    [InlineData("text", "accent-soft", 4.5)]
    [InlineData("text", "good-soft", 4.5)]
    [InlineData("text", "warn-soft", 4.5)]
    [InlineData("text", "bad-soft", 4.5)]
    [InlineData("muted", "bg", 4.5)]
    [InlineData("muted", "surface", 4.5)]
    [InlineData("muted", "sunken", 4.5)]
    [InlineData("muted", "accent-soft", 4.5)]
    [InlineData("accent", "bg", 4.5)]
    [InlineData("accent", "surface", 4.5)]
    [InlineData("accent", "accent-soft", 4.5)]
    [InlineData("accent-ink", "accent", 4.5)]
    [InlineData("accent-ink", "accent-strong", 4.5)]
    [InlineData("good", "good-soft", 4.5)]
    [InlineData("good", "surface", 4.5)]
    [InlineData("warn", "warn-soft", 4.5)]
    [InlineData("warn", "surface", 4.5)]
    [InlineData("bad", "bad-soft", 4.5)]
    [InlineData("bad", "surface", 4.5)]
    [InlineData("bad", "bg", 4.5)]
    [InlineData("control", "surface", 3)]
    [InlineData("control", "bg", 3)]
    public void Colours_contrast_enough_in_light_and_dark(string front, string back, double least)
    {
        foreach (var block in new[] { ":root {", ":root:not([data-theme=\"light\"]) {", ":root[data-theme=\"dark\"] {" })
        {
            var tokens = Tokens(block);
            var ratio = Contrast(tokens[front], tokens[back]);
            Assert.True(ratio >= least, string.Create(CultureInfo.InvariantCulture, $"{block} {front} on {back}: {ratio:0.00}"));
        }
    }

    [Theory]
    [InlineData("watch")]
    [InlineData("iv")]
    [InlineData("iii")]
    [InlineData("ii")]
    [InlineData("i")]
    public void Words_on_the_posture_band_can_be_read(string posture)
    {
        var tokens = Tokens($"[data-posture=\"{posture}\"] {{");
        Assert.True(Contrast(tokens.GetValueOrDefault("posture-ink", "#ffffff"), tokens["posture"]) >= 4.5);
    }

    [Fact]
    public void Both_dark_blocks_are_the_same() =>
        Assert.Equal(Tokens(":root:not([data-theme=\"light\"]) {"), Tokens(":root[data-theme=\"dark\"] {"));

    [Fact]
    public void Both_languages_have_the_same_sentences_with_the_same_holes()
    {
        var resources = new ResourceManager(typeof(UiText).FullName!, typeof(UiText).Assembly);
        var english = Sentences(resources.GetResourceSet(CultureInfo.InvariantCulture, true, false)!);
        var chinese = Sentences(resources.GetResourceSet(CultureInfo.GetCultureInfo("zh-CN"), true, false)!);
        Assert.NotEmpty(english);
        Assert.Equal(english.Keys.Order(), chinese.Keys.Order());
        foreach (var (key, text) in english)
        {
            // A form for one ("1 day ago") may say the number in words.
            if (!key.EndsWith("One", StringComparison.Ordinal))
                Assert.True(Holes(text).SequenceEqual(Holes(chinese[key])), key);
            Assert.False(string.IsNullOrWhiteSpace(chinese[key]), key);
        }
    }

    [Fact]
    public void Traps_of_the_glossary_are_not_stepped_into()
    {
        var resources = new ResourceManager(typeof(UiText).FullName!, typeof(UiText).Assembly);
        foreach (var text in Sentences(resources.GetResourceSet(CultureInfo.GetCultureInfo("zh-CN"), true, false)!).Values)
        {
            Assert.DoesNotContain("令状", text);
            Assert.DoesNotContain("案件", text);
            Assert.DoesNotContain("台账", text);
            Assert.DoesNotContain("党", text);
        }
    }

    private static Dictionary<string, string> Sentences(ResourceSet set) =>
        set.Cast<DictionaryEntry>().ToDictionary(x => (string)x.Key, x => (string)x.Value!);

    private static IEnumerable<string> Holes(string text) => Hole().Matches(text).Select(x => x.Value).Distinct().Order();

    private static string Read()
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("gongzhi.css")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    private static Dictionary<string, string> Tokens(string block)
    {
        var start = Css.IndexOf(block, StringComparison.Ordinal);
        Assert.True(start >= 0, block);
        var body = Css[start..Css.IndexOf('}', start)];
        return Token().Matches(body).ToDictionary(x => x.Groups[1].Value, x => x.Groups[2].Value);
    }

    private static double Contrast(string one, string other)
    {
        var (a, b) = (Luminance(one), Luminance(other));
        return (Math.Max(a, b) + 0.05) / (Math.Min(a, b) + 0.05);
    }

    private static double Luminance(string hex)
    {
        double Channel(int at)
        {
            var value = int.Parse(hex.AsSpan(at, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture) / 255.0;
            return value <= 0.04045 ? value / 12.92 : Math.Pow((value + 0.055) / 1.055, 2.4);
        }

        return (0.2126 * Channel(1)) + (0.7152 * Channel(3)) + (0.0722 * Channel(5));
    }

    [GeneratedRegex("--([a-z-]+): (#[0-9a-f]{6});")]
    private static partial Regex Token();

    [GeneratedRegex(@"\{\d[^}]*\}")]
    private static partial Regex Hole();
}
