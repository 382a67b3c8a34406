using System.Net;
using System.Text.Json;
using Gongzhi.Core.Parties;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>Who reads what, as another organisation meets it.</summary>
[Collection("Journeys")]
public sealed class GovernanceTests
{
    private static readonly object Question = new { dataset = "d", purpose = "check", orderBy = new[] { "name" } };

    [Fact]
    public async Task Nobody_reads_without_a_grant_each_grant_shows_its_own_and_a_revoked_one_nothing()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var receipt = await journey.ContributeAsync("d", Samples.Csv(50), 50);
        using var tax = await journey.OtherPartyAsync("tax", Roles.Reader);
        using var press = await journey.OtherPartyAsync("press", Roles.Reader);
        using var nobody = journey.Node.NewClient();
        foreach (var http in new[] { tax, press, nobody })
            Assert.Equal(HttpStatusCode.Forbidden, (await Journey.QueryAsync(http, Question)).Status);

        var plain = await journey.GrantAsync("d", "client:tax", new { name = "plain", amount = "plain" });
        await journey.GrantAsync("d", "client:press", new { name = new { mask = "name" } });
        var (status, shown) = await Journey.QueryAsync(tax, Question);
        Assert.True(status == HttpStatusCode.OK, shown);
        var full = JsonDocument.Parse(shown).RootElement;
        var masked = JsonDocument.Parse((await Journey.QueryAsync(press, Question)).Text).RootElement;
        Assert.Equal(50, full.GetProperty("rows").GetArrayLength());
        Assert.Equal(50, masked.GetProperty("rows").GetArrayLength());
        Assert.Contains("王小明", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("王小明", masked.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("amount", masked.ToString(), StringComparison.Ordinal);
        Assert.Equal(plain, full.GetProperty("grant").GetString());
        Assert.NotEqual(full.GetProperty("access").GetGuid(), masked.GetProperty("access").GetGuid());
        Assert.Equal(HttpStatusCode.Forbidden, (await Journey.QueryAsync(tax, new { dataset = "d", purpose = "curiosity" })).Status);

        var lines = (await Journey.QueryAsync(tax, Question, "application/x-ndjson")).Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(50, lines.Length);
        Assert.All(lines, l => Assert.True(JsonDocument.Parse(l).RootElement.TryGetProperty("amount", out _)));
        var csv = (await Journey.QueryAsync(tax, new { dataset = "d", purpose = "check", groupBy = Array.Empty<string>(), measures = new[] { new { name = "n", function = "count" } } }, "text/csv")).Text;
        Assert.Equal(["n", "50"], csv.Split("\r\n", StringSplitOptions.RemoveEmptyEntries));

        // A receipt and the rows behind it are no reader's business.
        Assert.Equal(HttpStatusCode.NotFound, (await tax.GetAsync($"/api/v1/receipts/{receipt.GetProperty("receipt").GetGuid()}")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await tax.GetAsync($"/api/v1/datasets/d/records/{receipt.GetProperty("firstRecord").GetGuid()}/proof")).StatusCode);
        using (var own = await tax.DeleteAsync($"/api/v1/grants/{plain}"))
            Assert.Equal(HttpStatusCode.Forbidden, own.StatusCode);
        using (var foreign = await press.DeleteAsync($"/api/v1/grants/{plain}"))
            Assert.Equal(foreign.StatusCode is HttpStatusCode.NotFound ? foreign.StatusCode : HttpStatusCode.Forbidden, foreign.StatusCode);

        using var revoked = await journey.Http.DeleteAsync($"/api/v1/grants/{plain}");
        Assert.Equal(HttpStatusCode.OK, revoked.StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await Journey.QueryAsync(tax, Question)).Status);
        Assert.Equal(HttpStatusCode.OK, (await Journey.QueryAsync(press, Question)).Status);
    }

    [Fact]
    public async Task Who_reads_may_neither_contribute_nor_define_nor_grant()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        using var reader = await journey.OtherPartyAsync("reader", Roles.Reader);
        using var content = new StringContent(Samples.Csv(1), System.Text.Encoding.UTF8, Journey.CsvType);
        Assert.Equal(HttpStatusCode.Forbidden, (await reader.PostAsync("/api/v1/datasets/d/records", content)).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await reader.PutAsync("/api/v1/datasets/e", JsonOf(Samples.Definition))).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await reader.PostAsync("/api/v1/grants", JsonOf(new { dataset = "d", grantee = new { party = "client:reader" }, purposes = new[] { "check" }, fields = new { name = "plain" } }))).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await reader.PostAsync("/api/v1/parties/client:reader/roles", JsonOf(new { role = Roles.Steward, unit = "node" }))).StatusCode);
    }

    private static StringContent JsonOf(object body) => new(JsonSerializer.Serialize(body), System.Text.Encoding.UTF8, "application/json");
}
