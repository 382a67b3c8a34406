using System.Net;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Records;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>From a file to a proof that needs neither the node nor an account.</summary>
[Collection("Journeys")]
public sealed class ContributionTests
{
    private const string Ndjson = "application/x-ndjson";
    private const string Parquet = "application/vnd.apache.parquet";
    private const string Xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

    [Fact]
    public async Task Every_format_leads_to_the_same_records_and_to_proofs_that_outlive_the_node()
    {
        await using var journey = await Journey.StartAsync();
        // Both ways of keeping: 120 rows stay in the tail, 3,000 go to a segment at once.
        foreach (var count in new[] { 120, 3_000 })
        {
            var proofs = new List<(uint Row, string Proof)>();
            var texts = new Dictionary<string, string>();
            foreach (var (format, body, type) in new[]
            {
                ("csv", Encoding.UTF8.GetBytes(Samples.Csv(count)), Journey.CsvType),
                ("gzip", Samples.Gzip(Encoding.UTF8.GetBytes(Samples.Csv(count))), Journey.CsvType),
                ("gb18030", Samples.Gb18030(count), "text/csv; charset=gb18030"),
                ("ndjson", Samples.Ndjson(count), Ndjson),
                ("xlsx", Samples.Xlsx(count), Xlsx),
                ("parquet", Samples.Parquet(count), Parquet),
            })
            {
                var id = $"{format}-{count}";
                await journey.DefineAsync(id, Samples.Definition);
                var receipt = await journey.ContributeAsync(id, body, type, count);
                Assert.Equal(RecordId.Of(receipt.GetProperty("batch").GetGuid(), 0), receipt.GetProperty("firstRecord").GetGuid());
                await journey.VerifyReceiptAsync(receipt);
                await journey.VerifyReceiptAsync(await journey.Http.GetFromJsonAsyncElement($"/api/v1/receipts/{receipt.GetProperty("receipt").GetGuid()}"));
                var sample = await journey.ProofsAsync(receipt);
                await journey.VerifyAsync(sample);
                proofs.AddRange(sample);

                var expected = Samples.Rows(count).ToArray();
                foreach (var (row, proof) in sample)
                    Assert.Contains(expected[row].Name, Encoding.UTF8.GetString(JsonDocument.Parse(proof).RootElement.GetProperty("row").GetProperty("bytes").GetBytesFromBase64()), StringComparison.Ordinal);

                await journey.GrantAsync(id, "client:" + TestNode.Client, new { name = "plain", amount = "plain", day = "plain" });
                var (status, text) = await Journey.QueryAsync(journey.Http, new { dataset = id, purpose = "check", fields = new[] { "name", "amount", "day" }, orderBy = new[] { "name" } }, "text/csv");
                Assert.True(status == HttpStatusCode.OK, text);
                texts[format] = text;
            }
            Assert.All(texts, t => Assert.True(t.Value == texts["csv"], $"{t.Key} of {count}: {t.Value[..200]}"));
            var (_, log) = await journey.VerifyLogAsync(journey.Node.Address + "ledger/");
            Assert.Contains("Proven", log, StringComparison.Ordinal);
            if (count == 3_000)
            {
                await journey.StopAsync();
                await journey.VerifyAsync(proofs);
                var (exit, output) = await journey.VerifyLogAsync(journey.World.LedgerDirectory);
                Assert.True(exit == 0, output);
            }
        }
    }

