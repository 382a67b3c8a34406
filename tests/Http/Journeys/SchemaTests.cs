using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Territory;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>Schemas that other people's tools read, and points that say in which system they are.</summary>
[Collection("Journeys")]
public sealed class SchemaTests
{
    private static readonly string[] Types =
        ["string", "number", "integer", "date", "time", "datetime", "year", "yearmonth", "boolean", "object", "geopoint", "geojson", "array", "duration", "any"];

    private const string Everything = """
        {"owner":"node","title":{"en":"All","zh-CN":"全部"},"place":"where","schema":{"primaryKey":["id"],"missingValues":["","-"],"fields":[
         {"name":"id","type":"string","title":{"en":"Number","zh-CN":"编号"},"description":{"zh-CN":"说明"},"constraints":{"required":true,"unique":true,"minLength":1,"maxLength":9,"pattern":"[a-z]+","enum":["a","b"]}},
         {"name":"n","type":"integer","title":"整数","constraints":{"minimum":1,"maximum":9}}, {"name":"amount","type":"number","scale":2,"element":"payment-amount","constraints":{"minimum":0.01}},
         {"name":"x","type":"number","constraints":{"minimum":-1.5,"maximum":1e3}}, {"name":"flag","type":"boolean"}, {"name":"day","type":"date","constraints":{"minimum":"2020-01-01"}},
         {"name":"at","type":"datetime","constraints":{"maximum":"2030-01-01T00:00:00Z"}}, {"name":"clock","type":"time","constraints":{"minimum":"08:00:00"}},
         {"name":"year","type":"year","constraints":{"minimum":1999}}, {"name":"month","type":"yearmonth","constraints":{"minimum":"2020-01"}},
         {"name":"where","type":"place","title":{"en":"Where"}}, {"name":"who","type":"string","elementType":"identity-number"},
         {"name":"lon","type":"number"},{"name":"lat","type":"number"}],"points":[{"lon":"lon","lat":"lat","crs":"gcj02"}]}}
        """;

    [Fact]
    public async Task A_schema_is_given_as_the_standard_has_it_and_taken_in_again_unchanged()
    {
        await using var journey = await Journey.StartAsync();
        using (var put = await PutAsync(journey, "all", Everything))
            Assert.Equal(HttpStatusCode.Created, put.StatusCode);
        await journey.DefineAsync("bare", new { owner = "node", schema = new { fields = new[] { new { name = "a" } } } });
        using var nobody = journey.Node.NewClient();
        foreach (var id in new[] { "all", "bare" })
        {
            using var answer = await nobody.GetAsync($"/api/v1/datasets/{id}/schema");
            Assert.Equal("application/vnd.frictionless.tableschema+json", answer.Content.Headers.ContentType?.MediaType);
            Assert.Equal("\"1\"", answer.Headers.ETag?.Tag);
            var schema = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
            Conforms(schema);

            // As the schema of a definition, and bare.
            var whole = JsonNode.Parse(await nobody.GetStringAsync($"/api/v1/datasets/{id}"))!.AsObject();
            whole["schema"] = JsonNode.Parse(schema.GetRawText());
            using var again = await PutAsync(journey, id, whole.ToJsonString());
            Assert.Equal($$"""{"id":"{{id}}","version":1}""", await again.Content.ReadAsStringAsync());
            using var copy = await PutAsync(journey, id + "-copy", schema.GetRawText());
            Assert.Equal(HttpStatusCode.Created, copy.StatusCode);
            Assert.Equal(
                JsonDocument.Parse(await nobody.GetStringAsync($"/api/v1/datasets/{id}")).RootElement.GetProperty("schema").GetRawText(),
                JsonDocument.Parse(await nobody.GetStringAsync($"/api/v1/datasets/{id}-copy")).RootElement.GetProperty("schema").GetRawText());
        }
        var (english, chinese) = (await FieldsAsync(nobody, "en"), await FieldsAsync(nobody, "zh-CN"));
        Assert.Equal(["Number", "整数", "Where"], Titles(english));
        Assert.Equal(["编号", "整数", "Where"], Titles(chinese));
        Assert.Equal(("string", "place"), (chinese[10].GetProperty("type").GetString(), chinese[10].GetProperty("gongzhi:type").GetString()));
        await (await nobody.GetAsync("/api/v1/datasets/none/schema")).ProblemAsync(HttpStatusCode.NotFound, "dataset.unknown");

        static IEnumerable<string> Titles(List<JsonElement> fields) => fields.Where(f => f.TryGetProperty("title", out _)).Select(f => f.GetProperty("title").GetString()!);
    }

