using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Web;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http;

public sealed class HostTests
{
    [Fact]
    public async Task Whatever_is_wrong_with_a_request_comes_back_as_a_problem()
    {
        await using var node = await TestNode.StartAsync(o => o with { RequestSecondsMax = 1 });
        using var client = node.NewClient();
        await (await client.GetAsync("/api/nothing")).ProblemAsync(HttpStatusCode.NotFound, "route.unknown");
        await (await client.DeleteAsync("/api/test/echo")).ProblemAsync(HttpStatusCode.MethodNotAllowed, "request.method");
        await (await client.GetAsync("/api/test/whoami")).ProblemAsync(HttpStatusCode.Unauthorized, "auth.required");
        foreach (var body in new[] { "{", "", "[]", "{\"name\":7}", "{\"name\":null,\"count\":1}", "{\"count\":1e99}", "\0", new string('[', 900) })
            await (await client.PostAsync("/api/test/echo", Json(body))).ProblemAsync(HttpStatusCode.BadRequest, "request.malformed");
        await (await client.PostAsync("/api/test/echo", new StringContent("a,b", Encoding.UTF8, "text/csv"))).ProblemAsync(HttpStatusCode.UnsupportedMediaType, "request.media-type");
        await (await client.PostAsync("/api/test/echo", Json("{\"name\":\"" + new string('x', 2_000) + "\",\"count\":1}"))).ProblemAsync(HttpStatusCode.RequestEntityTooLarge, "request.too-large");
        var slow = await (await client.GetAsync("/api/test/slow")).ProblemAsync(HttpStatusCode.ServiceUnavailable, "request.timeout");
        Assert.DoesNotContain("Exception", slow.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Failures_of_ours_tell_nothing_and_say_whether_to_try_again()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        using var store = await client.GetAsync("/api/test/fails/store");
        await store.ProblemAsync(HttpStatusCode.ServiceUnavailable, "store.unavailable");
        Assert.NotNull(store.Headers.RetryAfter);
        using var writer = await client.GetAsync("/api/test/fails/writer");
        await writer.ProblemAsync(HttpStatusCode.ServiceUnavailable, "node.stopped");
        using var other = await client.GetAsync("/api/test/fails/other");
        Assert.DoesNotContain("secret", (await other.ProblemAsync(HttpStatusCode.InternalServerError, "internal")).ToString(), StringComparison.Ordinal);
        Assert.True(other.Headers.Contains("Content-Security-Policy"));
    }

    [Theory]
    [InlineData("zh-TW,zh;q=0.9,en;q=0.5", "zh-CN")]
    [InlineData("en-GB,zh;q=0.5", "en")]
    [InlineData("fr", "en")]
    public async Task Problems_speak_the_readers_language(string accept, string language)
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        client.DefaultRequestHeaders.Add("Accept-Language", accept);
        using var response = await client.GetAsync("/api/nothing");
        var problem = await response.ProblemAsync(HttpStatusCode.NotFound, "route.unknown");
        Assert.Equal(language, Assert.Single(response.Content.Headers.ContentLanguage));
        Assert.Equal(language == "zh-CN" ? "未找到" : "Not found", problem.GetProperty("title").GetString());
        using var refused = await client.GetAsync("/api/test/refused");
        var own = await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "test.refused");
        Assert.Equal("It holds 3 wrong rows.", own.GetProperty("detail").GetString());
        Assert.Equal(7, own.GetProperty("errors")[0].GetProperty("row").GetInt32());
    }

    [Fact]
    public async Task Uploads_may_be_larger_than_other_bodies_and_have_a_limit_of_their_own()
    {
        await using var node = await TestNode.StartAsync(o => o with { UploadBytesMax = 4 << 20 });
        var token = await node.TokenAsync();
        using var client = node.NewClient();
        async Task<HttpResponseMessage> Upload(int bytes)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/test/upload") { Content = new ByteArrayContent(new byte[bytes]) }.WithToken(token);
            // Asks before it sends, so that the refusal is read rather than a broken pipe.
            request.Headers.ExpectContinue = true;
            return await client.SendAsync(request);
        }
        Assert.Equal("3145728", await (await Upload(3 << 20)).Content.ReadAsStringAsync());
        await (await Upload((4 << 20) + 1)).ProblemAsync(HttpStatusCode.RequestEntityTooLarge, "request.too-large");
    }

    [Fact]
    public async Task Every_answer_carries_the_security_headers()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        foreach (var path in new[] { "/account/sign-in", "/api/nothing", "/health/live", "/openapi/v1.json", "/connect/token" })
        {
            using var response = await client.GetAsync(path);
            var policy = Assert.Single(response.Headers.GetValues("Content-Security-Policy"));
            Assert.Contains("default-src 'self'", policy, StringComparison.Ordinal);
            Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
            Assert.Contains("script-src 'self';", policy, StringComparison.Ordinal);
            Assert.Equal("nosniff", Assert.Single(response.Headers.GetValues("X-Content-Type-Options")));
            foreach (var name in new[] { "Referrer-Policy", "Permissions-Policy", "X-Frame-Options" })
                Assert.True(response.Headers.Contains(name), $"{path} lacks {name}");
            Assert.False(response.Headers.Contains("Server"));
            Assert.False(response.Headers.Contains("Access-Control-Allow-Origin"));
        }
    }

    [Fact]
    public async Task Attempts_to_sign_in_and_requests_are_limited_by_address_and_by_caller()
    {
        await using var node = await TestNode.StartAsync(o => o with { SignInsPerMinute = 3, CallerRequestsPerSecond = 2, AddressRequestsPerSecond = 0, TokensPerMinute = 2 });
        using var client = node.NewClient();
        for (var i = 0; i < 3; i++)
            Assert.Equal(HttpStatusCode.Unauthorized, (await client.SignInAsync("nobody", "nothing at all")).StatusCode);
        using var limited = await client.SignInAsync("nobody", "nothing at all");
        await limited.ProblemAsync(HttpStatusCode.TooManyRequests, "rate.limited");
        Assert.NotNull(limited.Headers.RetryAfter);
        var token = await node.TokenAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(async _ =>
            (await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token))).StatusCode));
        Assert.Contains(HttpStatusCode.TooManyRequests, answers);
        Assert.Contains(HttpStatusCode.OK, answers);
        await node.TokenAsync();
        using var tokens = await client.PostAsync("/connect/token", new FormUrlEncodedContent([]));
        Assert.Equal(HttpStatusCode.TooManyRequests, tokens.StatusCode);
    }

    [Fact]
    public async Task The_description_health_metrics_and_reference_page_are_served_from_here_alone()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        var description = await client.GetFromJsonAsync<JsonElement>("/openapi/v1.json");
        Assert.StartsWith("3.1", description.GetProperty("openapi").GetString(), StringComparison.Ordinal);
        Assert.True(description.GetProperty("paths").TryGetProperty("/api/test/echo", out _));
        foreach (var path in new[] { "/health/live", "/health/ready" })
            Assert.Equal("ok", (await client.GetFromJsonAsync<JsonElement>(path)).GetProperty("status").GetString());
        Assert.Contains("target_info", await client.GetStringAsync("/metrics"), StringComparison.Ordinal);
        using var proxied = new HttpRequestMessage(HttpMethod.Get, "/metrics");
        proxied.Headers.Add("X-Forwarded-For", "192.0.2.1");
        Assert.Equal(HttpStatusCode.NotFound, (await client.SendAsync(proxied)).StatusCode);

        using var page = await client.GetAsync("/docs/api/");
        var html = await page.Content.ReadAsStringAsync();
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
        Assert.DoesNotContain("https://", html, StringComparison.Ordinal);
        Assert.Contains("nonce=\"", html, StringComparison.Ordinal);
        var nonce = html.Split("nonce=\"")[1].Split('"')[0];
        Assert.Contains($"'nonce-{WebUtility.HtmlDecode(nonce)}'", Assert.Single(page.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
        var discovery = await client.GetFromJsonAsync<JsonElement>("/.well-known/openid-configuration");
        Assert.EndsWith("/.well-known/jwks", discovery.GetProperty("jwks_uri").GetString(), StringComparison.Ordinal);
        Assert.Equal(1, (await client.GetFromJsonAsync<JsonElement>("/.well-known/jwks")).GetProperty("keys").GetArrayLength());
    }

    [Fact]
    public async Task Every_route_has_a_name_an_authorisation_decision_and_a_body_limit_where_it_takes_one()
    {
        await using var node = await TestNode.StartAsync();
        var faults = new List<string>();
        foreach (var route in node.App.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>())
        {
            var methods = route.Metadata.GetMetadata<IHttpMethodMetadata>()?.HttpMethods ?? [];
            var name = $"{string.Join('|', methods)} {route.RoutePattern.RawText}";
            if (route.Metadata.GetMetadata<IEndpointNameMetadata>() is null)
                faults.Add($"{name}: no name");
            if (route.Metadata.GetMetadata<IAllowAnonymous>() is null && route.Metadata.GetMetadata<IAuthorizeData>() is null
                && route.Metadata.GetMetadata<AuthorizationPolicy>() is null)
                faults.Add($"{name}: neither RequireCaller nor AllowAnonymous");
            if (methods.Any(m => m is "POST" or "PUT" or "PATCH") && route.Metadata.GetMetadata<IRequestSizeLimitMetadata>() is null)
                faults.Add($"{name}: no body limit");
        }
        Assert.Empty(faults);
    }

    [Fact]
    public async Task The_api_description_says_which_operations_want_a_caller_and_with_which_roles()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        var description = await client.GetFromJsonAsync<JsonElement>("/openapi/v1.json");
        var schemes = description.GetProperty("components").GetProperty("securitySchemes");
        Assert.Equal("oauth2", schemes.GetProperty("token").GetProperty("type").GetString());
        Assert.Equal(node.App.Services.GetRequiredService<Core.World>().CookieName("session"), schemes.GetProperty("session").GetProperty("name").GetString());
        var paths = description.GetProperty("paths");
        Assert.False(paths.GetProperty("/api/v1/datasets").GetProperty("get").TryGetProperty("security", out _));
        var put = paths.GetProperty("/api/v1/datasets/{id}").GetProperty("put");
        Assert.Equal(["token", "session"], put.GetProperty("security").EnumerateArray().Select(s => s.EnumerateObject().Single().Name));
        Assert.True(put.GetProperty("responses").TryGetProperty("401", out _));
        Assert.Contains("audit-administrator", paths.GetProperty("/api/v1/audit/changes").GetProperty("get").GetProperty("description").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Plain_http_to_other_machines_is_refused_unless_asked_for()
    {
        var options = TestNode.NewOptions() with { Urls = "http://0.0.0.0:0" };
        var refused = await Assert.ThrowsAsync<StartRefusedException>(() => NodeHost.BuildAsync(options));
        Assert.Contains("AllowPlainHttp", refused.Message, StringComparison.Ordinal);
        Directory.Delete(options.Data, recursive: true);
    }

    [Fact]
    public async Task Sweeping_stored_tokens_leaves_the_valid_and_takes_the_revoked()
    {
        await using var node = await TestNode.StartAsync();
        await node.TokenAsync();
        using var scope = node.App.Services.CreateScope();
        var tokens = scope.ServiceProvider.GetRequiredService<OpenIddict.Abstractions.IOpenIddictTokenManager>();
        Assert.Equal(1, await tokens.CountAsync());
        var later = TimeProvider.System.GetUtcNow().AddDays(30);
        await tokens.PruneAsync(later);
        Assert.Equal(1, await tokens.CountAsync());
        var kept = new List<object>();
        await foreach (var token in tokens.ListAsync())
            kept.Add(token);
        foreach (var token in kept)
            Assert.True(await tokens.TryRevokeAsync(token));
        await tokens.PruneAsync(later);
        Assert.Equal(0, await tokens.CountAsync());
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    /// <summary>The oldest data directories there are open in this program, and what was in them is there.</summary>
    [Fact]
    public async Task A_database_of_the_first_version_starts()
    {
        Shared.TestStore.OnlySqlite();
        var options = TestNode.NewOptions();
        await using (var old = new Microsoft.Data.Sqlite.SqliteConnection($"Pooling=False;Data Source={Path.Combine(options.Data, "node.db")}"))
        {
            await old.OpenAsync();
            await using var command = old.CreateCommand();
            // The triggers call a function that only a node registers; a row goes in before they are there.
            var script = (await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "schema-1.sql"))).Split("\nCREATE TRIGGER", 2);
            command.CommandText = script[0] + "\nINSERT INTO party(Id, Kind, DisplayName, Bootstrap) VALUES ('person:old', 0, '老用户', 0);\nCREATE TRIGGER" + script[1];
            await command.ExecuteNonQueryAsync();
        }
        await using var node = await TestNode.StartAsync(_ => options);
        using var client = node.NewClient();
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/health/ready")).StatusCode);
        using var scope = node.App.Services.CreateScope();
        Assert.NotNull(scope.ServiceProvider.GetRequiredService<Core.Storage.NodeDb>().Set<Core.Parties.Party>().Find("person:old"));
        Assert.NotEmpty(await node.TokenAsync());
        Assert.True(File.Exists(Path.Combine(options.Data, "node.db.before-upgrade")));
    }

    [Theory]
    [InlineData("203.0.113.9", "203.0.113.9")]
    [InlineData("::ffff:203.0.113.9", "203.0.113.9")]
    [InlineData("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64")]
    [InlineData("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64")]
    [InlineData("::1", "::1")]
    public void An_address_stands_for_a_household(string address, string expected) =>
        Assert.Equal(expected, Gongzhi.Capabilities.Http.ReaderAddress.Of(System.Net.IPAddress.Parse(address)));
}
