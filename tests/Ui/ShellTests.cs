using Gongzhi.Ui;
using Gongzhi.Ui.Components;
using Microsoft.AspNetCore.Components;
using Xunit;

namespace Gongzhi.Tests.Ui;

public sealed class ShellTests
{
    private static readonly RenderFragment Body = builder => builder.AddMarkupContent(0, "<h1>Body</h1>");

    [Fact]
    public async Task The_frame_has_landmarks_a_skip_link_and_the_page_one_is_on()
    {
        var html = await Rendered.As<Shell>("en", new { Body }, state => state.Nav = [new("/", "Home", true), new("/data", "Data"), new("/ledger", "Ledger")]);
        Assert.Contains("href=\"/data?q=a%26b#main\"", html);
        Assert.Contains("<main", html);
        Assert.Contains("id=\"main\"", html);
        Assert.Contains("<a href=\"/data\" aria-current=\"page\">", html);
        Assert.Contains("<a href=\"/ledger\">", html);
        Assert.Contains("/culture?culture=zh-CN&amp;returnUrl=%2Fdata%3Fq%3Da%2526b", html);
        Assert.DoesNotContain("gz-frame", html);
        Assert.DoesNotContain("gz-drill", html);
    }

    [Fact]
    public async Task A_page_below_marks_its_branch_but_the_first_page_marks_only_itself()
    {
        var html = await Rendered.As<Shell>("en", new { Body }, state => state.Nav = [new("/", "Home", true), new("/data", "Data"), new("/da", "Other")], "/data/cards");
        Assert.Contains("<a href=\"/data\" aria-current=\"true\">", html);
        Assert.Contains("<a href=\"/\">Home", html);
        Assert.Contains("<a href=\"/da\">", html);
    }

    [Theory]
    [InlineData(PostureLevel.Watch, "watch", "关注")]
    [InlineData(PostureLevel.EmergencyIV, "iv", "Ⅳ级响应")]
    [InlineData(PostureLevel.EmergencyI, "i", "Ⅰ级响应")]
    public async Task Posture_colours_the_frame_and_is_said_in_words(PostureLevel level, string key, string words)
    {
        var html = await Rendered.As<Shell>("zh-CN", new { Body }, state => state.Posture = level);
        Assert.Contains($"data-posture=\"{key}\"", html);
        Assert.Contains("gz-frame", html);
        Assert.Contains(words, html);
    }

    [Fact]
    public async Task A_drill_is_watermarked_and_said_in_words()
    {
        var html = await Rendered.As<Shell>("zh-CN", new { Body }, state => state.Drill = true);
        Assert.Contains("演练 DRILL", html);
        Assert.Contains("演练：", html);
    }

    [Fact]
    public async Task Signing_out_is_a_post_with_a_token()
    {
        var html = await Rendered.As<Shell>("en", new { Body }, state => state.UserName = "<Zhang>");
        Assert.Contains("<form method=\"post\" action=\"/sign-out\">", html);
        Assert.Contains("__RequestVerificationToken", html);
        Assert.Contains("&lt;Zhang&gt;", html);
    }

    [Fact]
    public async Task Signing_in_leads_back_here_but_never_back_to_signing_in()
    {
        Assert.Contains("href=\"/sign-in?returnUrl=%2Fdata%3Fq%3Da%2526b\"", await Rendered.As<Shell>("en", new { Body }));
        Assert.Contains("href=\"/sign-in\"", await Rendered.As<Shell>("en", new { Body }, path: "/sign-in?returnUrl=%2F"));
    }

    [Fact]
    public async Task Chinese_is_sent_as_itself_and_markup_is_escaped()
    {
        var html = await Rendered.As<Badge>("zh-CN", new { Text = "共治 <b>" });
        Assert.Contains("共治 &lt;b&gt;", html);
    }

    [Theory]
    [InlineData("zh-CN", 30, "刚刚")]
    [InlineData("en", 60, "1 minute ago")]
    [InlineData("en", 7200, "2 hours ago")]
    [InlineData("zh-CN", 172800, "2 天前")]
    [InlineData("zh-CN", 8640000, "2025年11月25日")]
    [InlineData("en", -8640000, "13 June 2026")]
    public async Task A_moment_is_said_as_people_say_it(string culture, int secondsAgo, string words) =>
        Assert.Contains(">" + words + "<", await Rendered.As<RelativeTime>(culture, new { Value = Rendered.Now.AddSeconds(-secondsAgo) }));

    [Theory]
    [InlineData("zh-CN", "2026年3月5日 14:00")]
    [InlineData("en", "5 March 2026, 14:00")]
    public async Task A_moment_is_written_in_the_shells_time_zone_and_marked_up_in_utc(string culture, string words)
    {
        var html = await Rendered.As<When>(culture, new { Value = Rendered.Now });
        Assert.Contains(words, html);
        Assert.Contains("datetime=\"2026-03-05T06:00:00Z\"", html);
    }

    [Fact]
    public async Task Charts_survive_flat_negative_and_empty_values()
    {
        Assert.DoesNotContain("NaN", await Rendered.As<Sparkline>("en", new { Label = "x", Values = (IReadOnlyList<decimal>)[0m, 0m] }));
        Assert.DoesNotContain("<svg", await Rendered.As<Sparkline>("en", new { Label = "x", Values = (IReadOnlyList<decimal>)[1m] }));
        var bars = await Rendered.As<BarChart>("en", new { Caption = "x", Bars = (IReadOnlyList<Bar>)[new("a", -1m), new("b", 0m)] });
        Assert.DoesNotContain("width=\"-", bars);
        Assert.Contains("<table", bars);
        Assert.Contains("gz-state-empty", await Rendered.As<BarChart>("en", new { Caption = "x", Bars = (IReadOnlyList<Bar>)[] }));
    }
}
