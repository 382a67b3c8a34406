using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity;
using Gongzhi.Tests.Http.Journeys;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http;

/// <summary>Who comes in by the city's provider: whoever was linked to an account that acts, and nobody else.</summary>
[Collection("Journeys")]
public sealed class ProviderSignInTests
{
    [Fact]
    public async Task An_invitation_is_accepted_at_the_provider_and_from_then_on_that_is_the_way_in()
    {
        await using var city = await CityProvider.StartAsync();
        var subject = await city.AddAsync("chen");
        await using var node = await city.OfferAsync(o => o with { BootstrapClient = null, Empty = true });
        using var system = await EmptyNodeTests.FirstAsync(node);
        var (security, audit) = await AdministratorsAsync(node, system);

        var invited = await EmptyNodeTests.PostAsync(system, "/api/v1/accounts", new { name = "chen", displayName = "陈园" }, HttpStatusCode.Created);
        var (name, token) = EmptyNodeTests.Parts(invited);
        using var chen = await new ProviderVisitor(node, city).AtCityAsync("chen");
        using (var page = await HtmlAsync(chen.Http, new Uri(invited.GetProperty("link").GetString()!).PathAndQuery, "zh-CN"))
            Assert.Contains("使用澜和市统一身份认证登录", await page.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using (var foreign = await chen.Http.SubmitAsync("/account/external", ("name", "wang"), ("token", token)))
            await foreign.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        using (var accepted = await chen.EnterAsync(("name", name), ("token", token), ("returnUrl", "/data")))
            Assert.Equal("/data", accepted.Headers.Location?.ToString());
        using (var who = await chen.WhoAsync())
            Assert.Contains(invited.GetProperty("party").GetString()!, await who.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        // The link is used up, for a password as well, and there is none.
        using (var again = await chen.Http.SubmitAsync("/account/external", ("name", name), ("token", token)))
            await again.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        using (var password = await chen.Http.SubmitAsync("/account/invitation", ("name", name), ("token", token), ("password", TestNode.Password)))
            await password.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        var listed = (await system.GetFromJsonAsyncElement("/api/v1/accounts")).GetProperty("accounts").EnumerateArray().Single(a => a.GetProperty("name").GetString() == "chen");
        Assert.False(listed.GetProperty("hasPassword").GetBoolean());
        Assert.Equal((city.Issuer, subject, true), (listed.GetProperty("identity").GetProperty("issuer").GetString(), listed.GetProperty("identity").GetProperty("subject").GetString(),
            listed.GetProperty("identity").GetProperty("confirmed").GetBoolean()));
        using (var security2 = await HtmlAsync(chen.Http, "/account/security", "en"))
        {
            var text = await security2.Content.ReadAsStringAsync();
            Assert.Contains(subject, text, StringComparison.Ordinal);
            Assert.DoesNotContain("action=\"/account/password\"", text, StringComparison.Ordinal);
        }

        // Out of this node, not of the city; in again with nothing but the button.
        using (var signedOut = await chen.Http.SubmitAsync("/account/sign-out"))
            Assert.Equal("/", signedOut.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.Unauthorized, (await chen.WhoAsync()).StatusCode);
        using (var back = await chen.EnterAsync(("returnUrl", "/me")))
            Assert.Equal("/me", back.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.OK, (await chen.WhoAsync()).StatusCode);

        // It is in the audit with its author, the audit is sound, and the answer of the provider is good for one decision.
        var change = Assert.Single((await audit.GetFromJsonAsyncElement("/api/v1/audit/changes?entity=ExternalIdentity")).GetProperty("changes").EnumerateArray()).GetProperty("content");
        Assert.Equal(("accept invitation by provider", invited.GetProperty("party").GetString()), (change.GetProperty("reason").GetString(), change.GetProperty("author").GetString()));
        using (var twice = await chen.Http.GetAsync("/account/external/done"))
            Assert.Equal("/account/sign-in", twice.Headers.Location?.ToString());
        using (var verified = await audit.PostAsync("/api/v1/audit/verification", null))
            Assert.True((await verified.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("sound").GetBoolean());
        security.Dispose();
        audit.Dispose();
    }

    [Fact]
    public async Task An_identity_nobody_linked_opens_nothing_and_a_link_by_an_administrator_waits_for_a_second_person()
    {
        await using var city = await CityProvider.StartAsync();
        var (subject, other) = (await city.AddAsync("chen"), await city.AddAsync("zhou"));
        await using var node = await city.OfferAsync(o => o with { BootstrapClient = null, Empty = true });
        using var system = await EmptyNodeTests.FirstAsync(node);
        var (security, audit) = await AdministratorsAsync(node, system);
        var (own, party) = await EmptyNodeTests.PersonAsync(node, system, "chen");

        using var chen = await new ProviderVisitor(node, city).AtCityAsync("chen");
        using (var nobody = await chen.EnterAsync())
        {
            var problem = await nobody.ProblemAsync(HttpStatusCode.Forbidden, "account.identity-unlinked");
            Assert.Equal((city.Issuer, subject), (problem.GetProperty("issuer").GetString(), problem.GetProperty("subject").GetString()));
        }
        Assert.Equal(HttpStatusCode.Unauthorized, (await chen.WhoAsync()).StatusCode);
        Assert.Equal(4, (await system.GetFromJsonAsyncElement("/api/v1/accounts")).GetProperty("accounts").GetArrayLength());
        using (var back = await chen.Http.GetAsync(await chen.CallbackAsync()))
        using (var page = await HtmlAsync(chen.Http, back.Headers.Location!.OriginalString, "zh-CN"))
        {
            Assert.Equal(HttpStatusCode.Forbidden, page.StatusCode);
            var text = await page.Content.ReadAsStringAsync();
            Assert.Contains("尚未绑定账号", text, StringComparison.Ordinal);
            Assert.Contains(subject, text, StringComparison.Ordinal);
        }

        // Not by a security administrator, and not for whom there is no account.
        using (var denied = await security.PutAsJsonAsync("/api/v1/accounts/chen/identity", new { subject }))
            Assert.Equal(HttpStatusCode.Forbidden, denied.StatusCode);
        using (var unknown = await system.PutAsJsonAsync("/api/v1/accounts/nobody/identity", new { subject }))
            await unknown.ProblemAsync(HttpStatusCode.NotFound, "accounts.unknown");
        foreach (var bad in new[] { "", " ", new string('x', 256), "a\nb" })
        {
            using var invalid = await system.PutAsJsonAsync("/api/v1/accounts/chen/identity", new { subject = bad });
            await invalid.ProblemAsync(HttpStatusCode.UnprocessableEntity, "accounts.identityInvalid");
        }
        Assert.Equal(HttpStatusCode.OK, (await own.GetAsync("/api/v1/setup")).StatusCode);

        // Linked by one, worth nothing: neither by the provider nor by the session of before.
        using (var linked = await system.PutAsJsonAsync("/api/v1/accounts/chen/identity", new { subject }))
        {
            var answer = await linked.Content.ReadFromJsonAsync<JsonElement>();
            Assert.Equal((HttpStatusCode.OK, true, false), (linked.StatusCode, answer.GetProperty("suspended").GetBoolean(), answer.GetProperty("confirmed").GetBoolean()));
        }
        using (var early = await chen.EnterAsync())
            await early.ProblemAsync(HttpStatusCode.Forbidden, "account.suspended");
        Assert.Equal(HttpStatusCode.Forbidden, (await own.GetAsync("/api/v1/setup")).StatusCode);

        // The second person must know from the owner whom he lets in.
        foreach (var word in new object?[] { null, new { }, new { subject = other } })
        {
            using var unnamed = await ConfirmAsync(security, party, word);
            await unnamed.ProblemAsync(HttpStatusCode.Conflict, "accounts.identityUnnamed");
        }
        using (var confirmed = await ConfirmAsync(security, party, new { subject }))
            Assert.Equal(HttpStatusCode.OK, confirmed.StatusCode);
        using (var entered = await chen.EnterAsync())
            Assert.Equal("/", entered.Headers.Location?.ToString());
        using (var who = await chen.WhoAsync())
            Assert.Contains(party, await who.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        await OneToOneAsync(city, node, system, subject, other);

        // Another identity by an administrator is a new way in, and suspends again; without it the old one is nobody.
        using (var rebound = await system.PutAsJsonAsync("/api/v1/accounts/chen/identity", new { subject = other }))
            Assert.True((await rebound.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("suspended").GetBoolean());
        using (var old = await chen.EnterAsync())
            await old.ProblemAsync(HttpStatusCode.Forbidden, "account.identity-unlinked");
        using (var removed = await system.DeleteAsync(new Uri("/api/v1/accounts/chen/identity", UriKind.Relative)))
            Assert.Equal(other, (await removed.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("subject").GetString());
        using (var gone = await system.DeleteAsync(new Uri("/api/v1/accounts/chen/identity", UriKind.Relative)))
            await gone.ProblemAsync(HttpStatusCode.NotFound, "accounts.identityUnknown");
        using (var none = await security.GetAsync("/api/v1/accounts/chen/identity"))
            await none.ProblemAsync(HttpStatusCode.NotFound, "accounts.identityUnknown");
        using (var confirmed = await ConfirmAsync(security, party, null))
            Assert.Equal(HttpStatusCode.OK, confirmed.StatusCode);
        using (var zhou = await new ProviderVisitor(node, city).AtCityAsync("zhou"))
        using (var refused = await zhou.EnterAsync())
            await refused.ProblemAsync(HttpStatusCode.Forbidden, "account.identity-unlinked");

        var reasons = (await audit.GetFromJsonAsyncElement("/api/v1/audit/changes?entity=ExternalIdentity")).GetProperty("changes").EnumerateArray()
            .Select(c => c.GetProperty("content").GetProperty("reason").GetString()).Reverse();
        Assert.Equal(["link identity", "confirm identity", "accept invitation by provider", "unlink identity", "link identity", "unlink identity"], reasons);
        own.Dispose();
        audit.Dispose();
        security.Dispose();
    }

    /// <summary>Neither a link nor an administrator gives one identity two accounts, and a link gives no account a second identity.</summary>
    private static async Task OneToOneAsync(CityProvider city, TestNode node, HttpClient system, string subject, string other)
    {
        var second = await EmptyNodeTests.PostAsync(system, "/api/v1/accounts", new { name = "second" }, HttpStatusCode.Created);
        using (var taken = await system.PutAsJsonAsync("/api/v1/accounts/second/identity", new { subject }))
            await taken.ProblemAsync(HttpStatusCode.Conflict, "accounts.identityTaken");
        var (name, token) = EmptyNodeTests.Parts(second);
        using var chen = await new ProviderVisitor(node, city).AtCityAsync("chen");
        using (var taken = await chen.EnterAsync(("name", name), ("token", token)))
            await taken.ProblemAsync(HttpStatusCode.Conflict, "accounts.identityTaken");
        using var zhou = await new ProviderVisitor(node, city).AtCityAsync("zhou");
        using (var own = await zhou.EnterAsync(("name", name), ("token", token)))
            Assert.Equal("/", own.Headers.Location?.ToString());

        // A new link for an account that has an identity is for that identity.
        using (var renewed = await system.PostAsync("/api/v1/accounts/second/invitation", null))
            (name, token) = EmptyNodeTests.Parts(await renewed.Content.ReadFromJsonAsync<JsonElement>());
        var third = await city.AddAsync("third");
        using var stranger = await new ProviderVisitor(node, city).AtCityAsync("third");
        using (var bound = await stranger.EnterAsync(("name", name), ("token", token)))
            await bound.ProblemAsync(HttpStatusCode.Conflict, "accounts.identityBound");
        Assert.NotEqual(other, third);
        using (var same = await zhou.EnterAsync(("name", name), ("token", token)))
            await same.ProblemAsync(HttpStatusCode.Forbidden, "account.suspended");
        using (var removed = await system.DeleteAsync(new Uri("/api/v1/accounts/second/identity", UriKind.Relative)))
            Assert.Equal(HttpStatusCode.OK, removed.StatusCode);
        var last = (await system.GetFromJsonAsyncElement("/api/v1/accounts/chen/identity")).GetProperty("subject").GetString();
        Assert.Equal(subject, last);
    }

    [Fact]
    public async Task A_disabled_account_stays_out_and_a_second_factor_is_asked_for_all_the_same()
    {
        await using var city = await CityProvider.StartAsync();
        var subject = await city.AddAsync("chen");
        await using var node = await city.OfferAsync();
        await node.AddAccountAsync("chen");
        using var own = node.NewClient();
        await own.SignInAsync("chen", TestNode.Password);
        using var enrolled = await own.SubmitAsync("/account/totp/enrol");
        var key = (await enrolled.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("key").GetString()!;
        using (var confirmed = await own.SubmitAsync("/account/totp/confirm", ("code", AccountTests.Totp(key))))
            Assert.Equal(HttpStatusCode.OK, confirmed.StatusCode);
        using (var linked = await node.SendAsync(HttpMethod.Put, "/api/v1/accounts/chen/identity", new { subject }))
            Assert.Equal(HttpStatusCode.OK, linked.StatusCode);

        using var chen = await new ProviderVisitor(node, city).AtCityAsync("chen");
        using (var half = await chen.EnterAsync(("returnUrl", "/me")))
            Assert.Equal("/account/totp?returnUrl=%2Fme", half.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.Unauthorized, (await chen.WhoAsync()).StatusCode);
        using (var wrong = await chen.Http.SubmitAsync("/account/totp", ("code", "abcdef")))
            await wrong.ProblemAsync(HttpStatusCode.UnprocessableEntity, "account.code-wrong");
        using (var second = await chen.Http.SubmitAsync("/account/totp", ("code", AccountTests.Totp(key)), ("returnUrl", "/me")))
            Assert.Equal("/me", second.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.OK, (await chen.WhoAsync()).StatusCode);

        using (var disabled = await node.PostAsync("/api/v1/parties/person:chen/disable", new { }))
            Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await chen.WhoAsync()).StatusCode);
        using (var closed = await chen.EnterAsync())
            await closed.ProblemAsync(HttpStatusCode.Forbidden, "account.disabled");
        using (var enabled = await node.PostAsync("/api/v1/parties/person:chen/enable", new { }))
            Assert.Equal(HttpStatusCode.OK, enabled.StatusCode);

        // Too many wrong passwords lock this door as well.
        using (var scope = node.App.Services.CreateScope())
        {
            var users = scope.ServiceProvider.GetRequiredService<UserManager<Account>>();
            await users.SetLockoutEndDateAsync((await users.FindByNameAsync("chen"))!, TimeProvider.System.GetUtcNow().AddMinutes(5));
        }
        using (var locked = await chen.EnterAsync())
            await locked.ProblemAsync((HttpStatusCode)423, "account.locked");
    }

    [Fact]
    public async Task Removing_the_link_ends_the_sessions_it_opened()
    {
        var clock = new LaterClock();
        await using var city = await CityProvider.StartAsync();
        var subject = await city.AddAsync("chen");
        await using var node = await TestNode.StartAsync(city.Offered, b => b.Services.AddSingleton<TimeProvider>(clock));
        await city.RegisterAsync(node.Address);
        await node.AddAccountAsync("chen");
        using (var linked = await node.SendAsync(HttpMethod.Put, "/api/v1/accounts/chen/identity", new { subject }))
            Assert.Equal(HttpStatusCode.OK, linked.StatusCode);
        using var chen = await new ProviderVisitor(node, city).AtCityAsync("chen");
        using (var entered = await chen.EnterAsync())
            Assert.Equal("/", entered.Headers.Location?.ToString());
        clock.By = TimeSpan.FromMinutes(2);
        Assert.Equal(HttpStatusCode.OK, (await chen.WhoAsync()).StatusCode);
        using (var removed = await node.SendAsync(HttpMethod.Delete, "/api/v1/accounts/chen/identity"))
            Assert.Equal(HttpStatusCode.OK, removed.StatusCode);
        clock.By = TimeSpan.FromMinutes(4);
        Assert.Equal(HttpStatusCode.Unauthorized, (await chen.WhoAsync()).StatusCode);
    }

    private sealed class LaterClock : TimeProvider
    {
        public TimeSpan By { get; set; }

        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + By;
    }

    /// <summary>The second and the third of the three.</summary>
    private static async Task<(HttpClient Security, HttpClient Audit)> AdministratorsAsync(TestNode node, HttpClient system)
    {
        var (security, securityParty) = await EmptyNodeTests.PersonAsync(node, system, "wang");
        await EmptyNodeTests.GiveAsync(system, securityParty, Roles.SecurityAdministrator, "node");
        var (audit, auditParty) = await EmptyNodeTests.PersonAsync(node, system, "li");
        await EmptyNodeTests.GiveAsync(security, auditParty, Roles.AuditAdministrator, "node");
        return (security, audit);
    }

    private static Task<HttpResponseMessage> ConfirmAsync(HttpClient security, string party, object? word) =>
        security.PostAsync($"/api/v1/parties/{party}/confirm", word is null ? null : JsonContent.Create(word));

    private static async Task<HttpResponseMessage> HtmlAsync(HttpClient http, string path, string language)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Add("Accept", "text/html");
        request.Headers.Add("Accept-Language", language);
        return await http.SendAsync(request);
    }
}
