using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity.External;
using Gongzhi.Tests.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

[assembly: AssemblyFixture(typeof(Gongzhi.Tests.Browser.Site))]

namespace Gongzhi.Tests.Browser;

/// <summary>
/// What all browser tests share: a real node with the sample city, and the system's Chromium. Without Chromium the tests are skipped,
/// or fail when <c>GONGZHI_REQUIRE_BROWSER</c> is set, as <c>./test</c> does.
/// </summary>
public sealed class Site : IAsyncLifetime
{
    private const string Chromium = "/usr/bin/chromium";
    private static readonly string[] Arguments =
    [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ];

    private readonly SemaphoreSlim _signingIn = new(1, 1);
    private readonly Dictionary<string, string> _sessions = [];
    private Dictionary<string, string> _passwords = [];
    private TestNode? _node;
    private CityProvider? _city;
    private IPlaywright? _playwright;
    private IBrowser? _browser;

    internal TestNode Node => _node ?? throw new InvalidOperationException("There is no node.");

    /// <summary>The city's provider, at which people may sign in to the node.</summary>
    internal CityProvider City => _city ?? throw new InvalidOperationException("There is no provider.");

    public IBrowser Browser => _browser ?? throw new InvalidOperationException("There is no browser.");

    public Uri Address => Node.Address;

    /// <summary>Directory for pictures of every page, or null when nobody asked for them.</summary>
    public static string? Screenshots => Environment.GetEnvironmentVariable("GONGZHI_SCREENSHOTS") is { Length: > 0 } directory ? directory : null;

    public async ValueTask InitializeAsync()
    {
        if (!File.Exists(Chromium))
            return;
        _playwright = await Playwright.CreateAsync();
        Assertions.SetDefaultExpectTimeout(Visit.PatienceMilliseconds);
        _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium, Args = Arguments });
        // Tests sign in far more often than people do, and nothing here is about the limits of that.
        _city = await CityProvider.StartAsync();
        _node = await _city.OfferAsync(o => o with { BootstrapClient = null, LockoutAttempts = 100 });
        var accounts = await SampleLoader.LoadAsync(_node.App.Services, _ => { }, CancellationToken.None);
        _passwords = accounts.ToDictionary(a => a.Name, a => a.Password);
    }

    public string PasswordOf(string account) => _passwords[account];

    /// <summary>Skips the test, or fails it, when there is no browser.</summary>
    public void Demand()
    {
        if (_browser is not null)
            return;
        Assert.SkipWhen(string.IsNullOrEmpty(Environment.GetEnvironmentVariable("GONGZHI_REQUIRE_BROWSER")), $"There is no Chromium at {Chromium}.");
        Assert.Fail($"There is no Chromium at {Chromium}, and GONGZHI_REQUIRE_BROWSER is set.");
    }

    /// <summary>The cookies of someone signed in through the form; signed in once and used by many tests.</summary>
    public async Task<string> SessionAsync(string account)
    {
        await _signingIn.WaitAsync();
        try
        {
            if (_sessions.TryGetValue(account, out var kept))
                return kept;
            await using var context = await Browser.NewContextAsync(new() { BaseURL = Address.ToString(), Locale = "en" });
            var page = await context.NewPageAsync();
            await page.GotoAsync("/account/sign-in");
            await new Pages.SignInPage(page).SignInAsync(account, PasswordOf(account));
            return _sessions[account] = await context.StorageStateAsync();
        }
        finally
        {
            _signingIn.Release();
        }
    }

    /// <summary>An account of the node that one identity of the provider signs in to, as after its owner's invitation.</summary>
    internal async Task LinkAsync(string name, string subject)
    {
        var account = await Node.AddAccountAsync(name);
        // A party that was put into the table by itself is known to the directory from its next change on.
        Assert.True((await Node.App.Services.GetRequiredService<PartyDirectory>().RenewStoppedAsync(account.PartyId, "test")).Ok);
        var linked = await Node.App.Services.GetRequiredService<ExternalIdentities>().AcceptAsync(account, new ProviderSubject(City.Issuer, subject), CancellationToken.None);
        Assert.True(linked.Ok, linked.Problem?.Detail);
    }

    public async ValueTask DisposeAsync()
    {
        if (_browser is not null)
            await _browser.DisposeAsync();
        _playwright?.Dispose();
        if (_node is not null)
            await _node.DisposeAsync();
        if (_city is not null)
            await _city.DisposeAsync();
        _signingIn.Dispose();
    }
}
