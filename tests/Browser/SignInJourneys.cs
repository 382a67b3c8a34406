using Gongzhi.Tests.Browser.Pages;
using Gongzhi.Tests.Http;
using Microsoft.Playwright;

namespace Gongzhi.Tests.Browser;

/// <summary>Signing in, failing to, what one then may do, and signing out.</summary>
public sealed class SignInJourneys(Site site) : BrowserTest(site)
{
    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public Task In_by_password_and_out_again(string language, int width) => InAndOutAsync(language, width, script: true);

    [Theory]
    [InlineData("zh-CN")]
    [InlineData("en")]
    public Task The_same_without_scripts(string language) => InAndOutAsync(language, Visit.Phone, script: false);

    [Fact]
    public async Task Browsers_and_password_stores_know_which_field_is_which()
    {
        var visit = await VisitAsync("en", Visit.Phone);
        await visit.GoAsync("/account/sign-in");
        var page = new SignInPage(visit.Page);
        Assert.Equal("username webauthn", await page.Name.GetAttributeAsync("autocomplete"));
        Assert.Equal("current-password", await page.Password.GetAttributeAsync("autocomplete"));
        Assert.True(await visit.Page.Locator("[data-passkey] button").IsVisibleAsync());
        await visit.GoAsync("/account/totp");
        Assert.Equal("one-time-code", await visit.Page.Locator("#code").GetAttributeAsync("autocomplete"));
    }

    [Theory, MemberData(nameof(Views), MemberType = typeof(BrowserTest))]
    public async Task At_the_citys_provider_without_scripts_and_with_an_account_only_when_it_is_linked(string language, int width)
    {
        var name = $"city-{language}-{width}";
        var subject = await Site.City.AddAsync(name);
        var visit = await VisitAsync(language, width, script: false);
        visit.MayGoTo(Site.City.Address);
        await visit.GoAsync("/account/sign-in?returnUrl=%2Fme");
        var button = visit.Page.GetByRole(AriaRole.Button, new() { Name = language == "en" ? "Sign in with Lanhe City" : "使用澜和市统一身份认证登录" });
        await button.ClickAsync();
        await Assertions.Expect(visit.Page).ToHaveURLAsync(new System.Text.RegularExpressions.Regex("^" + Site.City.Issuer + "/account/sign-in"));
        await new SignInPage(visit.Page).SignInAsync(name, TestNode.Password);

        // Known there, nobody here: the page says whom to ask, and what to tell.
        await visit.Page.GetByText(language == "en" ? "No account here yet" : "尚未绑定账号").First.WaitForAsync();
        Assert.Equal(subject, await visit.Page.Locator("main .gz-facts code").First.InnerTextAsync());
        await visit.AssertFitsAsync();
        // axe itself is a script.
        var look = await VisitAsync(language, width);
        look.MayGoTo(Site.City.Address);
        await look.Context.AddCookiesAsync((await visit.Context.CookiesAsync()).Select(c => new Cookie { Name = c.Name, Value = c.Value, Domain = c.Domain, Path = c.Path }));
        await look.GoAsync("/account/sign-in");
        await Accessibility.AssertAsync(look.Page, $"sign-in-provider-{language}-{width}");
        await look.Page.ClickAsync("[data-provider] button");
        await look.Page.GetByText(subject).WaitForAsync();
        await Accessibility.AssertAsync(look.Page, $"unlinked-{language}-{width}");
        await PictureAsync(look, "unlinked", language, width);

        await Site.LinkAsync(name, subject);
        await visit.GoAsync("/account/sign-in?returnUrl=%2Fme");
        await button.ClickAsync();
        await Assertions.Expect(visit.Page).ToHaveURLAsync(new Uri(Site.Address, "/me").ToString());
        await visit.GoAsync("/account/security");
        Assert.Equal(subject, await visit.Page.Locator("main .gz-facts code").First.InnerTextAsync());
        await visit.AssertFitsAsync();
        await PictureAsync(visit, "security-provider", language, width);
    }

    [Theory]
    [InlineData("zh-CN", Visit.Phone)]
    [InlineData("en", Visit.Desk)]
    public async Task A_passkey_is_added_and_signs_in(string language, int width)
    {
        var account = language == "en" ? "auditor" : "secadmin";
        // Passkeys are bound to a name; an address of numbers has none.
        var visit = await VisitAsync(language, width);
        var address = new UriBuilder(Site.Address) { Host = "localhost" }.Uri;
        var devTools = await visit.Context.NewCDPSessionAsync(visit.Page);
        await devTools.SendAsync("WebAuthn.enable");
        await devTools.SendAsync("WebAuthn.addVirtualAuthenticator", new Dictionary<string, object>
        {
            ["options"] = new Dictionary<string, object>
            {
                ["protocol"] = "ctap2", ["transport"] = "internal", ["hasResidentKey"] = true, ["hasUserVerification"] = true, ["isUserVerified"] = true, ["automaticPresenceSimulation"] = true,
            },
        });
        await visit.Page.GotoAsync(new Uri(address, "/account/sign-in?returnUrl=%2Faccount%2Fsecurity").ToString());
        var page = new SignInPage(visit.Page);
        await page.SignInAsync(account, Site.PasswordOf(account));
        var count = language == "en" ? "Passkeys on this account: 1" : "本账号已有通行密钥：1 个";
        await visit.Page.Locator("[data-passkey] button").ClickAsync();
        await visit.Page.GetByText(count).WaitForAsync();
        await page.SignOut.ClickAsync();
        await visit.Page.GotoAsync(new Uri(address, "/account/sign-in?returnUrl=%2Fme").ToString());
        await visit.Page.Locator("[data-passkey] button").ClickAsync();
        await Assertions.Expect(visit.Page).ToHaveURLAsync(new Uri(address, "/me").ToString());
    }

