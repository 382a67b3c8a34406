using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Gongzhi.Tests.Http.Journeys;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http;

/// <summary>What a client may rely on at every route: described shapes, paging, preconditions, preferences, reasons in the reader's language.</summary>
public sealed class ContractTests
{
    [Fact]
    public async Task Every_operation_describes_its_body_and_its_answer()
    {
        await using var node = await TestNode.StartAsync();
        using var client = node.NewClient();
        var description = await client.GetFromJsonAsync<JsonElement>("/openapi/v1.json");
        var faults = new List<string>();
        var operations = 0;
        foreach (var path in description.GetProperty("paths").EnumerateObject().Where(p => p.Name.StartsWith("/api/v1/", StringComparison.Ordinal)))
        {
            foreach (var operation in path.Value.EnumerateObject().Where(o => o.Name is "get" or "post" or "put" or "delete" or "patch"))
            {
                operations++;
                var name = $"{operation.Name} {path.Name}";
                if (TakesBody(name))
                {
                    if (!operation.Value.TryGetProperty("requestBody", out var body) || !body.GetProperty("content").EnumerateObject().All(c => Says(description, c.Value)))
                        faults.Add($"{name}: no request schema");
                }
                var answers = operation.Value.GetProperty("responses").EnumerateObject().Where(r => r.Name[0] == '2').ToList();
                if (answers.Count == 0 || !answers.All(r => r.Name == "204" || (r.Value.TryGetProperty("content", out var content) && content.EnumerateObject().Any() && content.EnumerateObject().All(c => Says(description, c.Value)))))
                    faults.Add($"{name}: no schema for 2xx");
            }
        }
        Assert.Empty(faults);
        Assert.InRange(operations, 30, 200);
        Assert.Contains("text/csv", description.GetProperty("paths").GetProperty("/api/v1/datasets/{id}/records").GetProperty("post").GetProperty("requestBody").GetProperty("content").EnumerateObject().Select(c => c.Name));

        // The few that change something and are told everything by their address.
        static bool TakesBody(string name) => name.Split(' ')[0] is "post" or "put" or "patch" && name is not (
            "post /api/v1/parties/{id}/disable" or "post /api/v1/parties/{id}/enable" or "post /api/v1/parties/{id}/confirm" or "post /api/v1/audit/verification" or "post /api/v1/clients/{id}/secret" or "post /api/v1/accounts/{name}/invitation");
    }

    /// <summary>A schema that says something: a reference, a type, or alternatives; not the empty one that fits all.</summary>
    private static bool Says(JsonElement description, JsonElement media)
    {
        if (!media.TryGetProperty("schema", out var schema))
            return false;
        while (schema.TryGetProperty("$ref", out var reference))
        {
            if (!description.GetProperty("components").GetProperty("schemas").TryGetProperty(reference.GetString()!.Split('/')[^1], out schema))
                return false;
        }
        return schema.TryGetProperty("type", out var type)
            ? type.ToString() != "object" || schema.TryGetProperty("properties", out var members) && members.EnumerateObject().Any() || schema.TryGetProperty("additionalProperties", out _)
            : schema.TryGetProperty("oneOf", out _) || schema.TryGetProperty("anyOf", out _) || schema.TryGetProperty("enum", out _);
    }

