using System.Net;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Parties;
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
                var (exit, output) = await journey.VerifyLogAsync(Shared.TestStore.LogDirectory(journey.World));
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

    [Fact]
    public async Task A_datasets_page_credits_the_unit_a_contributor_was_in_when_it_contributed()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", new { schema = new { fields = new[] { new { name = "n", type = "integer" } } } });
        using var mover = await journey.OtherPartyAsync("mover", Roles.Contributor);
        await journey.PostAsync("/api/v1/units", new { id = "unit-new", nameZh = "新单位", nameEn = "The new unit", place = "120101", level = 1, parent = "node" });
        await journey.PostAsync("/api/v1/grants", new { dataset = "d", action = "contribute", grantee = new { party = "client:mover" } }, HttpStatusCode.Created);
        await ContributeAsync(3);
        using (var ended = await journey.Http.DeleteAsync("/api/v1/parties/client:mover/roles?role=contributor&unit=unit-mover"))
            Assert.Equal(HttpStatusCode.OK, ended.StatusCode);
        await journey.PostAsync("/api/v1/parties/client:mover/roles", new { role = Roles.Contributor, unit = "unit-new" });
        await ContributeAsync(5);
        // In both at once: which of them sent the rows is not known, and none is credited.
        await journey.PostAsync("/api/v1/parties/client:mover/roles", new { role = Roles.Contributor, unit = "unit-mover" });
        await ContributeAsync(7);

        using var browser = journey.Node.NewClient();
        browser.DefaultRequestHeaders.Add("Accept", "text/html");
        browser.DefaultRequestHeaders.Add("Accept-Language", "zh-CN");
        var text = System.Text.RegularExpressions.Regex.Replace(WebUtility.HtmlDecode(await browser.GetStringAsync("/data/d")), "<[^>]*>|\\s+", " ");
        Assert.Matches("单位mover\\s+3\\b", text);
        Assert.Matches("新单位\\s+5\\b", text);
        Assert.Matches("所属单位不止一个，未具名\\s+7\\b", text);

        async Task ContributeAsync(int rows)
        {
            using var sent = await mover.PostAsync("/api/v1/datasets/d/records", new StringContent("n\n" + string.Concat(Enumerable.Range(0, rows).Select(i => $"{i}\n")), Encoding.UTF8, "text/csv"));
            Assert.True(sent.StatusCode == HttpStatusCode.Created, await sent.Content.ReadAsStringAsync());
        }
    }

    [Fact]
    public async Task A_workbook_that_comes_out_goes_in_again_as_it_was()
    {
        await using var journey = await Journey.StartAsync();
        var definition = new
        {
            opening = "open",
            schema = new
            {
                fields = new object[]
                {
                    new { name = "text", type = "string" }, new { name = "whole", type = "integer" }, new { name = "exact", type = "number", scale = 4 }, new { name = "rough", type = "number" },
                    new { name = "yes", type = "boolean" }, new { name = "day", type = "date" }, new { name = "at", type = "datetime" },
                },
                missingValues = new[] { "" },
            },
        };
        await journey.DefineAsync("d", definition);
        await journey.DefineAsync("again", definition);
        string[] texts = ["=1+1", "+86 10", "-5", "@SUM(A1)", "<a href=\"x\">&amp;</a>", "_x0041_", "行 一\n行二\ttab", " both ends ", "0001", "1E5", "\uFFFE\uFFFF", "\u0001\u001f", "😀", "TRUE"];
        await journey.ContributeAsync("d", Encoding.UTF8.GetBytes(string.Concat(texts.Select((text, i) => JsonSerializer.Serialize(new
        {
            text, whole = i == 0 ? long.MaxValue : i == 1 ? -1 : 100_000L * i, exact = i == 2 ? 12_345_678_901.2345m : i + 0.5m, rough = i == 3 ? 0.1 + 0.2 : i / 3.0,
            yes = i % 2 == 0, day = i == 4 ? "1900-01-01" : i == 5 ? null : $"2024-02-{i + 1:D2}", at = $"2024-02-29T08:00:{i:D2}.000001Z",
        }) + "\n"))), Ndjson, texts.Length);
        var question = new { dataset = "d", purpose = "open-data", fields = new[] { "text", "whole", "exact", "rough", "yes", "day", "at" } };
        using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query") { Content = new StringContent(JsonSerializer.Serialize(question), Encoding.UTF8, "application/json") };
        request.Headers.Accept.ParseAdd(Xlsx);
        using var response = await journey.Http.SendAsync(request);
        var workbook = await response.Content.ReadAsByteArrayAsync();
        Assert.Equal((HttpStatusCode.OK, Xlsx), (response.StatusCode, response.Content.Headers.ContentType!.MediaType));

        // No cell is a formula, and every part is XML.
        using (var zip = new System.IO.Compression.ZipArchive(new MemoryStream(workbook)))
        {
            foreach (var part in zip.Entries)
            {
                await using var stream = await part.OpenAsync();
                var xml = System.Xml.Linq.XDocument.Load(stream);
                Assert.DoesNotContain(xml.Descendants(), e => e.Name.LocalName == "f");
                if (part.FullName == "xl/worksheets/sheet1.xml")
                    Assert.Equal(4, xml.Descendants().Count(e => e.Name.LocalName == "c" && (string?)e.Attribute("s") == "2"));
            }
        }
        await journey.ContributeAsync("again", workbook, Xlsx, texts.Length);
        var (first, second) = (await RowsAsync("d"), await RowsAsync("again"));
        Assert.Equal(first, second);

        // What fits into no cell is said before anything is sent.
        await journey.ContributeAsync("d", Encoding.UTF8.GetBytes(JsonSerializer.Serialize(new { text = new string('长', 32_768) })), Ndjson, 1);
        using var long1 = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query") { Content = new StringContent(JsonSerializer.Serialize(question), Encoding.UTF8, "application/json") };
        long1.Headers.Accept.ParseAdd(Xlsx);
        using var refused = await journey.Http.SendAsync(long1);
        Assert.Contains("text", (await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "query.cell")).GetProperty("detail").GetString(), StringComparison.Ordinal);

        async Task<string> RowsAsync(string dataset)
        {
            var (status, text) = await Journey.QueryAsync(journey.Http, new { dataset, purpose = "open-data", fields = question.fields, orderBy = new[] { new { field = "at" } } });
            Assert.True(status == HttpStatusCode.OK, text);
            return JsonDocument.Parse(text).RootElement.GetProperty("rows").GetRawText();
        }
    }
}

internal static class JsonAnswers
{
    public static async Task<JsonElement> GetFromJsonAsyncElement(this HttpClient http, string path) => JsonDocument.Parse(await http.GetStringAsync(path)).RootElement;
}
