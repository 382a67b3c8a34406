using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity.External;
using Gongzhi.Tests.Shared;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.IdentityModel.Tokens;

namespace Gongzhi.Tests.Http;

/// <summary>What is believed of what comes back from the provider, and what happens when nothing does.</summary>
[Collection("Journeys")]
public sealed class ProviderAnswerTests
{
    [Fact]
    public async Task An_answer_that_is_not_the_providers_to_this_browser_now_is_refused()
    {
        await using var city = await CityProvider.StartAsync();
        var subject = await city.AddAsync("chen");
        await using var node = await city.OfferAsync();
        await node.AddAccountAsync("chen");
        using (var linked = await node.SendAsync(HttpMethod.Put, "/api/v1/accounts/chen/identity", new { subject }))
            Assert.Equal(HttpStatusCode.OK, linked.StatusCode);

        using (var chen = await new ProviderVisitor(node, city).AtCityAsync("chen"))
        using (var other = new ProviderVisitor(node, city))
        {
            var callback = await chen.CallbackAsync();
            var query = QueryHelpers.ParseQuery(callback.Query);
            // In a browser that did not ask, with another's state, without one, without a code, with a code of one's own making.
            await RefusedAsync(other.Http, callback);
            await RefusedAsync(other.Http, With(callback, "state", QueryHelpers.ParseQuery((await other.StateAsync()).Query)["state"]!));
            await RefusedAsync(other.Http, new Uri(node.Address, ExternalSetup.CallbackPath));
            await RefusedAsync(chen.Http, With(callback, "state", ""));
            // Asked once more each time, since an answer uses up what was asked, good or not.
            await RefusedAsync(chen.Http, With(await chen.CallbackAsync(), "code", query["code"] + "x"));
            await RefusedAsync(chen.Http, With(await chen.CallbackAsync(), "code", ""));
            await RefusedAsync(chen.Http, With(With(await chen.CallbackAsync(), "error", "access_denied"), "code", ""));
            using (var posted = await chen.Http.PostAsync(await chen.CallbackAsync(), new FormUrlEncodedContent([KeyValuePair.Create("code", "x")])))
                await posted.ProblemAsync(HttpStatusCode.Unauthorized, "account.provider-failed");

            // Good once.
            callback = await chen.CallbackAsync();
            using (var first = await chen.Http.GetAsync(callback))
                Assert.Equal(ExternalSetup.DonePath, first.Headers.Location?.OriginalString);
            await RefusedAsync(chen.Http, callback);
            // A code that was used, under a question that was not.
            await RefusedAsync(chen.Http, With(await chen.CallbackAsync(), "code", QueryHelpers.ParseQuery(callback.Query)["code"]!));
        }

        using var foreign = ECDsa.Create();
        using var hmac = new HMACSHA256(new byte[32]);
        foreach (var (what, twist) in new (string, Action<SecurityTokenDescriptor>)[]
                 {
                     ("nonce", d => Claim(d, "nonce", "another")),
                     ("issuer", d => d.Issuer = "https://evil.example/"),
                     ("audience", d => { d.Audiences.Clear(); d.Audience = "another-client"; Claim(d, "aud", "another-client"); }),
                     ("expired", d => (d.NotBefore, d.IssuedAt, d.Expires) = (Ago(3), Ago(3), Ago(2))),
                     ("not yet", d => (d.NotBefore, d.Expires) = (Ago(-2), Ago(-3))),
                     ("key", d => d.SigningCredentials = new SigningCredentials(new ECDsaSecurityKey(foreign), SecurityAlgorithms.EcdsaSha256)),
                     ("shared secret", d => d.SigningCredentials = new SigningCredentials(new SymmetricSecurityKey(new byte[32]), SecurityAlgorithms.HmacSha256)),
                 })
            await TwistedAsync(what, city, node, c => c.Twist = twist);
        foreach (var (what, forge) in new (string, Func<string, string>)[]
                 {
                     ("changed", Changed), ("cut", t => t[..t.LastIndexOf('.')] + "."), ("unsigned", Unsigned), ("none", _ => "not a token"), ("empty", _ => ""),
                 })
            await TwistedAsync(what, city, node, c => c.Forge = forge);

        // The same provider, no longer twisted, is believed.
        using var last = await new ProviderVisitor(node, city).AtCityAsync("chen");
        using var entered = await last.EnterAsync();
        Assert.Equal("/", entered.Headers.Location?.ToString());
    }

