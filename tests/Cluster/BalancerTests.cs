using System.Net;
using System.Net.Http.Json;
using Gongzhi.Tests.Cluster.Faults;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Cluster;

/// <summary>Three machines behind nginx, which hands requests out in turn, or keeps each browser at one machine by a cookie, as the operator's guide has it.</summary>
public sealed class BalancerTests
{
    private const string Password = "a long enough password";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_session_begun_at_one_machine_goes_on_at_every_other()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        Assert.SkipWhen(Balancer.Missing is not null, Balancer.Missing ?? "");
        await using var cluster = await FaultCluster.StartAsync(settings: [("Empty", "true"), ("TrustedProxies", "127.0.0.1")]);
        var link = (await cluster.Machines[0].PrintedAsync("/account/setup?token=")).Split("token=")[1].Trim();
        using (var first = Browser(cluster.Machines[0].Http.BaseAddress!))
            Assert.True((await SubmitAsync(first, "/account/setup", ("token", link), ("name", "first"), ("password", Password))).IsSuccessStatusCode);

        // The others' links are worth nothing from then on.
        foreach (var other in cluster.Machines.Skip(1))
        {
            var theirs = (await other.PrintedAsync("/account/setup?token=")).Split("token=")[1].Trim();
            using var second = Browser(other.Http.BaseAddress!);
            using var refused = await SubmitAsync(second, "/account/setup", ("token", theirs), ("name", "second"), ("password", Password));
            Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);
        }

        await using var balancer = await Balancer.StartAsync(cluster.Machines.Select(m => m.Http.BaseAddress!.Authority));
        // In turn: every form, cookie and answer is good at every machine.
        using var turns = Browser(balancer.InTurn);
        var seen = new HashSet<string>();
        for (var i = 0; i < 3; i++)
        {
            using var signedIn = await SubmitAsync(turns, "/account/sign-in", ("name", "first"), ("password", Password), ("returnUrl", "/account/security"));
            Assert.Equal(HttpStatusCode.OK, signedIn.StatusCode);
            for (var page = 0; page < 4; page++)
            {
                using var answer = await turns.GetAsync("/account/security");
                Assert.Equal("/account/security", answer.RequestMessage!.RequestUri!.AbsolutePath);
                Assert.Contains("first", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
                seen.Add(answer.Headers.GetValues(Balancer.Machine).Single());
            }
            using var signedOut = await SubmitAsync(turns, "/account/sign-out");
            Assert.True(signedOut.IsSuccessStatusCode, $"{signedOut.StatusCode}");
            using var closed = await turns.GetAsync("/account/security");
            Assert.DoesNotContain(">first<", await closed.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            Assert.NotEqual(HttpStatusCode.OK, closed.StatusCode);
        }
        Assert.Equal(3, seen.Count);

        // A token of one machine, under the address that all have outside, on every other; what was reported through one is asked of the next at once.
        using var tokens = Browser(balancer.InTurn);
        using var form = new FormUrlEncodedContent(new Dictionary<string, string> { ["grant_type"] = "client_credentials", ["client_id"] = RunningNode.Client.Split(':')[0], ["client_secret"] = RunningNode.Client.Split(':')[1] });
        using var token = await tokens.PostAsync("/connect/token", form);
        tokens.DefaultRequestHeaders.Authorization = new("Bearer", (await token.Content.ReadFromJsonAsync<System.Text.Json.JsonElement>()).GetProperty("access_token").GetString());
        for (var i = 1; i <= 12; i++)
        {
            using var content = new StringContent($"v\r\nrow {i}\r\n", null, "text/csv");
            using var kept = await tokens.PostAsync($"/api/v1/datasets/{FaultCluster.Dataset}/records", content);
            Assert.True(kept.IsSuccessStatusCode, await kept.Content.ReadAsStringAsync());
            using var asked = await tokens.PostAsJsonAsync("/api/v1/query", new { dataset = FaultCluster.Dataset, purpose = "check", fields = new[] { "v" } });
            Assert.Contains($"row {i}\"", await asked.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        // Kept at one machine by the cookie, and still signed in when that one is gone.
        using var sticky = Browser(balancer.Sticky);
        using (var signedIn = await SubmitAsync(sticky, "/account/sign-in", ("name", "first"), ("password", Password), ("returnUrl", "/account/security")))
            Assert.Equal(HttpStatusCode.OK, signedIn.StatusCode);
        var places = new HashSet<string>();
        for (var i = 0; i < 9; i++)
        {
            using var answer = await sticky.GetAsync("/account/security");
            Assert.Equal("/account/security", answer.RequestMessage!.RequestUri!.AbsolutePath);
            places.Add(answer.Headers.GetValues(Balancer.Machine).Single());
        }
        var at = Assert.Single(places);
        await SentAsync(cluster.Machines[0], balancer.Sticky);
        cluster.Machines.Single(m => m.Http.BaseAddress!.Authority == at).Kill();
        using var after = await sticky.GetAsync("/account/security");
        Assert.Equal("/account/security", after.RequestMessage!.RequestUri!.AbsolutePath);
        Assert.Contains("first", await after.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.NotEqual(at, after.Headers.GetValues(Balancer.Machine).Single().Split(", ")[^1]);
    }

    /// <summary>What is found in a file while it is sent is told by the machine that takes it, which is the one that the same browser asks.</summary>
    private static async Task SentAsync(RunningNode machine, Uri sticky)
    {
        using var browser = Browser(sticky);
        var account = await machine.PostAsync("/api/v1/accounts", new { name = "sender", displayName = "Sender" });
        var secret = Microsoft.AspNetCore.WebUtilities.QueryHelpers.ParseQuery(new Uri(account.GetProperty("link").GetString()!).Query)["token"].ToString();
        using (var set = await SubmitAsync(browser, "/account/invitation", ("name", "sender"), ("token", secret), ("password", Password)))
            Assert.True(set.IsSuccessStatusCode, await set.Content.ReadAsStringAsync());
        await machine.PostAsync($"/api/v1/parties/{account.GetProperty("party").GetString()}/roles", new { role = "contributor", unit = "node" });
        using (var signedIn = await SubmitAsync(browser, "/account/sign-in", ("name", "sender"), ("password", Password), ("returnUrl", "/upload")))
            Assert.Equal("/upload", signedIn.RequestMessage!.RequestUri!.AbsolutePath);
        var upload = Guid.CreateVersion7();
        using var watching = await browser.GetAsync($"/upload/live/{upload}", HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal("text/event-stream", watching.Content.Headers.ContentType?.MediaType);
        using var events = new StreamReader(await watching.Content.ReadAsStreamAsync());
        Assert.StartsWith("data:", await events.ReadLineAsync().WaitAsync(Soon), StringComparison.Ordinal);
        var token = (await browser.GetFromJsonAsync<Dictionary<string, string>>("/account/form-token"))!;
        using var form = new MultipartFormDataContent { { new StringContent(token["token"]), token["field"] }, { new StringContent(FaultCluster.Dataset), "dataset" } };
        using var file = new StringContent("v\n" + string.Concat(Enumerable.Range(0, 20_000).Select(i => $"sent {i}\n")), null, "text/csv");
        form.Add(file, "file", "rows.csv");
        using var sent = await browser.PostAsync($"/upload?live={upload}", form);
        Assert.Equal(HttpStatusCode.OK, sent.StatusCode);
        var last = "";
        while (await events.ReadLineAsync().WaitAsync(Soon) is { } line)
            last = line.StartsWith("data:", StringComparison.Ordinal) ? line : last;
        using var told = System.Text.Json.JsonDocument.Parse(last["data:".Length..]);
        Assert.Equal((20_000, true), (told.RootElement.GetProperty("rows").GetInt32(), told.RootElement.GetProperty("done").GetBoolean()));
    }

    private static HttpClient Browser(Uri address) => new(new SocketsHttpHandler { CookieContainer = new CookieContainer(), PooledConnectionLifetime = TimeSpan.Zero }) { BaseAddress = address };

    private static async Task<HttpResponseMessage> SubmitAsync(HttpClient client, string path, params (string Name, string Value)[] form)
    {
        var token = (await client.GetFromJsonAsync<Dictionary<string, string>>("/account/form-token"))!;
        using var content = new FormUrlEncodedContent(form.Append((token["field"], token["token"])).Select(f => KeyValuePair.Create(f.Item1, f.Item2)));
        return await client.PostAsync(path, content);
    }
}
