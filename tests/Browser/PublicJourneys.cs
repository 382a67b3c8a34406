using System.Text.RegularExpressions;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Posture;
using Gongzhi.Tests.Browser.Pages;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace Gongzhi.Tests.Browser;

/// <summary>What a resident does: look up, download, switch the language, use the keyboard or an old browser.</summary>
public sealed class PublicJourneys(Site site) : BrowserTest(site)
{
    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public Task From_the_first_page_to_a_downloaded_file(string language, int width) => DownloadAsync(language, width, script: true);

    [Theory]
    [InlineData("zh-CN")]
    [InlineData("en")]
    public Task The_same_without_scripts(string language) => DownloadAsync(language, Visit.Phone, script: false);

    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public async Task A_search_narrows_the_catalogue_and_says_when_nothing_is_found(string language, int width)
    {
        var visit = await VisitAsync(language, width);
        await visit.GoAsync("/data");
        var catalogue = new CataloguePage(visit.Page);
        var all = await catalogue.Datasets.CountAsync();
        await catalogue.SearchAsync("", "Open");
        Assert.InRange(await catalogue.Datasets.CountAsync(), 1, all - 1);
        await catalogue.SearchAsync("zzzz");
        Assert.Equal(0, await catalogue.Datasets.CountAsync());
        Assert.True(await catalogue.Empty.IsVisibleAsync());
    }

    [Theory]
    [InlineData("zh-CN", "en")]
    [InlineData("en", "zh-CN")]
    public async Task The_language_is_switched_on_the_spot_and_kept(string first, string then)
    {
        var visit = await VisitAsync(first, Visit.Phone);
        await visit.GoAsync("/data?q=air");
        var page = new CataloguePage(visit.Page);
        Assert.Equal(first, await page.SpokenAsync());
        await page.Language(then).ClickAsync();
        Assert.EndsWith("/data?q=air", visit.Page.Url, StringComparison.Ordinal);
        Assert.Equal(then, await page.SpokenAsync());
        await visit.GoAsync("/ledger");
        Assert.Equal(then, await page.SpokenAsync());
    }

    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public async Task The_keyboard_alone_leads_past_the_frame_to_a_search(string language, int width)
    {
        var visit = await VisitAsync(language, width);
        var page = visit.Page;
        await visit.GoAsync("/");
        await page.Keyboard.PressAsync("Tab");
        Assert.Equal("gz-skip", await FocusedAsync(page, "className"));
        Assert.True(await page.Locator(".gz-skip").EvaluateAsync<bool>("e => e.getBoundingClientRect().top >= 0"));
        await page.Keyboard.PressAsync("Enter");
        await page.Keyboard.PressAsync("Tab");
        Assert.Equal("q", await FocusedAsync(page, "id"));
        await page.Keyboard.TypeAsync("air");
        await page.Keyboard.PressAsync("Enter");
        // Asked for until it holds: an event may come before anybody waits for it.
        await Assertions.Expect(page).ToHaveURLAsync(new Regex(@"/data\?q=air"));
        await Assertions.Expect(new CataloguePage(page).Datasets).Not.ToHaveCountAsync(0);

        // From the top, the order of focus is the order on the page, and each stop can be seen.
        await visit.GoAsync("/");
        var last = -1.0;
        for (var i = 0; i < 6; i++)
        {
            await page.Keyboard.PressAsync("Tab");
            var at = await page.EvaluateAsync<double>("() => [...document.querySelectorAll('*')].indexOf(document.activeElement)");
            Assert.True(at > last, "The focus went back.");
            last = at;
            Assert.NotEqual("none", await page.EvaluateAsync<string>("() => getComputedStyle(document.activeElement).outlineStyle"));
        }
    }

