using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Ledger;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>From an empty node to a first contribution, by people with nothing but the link the node printed, and what the three administrators see of it.</summary>
[Collection("Journeys")]
public sealed class EmptyNodeTests
{
    private const string Places = "code,name,parent\n99,云川省,\n9901,澜和市,99\n990101,临川区,9901\n";

    [Fact]
    public async Task Three_administrators_are_set_up_one_after_another_and_a_contributor_contributes()
    {
        await using var node = await TestNode.StartAsync(o => o with { BootstrapClient = null, Empty = true, SignInsPerMinute = 0 });
        using var system = await FirstAsync(node);
        Assert.Equal([Roles.SecurityAdministrator, Roles.AuditAdministrator], await MissingAsync(system));

        // A second person. Before he is appointed nobody can give a role, and the first administrator can appoint neither himself nor anybody to anything else.
        var (security, securityParty) = await PersonAsync(node, system, "wang-security");
        var own = (await system.GetFromJsonAsyncElement("/api/v1/accounts")).GetProperty("accounts").EnumerateArray().Single(a => a.GetProperty("name").GetString() == "first");
        await RefusedAsync(system, own.GetProperty("party").GetString()!, Roles.SecurityAdministrator, "parties.self", HttpStatusCode.Forbidden);
        await RefusedAsync(system, securityParty, Roles.AuditAdministrator, "parties.denied", HttpStatusCode.Forbidden);
        await RefusedAsync(system, securityParty, Roles.Reader, "parties.denied", HttpStatusCode.Forbidden);
        await GiveAsync(system, securityParty, Roles.SecurityAdministrator, "node");
        var (audit, auditParty) = await PersonAsync(node, system, "li-audit");
        await RefusedAsync(system, auditParty, Roles.SecurityAdministrator, "parties.denied", HttpStatusCode.Forbidden);

        // A third. Nobody holds two of the three.
        await RefusedAsync(security, securityParty, Roles.AuditAdministrator, "parties.self", HttpStatusCode.Forbidden);
        await RefusedAsync(security, own.GetProperty("party").GetString()!, Roles.AuditAdministrator, "parties.separation", HttpStatusCode.Conflict);
        Assert.Equal([Roles.AuditAdministrator], await MissingAsync(security));
        await GiveAsync(security, auditParty, Roles.AuditAdministrator, "node");
        Assert.Empty(await MissingAsync(audit));

        // Places, a unit there, a steward, a contributor.
        using (var imported = await system.PostAsync("/api/v1/places", new StringContent(Places, Encoding.UTF8, "text/csv")))
            Assert.True(imported.StatusCode == HttpStatusCode.OK, await imported.Content.ReadAsStringAsync());
        await PostAsync(system, "/api/v1/units", new { id = "parks", nameZh = "园林局", nameEn = "Parks", place = "990101", level = 3, parent = "node" }, HttpStatusCode.Created);
        var (steward, stewardParty) = await PersonAsync(node, system, "chen-steward");
        var (clerk, clerkParty) = await PersonAsync(node, system, "zhou-clerk");
        await GiveAsync(security, stewardParty, Roles.Steward, "parks");
        await GiveAsync(security, clerkParty, Roles.Contributor, "parks");
        await RefusedAsync(security, auditParty, Roles.Reader, "parties.separation", HttpStatusCode.Conflict);
        using (var defined = await steward.PutAsJsonAsync("/api/v1/datasets/trees", new
        {
            title = "行道树", owner = "parks", opening = "open", place = "place",
            schema = new { fields = new object[] { new { name = "species", type = "string" }, new { name = "place", type = "place" } } },
        }))
            Assert.True(defined.StatusCode == HttpStatusCode.Created, await defined.Content.ReadAsStringAsync());
        foreach (var administrator in new[] { system, security, audit })
        {
            using var refused = await ContributeAsync(administrator);
            await refused.ProblemAsync(HttpStatusCode.Forbidden, "policy.refused");
        }
        using (var contributed = await ContributeAsync(clerk))
            Assert.True(contributed.StatusCode == HttpStatusCode.Created, await contributed.Content.ReadAsStringAsync());
        Assert.Equal(HttpStatusCode.OK, (await Journey.QueryAsync(steward, new { dataset = "trees", purpose = "open-data" })).Status);

        await SeenAsync(audit, steward, clerk, clerkParty, stewardParty);
        await DisabledAsync(system, security, clerk, clerkParty, own.GetProperty("party").GetString()!);
        foreach (var person in new[] { security, audit, steward, clerk })
            person.Dispose();
    }

