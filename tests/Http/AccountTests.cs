using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http;

public sealed class AccountTests
{
    [Fact]
    public async Task Five_wrong_passwords_lock_the_account_even_for_the_right_one()
    {
        await using var node = await TestNode.StartAsync();
        await node.AddAccountAsync("zhao");
        using var client = node.NewClient();
        for (var i = 0; i < 4; i++)
        {
            using var wrong = await client.SignInAsync("zhao", "not the password");
            await wrong.ProblemAsync(HttpStatusCode.Unauthorized, "account.sign-in-failed");
        }
        using var fifth = await client.SignInAsync("zhao", "not the password");
        await fifth.ProblemAsync(HttpStatusCode.Locked, "account.locked");
        using var right = await client.SignInAsync("zhao", TestNode.Password);
        await right.ProblemAsync(HttpStatusCode.Locked, "account.locked");
        using var nobody = await client.SignInAsync("nobody", TestNode.Password);
        await nobody.ProblemAsync(HttpStatusCode.Unauthorized, "account.sign-in-failed");
    }

    [Fact]
    public async Task A_session_cookie_is_http_only_lax_and_named_after_the_world_and_signs_out()
    {
        await using var node = await TestNode.StartAsync();
        await node.AddAccountAsync("sun");
        using var client = node.NewClient();
        using var signedIn = await client.SignInAsync("sun", TestNode.Password, "//elsewhere.example/");
        Assert.Equal("/", signedIn.Headers.Location!.ToString());
        var cookie = Assert.Single(signedIn.Headers.GetValues("Set-Cookie"), c => c.StartsWith("gz.test-", StringComparison.Ordinal) && c.Contains(".session=", StringComparison.Ordinal));
        Assert.Contains("httponly", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("samesite=lax", cookie, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/api/test/whoami")).StatusCode);
        using var crossSite = new HttpRequestMessage(HttpMethod.Post, "/api/test/change");
        crossSite.Headers.Add("Origin", "http://127.0.0.1:1");
        using var refused = await client.SendAsync(crossSite);
        await refused.ProblemAsync(HttpStatusCode.Forbidden, "auth.cross-site");
        using var bare = await client.PostAsync("/account/sign-out", null);
        await bare.ProblemAsync(HttpStatusCode.BadRequest, "auth.antiforgery");
        using var left = await client.SubmitAsync("/account/sign-out");
        Assert.Equal(HttpStatusCode.Redirect, left.StatusCode);
        await (await client.GetAsync("/api/test/whoami")).ProblemAsync(HttpStatusCode.Unauthorized, "auth.required");
    }

    [Fact]
    public async Task A_session_ends_when_idle_and_after_its_absolute_time()
    {
        var clock = new ManualClock();
        await using var node = await TestNode.StartAsync(extend: b => b.Services.AddSingleton<TimeProvider>(clock));
        await node.AddAccountAsync("qian");
        using var client = node.NewClient();
        await client.SignInAsync("qian", TestNode.Password);
        clock.Advance(TimeSpan.FromMinutes(31));
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.GetAsync("/api/test/whoami")).StatusCode);

        await client.SignInAsync("qian", TestNode.Password);
        for (var i = 0; i < 35; i++)
        {
            clock.Advance(TimeSpan.FromMinutes(20));
            Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/api/test/whoami")).StatusCode);
        }
        clock.Advance(TimeSpan.FromMinutes(25));
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.GetAsync("/api/test/whoami")).StatusCode);
    }

    [Fact]
    public async Task A_second_factor_is_enrolled_and_then_demanded()
    {
        await using var node = await TestNode.StartAsync();
        await node.AddAccountAsync("zhou");
        using var client = node.NewClient();
        await client.SignInAsync("zhou", TestNode.Password);
        using var enrolled = await client.SubmitAsync("/account/totp/enrol");
        var key = (await enrolled.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("key").GetString()!;
        using var wrong = await client.SubmitAsync("/account/totp/confirm", ("code", "000000x"));
        await wrong.ProblemAsync(HttpStatusCode.UnprocessableEntity, "account.code-wrong");
        using var confirmed = await client.SubmitAsync("/account/totp/confirm", ("code", Totp(key)));
        var recovery = (await confirmed.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("recoveryCodes");
        Assert.Equal(10, recovery.GetArrayLength());

        foreach (var code in new[] { Totp(key), recovery[0].GetString()! })
        {
            using var fresh = node.NewClient();
            using var first = await fresh.SignInAsync("zhou", TestNode.Password);
            Assert.StartsWith("/account/totp", first.Headers.Location!.ToString(), StringComparison.Ordinal);
            Assert.Equal(HttpStatusCode.Unauthorized, (await fresh.GetAsync("/api/test/whoami")).StatusCode);
            using var bad = await fresh.SubmitAsync("/account/totp", ("code", "abcdef"));
            await bad.ProblemAsync(HttpStatusCode.UnprocessableEntity, "account.code-wrong");
            using var second = await fresh.SubmitAsync("/account/totp", ("code", code));
            Assert.Equal(HttpStatusCode.Redirect, second.StatusCode);
            Assert.Equal(HttpStatusCode.OK, (await fresh.GetAsync("/api/test/whoami")).StatusCode);
        }
    }

    [Fact]
    public async Task The_first_administrator_is_made_once_by_the_link()
    {
        await using var node = await TestNode.StartAsync(o => o with { Empty = true });
        var secret = NodeHost.FirstAdministratorSecret(node.App, node.Options)!;
        using var client = node.NewClient();
        using var weak = await client.SubmitAsync("/account/setup", ("token", secret), ("name", "admin"), ("password", "password123456"));
        await weak.ProblemAsync(HttpStatusCode.UnprocessableEntity, "account.password-refused");
        using var made = await client.SubmitAsync("/account/setup", ("token", secret), ("name", "管理员"), ("password", TestNode.Password));
        Assert.Equal(HttpStatusCode.Redirect, made.StatusCode);
        using var caller = await client.GetAsync("/api/test/whoami");
        Assert.Contains("system-administrator", await caller.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using var again = await node.NewClient().SubmitAsync("/account/setup", ("token", secret), ("name", "other"), ("password", TestNode.Password));
        await again.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        Assert.Null(NodeHost.FirstAdministratorSecret(node.App, node.Options));
    }

    [Fact]
    public async Task Passkey_options_are_given_and_a_made_up_answer_is_refused()
    {
        await using var node = await TestNode.StartAsync();
        await node.AddAccountAsync("wu");
        using var client = node.NewClient();
        await client.SignInAsync("wu", TestNode.Password);
        var token = await client.GetFromJsonAsync<Dictionary<string, string>>("/account/form-token");
        client.DefaultRequestHeaders.Add(token!["header"], token["token"]);
        using var options = await client.PostAsync("/account/passkey/creation-options", null);
        Assert.True((await options.Content.ReadFromJsonAsync<JsonElement>()).TryGetProperty("challenge", out _));
        foreach (var answer in new object[] { new { id = "x" }, 7, new { id = "AA", rawId = "AA", type = "public-key", response = new { } } })
        {
            using var refused = await client.PostAsJsonAsync("/account/passkey/register", answer);
            await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "account.passkey-failed");
            using var signIn = await client.PostAsJsonAsync("/account/passkey/sign-in", answer);
            await signIn.ProblemAsync(HttpStatusCode.UnprocessableEntity, "account.passkey-failed");
        }
        using var request = await client.PostAsync("/account/passkey/request-options", null);
        Assert.True((await request.Content.ReadFromJsonAsync<JsonElement>()).TryGetProperty("challenge", out _));
    }

    [Theory]
    [InlineData("password123456", true)]
    [InlineData("Password2026!!", true)]
    [InlineData("aaaaaaaaaaaaaa", true)]
    [InlineData("123456789012", true)]
    [InlineData("qwertyuiop123", true)]
    [InlineData("woaini1314520", true)]
    [InlineData("correct horse battery", false)]
    [InlineData("青山绿水共治一方平安", false)]
    [InlineData("tR7#kkw0-zebra", false)]
    public void Common_passwords_are_known(string password, bool common) => Assert.Equal(common, PasswordRules.IsCommon(password));

    /// <summary>RFC 6238 with the usual thirty seconds and six digits.</summary>
    internal static string Totp(string base32)
    {
        var bits = string.Concat(base32.Select(c => Convert.ToString("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".IndexOf(c, StringComparison.Ordinal), 2).PadLeft(5, '0')));
        var key = Enumerable.Range(0, bits.Length / 8).Select(i => Convert.ToByte(bits.Substring(i * 8, 8), 2)).ToArray();
        var counter = new byte[8];
        BinaryPrimitives.WriteInt64BigEndian(counter, TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() / 30);
#pragma warning disable CA5350 // RFC 6238 authenticators use HMAC-SHA-1
        var hash = HMACSHA1.HashData(key, counter);
#pragma warning restore CA5350
        var number = BinaryPrimitives.ReadInt32BigEndian(hash.AsSpan(hash[^1] & 15)) & int.MaxValue;
        return (number % 1_000_000).ToString("D6", System.Globalization.CultureInfo.InvariantCulture);
    }

    private sealed class ManualClock : TimeProvider
    {
        private DateTimeOffset _now = System.GetUtcNow();

        public override DateTimeOffset GetUtcNow() => _now;

        public void Advance(TimeSpan by) => _now += by;
    }
}
