using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Tokens;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.DependencyInjection;
using OpenIddict.Abstractions;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Tests.Http;

public sealed class TokenTests
{
    [Fact]
    public async Task A_client_gets_a_signed_token_and_is_the_caller_it_names()
    {
        await using var node = await TestNode.StartAsync();
        var token = await node.TokenAsync();
        var parts = token.Split('.');
        Assert.Equal(3, parts.Length);
        var header = JsonDocument.Parse(WebEncoders.Base64UrlDecode(parts[0])).RootElement;
        Assert.Equal("RS256", header.GetProperty("alg").GetString());
        var claims = JsonDocument.Parse(WebEncoders.Base64UrlDecode(parts[1])).RootElement;
        Assert.Matches("^gongzhi:test-[0-9a-f]{12}$", claims.GetProperty("aud").GetString());
        Assert.Equal(600, claims.GetProperty("exp").GetInt64() - claims.GetProperty("iat").GetInt64());

        using var client = node.NewClient();
        using var response = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
        var caller = await response.Content.ReadFromJsonAsync<JsonElement>();
        Assert.NotEmpty(caller.GetProperty("party").GetString()!);
        Assert.Equal(7, caller.GetProperty("roles").GetArrayLength());
    }

    [Fact]
    public async Task A_wrong_secret_and_a_bent_token_are_refused()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        var (status, body) = await client.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", TestNode.Client), ("client_secret", "wrong"));
        Assert.Equal(HttpStatusCode.Unauthorized, status);
        Assert.Equal("invalid_client", body.GetProperty("error").GetString());
        var token = await node.TokenAsync();
        var bent = token[..^10] + (token[^10] == 'A' ? 'B' : 'A') + token[^9..];
        using var response = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(bent));
        await response.ProblemAsync(HttpStatusCode.Unauthorized, "auth.required");
        Assert.NotEmpty(response.Headers.WwwAuthenticate);
    }

    [Fact]
    public async Task A_token_that_was_good_a_moment_ago_is_refused_once_it_has_ended()
    {
        var clock = new MovedClock();
        await using var node = await TestNode.StartAsync(extend: b => b.Services.AddSingleton<TimeProvider>(clock));
        using var client = node.NewClient();
        var token = await node.TokenAsync();
        Assert.Equal(HttpStatusCode.OK, await AskAsync(token));
        Assert.Equal(HttpStatusCode.OK, await AskAsync(token));
        // What is remembered of one token says nothing of another, nor of the same with one letter changed.
        Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(token[..^10] + (token[^10] == 'A' ? 'B' : 'A') + token[^9..]));
        clock.Ahead = TimeSpan.FromMinutes(9);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(token));
        clock.Ahead = TimeSpan.FromMinutes(16);
        Assert.Equal(HttpStatusCode.Unauthorized, await AskAsync(token));

        async Task<HttpStatusCode> AskAsync(string bearer)
        {
            using var response = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(bearer));
            return response.StatusCode;
        }
    }

    private sealed class MovedClock : TimeProvider
    {
        public TimeSpan Ahead { get; set; }
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Ahead;
    }

    [Fact]
    public async Task Keys_and_clients_outlive_a_restart_and_another_secret_does_not_start()
    {
        var node = await TestNode.StartAsync(ownsDirectory: false);
        var token = await node.TokenAsync();
        var data = node.Options.Data;
        await node.DisposeAsync();
        // The origin stays with the directory; the issuer is the address, so the port must stay for the token to.
        await using (var again = await TestNode.StartAsync(_ => TestNode.NewOptions(data) with { Urls = node.Address.ToString() }, ownsDirectory: false))
        {
            using var client = again.NewClient();
            using var response = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            var second = await Assert.ThrowsAsync<StartRefusedException>(() => NodeHost.BuildAsync(again.Options));
            Assert.Contains("another node is running", second.Message, StringComparison.Ordinal);
        }
        foreach (var client in new[] { "boot:another-long-secret", "other:another-long-secret" })
            await Assert.ThrowsAsync<StartRefusedException>(() => NodeHost.BuildAsync(TestNode.NewOptions(data) with { BootstrapClient = client }));
        await Assert.ThrowsAsync<StartRefusedException>(() => NodeHost.BuildAsync(TestNode.NewOptions(data) with { World = "renamed" }));
        Shared.TestStore.Drop(data);
        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task Secret_files_are_for_their_owner_alone()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("file modes are a Unix matter");
            return;
        }
        await using var node = await TestNode.StartAsync();
        var keys = Path.Combine(node.Options.Data, "keys");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(keys));
        foreach (var file in new[] { "token-signing.pem", "token-encryption.key" })
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(keys, file)));
    }

    [Fact]
    public async Task Code_with_PKCE_after_signing_in_gives_tokens_that_a_password_change_ends()
    {
        await using var node = await TestNode.StartAsync();
        var account = await node.AddAccountAsync("wang");
        using (var made = await node.PostAsync("/api/v1/clients", new { id = "desk", @public = true, redirectUris = new[] { "http://127.0.0.1:9/back" } }))
        {
            Assert.True(made.StatusCode == HttpStatusCode.Created, await made.Content.ReadAsStringAsync());
            var answer1 = await made.Content.ReadFromJsonAsync<JsonElement>();
            Assert.Equal(("client:desk", JsonValueKind.Null), (answer1.GetProperty("party").GetString(), answer1.GetProperty("secret").ValueKind));
        }
        using var client = node.NewClient();
        var verifier = WebEncoders.Base64UrlEncode(RandomNumberGenerator.GetBytes(32));
        var challenge = WebEncoders.Base64UrlEncode(SHA256.HashData(Encoding.ASCII.GetBytes(verifier)));
        var authorize = QueryHelpers.AddQueryString("/connect/authorize", new Dictionary<string, string?>
        {
            ["client_id"] = "desk", ["response_type"] = "code", ["redirect_uri"] = "http://127.0.0.1:9/back",
            ["scope"] = "openid profile offline_access", ["state"] = "s", ["code_challenge"] = challenge, ["code_challenge_method"] = "S256",
        });
        // Compared exactly, and never without PKCE: the person is sent nowhere else.
        foreach (var other in new[] { "http://127.0.0.1:9/back/", "http://127.0.0.1:9/back?x=1", "http://127.0.0.1:10/back", "http://localhost:9/back", "https://127.0.0.1:9/back", "http://127.0.0.1:9/BACK" })
        {
            using var elsewhere = await client.GetAsync(authorize.Replace(Uri.EscapeDataString("http://127.0.0.1:9/back"), Uri.EscapeDataString(other), StringComparison.Ordinal));
            Assert.True(elsewhere.StatusCode == HttpStatusCode.BadRequest, $"{other}: {elsewhere.StatusCode} {elsewhere.Headers.Location}");
        }
        using (var unproven = await client.GetAsync(authorize.Replace("code_challenge=", "x=", StringComparison.Ordinal)))
            Assert.Contains("invalid_request", unproven.Headers.Location?.ToString() ?? await unproven.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using var unsigned = await client.GetAsync(authorize);
        Assert.Equal(HttpStatusCode.Redirect, unsigned.StatusCode);
        Assert.StartsWith("/account/sign-in", unsigned.Headers.Location!.ToString(), StringComparison.Ordinal);
        var back = QueryHelpers.ParseQuery(unsigned.Headers.Location.ToString().Split('?', 2)[1])["returnUrl"].ToString();
        using var signedIn = await client.SignInAsync("wang", TestNode.Password, back);
        Assert.Equal(back, signedIn.Headers.Location!.ToString());
        using var granted = await client.GetAsync(signedIn.Headers.Location);
        Assert.Equal(HttpStatusCode.Redirect, granted.StatusCode);
        var answer = QueryHelpers.ParseQuery(granted.Headers.Location!.Query);
        Assert.Equal("s", answer["state"]);

        var wrong = await client.FormAsync("/connect/token", ("grant_type", "authorization_code"), ("client_id", "desk"), ("code", answer["code"]!),
            ("redirect_uri", "http://127.0.0.1:9/back"), ("code_verifier", new string('x', 43)));
        Assert.Equal(HttpStatusCode.BadRequest, wrong.Status);
        var (status, tokens) = await client.FormAsync("/connect/token", ("grant_type", "authorization_code"), ("client_id", "desk"),
            ("code", answer["code"]!), ("redirect_uri", "http://127.0.0.1:9/back"), ("code_verifier", verifier));
        Assert.True(status == HttpStatusCode.OK, tokens.ToString());
        using var who = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(tokens.GetProperty("access_token").GetString()!));
        Assert.Contains("person:wang", await who.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using var info = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/connect/userinfo").WithToken(tokens.GetProperty("access_token").GetString()!));
        Assert.Equal("wang", (await info.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("name").GetString());
        Assert.NotEmpty(tokens.GetProperty("id_token").GetString()!);

        var refreshed = await client.FormAsync("/connect/token", ("grant_type", "refresh_token"), ("client_id", "desk"), ("refresh_token", tokens.GetProperty("refresh_token").GetString()!));
        Assert.True(refreshed.Status == HttpStatusCode.OK, refreshed.Body.ToString());
        using var changed = await client.SubmitAsync("/account/password", ("current", TestNode.Password), ("new", "another battery horse"));
        Assert.Equal(HttpStatusCode.NoContent, changed.StatusCode);
        var ended = await client.FormAsync("/connect/token", ("grant_type", "refresh_token"), ("client_id", "desk"), ("refresh_token", refreshed.Body.GetProperty("refresh_token").GetString()!));
        Assert.Equal("invalid_grant", ended.Body.GetProperty("error").GetString());
    }

    [Fact]
    public async Task Redirect_uris_are_https_or_this_machine_and_written_out_in_full()
    {
        await using var node = await TestNode.StartAsync();
        foreach (var uri in new[]
                 {
                     "", "desk", "/back", "http://desk.example.org/back", "https://*.example.org/back", "https://desk.example.org/back#x", "https://user@desk.example.org/", "ftp://localhost/",
                     "javascript:alert(1)", "https://desk.example.org/a b", "https://desk.example.org\\@evil.example/", "HTTPS://desk.example.org/", "https://desk.example.org", "https://desk.example.org/../x",
                     "http://127.0.0.1.example.org/", "https://例.example.org/", "https://desk.example.org/" + new string('x', 1_000),
                 })
        {
            using var refused = await node.PostAsync("/api/v1/clients", new { id = "desk", redirectUris = new[] { uri } });
            await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "clients.redirectUris");
        }
        using (var none = await node.PostAsync("/api/v1/clients", new { id = "desk", @public = true }))
            await none.ProblemAsync(HttpStatusCode.UnprocessableEntity, "clients.redirectUris");
        using (var many = await node.PostAsync("/api/v1/clients", new { id = "desk", redirectUris = Enumerable.Range(0, 11).Select(i => $"https://desk.example.org/{i}") }))
            await many.ProblemAsync(HttpStatusCode.UnprocessableEntity, "clients.redirectUris");
        using var made = await node.PostAsync("/api/v1/clients", new { id = "desk", redirectUris = new[] { "https://desk.example.org/back", "http://localhost:7000/", "http://[::1]:7000/back" } });
        Assert.True(made.StatusCode == HttpStatusCode.Created, await made.Content.ReadAsStringAsync());
        var secret = (await made.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("secret").GetString()!;
        using var client = node.NewClient();
        // One with a secret also acts for itself; a public one does not.
        Assert.Equal(HttpStatusCode.OK, (await client.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", "desk"), ("client_secret", secret))).Status);
        using var open = await node.PostAsync("/api/v1/clients", new { id = "app", @public = true, redirectUris = new[] { "http://localhost:7000/" } });
        Assert.Equal(HttpStatusCode.Created, open.StatusCode);
        Assert.NotEqual(HttpStatusCode.OK, (await client.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", "app"))).Status);
        using var renewed = await node.PostAsync("/api/v1/clients/app/secret", new { });
        await renewed.ProblemAsync(HttpStatusCode.NotFound, "clients.unknown");
        using var asked = new HttpRequestMessage(HttpMethod.Get, "/api/v1/clients").WithToken(await node.TokenAsync());
        var listed = (await (await client.SendAsync(asked)).Content.ReadFromJsonAsync<JsonElement>()).GetProperty("clients").EnumerateArray().ToDictionary(c => c.GetProperty("id").GetString()!);
        Assert.True(listed["app"].GetProperty("public").GetBoolean());
        Assert.Equal(3, listed["desk"].GetProperty("redirectUris").GetArrayLength());

        // Who is no longer wanted signs nobody in.
        using var disabled = await node.PostAsync("/api/v1/parties/client:app/disable", new { });
        Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        using var gone = await client.GetAsync("/connect/authorize?client_id=app&response_type=code&redirect_uri=http%3A%2F%2Flocalhost%3A7000%2F&scope=openid&code_challenge="
            + new string('x', 43) + "&code_challenge_method=S256");
        Assert.Contains("unauthorized_client", gone.Headers.Location!.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_device_flow_waits_for_a_person_who_allows_it()
    {
        await using var node = await TestNode.StartAsync();
        await node.AddAccountAsync("chen");
        using var device = node.NewClient();
        var (status, start) = await device.FormAsync("/connect/device", ("client_id", "gongzhi-cli"), ("scope", "offline_access"));
        Assert.True(status == HttpStatusCode.OK, start.ToString());
        var code = start.GetProperty("device_code").GetString()!;
        Task<(HttpStatusCode Status, JsonElement Body)> Poll() => device.FormAsync("/connect/token",
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("client_id", "gongzhi-cli"), ("device_code", code));
        Assert.Equal("authorization_pending", (await Poll()).Body.GetProperty("error").GetString());

        using var person = node.NewClient();
        var page = new Uri(start.GetProperty("verification_uri_complete").GetString()!).PathAndQuery;
        using var unsigned = await person.GetAsync(page);
        Assert.Equal(HttpStatusCode.Redirect, unsigned.StatusCode);
        using var signedIn = await person.SignInAsync("chen", TestNode.Password, page);
        var html = await person.GetStringAsync(page);
        Assert.Contains("gongzhi-cli", html, StringComparison.Ordinal);
        var userCode = ClientExtensions.Hidden(html, "user_code");
        using (var forged = await person.PostAsync("/connect/verify", new FormUrlEncodedContent([KeyValuePair.Create("user_code", userCode), KeyValuePair.Create("decision", "allow")])))
            await forged.ProblemAsync(HttpStatusCode.BadRequest, "auth.antiforgery");
        using var allowed = await person.SubmitAsync("/connect/verify", ("user_code", userCode), ("decision", "allow"));
        Assert.Equal(HttpStatusCode.Redirect, allowed.StatusCode);
        var tokens = (await Poll()).Body;
        Assert.True(tokens.TryGetProperty("refresh_token", out _), tokens.ToString());
        using var who = await device.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(tokens.GetProperty("access_token").GetString()!));
        Assert.Contains("person:chen", await who.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_party_that_is_gone_is_no_longer_a_caller_and_roles_come_from_the_directory()
    {
        var parties = new Dictionary<string, Caller>();
        await using var node = await TestNode.StartAsync(extend: b =>
        {
            b.Services.AddSingleton<PartyProvision>((party, _) =>
            {
                parties["p1"] = new Caller { Party = "p1", Roles = new HashSet<string> { Roles.Reader } };
                return Task.FromResult("p1");
            });
            b.Services.AddSingleton<PartyLookup>((id, _) => parties.GetValueOrDefault(id));
        });
        var token = await node.TokenAsync();
        using var client = node.NewClient();
        using var reader = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/stewards").WithToken(token));
        await reader.ProblemAsync(HttpStatusCode.Forbidden, "auth.denied");
        using var here = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
        Assert.Equal(HttpStatusCode.OK, here.StatusCode);
        parties.Clear();
        using var gone = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
        await gone.ProblemAsync(HttpStatusCode.Forbidden, "auth.denied");
    }
}