    [Theory]
    [InlineData("zh-CN", Visit.Phone)]
    [InlineData("en", Visit.Desk)]
    public async Task A_second_step_is_set_up_without_scripts_and_a_wrong_code_changes_nothing(string language, int width)
    {
        var visit = await VisitAsync(language, width, "sysadmin", script: false);
        await visit.GoAsync("/account/security");
        await visit.Page.ClickAsync("form[action='/account/totp/enrol'] button");
        var key = await visit.Page.Locator("main .gz-facts code").InnerTextAsync();
        Assert.True(key.Replace(" ", "", StringComparison.Ordinal).Length >= 32, key);
        await PictureAsync(visit, "security-enrol", language, width);
        await visit.Page.FillAsync("#code", "not a code");
        await visit.Page.ClickAsync("form[action='/account/totp/confirm'] button");
        Assert.True(await visit.Page.Locator(".gz-errors").IsVisibleAsync());
        Assert.Equal(key, await visit.Page.Locator("main .gz-facts code").InnerTextAsync());
        await visit.Page.FillAsync("#current", "not the password at all");
        await visit.Page.FillAsync("#new", "another battery horse");
        await visit.Page.ClickAsync("form[action='/account/password'] button");
        Assert.True(await visit.Page.Locator(".gz-errors").IsVisibleAsync());
        await PictureAsync(visit, "security-wrong", language, width);
    }

    [Theory]
    [InlineData("zh-CN")]
    [InlineData("en")]
    public async Task The_first_administrator_is_made_by_the_link(string language)
    {
        Site.Demand();
        await using var node = await Http.TestNode.StartAsync(o => o with { Empty = true });
        var secret = Gongzhi.Node.Hosting.NodeHost.FirstAdministratorSecret(node.App, node.Options);
        await using var context = await Site.Browser.NewContextAsync(new() { BaseURL = node.Address.ToString(), Locale = language, ViewportSize = new() { Width = Visit.Phone, Height = 844 } });
        var page = await context.NewPageAsync();
        await page.GotoAsync("/account/setup?token=" + secret);
        if (Site.Screenshots is { } directory)
            await page.ScreenshotAsync(new() { Path = Path.Combine(directory, $"setup-{language}-390-light.png") });
        await Accessibility.AssertAsync(page, "setup-" + language);
        var form = new SignInPage(page);
        await form.SignInAsync("admin", "password123456");
        Assert.True(await form.Wrong.IsVisibleAsync());
        await form.SignInAsync("admin", Http.TestNode.Password);
        Assert.Equal("admin", await form.User.GetAttributeAsync("title"));
    }

    private async Task InAndOutAsync(string language, int width, bool script)
    {
        var visit = await VisitAsync(language, width, script: script);
        await visit.GoAsync("/me");
        var page = new SignInPage(visit.Page);
        Assert.Contains("/account/sign-in?returnUrl=", visit.Page.Url, StringComparison.Ordinal);
        await page.SignInAsync("steward", "not the password at all");
        Assert.True(await page.Wrong.IsVisibleAsync());
        Assert.Equal("steward", await page.Name.InputValueAsync());
        Assert.Equal("", await page.Password.InputValueAsync());
        if (script)
        {
            await PictureAsync(visit, "sign-in-wrong", language, width);
            await Accessibility.AssertAsync(visit.Page, "sign-in-wrong");
            await visit.AssertFitsAsync();
        }
        await page.SignInAsync("steward", Site.PasswordOf("steward"));
        Assert.EndsWith("/me", visit.Page.Url, StringComparison.Ordinal);
        var roles = visit.Page.Locator("main .gz-cards .gz-card h3");
        Assert.Equal(language == "en" ? "Data steward" : "数据管理员", await roles.First.InnerTextAsync());
        await page.SignOut.ClickAsync();
        Assert.Equal("/", new Uri(visit.Page.Url).AbsolutePath);
        await visit.GoAsync("/me");
        Assert.Contains("/account/sign-in", visit.Page.Url, StringComparison.Ordinal);
    }
}