    [Fact]
    public async Task A_proof_with_any_byte_of_its_row_changed_is_not_proven()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var receipt = await journey.ContributeAsync("d", Samples.Csv(9), 9);
        var (row, proof) = (await journey.ProofsAsync(receipt, 1))[0];
        var json = System.Text.Json.Nodes.JsonNode.Parse(proof)!;
        var bytes = Convert.FromBase64String(json["row"]!["bytes"]!.GetValue<string>());
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] ^= 1;
            json["row"]!["bytes"] = Convert.ToBase64String(bytes);
            await Assert.ThrowsAnyAsync<Xunit.Sdk.XunitException>(() => journey.VerifyAsync([(row, json.ToJsonString())]));
            bytes[i] ^= 1;
        }
    }

    [Fact]
    public async Task Wrong_rows_are_listed_and_in_partial_mode_left_out_and_handed_back()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var body = Encoding.UTF8.GetBytes("name,amount,day\n好,1.00,2024-01-01\n坏,1.001,2024-01-01\n,2.00,2024-02-30\n也好,,\n");
        using (var refused = await journey.SendAsync("d", body, Journey.CsvType))
        {
            var problem = await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "records.invalid");
            var errors = problem.GetProperty("errors").EnumerateArray().ToArray();
            Assert.Equal(problem.GetProperty("errorCount").GetInt32(), errors.Length);
            Assert.Equal([(2L, "amount"), (3L, "day"), (3L, "name")], errors.Select(e => (e.GetProperty("row").GetInt64(), e.GetProperty("field").GetString()!)).OrderBy(e => e.Item1).ThenBy(e => e.Item2));
            Assert.All(errors, e => Assert.NotEmpty(e.GetProperty("code").GetString()!));
            Assert.All(errors, e => Assert.NotEmpty(e.GetProperty("message").GetString()!));
        }
        Assert.Equal(0, (await journey.Http.GetFromJsonAsyncElement("/api/v1/datasets/d")).GetProperty("records").GetInt64());

        using var taken = await journey.SendAsync("d", body, Journey.CsvType, "?mode=partial&wait=proof");
        var receipt = JsonDocument.Parse(await taken.Content.ReadAsStringAsync()).RootElement;
        Assert.Equal(HttpStatusCode.Created, taken.StatusCode);
        Assert.Equal((2, 2), (receipt.GetProperty("accepted").GetInt32(), receipt.GetProperty("rejected").GetInt32()));
        var rejects = await journey.Http.GetStringAsync(receipt.GetProperty("rejects").GetString());
        Assert.Equal(["2,amount", "3,name", "3,day"], rejects.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(l => string.Join(',', l.Split(',').Take(2))));
        // Whoever reads the list of errors may not be allowed to read the values.
        Assert.DoesNotContain("1.001", rejects, StringComparison.Ordinal);
        await journey.VerifyAsync(await journey.ProofsAsync(receipt));
    }

    [Fact]
    public async Task The_same_key_contributes_once_and_an_unknown_column_not_at_all()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        var body = Encoding.UTF8.GetBytes(Samples.Csv(30));
        using var first = await journey.SendAsync("d", body, Journey.CsvType, key: "once");
        using var again = await journey.SendAsync("d", body, Journey.CsvType, key: "once");
        Assert.Equal((HttpStatusCode.Created, HttpStatusCode.OK), (first.StatusCode, again.StatusCode));
        Assert.Equal(await Batch(first), await Batch(again));
        using var other = await journey.SendAsync("d", body, Journey.CsvType, "?mode=partial", "once");
        Assert.Equal(HttpStatusCode.Conflict, other.StatusCode);
        using var unknown = await journey.SendAsync("d", "name,price\nx,1\n"u8.ToArray(), Journey.CsvType);
        var problem = await unknown.ProblemAsync(HttpStatusCode.UnprocessableEntity, "records.unknownColumns");
        Assert.Equal("price", problem.GetProperty("columns")[0].GetString());
        Assert.Equal(30, (await journey.Http.GetFromJsonAsyncElement("/api/v1/datasets/d")).GetProperty("records").GetInt64());

        static async Task<Guid> Batch(HttpResponseMessage response) => JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("batch").GetGuid();
    }
}

internal static class JsonAnswers
{
    public static async Task<JsonElement> GetFromJsonAsyncElement(this HttpClient http, string path) => JsonDocument.Parse(await http.GetStringAsync(path)).RootElement;
}