    /// <summary>The audit administrator sees all changes and accesses and checks them; the steward the accesses of the unit's dataset, a reader his own.</summary>
    private static async Task SeenAsync(HttpClient audit, HttpClient steward, HttpClient clerk, string clerkParty, string stewardParty)
    {
        var given = (await audit.GetFromJsonAsyncElement($"/api/v1/audit/changes?entity=RoleHolding&limit=1000")).GetProperty("changes").EnumerateArray().ToList();
        Assert.Contains(given, c => c.GetProperty("content").ToString().Contains(clerkParty, StringComparison.Ordinal));
        Assert.Contains(given, c => c.GetProperty("content").GetProperty("reason").GetString() == "appoint the first security administrator");
        Assert.Single((await audit.GetFromJsonAsyncElement("/api/v1/audit/changes?entity=DatasetState&author=" + stewardParty)).GetProperty("changes").EnumerateArray());
        var first = (await audit.GetFromJsonAsyncElement("/api/v1/audit/changes?limit=2")).GetProperty("next").GetInt64();
        Assert.All((await audit.GetFromJsonAsyncElement($"/api/v1/audit/changes?before={first}")).GetProperty("changes").EnumerateArray(), c => Assert.True(c.GetProperty("number").GetInt64() < first));
        var imported = Assert.Single((await audit.GetFromJsonAsyncElement("/api/v1/audit/changes?entity=Place")).GetProperty("changes").EnumerateArray()).GetProperty("content");
        Assert.Equal(("import places", 3), (imported.GetProperty("reason").GetString(), imported.GetProperty("count").GetInt32()));
        using (var verified = await audit.PostAsync("/api/v1/audit/verification", null))
        {
            var report = JsonDocument.Parse(await verified.Content.ReadAsStringAsync()).RootElement;
            Assert.True(report.GetProperty("sound").GetBoolean(), report.ToString());
            Assert.True(report.GetProperty("changes").GetInt64() > 10);
        }
        foreach (var path in new[] { "/api/v1/audit/changes", "/api/v1/audit/changes/" + given[0].GetProperty("id").GetGuid() })
            Assert.Equal(HttpStatusCode.Forbidden, (await steward.GetAsync(path)).StatusCode);

        var mine = Assert.Single((await steward.GetFromJsonAsyncElement("/api/v1/accesses?dataset=trees")).GetProperty("accesses").EnumerateArray());
        Assert.Equal((stewardParty, "open-data"), (mine.GetProperty("reader").GetString(), mine.GetProperty("content").GetProperty("purpose").GetString()));
        Assert.Single((await audit.GetFromJsonAsyncElement("/api/v1/accesses")).GetProperty("accesses").EnumerateArray());
        Assert.Empty((await clerk.GetFromJsonAsyncElement("/api/v1/accesses")).GetProperty("accesses").EnumerateArray());
        var id = mine.GetProperty("id").GetGuid();
        await (await clerk.GetAsync($"/api/v1/accesses/{id}")).ProblemAsync(HttpStatusCode.NotFound, "access.unknown");
        foreach (var (who, path) in new[] { (steward, $"/api/v1/accesses/{id}"), (audit, $"/api/v1/audit/changes/{given[0].GetProperty("id").GetGuid()}") })
        {
            // What stands in the log is the commitment to just this content.
            var opened = await who.GetFromJsonAsyncElement(path);
            var commitment = SHA256.HashData([0, .. Encoding.UTF8.GetBytes(opened.GetProperty("content").GetString()!), .. opened.GetProperty("salt").GetBytesFromBase64()]);
            if (opened.GetProperty("entry").ValueKind == JsonValueKind.Null)
                continue;
            var entry = opened.GetProperty("entry").GetBytesFromBase64();
            Assert.True(entry.AsSpan().IndexOf(commitment) >= 0);
            Assert.True(TlogProof.TryParse(Encoding.UTF8.GetBytes(opened.GetProperty("tlogProof").GetString()!), out var proof));
            Assert.Equal(opened.GetProperty("index").GetInt64(), proof.Index);
        }
    }