    [Fact]
    public async Task The_form_of_an_answer_is_the_one_preferred_most()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", Samples.Definition);
        await journey.ContributeAsync("d", Samples.Csv(3), 3);
        await journey.GrantAsync("d", "client:boot", new { name = "plain" });
        foreach (var (accept, type) in new[]
                 {
                     ("*/*", "application/json"), ("text/csv", "text/csv"), ("text/csv;q=0.5, application/x-ndjson", "application/x-ndjson"),
                     ("application/x-ndjson;q=0.5, text/csv", "text/csv"), ("application/json, text/csv;q=0.9", "application/json"), ("text/csv, application/json", "text/csv"),
                     ("*/*;q=0.1, application/vnd.apache.arrow.stream;q=0.2", "application/vnd.apache.arrow.stream"), ("text/html, */*;q=0.8", "application/json"),
                     ("application/json;q=0, */*", "application/x-ndjson"), ("text/*", "text/csv"), ("TEXT/CSV", "text/csv"), ("application/vnd.apache.parquet, */*", "application/vnd.apache.parquet"),
                     ("application/pdf", ""), ("application/json;q=0", ""), ("nonsense", ""), ("text/csv;q=x;;", ""),
                 })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/query") { Content = JsonContent.Create(new { dataset = "d", purpose = "check" }) };
            request.Headers.TryAddWithoutValidation("Accept", accept);
            using var response = await journey.Http.SendAsync(request);
            if (type.Length == 0)
                await response.ProblemAsync(HttpStatusCode.NotAcceptable, "request.not-acceptable");
            else
                Assert.True(type == response.Content.Headers.ContentType?.MediaType, $"{accept}: {response.Content.Headers.ContentType}");
        }
    }

    [Fact]
    public async Task A_definition_is_changed_only_over_the_version_that_was_seen()
    {
        await using var journey = await Journey.StartAsync();
        Assert.Equal(HttpStatusCode.PreconditionFailed, await PutAsync("a", "If-Match", "*"));
        Assert.Equal(HttpStatusCode.PreconditionFailed, await PutAsync("a", "If-Match", "\"1\""));
        Assert.Equal(HttpStatusCode.Created, await PutAsync("a", "If-None-Match", "*"));
        Assert.Equal(HttpStatusCode.PreconditionFailed, await PutAsync("b", "If-None-Match", "*"));
        Assert.Equal(HttpStatusCode.OK, await PutAsync("b", "If-Match", "*"));
        using (var shown = await journey.Http.GetAsync("/api/v1/datasets/d"))
            Assert.Equal("\"2\"", shown.Headers.ETag?.ToString());
        Assert.Equal(HttpStatusCode.PreconditionFailed, await PutAsync("c", "If-Match", "\"1\""));
        Assert.Equal(HttpStatusCode.PreconditionFailed, await PutAsync("c", "If-Match", "W/\"2\""));
        Assert.Equal(HttpStatusCode.PreconditionFailed, await PutAsync("c", "If-Match", "\"abc\""));
        Assert.Equal(HttpStatusCode.OK, await PutAsync("c", "If-Match", "\"1\", \"2\""));
        Assert.Equal(HttpStatusCode.OK, await PutAsync("d", "If-Match", "3"));
        foreach (var (header, value) in new[] { ("If-Match", "abc"), ("If-Match", "\"1"), ("If-None-Match", "\"1\"") })
            Assert.Equal(HttpStatusCode.BadRequest, await PutAsync("e", header, value));
        Assert.Equal(4, (await journey.Http.GetFromJsonAsync<JsonElement>("/api/v1/datasets/d")).GetProperty("version").GetInt32());

        async Task<HttpStatusCode> PutAsync(string title, string header, string value)
        {
            using var request = new HttpRequestMessage(HttpMethod.Put, "/api/v1/datasets/d") { Content = JsonContent.Create(new { title, schema = new { fields = new[] { new { name = "n", type = "integer" } } } }) };
            request.Headers.TryAddWithoutValidation(header, value);
            using var response = await journey.Http.SendAsync(request);
            if (response.StatusCode == HttpStatusCode.PreconditionFailed)
                await response.ProblemAsync(HttpStatusCode.PreconditionFailed, "dataset.changed");
            return response.StatusCode;
        }
    }

    [Fact]
    public async Task Lists_come_in_pages_that_lead_to_each_other()
    {
        await using var journey = await Journey.StartAsync();
        foreach (var id in new[] { "e", "a", "c", "b", "d" })
        {
            await journey.DefineAsync(id, new { schema = new { fields = new[] { new { name = "n", type = "integer" } } } });
            await journey.GrantAsync(id, "client:boot", new { n = "plain" });
            Assert.Equal(HttpStatusCode.OK, (await Journey.QueryAsync(journey.Http, new { dataset = id, purpose = "check" })).Status);
        }
        Assert.Equal(["a", "b", "c", "d", "e"], await WalkAsync("/api/v1/datasets", "datasets", d => d.GetProperty("id").GetString()!));
        Assert.Equal(5, (await WalkAsync("/api/v1/grants", "grants", g => g.GetProperty("id").GetString()!)).Distinct().Count());
        Assert.Equal(["e"], await WalkAsync("/api/v1/grants?dataset=e", "grants", g => g.GetProperty("dataset").GetString()!));
        Assert.Equal(5, (await WalkAsync("/api/v1/accesses", "accesses", a => a.GetProperty("id").GetString()!)).Distinct().Count());
        var changes = await WalkAsync("/api/v1/audit/changes?entity=Grant", "changes", c => c.GetProperty("number").GetInt64().ToString(System.Globalization.CultureInfo.InvariantCulture));
        Assert.Equal(5, changes.Distinct().Count());
        foreach (var path in new[] { "/api/v1/datasets", "/api/v1/grants", "/api/v1/accesses", "/api/v1/audit/changes" })
        {
            foreach (var limit in new[] { "0", "-1", "1001" })
            {
                using var refused = await journey.Http.GetAsync($"{path}?limit={limit}");
                await refused.ProblemAsync(HttpStatusCode.BadRequest, "request.limit");
            }
        }
        using (var bent = await journey.Http.GetAsync("/api/v1/accesses?cursor=x"))
            await bent.ProblemAsync(HttpStatusCode.BadRequest, "request.malformed");
        // Whoever asks for no page gets everything there is, as long as it fits into one.
        using var whole = await journey.Http.GetAsync("/api/v1/datasets");
        Assert.False(whole.Headers.Contains("Link"));
        Assert.Equal(5, (await whole.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("datasets").GetArrayLength());

        async Task<List<string>> WalkAsync(string path, string member, Func<JsonElement, string> name)
        {
            var found = new List<string>();
            string? next = path + (path.Contains('?', StringComparison.Ordinal) ? "&" : "?") + "limit=2";
            for (var pages = 0; next is not null; pages++)
            {
                Assert.InRange(pages, 0, 10);
                using var response = await journey.Http.GetAsync(next);
                var body = await response.Content.ReadFromJsonAsync<JsonElement>();
                Assert.InRange(body.GetProperty(member).GetArrayLength(), 0, 2);
                found.AddRange(body.GetProperty(member).EnumerateArray().Select(name));
                var link = response.Headers.TryGetValues("Link", out var links) ? Assert.Single(links) : null;
                Assert.Equal(link is null, body.GetProperty("next").ValueKind == JsonValueKind.Null);
                next = link is null ? null : link[(link.IndexOf('<', StringComparison.Ordinal) + 1)..link.IndexOf(">; rel=\"next\"", StringComparison.Ordinal)];
            }
            return found;
        }
    }

    [Fact]
    public async Task Entries_rows_and_receipts_are_checked_from_an_address_and_an_opened_reading_is_what_its_entry_commits_to()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", new { opening = "open", schema = new { fields = new[] { new { name = "n", type = "integer" } } } });
        var receipt = await journey.ContributeAsync("d", "n\n1\n2\n", 2);
        await journey.GrantAsync("d", "client:boot", new { n = "plain" });
        var access = JsonDocument.Parse((await Journey.QueryAsync(journey.Http, new { dataset = "d", purpose = "check" })).Text).RootElement.GetProperty("access").GetGuid();
        var node = journey.Node.Address.ToString().TrimEnd('/');
        var index = receipt.GetProperty("entry").GetProperty("index").GetInt64();
        await ProvenAsync("batch", "entry", $"{node}/ledger/proof/{index}.json");
        await ProvenAsync("record", "row", $"{node}/api/v1/datasets/d/records/{receipt.GetProperty("firstRecord").GetString()}/proof");
        await ProvenAsync("batch", "receipt", $"{node}/api/v1/receipts/{receipt.GetProperty("receipt").GetString()}");
        using (var none = await journey.Http.GetAsync("/ledger/proof/999999.json"))
            await none.ProblemAsync(HttpStatusCode.NotFound, "ledger.noEntry");
        // Not public: said so, and nothing proven.
        var closed = await VerifyAsync("entry", $"{node}/api/v1/accesses/{access}");
        Assert.Equal(2, closed.Exit);
        Assert.Contains("not public", closed.Said, StringComparison.Ordinal);

        // The reading that was just made, and a change, as they are opened to who may see them.
        await journey.ContributeAsync("d", "n\n3\n", 1);
        var file = Path.Combine(Path.GetDirectoryName(journey.KeyFile)!, "opened.json");
        await File.WriteAllTextAsync(file, await journey.Http.GetStringAsync($"/api/v1/accesses/{access}"));
        await ProvenAsync("a reading, and its content is the one given here", "entry", file);
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file)).Replace("check", "chick", StringComparison.Ordinal));
        Assert.Equal(1, (await VerifyAsync("entry", file)).Exit);
        var change = (await journey.Http.GetFromJsonAsync<JsonElement>("/api/v1/audit/changes?entity=Grant")).GetProperty("changes")[0].GetProperty("id").GetGuid();
        await File.WriteAllTextAsync(file, await journey.Http.GetStringAsync($"/api/v1/audit/changes/{change}"));
        await ProvenAsync("a change of audited state, and its content", "entry", file);

        async Task ProvenAsync(string what, string verb, string place)
        {
            var (exit, said) = await VerifyAsync(verb, place);
            Assert.True(exit == 0, said);
            Assert.Contains(what, said, StringComparison.Ordinal);
        }

        async Task<(int Exit, string Said)> VerifyAsync(string verb, string place)
        {
            using var output = new StringWriter(System.Globalization.CultureInfo.InvariantCulture);
            return (await Verifier.Doors.RunAsync([verb, place, "--vkey", journey.KeyFile, "--lang", "en"], output, output), output.ToString());
        }
    }

    [Fact]
    public async Task The_reason_of_a_refusal_is_told_in_both_languages()
    {
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("d", new { schema = new { fields = new[] { new { name = "amount", type = "integer" } } } });
        await Told("dataset.incompatible", HttpStatusCode.Conflict, "amount", "类型", () => PutAsync("datasets/d", new { schema = new { fields = new[] { new { name = "amount", type = "string" } } } }));
        await Told("dataset.invalid", HttpStatusCode.UnprocessableEntity, "money", "不支持类型", () => PutAsync("datasets/e", new { schema = new { fields = new[] { new { name = "amount", type = "money" } } } }));
        await Told("dataset.invalid", HttpStatusCode.UnprocessableEntity, "letter first", "数据元编号", () => PutAsync("datasets/e", new { schema = new { fields = new[] { new { name = "amount", type = "integer", element = "No where" } } } }), english: true);
        await Told("element.invalid", HttpStatusCode.UnprocessableEntity, "public", "敏感级别", () => PutAsync("elements/x", new { owner = "node", nameZh = "名", nameEn = "name", type = "string", sensitivity = "?" }));
        await Told("query.shape", HttpStatusCode.BadRequest, "dataset is missing", "查询的结构不正确", () => new(HttpMethod.Post, "/api/v1/query") { Content = JsonContent.Create(new { purpose = "check" }) }, ignoreCase: true);
        await Told("records.unknownColumns", HttpStatusCode.UnprocessableEntity, "colour", "没有的列", () => new(HttpMethod.Post, "/api/v1/datasets/d/records")
        {
            Content = new StringContent("amount,colour\n1,red\n", new MediaTypeHeaderValue("text/csv")),
        });

        // A row changed behind the node's back: the batch is named to a Chinese reader too.
        var receipt = await journey.ContributeAsync("d", "amount\n1\n2\n", 2);
        Assert.Equal(2, Shared.TestStore.Tamper(journey.World, "UPDATE tail SET row = CAST(substr(row, 1, length(row) - 1) || X'17' AS BLOB)"));
        await Told("records.corrupt", HttpStatusCode.InternalServerError, receipt.GetProperty("batch").GetString()!, "已保存的数据",
            () => new(HttpMethod.Get, $"/api/v1/datasets/d/records/{receipt.GetProperty("firstRecord").GetString()}/proof"));

        static HttpRequestMessage PutAsync(string path, object body) => new(HttpMethod.Put, "/api/v1/" + path) { Content = JsonContent.Create(body) };

        async Task Told(string code, HttpStatusCode status, string both, string chinese, Func<HttpRequestMessage> ask, bool ignoreCase = false, bool english = false)
        {
            foreach (var language in new[] { "en", "zh-CN" })
            {
                using var request = ask();
                request.Headers.AcceptLanguage.Add(new(language));
                using var response = await journey.Http.SendAsync(request);
                var detail = (await response.ProblemAsync(status, code)).GetProperty("detail").GetString()!;
                // A sentence that stands in each language by itself has no word in common.
                if (!english || language == "en")
                    Assert.Contains(both, detail, ignoreCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal);
                Assert.Equal(language == "zh-CN", detail.Contains(chinese, StringComparison.Ordinal));
            }
        }
    }
}
