using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Node.Hosting;
using Gongzhi.Verifier;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http;

/// <summary>Two worlds on one machine never meet: two nodes that were both left at the default name, and a drill beside the real one.</summary>
public sealed class TwoWorldsTests : IDisposable
{
    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-worlds-");

    public void Dispose() => _place.Delete(recursive: true);

    [Theory]
    [InlineData("main", WorldKind.Real)]
    [InlineData("main", WorldKind.Drill)]
    [InlineData("drill", WorldKind.Drill)]
    public async Task Tokens_cookies_origins_keys_receipts_proofs_and_directories_are_each_worlds_own(string name, WorldKind kind)
    {
        await using var real = await TestNode.StartAsync(o => o with { World = "main", Kind = WorldKind.Real, TokensPerMinute = 0 }, ownKeys: true);
        await using var other = await TestNode.StartAsync(o => o with { World = name, Kind = kind, TokensPerMinute = 0 }, ownKeys: true);
        var (one, two) = (World(real), World(other));
        Assert.NotEqual(one.LedgerOrigin, two.LedgerOrigin);
        Assert.NotEqual(one.CookieName("session"), two.CookieName("session"));
        foreach (var path in new Func<World, string>[] { w => w.DataDirectory, w => w.DatabasePath, w => w.SegmentDirectory, w => w.LedgerDirectory, w => w.KeyDirectory, w => w.SpoolDirectory, w => w.RejectDirectory })
        {
            Assert.NotEqual(path(one), path(two));
            Assert.StartsWith(one.DataDirectory, path(one), StringComparison.Ordinal);
        }
        Assert.True(one.MayReachOut);
        Assert.Equal(kind == WorldKind.Real, two.MayReachOut);

        // A directory is one world's for good, and one node's at a time.
        var held = await Assert.ThrowsAsync<StartRefusedException>(() => NodeHost.BuildAsync(other.Options with { Data = real.Options.Data }));
        Assert.Contains("another node is running", held.Message, StringComparison.Ordinal);

        await CookiesAsync(real, other);
        await TokensAsync(real, other);
        await ProofsAsync(real, other);
    }

    [Fact]
    public async Task A_directory_never_becomes_another_world()
    {
        var node = await TestNode.StartAsync(o => o with { World = "main", Kind = WorldKind.Real }, ownsDirectory: false);
        await node.DisposeAsync();
        foreach (var options in new[] { node.Options with { Kind = WorldKind.Drill }, node.Options with { World = "drill" }, node.Options with { LedgerOrigin = "other.example/log" } })
            Assert.Contains("belongs to the world", (await Assert.ThrowsAsync<StartRefusedException>(() => NodeHost.BuildAsync(options))).Message, StringComparison.Ordinal);
        Directory.Delete(node.Options.Data, recursive: true);
    }

    private static async Task TokensAsync(TestNode one, TestNode two)
    {
        foreach (var (from, to) in new[] { (one, two), (two, one) })
        {
            var token = await from.TokenAsync();
            using var client = to.NewClient();
            using var refused = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
            await refused.ProblemAsync(HttpStatusCode.Unauthorized, "auth.required");
            using var own = from.NewClient();
            using var taken = await own.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
            Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
        }
    }

    private static async Task CookiesAsync(TestNode one, TestNode two)
    {
        await one.AddAccountAsync("li");
        await two.AddAccountAsync("li");
        // One browser, which does not tell the two apart: cookies ignore ports.
        var jar = new CookieContainer();
        using var first = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = jar }) { BaseAddress = one.Address };
        using var second = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = jar }) { BaseAddress = two.Address };
        using var signedIn = await first.SignInAsync("li", TestNode.Password);
        Assert.Equal(HttpStatusCode.OK, (await first.GetAsync("/api/test/whoami")).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await second.GetAsync("/api/test/whoami")).StatusCode);
        using var alsoIn = await second.SignInAsync("li", TestNode.Password);
        Assert.Equal(HttpStatusCode.OK, (await second.GetAsync("/api/test/whoami")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await first.GetAsync("/api/test/whoami")).StatusCode);

        // The value of one, under the other's name, is worth nothing.
        var value = jar.GetCookies(one.Address).Single(c => c.Name == World(one).CookieName("session")).Value;
        foreach (var name in new[] { World(one).CookieName("session"), World(two).CookieName("session") })
        {
            using var bare = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = two.Address };
            using var request = new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami");
            request.Headers.Add("Cookie", $"{name}={value}");
            using var response = await bare.SendAsync(request);
            await response.ProblemAsync(HttpStatusCode.Unauthorized, "auth.required");
        }
    }

    private async Task ProofsAsync(TestNode one, TestNode two)
    {
        var (keyOfOne, keyOfTwo) = (await KeyAsync(one), await KeyAsync(two));
        using var http = one.NewClient();
        http.DefaultRequestHeaders.Authorization = new("Bearer", await one.TokenAsync());
        using (var put = await http.PutAsJsonAsync("/api/v1/datasets/d", new { owner = "node", schema = new { fields = new[] { new { name = "n", type = "integer" } } } }))
            Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        using var sent = await http.PostAsync("/api/v1/datasets/d/records?wait=proof", new StringContent("n\n1\n2\n", Encoding.UTF8, "text/csv"));
        var text = await sent.Content.ReadAsStringAsync();
        var receipt = JsonDocument.Parse(text).RootElement;
        var (receiptFile, proofFile) = (At("receipt.json"), At("proof.json"));
        await File.WriteAllTextAsync(receiptFile, text);
        await File.WriteAllTextAsync(proofFile, await http.GetStringAsync($"/api/v1/datasets/d/records/{receipt.GetProperty("firstRecord").GetString()}/proof"));
        foreach (var (verb, file) in new[] { ("receipt", receiptFile), ("row", proofFile), ("log", Shared.TestStore.LogDirectory(World(one))) })
        {
            Assert.Equal(0, await VerifyAsync(verb, file, "--vkey", keyOfOne));
            Assert.Equal(1, await VerifyAsync(verb, file, "--vkey", keyOfTwo));
        }
        // What one acknowledged the other has never heard of.
        using var stranger = two.NewClient();
        stranger.DefaultRequestHeaders.Authorization = new("Bearer", await two.TokenAsync());
        using var unknown = await stranger.GetAsync($"/api/v1/receipts/{receipt.GetProperty("receipt").GetString()}");
        await unknown.ProblemAsync(HttpStatusCode.NotFound, "receipt.unknown");
    }

    private async Task<string> KeyAsync(TestNode node)
    {
        using var http = node.NewClient();
        var file = At(Path.GetRandomFileName());
        await File.WriteAllTextAsync(file, await http.GetStringAsync("/ledger/vkey"));
        return file;
    }

    private string At(string name) => Path.Combine(_place.FullName, name);

    private static World World(TestNode node) => node.App.Services.GetRequiredService<World>();

    private static async Task<int> VerifyAsync(params string[] args)
    {
        using var output = new StringWriter(CultureInfo.InvariantCulture);
        return await Doors.RunAsync([.. args, "--lang", "en"], output, output);
    }
}
