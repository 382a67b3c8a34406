using Microsoft.Playwright;

namespace Gongzhi.Tests.Browser.Pages;

/// <summary>What every page of the site has: the frame.</summary>
internal class SitePage(IPage page)
{
    public IPage Page { get; } = page;

    public ILocator Title => Page.Locator("h1");
    public ILocator User => Page.Locator(".gz-tools .gz-user");
    public ILocator SignOut => Page.Locator(".gz-tools form button");
    public ILocator Seals => Page.Locator("details.gz-seal");

    public ILocator Nav(string href) => Page.Locator($".gz-nav a[href='{href}']");

    public ILocator Language(string culture) => Page.Locator($".gz-lang a[hreflang='{culture}']");

    public Task<string?> SpokenAsync() => Page.Locator("html").GetAttributeAsync("lang");

    /// <summary>What following a link saves, as text.</summary>
    public async Task<(string Name, string Text)> DownloadAsync(ILocator link)
    {
        var download = await Page.RunAndWaitForDownloadAsync(() => link.ClickAsync());
        return (download.SuggestedFilename, await File.ReadAllTextAsync(await download.PathAsync()));
    }
}

internal sealed class HomePage(IPage page) : SitePage(page)
{
    public async Task LookUpAsync(string words)
    {
        await Page.FillAsync("main input[name=q]", words);
        await Page.ClickAsync("main .gz-search button");
        await Page.WaitForLoadStateAsync();
    }
}

internal sealed class CataloguePage(IPage page) : SitePage(page)
{
    public ILocator Datasets => Page.Locator("main .gz-list > li h2 a");
    public ILocator Empty => Page.Locator(".gz-state-empty");

    public async Task SearchAsync(string words, string? opening = null)
    {
        await Page.FillAsync("main input[name=q]", words);
        if (opening is not null)
            await Page.SelectOptionAsync("select[name=opening]", opening);
        await Page.ClickAsync("main .gz-search button");
        await Page.WaitForLoadStateAsync();
    }
}

internal sealed class DatasetPage(IPage page) : SitePage(page)
{
    public ILocator Downloads => Page.Locator(".gz-downloads a[download]");
    public ILocator Fields => Page.Locator("#fields tbody tr");
    public ILocator Upload => Page.Locator(".gz-pagehead a[href^='/upload']");
}

internal sealed class SignInPage(IPage page) : SitePage(page)
{
    public ILocator Name => Page.Locator("#name");
    public ILocator Password => Page.Locator("#password");
    public ILocator Wrong => Page.Locator(".gz-errors");

    public async Task SignInAsync(string name, string password)
    {
        await Name.FillAsync(name);
        await Password.FillAsync(password);
        await Page.ClickAsync("main form button[type=submit]");
        await Page.WaitForLoadStateAsync();
    }
}

internal sealed class UploadPage(IPage page) : SitePage(page)
{
    public ILocator Outcome => Page.Locator("main .gz-notice h2").First;
    public ILocator Rejects => Page.Locator("#rejects tbody tr");
    public ILocator RejectsFile => Page.Locator("a[href$='/rejects']");
    public ILocator Receipt => Page.Locator("main a[href^='/api/v1/receipts/']").First;
    public ILocator FieldErrors => Page.Locator("main .gz-errors a");

    /// <summary>Count of rows under a heading of the report.</summary>
    public async Task<string[]> FiguresAsync() => [.. (await Page.Locator("main dl.gz-figures.gz-card dd").AllInnerTextsAsync()).Select(t => t.Trim())];

    public async Task SendAsync(string dataset, string name, string text, bool partial = false, bool wait = true)
    {
        await Page.SelectOptionAsync("select[name=dataset]", dataset);
        await Page.SetInputFilesAsync("input[name=file]", new FilePayload { Name = name, MimeType = "text/csv", Buffer = System.Text.Encoding.UTF8.GetBytes(text) });
        await Page.CheckAsync($"input[name=mode][value={(partial ? "partial" : "all")}]");
        // With scripts the answer takes the place of the page's main part, without them it is a page of its own.
        await Page.EvaluateAsync("document.querySelector('main').dataset.sent = ''");
        await Page.ClickAsync("main form button[type=submit]");
        if (wait)
            await Page.Locator("main:not([data-sent])").WaitForAsync();
    }

    public ILocator Live => Page.Locator("[data-live]");
    public ILocator LiveState => Live.Locator("[data-state]");
    public ILocator Stop => Live.Locator("[data-stop]");
}

internal sealed class LedgerPage(IPage page) : SitePage(page)
{
    public ILocator Entries => Page.Locator("#entries tbody tr");
    public ILocator Verdict => Page.Locator("main .gz-notice").First;

    public async Task CheckAsync(string name, string text)
    {
        await Page.SetInputFilesAsync("input[name=proof]", new FilePayload { Name = name, MimeType = "application/json", Buffer = System.Text.Encoding.UTF8.GetBytes(text) });
        await Page.ClickAsync("#check button[type=submit]");
    }
}