    [Theory]
    [InlineData("WGS-84")]
    [InlineData("CGCS2000")]
    [InlineData("GCJ-02")]
    [InlineData("BD-09")]
    public async Task Points_are_kept_in_one_system_whatever_they_come_in(string crs)
    {
        // Tiananmen, and what its longitude and latitude are in the source's system.
        const double lon = 116.3913, lat = 39.9075;
        var (givenLon, givenLat) = Coordinates.FromWgs84(lon, lat, CrsNames.Read(crs)!.Value);
        await using var journey = await Journey.StartAsync();
        await journey.DefineAsync("stops", new
        {
            owner = "node",
            schema = new
            {
                fields = new object[] { new { name = "x", type = "number" }, new { name = "y", type = "number" }, new { name = "a", type = "number", scale = 7 }, new { name = "b", type = "number", scale = 7 } },
                points = new[] { new { lon = "x", lat = "y", crs }, new { lon = "a", lat = "b", crs } },
            },
        });
        var given = FormattableString.Invariant($"{givenLon:F7},{givenLat:F7}");
        var receipt = await journey.ContributeAsync("stops", $"x,y,a,b\n{given},{given}\n,,,\n", 2);
        using var reader = await journey.OtherPartyAsync("reader", Roles.Reader);
        await journey.GrantAsync("stops", "client:reader", new { x = "plain", y = "plain", a = "plain", b = "plain" });
        var (status, text) = await Journey.QueryAsync(reader, new { dataset = "stops", purpose = "check", orderBy = new[] { "x" } });
        Assert.True(status == HttpStatusCode.OK, text);
        var row = JsonDocument.Parse(text).RootElement.GetProperty("rows")[0].EnumerateArray().Select(v => v.GetDouble()).ToList();
        foreach (var (keptLon, keptLat) in new[] { (row[0], row[1]), (row[2], row[3]) })
            Assert.InRange(Coordinates.DistanceMetres(keptLon, keptLat, lon, lat), 0, 0.05);
        // What is proven is what is kept.
        await journey.VerifyAsync(await journey.ProofsAsync(receipt));

        using var refused = await journey.SendAsync("stops", Encoding.UTF8.GetBytes($"x,y,a,b\n{given},{given}\n116.3,,,\n,39.9,,\n216.3,39.9,,\n,,116.3,99\nx,39.9,,\n"), Journey.CsvType);
        var errors = (await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "records.invalid")).GetProperty("errors").EnumerateArray();
        Assert.Equal(
            [(2, "y", "point"), (3, "x", "point"), (4, "x", "point"), (5, "a", "point"), (6, "x", "type")],
            errors.Select(e => (e.GetProperty("row").GetInt32(), e.GetProperty("field").GetString()!, e.GetProperty("code").GetString()!)));
    }

    [Fact]
    public async Task A_point_is_two_number_fields_and_stays_what_it_is()
    {
        await using var journey = await Journey.StartAsync();
        foreach (var points in new[]
        {
            """[{"lon":"x","lat":"y"}]""", """[{"lon":"x","lat":"y","crs":"local"}]""", """[{"lon":"x","lat":"none","crs":"WGS-84"}]""", """[{"lon":"x","lat":"x","crs":"WGS-84"}]""",
            """[{"lon":"x","lat":"t","crs":"WGS-84"}]""", """[{"lon":"x","lat":"c","crs":"BD-09"}]""", """[{"lon":"x","lat":"y","crs":"WGS-84"},{"lon":"x","lat":"c","crs":"WGS-84"}]""", "7", "[7]",
        })
        {
            using var refused = await PutAsync(journey, "p", Definition(points));
            Assert.Equal("schema.points", (await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "dataset.invalid")).GetProperty("path").GetString());
        }
        using (var made = await PutAsync(journey, "p", Definition("""[{"lon":"x","lat":"y","crs":"WGS-84"}]""")))
            Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        foreach (var points in new[] { "[]", """[{"lon":"y","lat":"x","crs":"WGS-84"}]""", """[{"lon":"x","lat":"y","crs":"WGS-84"},{"lon":"c","lat":"d","crs":"WGS-84"}]""" })
            await (await PutAsync(journey, "p", Definition(points))).ProblemAsync(HttpStatusCode.Conflict, "dataset.incompatible");
        using var corrected = await PutAsync(journey, "p", Definition("""[{"lon":"x","lat":"y","crs":"GCJ-02"}]"""));
        Assert.Equal(HttpStatusCode.OK, corrected.StatusCode);

        static string Definition(string points) => $$$"""
            {"owner":"node","schema":{"fields":[{"name":"x","type":"number"},{"name":"y","type":"number"},{"name":"t","type":"string"},{"name":"c","type":"number","scale":2},{"name":"d","type":"number","scale":2}],"points":{{{points}}}}}
            """;
    }

    /// <summary>What the published JSON schema of Table Schema demands.</summary>
    private static void Conforms(JsonElement schema)
    {
        Assert.True(schema.GetProperty("fields").GetArrayLength() > 0);
        foreach (var field in schema.GetProperty("fields").EnumerateArray())
        {
            Assert.Equal(JsonValueKind.String, field.GetProperty("name").ValueKind);
            var type = field.GetProperty("type").GetString();
            Assert.Contains(type, Types);
            foreach (var text in new[] { "title", "description", "format", "rdfType" })
                Assert.True(!field.TryGetProperty(text, out var value) || value.ValueKind == JsonValueKind.String, text);
            var constraints = field.GetProperty("constraints");
            foreach (var constraint in constraints.EnumerateObject())
            {
                var kind = constraint.Value.ValueKind;
                Assert.True(constraint.Name switch
                {
                    "required" or "unique" => kind is JsonValueKind.True or JsonValueKind.False,
                    "minLength" or "maxLength" => type == "string" && constraint.Value.GetInt32() >= 0,
                    "pattern" => type == "string" && kind == JsonValueKind.String,
                    // A number may be one or a text of one; dates and times are texts, months too.
                    "minimum" or "maximum" => type switch
                    {
                        "integer" or "year" => kind == JsonValueKind.Number && constraint.Value.TryGetInt64(out _),
                        "number" => kind == JsonValueKind.Number,
                        "date" or "time" or "datetime" or "yearmonth" => kind == JsonValueKind.String,
                        _ => false,
                    },
                    "enum" => constraint.Value.GetArrayLength() > 0 && constraint.Value.EnumerateArray().All(v => v.ValueKind == JsonValueKind.String)
                        && constraint.Value.EnumerateArray().Select(v => v.GetString()).Distinct().Count() == constraint.Value.GetArrayLength(),
                    _ => false,
                }, $"{field.GetProperty("name")}: {constraint.Name}");
            }
        }
        Assert.True(!schema.TryGetProperty("primaryKey", out var key) || (key.GetArrayLength() > 0 && key.EnumerateArray().All(k => k.ValueKind == JsonValueKind.String)));
        Assert.All(schema.GetProperty("missingValues").EnumerateArray(), v => Assert.Equal(JsonValueKind.String, v.ValueKind));
    }

    private static async Task<List<JsonElement>> FieldsAsync(HttpClient http, string language)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/api/v1/datasets/all/schema");
        request.Headers.AcceptLanguage.ParseAdd(language);
        using var answer = await http.SendAsync(request);
        return [.. (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("fields").EnumerateArray()];
    }

    private static Task<HttpResponseMessage> PutAsync(Journey journey, string id, string definition) =>
        journey.Http.PutAsync($"/api/v1/datasets/{id}", new StringContent(definition, Encoding.UTF8, "application/json"));
}
