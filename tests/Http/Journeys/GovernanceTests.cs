using System.Net;
using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;

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
    public async Task What_is_shared_unconditionally_is_read_by_readers_of_any_unit_for_a_stated_purpose()
    {
        await using var journey = await Journey.StartAsync();
        object Shared(bool personal = false, string level = "general") => new { owner = "node", sharing = "unconditional", personal, @class = level, schema = new { fields = new object[] { new { name = "name", type = "string" } } } };
        foreach (var wrong in new[] { Shared(personal: true), Shared(level: "important"), Shared(level: "core") })
        {
            using var refused = await journey.Http.PutAsync("/api/v1/datasets/d", JsonOf(wrong));
            Assert.Equal("sharing", (await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "dataset.invalid")).GetProperty("path").GetString());
        }
        await journey.DefineAsync("d", Shared());
        await journey.ContributeAsync("d", "name\n王小明\n", 1);
        using var tax = await journey.OtherPartyAsync("tax", Roles.Reader);
        var (status, text) = await Journey.QueryAsync(tax, Question);
        Assert.True(status == HttpStatusCode.OK, text);
        var answer = JsonDocument.Parse(text).RootElement;
        Assert.Equal(("[[\"王小明\"]]", "shared"), (answer.GetProperty("rows").GetRawText(), answer.GetProperty("grant").GetString()));
        var access = Assert.Single((await tax.GetFromJsonAsyncElement("/api/v1/accesses")).GetProperty("accesses").EnumerateArray());
        Assert.Equal(answer.GetProperty("access").GetGuid(), access.GetProperty("id").GetGuid());

        // No purpose, no role of a reader, nobody, and after the owner changed its mind: nothing.
        var (without, why) = await Journey.QueryAsync(tax, new { dataset = "d", purpose = "" });
        Assert.True(without == HttpStatusCode.Forbidden && why.Contains("purpose.needed", StringComparison.Ordinal), why);
        using var clerk = await journey.OtherPartyAsync("clerk", Roles.Contributor);
        using var auditor = await journey.OtherPartyAsync("auditor", Roles.AuditAdministrator);
        using var nobody = journey.Node.NewClient();
        foreach (var http in new[] { clerk, auditor, nobody })
            Assert.Equal(HttpStatusCode.Forbidden, (await Journey.QueryAsync(http, Question)).Status);
        using var put = await journey.Http.PutAsync("/api/v1/datasets/d", JsonOf(new { owner = "node", sharing = "conditional", schema = new { fields = new object[] { new { name = "name", type = "string" } } } }));
        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await Journey.QueryAsync(tax, Question)).Status);
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

    [Fact]
    public async Task Only_the_owners_people_contribute_until_a_grant_lets_another_unit_in()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        using var clerk = await journey.OtherPartyAsync("clerk", Roles.Contributor);
        using (var refused = await SendAsync(clerk))
        {
            var problem = await refused.ProblemAsync(HttpStatusCode.Forbidden, "policy.refused");
            Assert.Equal("contribute.none", problem.GetProperty("why")[0].GetProperty("code").GetString());
        }
        var grant = (await journey.PostAsync("/api/v1/grants", new { dataset = "d", action = "contribute", grantee = new { unit = "unit-clerk" } }, HttpStatusCode.Created)).GetProperty("id").GetString();
        using (var taken = await SendAsync(clerk))
        {
            Assert.Equal(HttpStatusCode.Created, taken.StatusCode);
            var receipt = JsonDocument.Parse(await taken.Content.ReadAsStringAsync()).RootElement;
            // Who contributed fetches the receipt and proves the row; the same key shows nothing of what others sent.
            Assert.Equal(HttpStatusCode.OK, (await clerk.GetAsync($"/api/v1/receipts/{receipt.GetProperty("receipt").GetGuid()}")).StatusCode);
            Assert.Equal(HttpStatusCode.OK, (await clerk.GetAsync($"/api/v1/datasets/d/records/{receipt.GetProperty("firstRecord").GetGuid()}/proof")).StatusCode);
            var other = await journey.ContributeAsync("d", Samples.Csv(2), 2);
            using var foreign = await clerk.GetAsync($"/api/v1/datasets/d/records/{other.GetProperty("firstRecord").GetGuid()}/proof");
            Assert.NotEmpty((await foreign.ProblemAsync(HttpStatusCode.NotFound, "record.unknown")).GetProperty("why").EnumerateArray());
            Assert.Equal(HttpStatusCode.NotFound, (await clerk.GetAsync($"/api/v1/receipts/{other.GetProperty("receipt").GetGuid()}")).StatusCode);
        }
        Assert.Equal(HttpStatusCode.Forbidden, (await Journey.QueryAsync(clerk, Question)).Status);
        using (var revoked = await journey.Http.DeleteAsync($"/api/v1/grants/{grant}"))
            Assert.Equal(HttpStatusCode.OK, revoked.StatusCode);
        using var after = await SendAsync(clerk);
        Assert.Equal(HttpStatusCode.Forbidden, after.StatusCode);

        static async Task<HttpResponseMessage> SendAsync(HttpClient http)
        {
            using var content = new StringContent(Samples.Csv(3), System.Text.Encoding.UTF8, Journey.CsvType);
            return await http.PostAsync("/api/v1/datasets/d/records?wait=proof", content);
        }
    }

    [Fact]
    public async Task A_row_proof_is_a_reading_under_a_permit_for_the_whole_row_and_leaves_an_access()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var receipt = await journey.ContributeAsync("d", "name,amount,day\nin,1.00,2024-01-01\nout,2.00,2024-01-01\n", 2);
        using var tax = await journey.OtherPartyAsync("tax", Roles.Reader);
        string Path(uint row, string query = "?purpose=check") =>
            $"/api/v1/datasets/d/records/{RecordId.Of(receipt.GetProperty("batch").GetGuid(), row)}/proof{query}";

        await journey.PostAsync("/api/v1/grants", new
        {
            dataset = "d", grantee = new { party = "client:tax" }, purposes = new[] { "check" }, fields = new { name = "plain", amount = "plain", day = "plain" },
            rows = new { filter = new { field = "name", op = "eq", value = "in" } },
        }, HttpStatusCode.Created);
        var before = Accesses(journey);
        using (var inside = await tax.GetAsync(Path(0)))
        {
            var text = await inside.Content.ReadAsStringAsync();
            Assert.True(inside.StatusCode == HttpStatusCode.OK, text);
            await journey.VerifyAsync([(0u, text)]);
            Assert.Equal(before + 1, Accesses(journey));
            Assert.True(Guid.TryParse(Assert.Single(inside.Headers.GetValues("Gongzhi-Access")), out _));
        }
        foreach (var (path, code) in new[] { (Path(1), "proof.outside"), (Path(0, ""), "grant.purpose"), (Path(0, "?purpose=curiosity"), "grant.purpose") })
        {
            using var refused = await tax.GetAsync(path);
            var problem = await refused.ProblemAsync(HttpStatusCode.NotFound, "record.unknown");
            Assert.Equal(code, problem.GetProperty("why")[0].GetProperty("code").GetString());
        }
        var count = Accesses(journey);
        using (var own = await journey.ProofAsync(receipt, 1))
            Assert.Equal("contributor", Assert.Single(own.Headers.GetValues("Gongzhi-Grant")));
        Assert.Equal(count + 1, Accesses(journey));
        using var nobody = journey.Node.NewClient();
        await (await nobody.GetAsync(Path(0))).ProblemAsync(HttpStatusCode.Unauthorized, "auth.required");
        await (await nobody.GetAsync($"/api/v1/receipts/{receipt.GetProperty("receipt").GetGuid()}")).ProblemAsync(HttpStatusCode.Unauthorized, "auth.required");
    }

    [Fact]
    public async Task Open_data_are_proven_to_anyone_without_an_account()
    {
        await using var journey = await Journey.StartAsync();
        var definition = System.Text.Json.Nodes.JsonNode.Parse(JsonSerializer.Serialize(Samples.Definition))!;
        definition["opening"] = "open";
        await journey.DefineAsync("d", definition);
        var receipt = await journey.ContributeAsync("d", Samples.Csv(3), 3);
        using var nobody = journey.Node.NewClient();
        var proof = await nobody.GetStringAsync($"/api/v1/datasets/d/records/{receipt.GetProperty("firstRecord").GetGuid()}/proof");
        await journey.VerifyAsync([(0u, proof)]);
        await journey.VerifyReceiptAsync(await nobody.GetFromJsonAsyncElement($"/api/v1/receipts/{receipt.GetProperty("receipt").GetGuid()}"));
    }

    [Fact]
    public async Task A_query_names_the_grant_it_wants_when_it_has_several()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        await journey.ContributeAsync("d", Samples.Csv(5), 5);
        using var tax = await journey.OtherPartyAsync("tax", Roles.Reader);
        var wide = await journey.GrantAsync("d", "client:tax", new { name = "plain", amount = "plain" });
        var narrow = await journey.GrantAsync("d", "client:tax", new { name = new { mask = "name" } });
        foreach (var (asked, used) in new[] { (null, wide), (wide, wide), (narrow, narrow) })
        {
            var (status, text) = await Journey.QueryAsync(tax, new { dataset = "d", purpose = "check", grant = asked });
            Assert.True(status == HttpStatusCode.OK, text);
            Assert.Equal(used, JsonDocument.Parse(text).RootElement.GetProperty("grant").GetString());
            Assert.Equal(used == wide, text.Contains("王小明", StringComparison.Ordinal));
        }
        var (refused, why) = await Journey.QueryAsync(tax, new { dataset = "d", purpose = "check", grant = "another" });
        Assert.Equal(HttpStatusCode.Forbidden, refused);
        Assert.Contains("grant.unknown", why, StringComparison.Ordinal);
    }

    private static long Accesses(Journey journey)
    {
        using var connection = Gongzhi.Core.Storage.NodeDatabase.OpenReader(journey.World);
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT COUNT(*) FROM access";
        return (long)command.ExecuteScalar()!;
    }

    private static StringContent JsonOf(object body) => new(JsonSerializer.Serialize(body), System.Text.Encoding.UTF8, "application/json");
}
