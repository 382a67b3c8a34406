using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Gongzhi.Tests.Cluster.Faults;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Cluster;

/// <summary>What is done at one machine, asked of another the moment after.</summary>
public sealed class ServingTests
{
    [Fact]
    public async Task A_grant_that_is_revoked_at_one_machine_opens_nothing_at_any_other_from_then_on()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        await using var cluster = await FaultCluster.StartAsync();
        var machines = cluster.Machines;
        for (var i = 0; i < 30; i++)
        {
            var (giver, reader, revoker) = (machines[i % 3], machines[(i + 1) % 3], machines[(i + 2) % 3]);
            var given = await giver.PostAsync("/api/v1/grants", new { dataset = FaultCluster.Dataset, grantee = new { party = "client:boot" }, purposes = new[] { "once" }, fields = new { v = "plain" } });
            var grant = given.GetProperty("id").GetString()!;
            Assert.Equal(HttpStatusCode.OK, await AskAsync(reader, grant));
            using var revoked = await revoker.Http.DeleteAsync("/api/v1/grants/" + grant);
            Assert.True(revoked.IsSuccessStatusCode, await revoked.Content.ReadAsStringAsync());
            Assert.All(await Task.WhenAll(machines.Select(m => AskAsync(m, grant))), status => Assert.Equal(HttpStatusCode.Forbidden, status));
        }
    }

    [Fact]
    public async Task What_one_machine_has_done_every_other_answers_for()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        await using var cluster = await FaultCluster.StartAsync();
        var (a, b, c) = (cluster.Machines[0], cluster.Machines[1], cluster.Machines[2]);
        // A contribution with faults at one: its receipt, its proof and the list of what was left out at the others.
        using var body = new StringContent("v\r\ngood\r\n" + new string('x', 40) + "\r\n", null, "text/csv");
        await a.DefineAsync("short", personal: false, ("v", "string"));
        using (var put = await b.Http.PutAsJsonAsync("/api/v1/datasets/short2", new { title = new { en = "short2" }, owner = "node", schema = new { fields = new[] { new { name = "v", type = "string", constraints = new { maxLength = 10 } } } } }))
            Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        var (status, receipt) = await c.ContributeAsync("short2", body, query: "?mode=partial&wait=proof");
        Assert.True(status is 200 or 201, receipt.ToString());
        var id = receipt.GetProperty("receipt").GetString();
        foreach (var machine in cluster.Machines)
        {
            var seen = await machine.GetAsync("/api/v1/receipts/" + id);
            Assert.Equal(1, seen.GetProperty("accepted").GetInt64());
            Assert.NotEqual(JsonValueKind.Null, seen.GetProperty("entry").ValueKind);
            Assert.Contains("2,v,length", await machine.Http.GetStringAsync($"/api/v1/receipts/{id}/rejects"), StringComparison.Ordinal);
        }
        // Of one repeated request at two machines at once, one contribution.
        var both = await Task.WhenAll(new[] { a, b }.Select(async m =>
        {
            using var same = new StringContent("v\r\nonce\r\n", null, "text/csv");
            return await m.ContributeAsync("short2", same, key: "the same request");
        }));
        Assert.All(both, r => Assert.True(r.Status is 200 or 201, r.Answer.ToString()));
        Assert.Single(both.Select(r => r.Answer.GetProperty("receipt").GetString()).Distinct());
    }

    private static async Task<HttpStatusCode> AskAsync(RunningNode machine, string grant)
    {
        using var answer = await machine.Http.PostAsJsonAsync("/api/v1/query", new { dataset = FaultCluster.Dataset, purpose = "once", grant, fields = new[] { "v" } });
        return answer.StatusCode;
    }
}