    [Fact]
    public async Task Everything_to_press_is_large_enough_for_a_finger()
    {
        var visit = await VisitAsync("zh-CN", Visit.Phone, "contributor");
        foreach (var path in new[] { "/", "/data", "/data/air-quality", "/ledger", "/upload", "/me", "/account/security" })
        {
            await visit.GoAsync(path);
            // Links inside a sentence are exempt (WCAG 2.2, 2.5.8).
            var small = await visit.Page.EvaluateAsync<string[]>(
                """
                () => [...document.querySelectorAll('a, button, input, select, summary')].filter(e => e.offsetParent && e.type !== 'hidden' && !e.closest('p, dd, td, th, .gz-skip')
                    && (e.getBoundingClientRect().height < 24 || e.getBoundingClientRect().width < 24)).map(e => e.outerHTML.slice(0, 120))
                """);
            Assert.Empty(small);
        }
    }

    [Theory]
    [InlineData("zh-CN", "Ⅲ级响应")]
    [InlineData("en", "III")]
    public async Task The_posture_colours_the_frame_of_every_page_and_a_drill_is_marked_on_each(string language, string words)
    {
        Site.Demand();
        // A node of its own: a posture would colour the pages of all other tests.
        await using var node = await Http.TestNode.StartAsync(o => o with { Kind = Core.WorldKind.Drill });
        using var http = node.NewClient();
        var services = node.App.Services;
        var owner = services.GetRequiredService<PartyDirectory>().Resolve("client:" + Http.TestNode.Client)!;
        await services.GetRequiredService<Core.Territory.TerritoryStore>().ImportAsync(
            [new Core.Territory.Place { Code = Core.Territory.PlaceCode.Parse("120101"), Name = "和平区", NameEn = "Heping District" }], owner.Party, CancellationToken.None);
        var set = await services.GetRequiredService<Postures>().SetAsync(
            owner, "120101", PostureLevel.EmergencyIII, "Flood on the river.", TimeProvider.System.GetUtcNow().AddHours(1));
        Assert.True(set.Ok);
        await using var context = await Site.Browser.NewContextAsync(new() { BaseURL = node.Address.ToString(), Locale = language, ViewportSize = new() { Width = Visit.Phone, Height = 844 } });
        var page = await context.NewPageAsync();
        foreach (var path in new[] { "/", "/data", "/nothing", "/account/sign-in" })
        {
            await page.GotoAsync(path);
            Assert.Contains(words, await page.Locator(".gz-band").InnerTextAsync(), StringComparison.Ordinal);
            Assert.True(await page.Locator(".gz-drillband").IsVisibleAsync());
            Assert.Equal(1, await page.Locator("svg.gz-drill").CountAsync());
            Assert.Equal("rgb(245, 196, 0)", await page.Locator(".gz-frame").EvaluateAsync<string>("e => getComputedStyle(e).borderTopColor"));
        }
        if (Site.Screenshots is { } directory)
            await page.ScreenshotAsync(new() { Path = Path.Combine(directory, $"posture-{language}-390-light.png") });
    }

    private static Task<string> FocusedAsync(IPage page, string property) => page.EvaluateAsync<string>($"() => document.activeElement.{property}");

    private async Task DownloadAsync(string language, int width, bool script)
    {
        var visit = await VisitAsync(language, width, script: script);
        await visit.GoAsync("/");
        await new HomePage(visit.Page).LookUpAsync(language == "en" ? "air" : "空气");
        var catalogue = new CataloguePage(visit.Page);
        Assert.Equal(1, await catalogue.Datasets.CountAsync());
        await catalogue.Datasets.First.ClickAsync();
        var dataset = new DatasetPage(visit.Page);
        Assert.EndsWith("/data/air-quality", visit.Page.Url, StringComparison.Ordinal);
        Assert.Equal(7, await dataset.Fields.CountAsync());
        var (name, text) = await dataset.DownloadAsync(dataset.Downloads.First);
        Assert.Equal("air-quality.csv", name);
        Assert.StartsWith("station,place,observed_at,pm25", text, StringComparison.Ordinal);
        Assert.True(text.Count(c => c == '\n') > 17_000);
    }
}
