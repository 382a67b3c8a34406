using Microsoft.Playwright;

namespace Gongzhi.Tests.Browser;

/// <summary>
/// Every page in both languages, at both widths, light and dark: fits, holds its landmarks, and axe finds nothing serious.
/// <c>GONGZHI_SCREENSHOTS=dir ./test</c> keeps a picture of each.
/// </summary>
public sealed class EveryPageTests(Site site) : BrowserTest(site)
{
    /// <summary>Name, path, who looks (empty: nobody signed in).</summary>
    private static readonly (string Name, string Path, string Who)[] Pages =
    [
        ("home", "/", ""),
        ("home-contributor", "/", "contributor"),
        ("catalogue", "/data", ""),
        ("catalogue-nothing", "/data?q=no-such-thing", ""),
        ("dataset-open", "/data/air-quality", ""),
        ("dataset-codes", "/data/service-requests", ""),
        ("dataset-personal", "/data/residents", ""),
        ("dataset-steward", "/data/air-quality", "steward"),
        ("ledger", "/ledger", ""),
        ("sign-in", "/account/sign-in?returnUrl=%2Fdata", ""),
        ("code", "/account/totp", ""),
        ("setup-closed", "/account/setup?token=none", ""),
        ("security", "/account/security", "reader"),
        ("device", "/connect/verify", "reader"),
        ("device-unknown", "/connect/verify?user_code=NOPE-NOPE", "reader"),
        ("device-done", "/connect/verify/done", ""),
        ("roles", "/me", "steward"),
        ("roles-reader", "/me", "reader"),
        ("upload", "/upload", "contributor"),
        ("denied", "/upload", "reader"),
        ("not-found", "/nothing", ""),
    ];

    /// <summary>Of a page that was looked at in full.</summary>
    private static readonly string[] WhatColoursCanBreak = ["color-contrast", "link-in-text-block"];

    public static TheoryData<string, string> All
    {
        get
        {
            var all = new TheoryData<string, string>();
            foreach (var (name, _, _) in Pages)
            {
                all.Add(name, "zh-CN");
                all.Add(name, "en");
            }
            return all;
        }
    }

    [Theory, MemberData(nameof(All))]
    public async Task Fits_and_can_be_used_by_everyone(string name, string language)
    {
        var (_, path, who) = Pages.First(p => p.Name == name);
        var visit = await VisitAsync(language, Visit.Desk, who.Length == 0 ? null : who);
        await visit.GoAsync(path);
        Assert.Equal(language, await visit.Page.Locator("html").GetAttributeAsync("lang"));
        Assert.Equal(1, await visit.Page.Locator("h1").CountAsync());
        Assert.NotEqual("", (await visit.Page.TitleAsync()).Trim());
        foreach (var width in new[] { Visit.Desk, Visit.Phone })
        {
            await visit.Page.SetViewportSizeAsync(width, width == Visit.Phone ? 844 : 900);
            foreach (var scheme in new[] { ColorScheme.Light, ColorScheme.Dark })
            {
                await visit.Page.EmulateMediaAsync(new() { ColorScheme = scheme });
                var view = $"{name}-{language}-{width}-{(scheme == ColorScheme.Dark ? "dark" : "light")}";
                if (Site.Screenshots is { } directory)
                    await visit.SaveAsync(directory, view);
                await visit.AssertFitsAsync();
                await Accessibility.AssertAsync(visit.Page, view, scheme == ColorScheme.Dark ? WhatColoursCanBreak : []);
            }
        }
    }

    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public async Task A_page_prints_without_its_frame(string language, int width)
    {
        var visit = await VisitAsync(language, width);
        await visit.GoAsync("/data/air-quality");
        await visit.Page.EmulateMediaAsync(new() { Media = Media.Print });
        Assert.False(await visit.Page.Locator(".gz-nav").IsVisibleAsync());
        Assert.True(await visit.Page.Locator("h1").IsVisibleAsync());
        await PictureAsync(visit, "print", language, width);
    }

    [Fact]
    public async Task A_fault_planted_on_a_page_is_found()
    {
        var visit = await VisitAsync("en", Visit.Desk);
        await visit.GoAsync("/data");
        await visit.Page.EvaluateAsync("() => { const e = document.createElement('p'); e.textContent = 'pale'; e.style.cssText = 'color:#ccc;background:#fff'; document.querySelector('main').append(e); }");
        foreach (var rules in new[] { [], WhatColoursCanBreak })
            Assert.Contains("color-contrast", (await Assert.ThrowsAnyAsync<Exception>(() => Accessibility.AssertAsync(visit.Page, "planted", rules))).Message, StringComparison.Ordinal);
    }
}
