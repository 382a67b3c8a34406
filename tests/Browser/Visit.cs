using Microsoft.Playwright;

namespace Gongzhi.Tests.Browser;

/// <summary>One reader's browser window. Notes whatever must never happen: errors in the console, requests to other places, broken parts.</summary>
public sealed class Visit : IAsyncDisposable
{
    public const int Phone = 390;
    public const int Desk = 1440;

    /// <summary>How long a page may take before a test gives it up; generous, since machines that test are busy.</summary>
    public const int PatienceMilliseconds = 20_000;

    private readonly List<string> _complaints = [];
    private readonly HashSet<int> _ports;

    private Visit(IBrowserContext context, IPage page, Uri address) => (Context, Page, _ports) = (context, page, [address.Port]);

    public IBrowserContext Context { get; }
    public IPage Page { get; }
    public IReadOnlyList<string> Complaints => _complaints;

    public static async Task<Visit> StartAsync(Site site, string language, int width, string? account = null, bool dark = false, bool script = true)
    {
        site.Demand();
        var context = await site.Browser.NewContextAsync(new()
        {
            BaseURL = site.Address.ToString(),
            Locale = language,
            ViewportSize = new() { Width = width, Height = width == Phone ? 844 : 900 },
            ColorScheme = dark ? ColorScheme.Dark : ColorScheme.Light,
            JavaScriptEnabled = script,
            HasTouch = width == Phone,
            AcceptDownloads = true,
            StorageState = account is null ? null : await site.SessionAsync(account),
        });
        context.SetDefaultTimeout(PatienceMilliseconds);
        var visit = new Visit(context, await context.NewPageAsync(), site.Address);
        visit.Watch();
        return visit;
    }

    /// <summary>This visit is led to another site on purpose.</summary>
    public void MayGoTo(Uri site) => _ports.Add(site.Port);

    public async Task<IResponse> GoAsync(string path) => (await Page.GotoAsync(path))!;

    /// <summary>No part of the page sticks out to the side: nobody should have to scroll two ways.</summary>
    public async Task AssertFitsAsync()
    {
        var overflow = await Page.EvaluateAsync<string?>(
            """
            () => document.documentElement.scrollWidth <= innerWidth ? null
                : [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.gz-tablewrap, .gz-drill, .gz-nav'))
                    .slice(0, 3).map(e => e.tagName + '.' + e.className).join(' ') || 'the page'
            """);
        Assert.True(overflow is null, $"{Page.Url} is wider than the window: {overflow}");
    }

    public async Task SaveAsync(string directory, string name)
    {
        Directory.CreateDirectory(directory);
        await Page.ScreenshotAsync(new() { Path = Path.Combine(directory, name + ".png"), FullPage = true });
    }

    public ValueTask DisposeAsync() => Context.DisposeAsync();

    private void Watch()
    {
        Page.Console += (_, message) =>
        {
            // Chromium also reports every page answered with 4xx this way; parts of a page are watched below.
            if (message.Type is "error" or "warning" && !message.Text.StartsWith("Failed to load resource", StringComparison.Ordinal))
                Complain($"console {message.Type}: {message.Text}");
        };
        Page.PageError += (_, error) => Complain("script error: " + error);
        Page.Request += (_, request) =>
        {
            if (new Uri(request.Url) is { Scheme: "http" or "https" } url && !(url.IsLoopback && _ports.Contains(url.Port)))
                Complain("request to another place: " + request.Url);
        };
        Page.Response += (_, response) =>
        {
            // What a form got for an answer, sent by a script, is a page as well.
            var page = response.Request.ResourceType == "document" || (response.Request.Method == "POST" && response.Url.Contains("/upload?live=", StringComparison.Ordinal));
            if (!page && response.Status >= 400)
                Complain($"{response.Status} for {response.Url}");
        };
    }

    private void Complain(string what)
    {
        lock (_complaints)
            _complaints.Add(what);
    }
}