    private static async Task TwistedAsync(string what, CityProvider city, TestNode node, Action<CityProvider> twist)
    {
        using var chen = await new ProviderVisitor(node, city).AtCityAsync("chen");
        twist(city);
        using (var refused = await chen.Http.GetAsync(await chen.CallbackAsync()))
        {
            Assert.True(refused.StatusCode == HttpStatusCode.Unauthorized, $"{what}: {(int)refused.StatusCode} {refused.Headers.Location}");
            await refused.ProblemAsync(HttpStatusCode.Unauthorized, "account.provider-failed");
        }
        (city.Twist, city.Forge) = (null, null);
        using (var done = await chen.Http.GetAsync(ExternalSetup.DonePath))
            Assert.Equal("/account/sign-in", done.Headers.Location?.ToString());
        Assert.Equal(HttpStatusCode.Unauthorized, (await chen.WhoAsync()).StatusCode);
    }

    [Fact]
    public async Task Without_the_provider_the_node_starts_and_other_accounts_go_on()
    {
        var city = await CityProvider.StartAsync();
        var offered = city.Offered(new NodeOptions());
        await city.DisposeAsync();
        await using var node = await TestNode.StartAsync(o => o with
        {
            OidcAuthority = offered.OidcAuthority, OidcClientId = offered.OidcClientId, OidcClientSecret = offered.OidcClientSecret, OidcName = "Lanhe City",
        });
        await node.AddAccountAsync("chen");
        using var chen = node.NewClient();
        using (var away = await chen.SubmitAsync("/account/external", ("returnUrl", "/me")))
        {
            await away.ProblemAsync(HttpStatusCode.ServiceUnavailable, "account.provider-unavailable");
            Assert.NotNull(away.Headers.RetryAfter);
        }
        using (var page = new HttpRequestMessage(HttpMethod.Get, "/account/sign-in"))
        {
            page.Headers.Add("Accept", "text/html");
            using var shown = await chen.SendAsync(page);
            Assert.Contains("Sign in with Lanhe City", await shown.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
        using (var own = await chen.SignInAsync("chen", TestNode.Password))
            Assert.Equal("/", own.Headers.Location?.ToString());
    }

    [Fact]
    public async Task A_provider_that_calls_itself_something_else_is_not_used()
    {
        await using var city = await CityProvider.StartAsync(o => o with { PublicUrl = "https://login.example.org" });
        await using var node = await city.OfferAsync();
        using var chen = node.NewClient();
        using var refused = await chen.SubmitAsync("/account/external");
        await refused.ProblemAsync(HttpStatusCode.ServiceUnavailable, "account.provider-unavailable");
    }

    [Fact]
    public async Task Nobody_is_led_elsewhere_and_only_a_form_of_this_node_begins()
    {
        await using var city = await CityProvider.StartAsync();
        var subject = await city.AddAsync("chen");
        await using var node = await city.OfferAsync(o => o with { PublicUrl = "https://gongzhi.example.org/" });
        await node.AddAccountAsync("chen");
        using (var linked = await node.SendAsync(HttpMethod.Put, "/api/v1/accounts/chen/identity", new { subject }))
            Assert.Equal(HttpStatusCode.OK, linked.StatusCode);
        using var chen = await new ProviderVisitor(node, city).AtCityAsync("chen");

        // The address that others know this node by is where the provider leads back, and what the proxy in front of it passes on.
        await city.AllowAsync(new Uri("https://gongzhi.example.org"));
        foreach (var elsewhere in new[] { "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "data", "/" + new string('x', 3_000) })
        {
            using var started = await chen.Http.SubmitAsync("/account/external", ("returnUrl", elsewhere));
            var query = QueryHelpers.ParseQuery(started.Headers.Location!.Query);
            Assert.Equal("https://gongzhi.example.org" + ExternalSetup.CallbackPath, query["redirect_uri"].ToString());
            Assert.Equal(("code", "openid", "S256"), (query["response_type"].ToString(), query["scope"].ToString(), query["code_challenge_method"].ToString()));
            Assert.NotEmpty(query["nonce"].ToString());
            using var back = await chen.City.GetAsync(started.Headers.Location);
            Assert.Equal("gongzhi.example.org", back.Headers.Location?.Host);
            using var checkedAnswer = await chen.Http.GetAsync(back.Headers.Location!.PathAndQuery);
            Assert.Equal(ExternalSetup.DonePath, checkedAnswer.Headers.Location?.OriginalString);
            using var entered = await chen.Http.GetAsync(ExternalSetup.DonePath);
            Assert.Equal("/", entered.Headers.Location?.ToString());
        }

        using (var bare = await chen.Http.PostAsync("/account/external", new FormUrlEncodedContent([KeyValuePair.Create("returnUrl", "/me")])))
            await bare.ProblemAsync(HttpStatusCode.BadRequest, "auth.antiforgery");
        using (var request = new HttpRequestMessage(HttpMethod.Post, "/account/external") { Content = new FormUrlEncodedContent([]) })
        {
            request.Headers.Add("Origin", "https://evil.example");
            using var cross = await chen.Http.SendAsync(request);
            await cross.ProblemAsync(HttpStatusCode.Forbidden, "auth.cross-site");
        }
        // No address ends a session or is an endpoint that nobody asked for.
        foreach (var path in new[] { "/signin-oidc", "/signout-oidc", "/signout-callback-oidc" })
            Assert.Equal(HttpStatusCode.NotFound, (await chen.Http.GetAsync(path)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await chen.WhoAsync()).StatusCode);
    }

    [Fact]
    public async Task Answers_of_the_provider_are_counted_like_passwords()
    {
        await using var city = await CityProvider.StartAsync();
        await using var node = await city.OfferAsync(o => o with { SignInsPerMinute = 3 });
        using var chen = node.NewClient();
        using (var started = await chen.SubmitAsync("/account/external"))
            Assert.Equal(HttpStatusCode.Redirect, started.StatusCode);
        for (var i = 0; i < 2; i++)
            await RefusedAsync(chen, new Uri(node.Address, ExternalSetup.CallbackPath + "?code=x&state=y"));
        using var limited = await chen.GetAsync(ExternalSetup.CallbackPath + "?code=x&state=y");
        await limited.ProblemAsync(HttpStatusCode.TooManyRequests, "rate.limited");
    }

    [Fact]
    public async Task A_node_without_a_provider_offers_none()
    {
        await using var node = await TestNode.StartAsync();
        await node.AddAccountAsync("chen");
        using var client = node.NewClient();
        using (var none = await client.SubmitAsync("/account/external"))
            await none.ProblemAsync(HttpStatusCode.NotFound, "route.unknown");
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync(ExternalSetup.CallbackPath + "?code=x&state=y")).StatusCode);
        using (var done = await client.GetAsync(ExternalSetup.DonePath))
            Assert.Equal("/account/sign-in", done.Headers.Location?.ToString());
        using (var linked = await node.SendAsync(HttpMethod.Put, "/api/v1/accounts/chen/identity", new { subject = "x" }))
            await linked.ProblemAsync(HttpStatusCode.Conflict, "accounts.noProvider");
    }

    /// <summary>What was begun at one machine is finished at another: nothing of it is in memory.</summary>
    [Fact]
    public async Task An_answer_is_taken_by_another_machine_of_the_same_world()
    {
        Assert.SkipUnless(PostgresServer.Missing is null, PostgresServer.Missing ?? "");
        var root = Directory.CreateTempSubdirectory("gongzhi-provider-");
        try
        {
            await using var city = await CityProvider.StartAsync();
            var subject = await city.AddAsync("chen");
            var one = await city.OfferAsync(o => Machine(o, "one"), ownsDirectory: false);
            await one.AddAccountAsync("chen");
            using (var linked = await one.SendAsync(HttpMethod.Put, "/api/v1/accounts/chen/identity", new { subject }))
                Assert.Equal(HttpStatusCode.OK, linked.StatusCode);
            using var chen = await new ProviderVisitor(one, city).AtCityAsync("chen");
            var callback = await chen.CallbackAsync(("returnUrl", "/me"));
            await one.DisposeAsync();
            await using var two = await TestNode.StartAsync(o => Machine(city.Offered(o), "two") with { Urls = one.Address.ToString() }, ownsDirectory: false);
            using (var checkedAnswer = await chen.Http.GetAsync(callback))
                Assert.Equal(ExternalSetup.DonePath, checkedAnswer.Headers.Location?.OriginalString);
            using (var entered = await chen.Http.GetAsync(ExternalSetup.DonePath))
                Assert.Equal("/me", entered.Headers.Location?.ToString());
            Assert.Equal(HttpStatusCode.OK, (await chen.WhoAsync()).StatusCode);
        }
        finally
        {
            TestStore.Drop(root.FullName);
            root.Delete(recursive: true);
        }

        NodeOptions Machine(NodeOptions options, string machine)
        {
            Directory.Delete(options.Data);
            return options with
            {
                Data = Path.Combine(root.FullName, machine), Database = TestStore.Postgres(root.FullName).ConnectionString, ClusterSecret = "a secret of the cluster, long enough",
            };
        }
    }

    [Theory]
    [InlineData("http://login.example.org", "id", "secret", null, "https")]
    [InlineData("ftp://login.example.org", "id", "secret", null, "https")]
    [InlineData("login.example.org", "id", "secret", null, "OidcAuthority")]
    [InlineData("https://user@login.example.org", "id", "secret", null, "OidcAuthority")]
    [InlineData("https://login.example.org/?x=1", "id", "secret", null, "OidcAuthority")]
    [InlineData("https://login.example.org", null, "secret", null, "all of")]
    [InlineData("https://login.example.org", "id", null, null, "all of")]
    [InlineData(null, "id", "secret", null, "all of")]
    [InlineData("https://login.example.org", "id", "secret", "/nowhere/secret", "not both")]
    [InlineData("https://login.example.org", "id", null, "/nowhere/secret", "cannot be read")]
    public void A_provider_is_set_wholly_and_safely_or_the_node_does_not_start(string? authority, string? id, string? secret, string? file, string sentence)
    {
        var options = new NodeOptions { OidcAuthority = authority, OidcClientId = id, OidcClientSecret = secret, OidcClientSecretFile = file };
        Assert.Contains(sentence, Assert.Throws<StartRefusedException>(() => NodeConfiguration.Validate(options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_secret_may_be_in_a_file_and_a_name_may_be_left_out()
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, " s3cret\n");
        var provider = ExternalProvider.Of(new NodeOptions { OidcAuthority = "https://login.example.org/realm", OidcClientId = "id", OidcClientSecretFile = file })!;
        File.WriteAllText(file, "\n");
        Assert.Contains("no secret", Assert.Throws<StartRefusedException>(() =>
            ExternalProvider.Of(new NodeOptions { OidcAuthority = "https://login.example.org", OidcClientId = "id", OidcClientSecretFile = file })).Message, StringComparison.Ordinal);
        File.Delete(file);
        Assert.Equal(("s3cret", "login.example.org", "login.example.org"), (provider.ClientSecret, provider.NameEn, provider.NameZh));
        Assert.NotNull(ExternalProvider.Of(new NodeOptions { OidcAuthority = "http://127.0.0.1:5080", OidcClientId = "id", OidcClientSecret = "s" }));
        Assert.Null(ExternalProvider.Of(new NodeOptions()));
    }

    private static async Task RefusedAsync(HttpClient http, Uri address)
    {
        using var refused = await http.GetAsync(address);
        await refused.ProblemAsync(HttpStatusCode.Unauthorized, "account.provider-failed");
    }

    /// <summary>The address with one part of its query changed; empty: left out.</summary>
    private static Uri With(Uri address, string name, string value)
    {
        var query = QueryHelpers.ParseQuery(address.Query).ToDictionary(p => p.Key, p => (string?)p.Value.ToString());
        query.Remove(name);
        if (value.Length > 0)
            query[name] = value;
        return new Uri(QueryHelpers.AddQueryString(address.GetLeftPart(UriPartial.Path), query));
    }

    private static void Claim(SecurityTokenDescriptor token, string name, string value)
    {
        token.Claims ??= new Dictionary<string, object>();
        token.Claims[name] = value;
        foreach (var claim in token.Subject?.FindAll(name).ToList() ?? [])
            token.Subject!.RemoveClaim(claim);
    }

    private static DateTime Ago(int hours) => TimeProvider.System.GetUtcNow().AddHours(-hours).UtcDateTime;

    /// <summary>Another subject under the old signature.</summary>
    private static string Changed(string token)
    {
        var parts = token.Split('.');
        var payload = System.Text.Json.Nodes.JsonNode.Parse(Base64UrlEncoder.Decode(parts[1]))!.AsObject();
        payload["sub"] = "somebody else";
        return $"{parts[0]}.{Base64UrlEncoder.Encode(payload.ToJsonString())}.{parts[2]}";
    }

    private static string Unsigned(string token) => $"{Base64UrlEncoder.Encode("""{"alg":"none","typ":"JWT"}""")}.{token.Split('.')[1]}.";
}