    /// <summary>Disabling ends a session at once; it is no way to appoint oneself, nor to end oneself.</summary>
    private static async Task DisabledAsync(HttpClient system, HttpClient security, HttpClient clerk, string clerkParty, string ownParty)
    {
        using (var self = await system.PostAsync($"/api/v1/parties/{ownParty}/disable", null))
            await self.ProblemAsync(HttpStatusCode.Forbidden, "parties.self");
        using (var foreign = await security.PostAsync($"/api/v1/parties/{clerkParty}/disable", null))
            Assert.Equal(HttpStatusCode.Forbidden, foreign.StatusCode);
        using (var disabled = await system.PostAsync($"/api/v1/parties/{clerkParty}/disable", null))
            Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        using (var refused = await ContributeAsync(clerk))
            Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        using (var enabled = await system.PostAsync($"/api/v1/parties/{clerkParty}/enable", null))
            Assert.Equal(HttpStatusCode.OK, enabled.StatusCode);
        using (var again = await ContributeAsync(clerk))
            Assert.Equal(HttpStatusCode.Created, again.StatusCode);

        var holder = (await system.GetFromJsonAsyncElement("/api/v1/parties")).GetProperty("parties").EnumerateArray()
            .Single(p => p.GetProperty("roles").EnumerateArray().Any(r => r.GetProperty("role").GetString() == Roles.SecurityAdministrator)).GetProperty("id").GetString();
        using (var gone = await system.PostAsync($"/api/v1/parties/{holder}/disable", null))
            Assert.Equal(HttpStatusCode.OK, gone.StatusCode);
        Assert.Equal([Roles.SecurityAdministrator], await MissingAsync(system));
        await RefusedAsync(system, clerkParty, Roles.SecurityAdministrator, "parties.denied", HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task An_invitation_is_good_once_and_for_its_own_account()
    {
        await using var node = await TestNode.StartAsync(o => o with { BootstrapClient = null, Empty = true, SignInsPerMinute = 0 });
        using var system = await FirstAsync(node);
        var one = await PostAsync(system, "/api/v1/accounts", new { name = "one", displayName = "甲" }, HttpStatusCode.Created);
        var two = await PostAsync(system, "/api/v1/accounts", new { name = "two" }, HttpStatusCode.Created);
        using (var twice = await system.PostAsJsonAsync("/api/v1/accounts", new { name = "ONE" }))
            await twice.ProblemAsync(HttpStatusCode.Conflict, "accounts.exists");
        var (name, token) = Parts(one);
        using var browser = node.NewClient();
        // Nobody signs in before a password is set.
        using (var early = await browser.SignInAsync("one", ""))
            Assert.NotEqual("/", early.Headers.Location?.ToString());
        using (var foreign = await browser.SubmitAsync("/account/invitation", ("name", "two"), ("token", token), ("password", TestNode.Password)))
            await foreign.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        using (var unknown = await browser.SubmitAsync("/account/invitation", ("name", "three"), ("token", token), ("password", TestNode.Password)))
            await unknown.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        browser.DefaultRequestHeaders.AcceptLanguage.ParseAdd("zh-CN");
        using (var weak = await browser.SubmitAsync("/account/invitation", ("name", name), ("token", token), ("password", "short")))
        {
            var problem = await weak.ProblemAsync(HttpStatusCode.UnprocessableEntity, "account.password-refused");
            Assert.Contains("密码至少须有 12 个字符。", problem.GetProperty("messages").EnumerateArray().Select(m => m.GetString()));
        }
        using (var page = await browser.GetAsync(new Uri(one.GetProperty("link").GetString()!).PathAndQuery))
            Assert.Contains("设置密码", WebUtility.HtmlDecode(await page.Content.ReadAsStringAsync()), StringComparison.Ordinal);
        using (var set = await browser.SubmitAsync("/account/invitation", ("name", name), ("token", token), ("password", TestNode.Password)))
            Assert.Equal("/account/sign-in", set.Headers.Location?.ToString());
        using (var again = await browser.SubmitAsync("/account/invitation", ("name", name), ("token", token), ("password", TestNode.Password + "!")))
            await again.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        using (var signedIn = await browser.SignInAsync("one", TestNode.Password))
            Assert.Equal("/", signedIn.Headers.Location!.ToString());
        // He has an account and no role, so nothing of administration opens.
        foreach (var path in new[] { "/api/v1/accounts", "/api/v1/clients", "/api/v1/parties", "/api/v1/audit/changes" })
            Assert.Equal(HttpStatusCode.Forbidden, (await browser.GetAsync(path)).StatusCode);
        Assert.NotEqual(two.GetProperty("party").GetString(), one.GetProperty("party").GetString());
        using (var renewed = await system.PostAsync("/api/v1/accounts/one/invitation", null))
            Assert.NotEqual(token, Parts(JsonDocument.Parse(await renewed.Content.ReadAsStringAsync()).RootElement).Token);
    }

    [Fact]
    public async Task A_clients_secret_is_shown_once_and_a_new_one_ends_the_old()
    {
        await using var journey = await Journey.StartAsync();
        var made = await journey.PostAsync("/api/v1/clients", new { id = "sensors", displayName = "传感器" }, HttpStatusCode.Created);
        var secret = made.GetProperty("secret").GetString()!;
        using (var twice = await journey.Http.PostAsJsonAsync("/api/v1/clients", new { id = "sensors" }))
            await twice.ProblemAsync(HttpStatusCode.Conflict, "clients.exists");
        using (var wrong = await journey.Http.PostAsJsonAsync("/api/v1/clients", new { id = "No Good" }))
            await wrong.ProblemAsync(HttpStatusCode.UnprocessableEntity, "clients.invalid");
        await journey.PostAsync("/api/v1/parties/client:sensors/roles", new { role = Roles.Contributor, unit = "node" });
        await journey.DefineAsync("d", Samples.Definition);
        using var http = journey.Node.NewClient();
        var token = await TokenAsync(http, secret);
        Assert.NotNull(token);
        using (var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/datasets/d/records") { Content = new StringContent(Samples.Csv(2), Encoding.UTF8, Journey.CsvType) }.WithToken(token))
        using (var sent = await http.SendAsync(request))
            Assert.Equal(HttpStatusCode.Created, sent.StatusCode);
        var listed = (await journey.Http.GetFromJsonAsyncElement("/api/v1/clients")).GetProperty("clients");
        Assert.DoesNotContain(secret, listed.ToString(), StringComparison.Ordinal);
        Assert.Contains(listed.EnumerateArray(), c => c.GetProperty("id").GetString() == "sensors" && c.GetProperty("roles").GetArrayLength() == 1);

        var renewed = (await journey.PostAsync("/api/v1/clients/sensors/secret", new { })).GetProperty("secret").GetString()!;
        Assert.Null(await TokenAsync(http, secret));
        Assert.NotNull(await TokenAsync(http, renewed));
        using (var boot = await journey.Http.PostAsync($"/api/v1/clients/{TestNode.Client}/secret", null))
            await boot.ProblemAsync(HttpStatusCode.NotFound, "clients.unknown");
        // Disabled, its tokens are worth nothing from that moment.
        await journey.PostAsync("/api/v1/parties/client:sensors/disable", new { });
        using var after = new HttpRequestMessage(HttpMethod.Get, "/api/v1/accesses").WithToken(token);
        Assert.Equal(HttpStatusCode.Forbidden, (await http.SendAsync(after)).StatusCode);

        static async Task<string?> TokenAsync(HttpClient http, string secret)
        {
            var (status, body) = await http.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", "sensors"), ("client_secret", secret));
            return status == HttpStatusCode.OK ? body.GetProperty("access_token").GetString() : null;
        }
    }

    [Fact]
    public async Task A_system_administrator_gets_at_nobodys_data_by_a_new_secret_or_a_new_link()
    {
        await using var node = await TestNode.StartAsync(o => o with { BootstrapClient = null, Empty = true, SignInsPerMinute = 0 });
        using var system = await FirstAsync(node);
        var (security, securityParty) = await PersonAsync(node, system, "wang");
        await GiveAsync(system, securityParty, Roles.SecurityAdministrator, "node");
        var (audit, auditParty) = await PersonAsync(node, system, "li");
        await GiveAsync(security, auditParty, Roles.AuditAdministrator, "node");
        var (steward, stewardParty) = await PersonAsync(node, system, "chen");
        await GiveAsync(security, stewardParty, Roles.Steward, "node");
        using (var defined = await steward.PutAsJsonAsync("/api/v1/datasets/trees", new { title = "t", owner = "node", schema = new { fields = new object[] { new { name = "species", type = "string" } } } }))
            Assert.True(defined.StatusCode == HttpStatusCode.Created, await defined.Content.ReadAsStringAsync());
        var made = await PostAsync(system, "/api/v1/clients", new { id = "desk" }, HttpStatusCode.Created);
        await GiveAsync(security, "client:desk", Roles.Reader, "node");
        using var http = node.NewClient();
        var question = new { dataset = "trees", purpose = "upkeep", fields = new[] { "species" } };

        // The program takes a secret that nobody else has seen; nothing is suspended by that.
        var first = await TokenAsync(made);
        var own = await RenewAsync(first);
        Assert.False(own.GetProperty("suspended").GetBoolean());
        var token = await TokenAsync(own);
        Assert.Equal(HttpStatusCode.OK, await AskAsync(token));

        // The system administrator takes one: neither it nor what was given before is good for anything, until the program has one of its own and another person says so.
        var taken = await PostAsync(system, "/api/v1/clients/desk/secret", new { }, HttpStatusCode.OK);
        Assert.True(taken.GetProperty("suspended").GetBoolean());
        var seen = await TokenAsync(taken);
        foreach (var held in new[] { token, seen })
        {
            Assert.Equal(HttpStatusCode.Forbidden, await AskAsync(held));
            foreach (var path in new[] { "/api/v1/clients/other/secret", "/api/v1/parties/client:desk/confirm" })
            {
                using var other = new HttpRequestMessage(HttpMethod.Post, path).WithToken(held);
                Assert.Equal(HttpStatusCode.Forbidden, (await http.SendAsync(other)).StatusCode);
            }
        }
        using (var late = await http.SendAsync(new HttpRequestMessage(HttpMethod.Post, "/api/v1/clients/desk/secret").WithToken(token)))
            Assert.Equal(HttpStatusCode.Forbidden, late.StatusCode);
        foreach (var person in new[] { system, audit, steward })
            Assert.Equal(HttpStatusCode.Forbidden, (await person.PostAsync("/api/v1/parties/client:desk/confirm", null)).StatusCode);
        Assert.Contains((await security.GetFromJsonAsyncElement("/api/v1/clients")).GetProperty("clients").EnumerateArray(),
            c => c.GetProperty("id").GetString() == "desk" && c.GetProperty("suspended").GetBoolean() && !c.GetProperty("disabled").GetBoolean());
        using (var early = await security.PostAsync("/api/v1/parties/client:desk/confirm", null))
            await early.ProblemAsync(HttpStatusCode.Conflict, "clients.secretNotOwn");
        var owned = await RenewAsync(seen);
        Assert.True(owned.GetProperty("suspended").GetBoolean());
        // What the administrator saw ends there, its tokens too: he cannot take the program's place before or after the confirmation.
        var (status, body) = await http.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", "desk"), ("client_secret", taken.GetProperty("secret").GetString()!));
        Assert.True(status == HttpStatusCode.Unauthorized, body.ToString());
        Assert.Equal(HttpStatusCode.Forbidden, await AskAsync(await TokenAsync(owned)));
        await PostAsync(security, "/api/v1/parties/client:desk/confirm", new { }, HttpStatusCode.OK);
        foreach (var old in new[] { first, token, seen })
        {
            Assert.Equal(HttpStatusCode.Forbidden, await AskAsync(old));
            using var again = await http.SendAsync(new HttpRequestMessage(HttpMethod.Post, "/api/v1/clients/desk/secret").WithToken(old));
            Assert.Equal(HttpStatusCode.Forbidden, again.StatusCode);
        }
        Assert.Equal(HttpStatusCode.OK, await AskAsync(await TokenAsync(owned)));
        await RefusedRenewalAsync(steward);

        // A link for an account: its party waits for the security administrator, who by confirming ends what of the links is still unused.
        var link = await PostAsync(system, "/api/v1/accounts/chen/invitation", new { }, HttpStatusCode.OK);
        Assert.True(link.GetProperty("suspended").GetBoolean());
        Assert.Equal(HttpStatusCode.Forbidden, (await steward.GetAsync("/api/v1/accesses")).StatusCode);
        using (var set = await node.NewClient().SubmitAsync("/account/invitation", ("name", "chen"), ("token", Parts(link).Token), ("password", TestNode.Password + "2")))
            Assert.Equal(HttpStatusCode.Redirect, set.StatusCode);
        using var chen = node.NewClient();
        using (await chen.SignInAsync("chen", TestNode.Password + "2"))
            Assert.Equal(HttpStatusCode.Forbidden, (await chen.GetAsync("/api/v1/accesses")).StatusCode);
        // No code, and so no token, is given that would outlast the suspension.
        await PostAsync(system, "/api/v1/clients", new { id = "portal", redirectUris = new[] { "http://127.0.0.1:9/back" }, @public = true }, HttpStatusCode.Created);
        var authorize = "/connect/authorize?response_type=code&client_id=portal&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fback&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        using (var asked = await chen.GetAsync(authorize))
            Assert.Contains("error=access_denied", asked.Headers.Location?.ToString() ?? await asked.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        var unused = await PostAsync(system, "/api/v1/accounts/chen/invitation", new { }, HttpStatusCode.OK);
        await PostAsync(security, $"/api/v1/parties/{stewardParty}/confirm", new { }, HttpStatusCode.OK);
        using (var late = await node.NewClient().SubmitAsync("/account/invitation", ("name", "chen"), ("token", Parts(unused).Token), ("password", TestNode.Password + "3")))
            await late.ProblemAsync(HttpStatusCode.NotFound, "account.setup-closed");
        // The session that was opened by the link ends with the suspension, not a minute later.
        Assert.Equal(HttpStatusCode.Unauthorized, (await chen.GetAsync("/api/v1/accesses")).StatusCode);
        using var back = node.NewClient();
        using (await back.SignInAsync("chen", TestNode.Password + "2"))
        {
            Assert.Equal(HttpStatusCode.OK, (await back.GetAsync("/api/v1/accesses")).StatusCode);
            using var given = await back.GetAsync(authorize);
            Assert.Contains("code=", given.Headers.Location!.ToString(), StringComparison.Ordinal);
        }

        // Behind a second factor a link opens nothing, so its owner goes on; the security administrator's own account is no way in either.
        using var enrolled = await security.SubmitAsync("/account/totp/enrol");
        var key = (await enrolled.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("key").GetString()!;
        using (await security.SubmitAsync("/account/totp/confirm", ("code", AccountTests.Totp(key))))
        {
            var behind = await PostAsync(system, "/api/v1/accounts/wang/invitation", new { }, HttpStatusCode.OK);
            Assert.False(behind.GetProperty("suspended").GetBoolean());
            Assert.Equal(HttpStatusCode.OK, (await security.GetAsync("/api/v1/accounts")).StatusCode);
            using var thief = node.NewClient();
            using (await thief.SubmitAsync("/account/invitation", ("name", "wang"), ("token", Parts(behind).Token), ("password", TestNode.Password + "4")))
            using (var asked = await thief.SignInAsync("wang", TestNode.Password + "4"))
                Assert.StartsWith("/account/totp", asked.Headers.Location!.ToString(), StringComparison.Ordinal);
            Assert.Equal(HttpStatusCode.Unauthorized, (await thief.GetAsync("/api/v1/accounts")).StatusCode);
        }

        // Each act has its entry, and no secret or link is in any.
        var changes = (await audit.GetFromJsonAsyncElement("/api/v1/audit/changes?entity=Party&limit=1000")).GetProperty("changes").EnumerateArray().Select(c => c.GetProperty("content")).ToList();
        Assert.Equal(3, changes.Count(c => c.GetProperty("reason").GetString() == "renew client secret"));
        Assert.Equal(3, changes.Count(c => c.GetProperty("reason").GetString() == "invite account"));
        Assert.Equal(2, changes.Count(c => c.GetProperty("reason").GetString() == "confirm party" && c.GetProperty("author").GetString() == securityParty));
        var all = (await audit.GetFromJsonAsyncElement("/api/v1/audit/changes?limit=1000")).ToString();
        foreach (var secret in new[] { made, own, taken, owned }.Select(s => s.GetProperty("secret").GetString()!).Concat(new[] { link, unused }.Select(l => Parts(l).Token)))
            Assert.DoesNotContain(secret, all, StringComparison.Ordinal);
        using (var verified = await audit.PostAsync("/api/v1/audit/verification", null))
            Assert.True(JsonDocument.Parse(await verified.Content.ReadAsStringAsync()).RootElement.GetProperty("sound").GetBoolean());
        foreach (var person in new[] { security, audit, steward })
            person.Dispose();

        async Task<string> TokenAsync(JsonElement client)
        {
            var (status, body) = await http.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", "desk"), ("client_secret", client.GetProperty("secret").GetString()!));
            Assert.True(status == HttpStatusCode.OK, body.ToString());
            return body.GetProperty("access_token").GetString()!;
        }

        async Task<HttpStatusCode> AskAsync(string bearer)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query") { Content = JsonContent.Create(question) }.WithToken(bearer);
            using var response = await http.SendAsync(request);
            return response.StatusCode;
        }

        async Task<JsonElement> RenewAsync(string bearer)
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/clients/desk/secret").WithToken(bearer);
            using var response = await http.SendAsync(request);
            var text = await response.Content.ReadAsStringAsync();
            Assert.True(response.StatusCode == HttpStatusCode.OK, text);
            return JsonDocument.Parse(text).RootElement;
        }

        static async Task RefusedRenewalAsync(HttpClient person)
        {
            using var refused = await person.PostAsync("/api/v1/clients/desk/secret", null);
            await refused.ProblemAsync(HttpStatusCode.Forbidden, "auth.denied");
        }
    }

    [Fact]
    public async Task A_duty_officer_declares_and_ends_a_posture_in_his_own_area()
    {
        await using var journey = await Journey.StartAsync();
        using (var imported = await journey.Http.PostAsync("/api/v1/places", new StringContent(Places + "9902,望川市,99\n12,天津市,\n1201,市辖区,12\n120101,和平区,1201\n", Encoding.UTF8, "text/csv")))
            Assert.True(imported.IsSuccessStatusCode, await imported.Content.ReadAsStringAsync());
        using var officer = await journey.OtherPartyAsync("duty", Roles.DutyOfficer);
        using var reader = await journey.OtherPartyAsync("plain", Roles.Reader);
        var until = TimeProvider.System.GetUtcNow().AddDays(2);
        object Flood(string level = "emergency-II") => new { level, reason = "暴雨红色预警", expires = until };

        using (var refused = await reader.PutAsJsonAsync("/api/v1/postures/120101", Flood()))
            Assert.Equal(HttpStatusCode.Forbidden, refused.StatusCode);
        using (var elsewhere = await officer.PutAsJsonAsync("/api/v1/postures/9901", Flood()))
            await elsewhere.ProblemAsync(HttpStatusCode.Forbidden, "posture.denied");
        using (var wrong = await officer.PutAsJsonAsync("/api/v1/postures/120101", Flood("panic")))
            await wrong.ProblemAsync(HttpStatusCode.UnprocessableEntity, "posture.invalid");
        using (var endless = await officer.PutAsJsonAsync("/api/v1/postures/120101", new { level = "watch", reason = "x", expires = until.AddDays(60) }))
            await endless.ProblemAsync(HttpStatusCode.UnprocessableEntity, "posture.invalid");
        using (var declared = await officer.PutAsJsonAsync("/api/v1/postures/120101", Flood()))
            Assert.True(declared.StatusCode == HttpStatusCode.OK, await declared.Content.ReadAsStringAsync());
        using var nobody = journey.Node.NewClient();
        var seen = Assert.Single((await nobody.GetFromJsonAsyncElement("/api/v1/postures")).GetProperty("postures").EnumerateArray());
        Assert.Equal(("emergency-II", "暴雨红色预警", JsonValueKind.Null), (seen.GetProperty("level").GetString(), seen.GetProperty("reason").GetString(), seen.GetProperty("author").ValueKind));
        Assert.Equal("client:duty", (await reader.GetFromJsonAsyncElement("/api/v1/postures")).GetProperty("postures")[0].GetProperty("author").GetString());
        using (var silent = await officer.DeleteAsync("/api/v1/postures/120101"))
            await silent.ProblemAsync(HttpStatusCode.UnprocessableEntity, "posture.invalid");
        using (var ended = await officer.DeleteAsync("/api/v1/postures/120101?reason=" + Uri.EscapeDataString("雨停")))
            Assert.Equal(HttpStatusCode.NoContent, ended.StatusCode);
        Assert.Empty((await nobody.GetFromJsonAsyncElement("/api/v1/postures")).GetProperty("postures").EnumerateArray());
    }

    [Fact]
    public async Task Fields_bind_to_elements_that_exist_and_are_of_their_type()
    {
        await using var journey = await Journey.StartAsync();
        using var other = await journey.OtherPartyAsync("tax", Roles.Steward);
        object Species(string owner = "node", string type = "string", params string[] codes) => new
        {
            owner, nameZh = "树种", nameEn = "Species", type, sensitivity = "public", codes = codes.Length == 0 ? null : codes.Select(c => new { code = c, zh = c, en = c }),
        };
        object Trees(string type = "string") => new { title = "行道树", owner = "node", schema = new { fields = new object[] { new { name = "species", type, element = "species" } } } };

        using (var foreign = await other.PutAsJsonAsync("/api/v1/elements/species", Species()))
            await foreign.ProblemAsync(HttpStatusCode.Forbidden, "element.denied");
        foreach (var wrong in new[] { new { }, Species(type: "colour"), Species("nowhere"), new { owner = "node", nameZh = "", nameEn = "x", type = "string", sensitivity = "public" } })
        {
            using var refused = await journey.Http.PutAsJsonAsync("/api/v1/elements/species", wrong);
            Assert.True(refused.StatusCode is HttpStatusCode.UnprocessableEntity or HttpStatusCode.Forbidden, await refused.Content.ReadAsStringAsync());
        }
        using (var made = await journey.Http.PutAsJsonAsync("/api/v1/elements/species", Species("node", "string", "oak", "elm")))
            Assert.True(made.StatusCode == HttpStatusCode.Created, await made.Content.ReadAsStringAsync());
        using (var fewer = await journey.Http.PutAsJsonAsync("/api/v1/elements/species", Species("node", "string", "oak")))
            await fewer.ProblemAsync(HttpStatusCode.Conflict, "element.incompatible");
        using (var retyped = await journey.Http.PutAsJsonAsync("/api/v1/elements/species", Species("node", "integer", "oak", "elm")))
            await retyped.ProblemAsync(HttpStatusCode.Conflict, "element.incompatible");
        using (var more = await journey.Http.PutAsJsonAsync("/api/v1/elements/species", Species("node", "string", "oak", "elm", "fir")))
            Assert.Equal(HttpStatusCode.OK, more.StatusCode);
        using var nobody = journey.Node.NewClient();
        Assert.Equal(3, (await nobody.GetFromJsonAsyncElement("/api/v1/elements/species")).GetProperty("codes").GetArrayLength());
        Assert.Single((await nobody.GetFromJsonAsyncElement("/api/v1/elements")).GetProperty("elements").EnumerateArray());
        await (await nobody.GetAsync("/api/v1/elements/none")).ProblemAsync(HttpStatusCode.NotFound, "element.unknown");

        using (var mistyped = await journey.Http.PutAsJsonAsync("/api/v1/datasets/trees", Trees("integer")))
            await mistyped.ProblemAsync(HttpStatusCode.UnprocessableEntity, "dataset.invalid");
        await journey.DefineAsync("trees", Trees());
        await journey.ContributeAsync("trees", "species\noak\nfir\n", 2);
        using var sent = await journey.SendAsync("trees", "species\noak\npalm\nOak\n"u8.ToArray(), Journey.CsvType);
        var errors = (await sent.ProblemAsync(HttpStatusCode.UnprocessableEntity, "records.invalid")).GetProperty("errors").EnumerateArray();
        Assert.Equal([(2, "code"), (3, "code")], errors.Select(e => (e.GetProperty("row").GetInt32(), e.GetProperty("code").GetString()!)));
    }

    /// <summary>The example of the interface's own contract, on a fresh node, with the fields that its members name.</summary>
    [Fact]
    public async Task A_name_that_is_no_element_yet_is_kept_and_bound_when_it_becomes_one()
    {
        await using var journey = await Journey.StartAsync();
        object Cards(object? element = null, bool personal = false, string type = "number") => new
        {
            title = new Dictionary<string, string> { ["en"] = "Card payments", ["zh-CN"] = "公务卡支付" }, @class = "general", personal, sharing = "conditional", opening = "closed",
            time = "date", place = "place", subject = (string?)null, timeZone = "Asia/Shanghai",
            schema = new
            {
                fields = new object[]
                {
                    new { name = "amount", type, element = element ?? "payment-amount", constraints = new { required = true, minimum = 0 } },
                    new { name = "id", type = "string" }, new { name = "date", type = "date" }, new { name = "place", type = "place" },
                },
                primaryKey = new[] { "id" }, missingValues = new[] { "" },
            },
        };
        using (var put = await journey.Http.PutAsJsonAsync("/api/v1/datasets/cards", Cards()))
        {
            Assert.Equal(HttpStatusCode.Created, put.StatusCode);
            Assert.Equal("""{"id":"cards","version":1}""", await put.Content.ReadAsStringAsync());
        }
        using (var odd = await journey.Http.PutAsJsonAsync("/api/v1/datasets/odd", Cards("Payment amount!")))
            Assert.Equal("schema.fields.amount.element", (await odd.ProblemAsync(HttpStatusCode.UnprocessableEntity, "dataset.invalid")).GetProperty("path").GetString());

        // Whoever defines it later hears of the field it would not fit.
        object Amount(string type, string sensitivity = "public", object? codes = null) => new { owner = "node", nameZh = "支付金额", nameEn = "Payment amount", type, sensitivity, codes };
        foreach (var wrong in new[] { Amount("string"), Amount("number", "personal") })
        {
            using var refused = await journey.Http.PutAsJsonAsync("/api/v1/elements/payment-amount", wrong);
            Assert.Contains("cards", (await refused.ProblemAsync(HttpStatusCode.Conflict, "element.bound")).GetProperty("detail").GetString(), StringComparison.Ordinal);
        }
        using (var request = new HttpRequestMessage(HttpMethod.Put, "/api/v1/elements/payment-amount") { Content = JsonContent.Create(Amount("string")) })
        {
            request.Headers.AcceptLanguage.ParseAdd("zh-CN");
            using var refused = await journey.Http.SendAsync(request);
            var detail = (await refused.ProblemAsync(HttpStatusCode.Conflict, "element.bound")).GetProperty("detail").GetString()!;
            Assert.StartsWith("数据元 payment-amount 的类型为 string", detail, StringComparison.Ordinal);
            Assert.Contains("cards", detail, StringComparison.Ordinal);
        }
        using (var defined = await journey.Http.PutAsJsonAsync("/api/v1/elements/payment-amount", Amount("number")))
            Assert.Equal(HttpStatusCode.Created, defined.StatusCode);
        using (var raised = await journey.Http.PutAsJsonAsync("/api/v1/elements/payment-amount", Amount("number", "sensitive-personal")))
            await raised.ProblemAsync(HttpStatusCode.Conflict, "element.bound");

        // A personal element makes the dataset personal.
        using (var person = await journey.Http.PutAsJsonAsync("/api/v1/elements/holder", new { owner = "node", nameZh = "持卡人", nameEn = "Holder", type = "number", sensitivity = "personal" }))
            Assert.Equal(HttpStatusCode.Created, person.StatusCode);
        using (var open = await journey.Http.PutAsJsonAsync("/api/v1/datasets/holders", Cards("holder")))
            Assert.Contains("must be personal", (await open.ProblemAsync(HttpStatusCode.UnprocessableEntity, "dataset.invalid")).GetProperty("detail").GetString(), StringComparison.Ordinal);
        using (var closed = await journey.Http.PutAsJsonAsync("/api/v1/datasets/holders", Cards("holder", personal: true)))
            Assert.Equal(HttpStatusCode.Created, closed.StatusCode);
    }

    /// <summary>The first administrator, by the link.</summary>
    internal static async Task<HttpClient> FirstAsync(TestNode node)
    {
        var http = node.NewClient();
        using var made = await http.SubmitAsync("/account/setup", ("token", NodeHost.FirstAdministratorSecret(node.App, node.Options)!), ("name", "first"), ("password", TestNode.Password));
        Assert.Equal(HttpStatusCode.Redirect, made.StatusCode);
        return http;
    }

    /// <summary>An account made by the system administrator, whose owner follows the invitation and signs in.</summary>
    internal static async Task<(HttpClient Http, string Party)> PersonAsync(TestNode node, HttpClient system, string name)
    {
        var invited = await PostAsync(system, "/api/v1/accounts", new { name, displayName = name }, HttpStatusCode.Created);
        var http = node.NewClient();
        using (var set = await http.SubmitAsync("/account/invitation", ("name", name), ("token", Parts(invited).Token), ("password", TestNode.Password)))
            Assert.True(set.StatusCode == HttpStatusCode.Redirect, await set.Content.ReadAsStringAsync());
        using (var signedIn = await http.SignInAsync(name, TestNode.Password))
            Assert.Equal("/", signedIn.Headers.Location?.ToString());
        return (http, invited.GetProperty("party").GetString()!);
    }

    internal static (string Name, string Token) Parts(JsonElement invitation)
    {
        var query = Microsoft.AspNetCore.WebUtilities.QueryHelpers.ParseQuery(new Uri(invitation.GetProperty("link").GetString()!).Query);
        return (query["name"]!, query["token"]!);
    }

    private static async Task<string[]> MissingAsync(HttpClient http) =>
        [.. (await http.GetFromJsonAsyncElement("/api/v1/setup")).GetProperty("missing").EnumerateArray().Select(r => r.GetString()!)];

    internal static Task<JsonElement> GiveAsync(HttpClient http, string party, string role, string unit) => PostAsync(http, $"/api/v1/parties/{party}/roles", new { role, unit }, HttpStatusCode.OK);

    private static async Task RefusedAsync(HttpClient http, string party, string role, string code, HttpStatusCode status)
    {
        using var response = await http.PostAsJsonAsync($"/api/v1/parties/{party}/roles", new { role, unit = "node" });
        await response.ProblemAsync(status, code);
    }

    private static Task<HttpResponseMessage> ContributeAsync(HttpClient http) =>
        http.PostAsync("/api/v1/datasets/trees/records?wait=proof", new StringContent("species,place\n槐,990101\n", Encoding.UTF8, "text/csv"));

    internal static async Task<JsonElement> PostAsync(HttpClient http, string path, object body, HttpStatusCode status)
    {
        using var response = await http.PostAsJsonAsync(path, body);
        var text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == status, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }
}
