using System.Net;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Records;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>A steward erases; the proofs of the rest hold, and the log says that something was there.</summary>
[Collection("Journeys")]
public sealed class ErasureTests
{
    private static StringContent Body(object body) => new(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json");

    [Fact]
    public async Task An_erased_record_is_answered_with_its_leaf_and_the_others_with_proofs()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var receipt = await journey.ContributeAsync("d", Samples.Csv(3_000), 3_000);
        var record = RecordId.Of(receipt.GetProperty("batch").GetGuid(), 100);
        using var other = await journey.OtherPartyAsync("other", "steward");
        using (var refused = await other.PostAsync("/api/v1/datasets/d/erasures", Body(new { records = new[] { record }, reason = "x" })))
            Assert.Equal("erase.notYours", (await refused.ProblemAsync(HttpStatusCode.Forbidden, "policy.refused")).GetProperty("why")[0].GetProperty("code").GetString());
        using (var invalid = await journey.Http.PostAsync("/api/v1/datasets/d/erasures", Body(new { records = new[] { record } })))
            await invalid.ProblemAsync(HttpStatusCode.UnprocessableEntity, "erasure.invalid");
        using (var subject = await journey.Http.PostAsync("/api/v1/datasets/d/erasures", Body(new { subject = "p", reason = "x" })))
            await subject.ProblemAsync(HttpStatusCode.UnprocessableEntity, "erasure.invalid");

        var first = await journey.PostAsync("/api/v1/datasets/d/erasures", new { records = new[] { record }, reason = "Art. 47" }, HttpStatusCode.Created);
        var again = await journey.PostAsync("/api/v1/datasets/d/erasures", new { records = new[] { record }, reason = "Art. 47" }, HttpStatusCode.OK);
        Assert.Equal(first.GetProperty("erasure").GetGuid(), again.GetProperty("erasure").GetGuid());

        using (var gone = await journey.ProofAsync(receipt, 100))
            Assert.Equal(32, (await gone.ProblemAsync(HttpStatusCode.Gone, "record.erased")).GetProperty("leaf").GetBytesFromBase64().Length);
        var proofs = new List<(uint, string)>();
        foreach (var row in new uint[] { 0, 99, 101, 255, 256, 2_999 })
        {
            using var response = await journey.ProofAsync(receipt, row);
            proofs.Add((row, await response.Content.ReadAsStringAsync()));
        }
        await journey.VerifyAsync(proofs);
        Assert.Equal(2_999, (await journey.Http.GetFromJsonAsyncElement("/api/v1/datasets/d")).GetProperty("records").GetInt64());
        var history = await journey.Http.GetFromJsonAsyncElement($"/api/v1/datasets/d/records/{record}/history");
        Assert.Equal("erased", history.GetProperty("versions")[0].GetProperty("state").GetString());
    }
}
