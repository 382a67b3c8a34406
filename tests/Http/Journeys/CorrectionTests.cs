using System.Net;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Records;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>A record is corrected by another, in a file and one by one.</summary>
[Collection("Journeys")]
public sealed class CorrectionTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    private static StringContent Body(object body) => new(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");

    [Theory]
    [InlineData("text/csv")]
    [InlineData("application/x-ndjson")]
    public async Task A_file_and_a_put_correct_records_and_queries_show_the_last_word(string type)
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        await journey.GrantAsync("d", "client:" + TestNode.Client, new { name = "plain", amount = "plain" });
        var receipt = await journey.ContributeAsync("d", "name,amount,day\na,1.00,\nb,2.00,\nc,3.00,\n", 3);
        var batch = receipt.GetProperty("batch").GetGuid();
        var (b, c) = (RecordId.Of(batch, 1), RecordId.Of(batch, 2));

        var file = type == "text/csv" ? $"name,amount,day,_supersedes\nb2,2.50,,{b}\nd,4.00,,\n" : $$"""{"name":"b2","amount":2.50,"_supersedes":"{{b}}"}""" + "\n{\"name\":\"d\",\"amount\":4}\n";
        var corrected = await journey.ContributeAsync("d", Encoding.UTF8.GetBytes(file), type, 2);
        using var put = await journey.Http.PutAsync($"/api/v1/datasets/d/records/{c}", Body(new { name = "c2", amount = 3.5 }), None);
        var text = await put.Content.ReadAsStringAsync(None);
        Assert.True(put.StatusCode == HttpStatusCode.Created, text);
        var replacement = JsonDocument.Parse(text).RootElement.GetProperty("firstRecord").GetGuid();

        var (_, answer) = await Journey.QueryAsync(journey.Http, new { dataset = "d", purpose = "check", fields = new[] { "name", "amount" }, orderBy = new[] { "name" } }, "text/csv");
        Assert.Equal("name,amount\r\na,1.00\r\nb2,2.50\r\nc2,3.50\r\nd,4.00\r\n", answer);
        Assert.Equal(4, (await journey.Http.GetFromJsonAsyncElement("/api/v1/datasets/d")).GetProperty("records").GetInt64());

        using (var again = await journey.Http.PutAsync($"/api/v1/datasets/d/records/{c}", Body(new { name = "c3" }), None))
            Assert.Equal(replacement.ToString(), (await again.ProblemAsync(HttpStatusCode.Conflict, "record.superseded")).GetProperty("current").GetString());
        using (var unknown = await journey.Http.PutAsync($"/api/v1/datasets/d/records/{RecordId.Of(batch, 9)}", Body(new { name = "x" }), None))
            await unknown.ProblemAsync(HttpStatusCode.NotFound, "record.unknown");
        using (var wrong = await journey.Http.PutAsync($"/api/v1/datasets/d/records/{replacement}", Body(new { name = "x", price = 1 }), None))
            await wrong.ProblemAsync(HttpStatusCode.UnprocessableEntity, "format.unknownField");
        using (var malformed = await journey.Http.PutAsync($"/api/v1/datasets/d/records/{replacement}", Body(new[] { 1 }), None))
            await malformed.ProblemAsync(HttpStatusCode.BadRequest, "request.malformed");

        var history = (await journey.Http.GetFromJsonAsyncElement($"/api/v1/datasets/d/records/{replacement}/history")).GetProperty("versions");
        Assert.Equal([(c, "superseded"), (replacement, "current")], history.EnumerateArray().Select(v => (v.GetProperty("record").GetGuid(), v.GetProperty("state").GetString()!)));
        // Both versions are proven by the same log.
        await journey.VerifyAsync(await journey.ProofsAsync(receipt));
        await journey.VerifyAsync(await journey.ProofsAsync(corrected));
    }

    [Fact]
    public async Task Somebody_elses_record_is_superseded_by_the_owners_steward_only()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var mine = (await journey.ContributeAsync("d", "name,amount,day\na,1.00,\n", 1)).GetProperty("firstRecord").GetGuid();
        using var other = await journey.OtherPartyAsync("other", "contributor");
        await journey.PostAsync("/api/v1/grants", new { dataset = "d", action = "contribute", grantee = new { unit = "unit-other" } }, HttpStatusCode.Created);
        using var theirs = await other.PostAsync("/api/v1/datasets/d/records", new StringContent("name,amount,day\nb,1.00,\n", Encoding.UTF8, "text/csv"), None);
        Assert.True(theirs.StatusCode == HttpStatusCode.Created, await theirs.Content.ReadAsStringAsync(None));
        var record = JsonDocument.Parse(await theirs.Content.ReadAsStringAsync(None)).RootElement.GetProperty("firstRecord").GetGuid();

        using (var refused = await other.PutAsync($"/api/v1/datasets/d/records/{mine}", Body(new { name = "x" }), None))
            Assert.Equal("supersede.notYours", (await refused.ProblemAsync(HttpStatusCode.Forbidden, "policy.refused")).GetProperty("why")[0].GetProperty("code").GetString());
        using (var own = await other.PutAsync($"/api/v1/datasets/d/records/{record}", Body(new { name = "b2" }), None))
            Assert.Equal(HttpStatusCode.Created, own.StatusCode);
        // The journey's own client holds the steward's role in the owning unit.
        var current = (await journey.Http.GetFromJsonAsyncElement($"/api/v1/datasets/d/records/{mine}/history")).GetProperty("versions")[0].GetProperty("state").GetString();
        Assert.Equal("current", current);
        using var hidden = await other.GetAsync($"/api/v1/datasets/d/records/{mine}/history", None);
        await hidden.ProblemAsync(HttpStatusCode.NotFound, "record.unknown");
    }
}
