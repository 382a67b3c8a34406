using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using Gongzhi.Tests.Cluster.Faults;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Cluster;

/// <summary>Three machines behind nginx, which hands requests out in turn, or keeps each browser at one machine by a cookie, as the operator's guide has it.</summary>
public sealed class BalancerTests
{
    private const string Password = "a long enough password";

    private static readonly string? Nginx = new[] { "/usr/sbin/nginx", "/usr/bin/nginx" }.FirstOrDefault(File.Exists);

    [Fact]
    public async Task A_session_begun_at_one_machine_goes_on_at_every_other()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        Assert.SkipWhen(Nginx is null, "nginx is not installed (Debian's package: nginx-light or nginx).");
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
                seen.Add(answer.Headers.GetValues("X-Machine").Single());
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
            places.Add(answer.Headers.GetValues("X-Machine").Single());
        }
        var at = Assert.Single(places);
        cluster.Machines.Single(m => m.Http.BaseAddress!.Authority == at).Kill();
        using var after = await sticky.GetAsync("/account/security");
        Assert.Equal("/account/security", after.RequestMessage!.RequestUri!.AbsolutePath);
        Assert.Contains("first", await after.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.NotEqual(at, after.Headers.GetValues("X-Machine").Single().Split(", ")[^1]);
    }

    private static HttpClient Browser(Uri address) => new(new SocketsHttpHandler { CookieContainer = new CookieContainer(), PooledConnectionLifetime = TimeSpan.Zero }) { BaseAddress = address };

    private static async Task<HttpResponseMessage> SubmitAsync(HttpClient client, string path, params (string Name, string Value)[] form)
    {
        var token = (await client.GetFromJsonAsync<Dictionary<string, string>>("/account/form-token"))!;
        using var content = new FormUrlEncodedContent(form.Append((token["field"], token["token"])).Select(f => KeyValuePair.Create(f.Item1, f.Item2)));
        return await client.PostAsync(path, content);
    }

    /// <summary>An nginx of the test's own, on two free ports of the loopback address.</summary>
    private sealed class Balancer : IAsyncDisposable
    {
        private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-nginx-");
        private Process? _process;

        public Uri InTurn { get; } = new($"http://127.0.0.1:{FreePort()}");

        public Uri Sticky { get; } = new($"http://127.0.0.1:{FreePort()}");

        public static async Task<Balancer> StartAsync(IEnumerable<string> machines)
        {
            var balancer = new Balancer();
            var servers = string.Concat(machines.Select(m => $"server {m} max_fails=1 fail_timeout=5s; "));
            var place = balancer._place.FullName;
            await File.WriteAllTextAsync(Path.Combine(place, "nginx.conf"), $$"""
                daemon off; master_process off; pid {{place}}/pid; error_log {{place}}/error.log;
                events { worker_connections 256; }
                http {
                    access_log off;
                    client_body_temp_path {{place}}/body; proxy_temp_path {{place}}/proxy; fastcgi_temp_path {{place}}/f; uwsgi_temp_path {{place}}/u; scgi_temp_path {{place}}/s;
                    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
                    add_header X-Machine $upstream_addr always;
                    upstream turn { {{servers}} }
                    map $cookie_gz_route $route { default $cookie_gz_route; "" $request_id; }
                    upstream sticky { hash $route consistent; {{servers}} }
                    server { listen {{balancer.InTurn.Authority}}; location / { proxy_pass http://turn; } }
                    server { listen {{balancer.Sticky.Authority}}; location / { proxy_pass http://sticky; add_header X-Machine $upstream_addr always; add_header Set-Cookie "gz_route=$route; Path=/; HttpOnly; SameSite=Lax"; } }
                }
                """);
            balancer._process = Process.Start(new ProcessStartInfo(Nginx!, ["-c", Path.Combine(place, "nginx.conf"), "-p", place]) { RedirectStandardError = true })!;
            using var http = new HttpClient();
            for (var began = TimeProvider.System.GetTimestamp(); ;)
            {
                try
                {
                    using var answer = await http.GetAsync(new Uri(balancer.InTurn, "/health/live"));
                    return balancer;
                }
                catch (HttpRequestException)
                {
                    Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(20) && !balancer._process.HasExited, "nginx did not start.");
                    await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
                }
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (_process is { HasExited: false })
                _process.Kill();
            if (_process is not null)
                await _process.WaitForExitAsync();
            _process?.Dispose();
            _place.Delete(recursive: true);
        }

        private static string FreePort()
        {
            using var probe = new TcpListener(IPAddress.Loopback, 0);
            probe.Start();
            return ((IPEndPoint)probe.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture);
        }
    }
}
