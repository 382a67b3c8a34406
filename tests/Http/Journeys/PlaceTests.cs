using System.Net;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Parties;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>The division tree over HTTP: who changes it, and what a change means for records and readers.</summary>
[Collection("Journeys")]
public sealed class PlaceTests
{
    private const string Tree = "code,name\n99,云川省\n9901,澜和市\n990101,临川区\n990102,望山区\n990101001,东街街道\n990102001,西街街道\n";

    private static readonly object Visits = new
    {
        owner = "node", time = "day", place = "place",
        schema = new { fields = new object[] { new { name = "day", type = "date" }, new { name = "place", type = "place" }, new { name = "n", type = "integer" } } },
    };

    [Fact]
    public async Task Nobody_but_the_system_administrator_changes_places()
    {
        await using var journey = await Journey.StartAsync();
        await ImportAsync(journey, Tree);
        foreach (var role in new[] { Roles.Steward, Roles.Contributor, Roles.Reader, Roles.DutyOfficer, Roles.SecurityAdministrator, Roles.AuditAdministrator })
        {
            using var other = await journey.OtherPartyAsync(role, role);
            using var refused = await other.PostAsync("/api/v1/places", new StringContent(Tree, Encoding.UTF8, Journey.CsvType));
            await refused.ProblemAsync(HttpStatusCode.Forbidden, "auth.denied");
        }
    }

    [Fact]
    public async Task A_street_that_goes_to_another_district_is_out_of_a_grant_with_the_next_question()
    {
        await using var journey = await Journey.StartAsync();
        await ImportAsync(journey, Tree);
        await journey.DefineAsync("visits", Visits);
        await journey.ContributeAsync("visits", "day,place,n\n2024-01-01,990101001,1\n2024-01-01,990101,2\n", 2);
        using var reader = await journey.OtherPartyAsync("reader", Roles.Reader);
        await journey.PostAsync("/api/v1/grants", new
        {
            dataset = "visits", grantee = new { party = "client:reader" }, purposes = new[] { "check" }, fields = new { n = "plain" }, rows = new { placeWithin = "990101" },
        });
        Assert.Equal("[[1],[2]]", await RowsAsync(reader, new { dataset = "visits", purpose = "check", orderBy = new[] { "n" } }));
        await ImportAsync(journey, "code,name,administeredBy\n990101001,东街街道,990102\n");
        Assert.Equal("[[2]]", await RowsAsync(reader, new { dataset = "visits", purpose = "check", orderBy = new[] { "n" } }));
    }

    [Fact]
    public async Task A_record_names_a_division_of_its_own_day()
    {
        await using var journey = await Journey.StartAsync();
        await ImportAsync(journey, Tree);
        await ImportAsync(journey, "code,name,validFrom,validTo,successors\n990103,临河区,,2020-06-01,990102\n990103001,河沿街道,,,\n990104,新区,2020-06-01,,\n990105,旧区,,2020-06-01,\n");
        await journey.DefineAsync("visits", Visits);
        await journey.ContributeAsync("visits", "day,place,n\n2019-01-01,990103,1\n2020-05-31,990103001000,2\n2020-06-01,990104,3\n2020-06-01,990102,4\n", 4);
        using var refused = await journey.SendAsync("visits", Encoding.UTF8.GetBytes("day,place,n\n2024-01-01,990103,1\n2020-06-01,990103001,2\n2020-05-31,990104,3\n2024-01-01,990105,4\n2024-01-01,990102,5\n"), Journey.CsvType);
        var errors = (await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "records.invalid")).GetProperty("errors").EnumerateArray().ToList();
        Assert.Equal(
            [(1, "placeEnded"), (2, "placeEnded"), (3, "placeEarly"), (4, "placeEnded")],
            errors.Select(e => (e.GetProperty("row").GetInt32(), e.GetProperty("code").GetString()!)));
        Assert.All(errors, e => Assert.Equal("place", e.GetProperty("field").GetString()));
        Assert.Equal("This division was in use until 2020-06-01 only; its successor is 990102.", errors[1].GetProperty("message").GetString());
        Assert.Equal("This division is in use from 2020-06-01 only.", errors[2].GetProperty("message").GetString());
        Assert.Equal("This division was in use until 2020-06-01 only; nothing succeeded it.", errors[3].GetProperty("message").GetString());

        // A moment is a day of the dataset's zone, a year any of its days; a field that is not where the event was may name what is no more.
        await journey.DefineAsync("moments", new { owner = "node", time = "at", place = "place", schema = new { fields = new object[] { new { name = "at", type = "datetime" }, new { name = "place", type = "place" } } } });
        await journey.ContributeAsync("moments", "at,place\n2020-05-31T15:59:59Z,990103\n2020-05-31T16:00:00Z,990104\n", 2);
        using (var late = await journey.SendAsync("moments", "at,place\n2020-05-31T16:00:00Z,990103\n"u8.ToArray(), Journey.CsvType))
            await late.ProblemAsync(HttpStatusCode.UnprocessableEntity, "records.invalid");
        await journey.DefineAsync("years", new
        {
            owner = "node", time = "year", place = "place",
            schema = new { fields = new object[] { new { name = "year", type = "year" }, new { name = "place", type = "place" }, new { name = "born", type = "place" } } },
        });
        await journey.ContributeAsync("years", "year,place,born\n2020,990103,990103\n2020,990104,990103\n2024,990102,990103\n", 3);
        using (var late = await journey.SendAsync("years", "year,place\n2021,990103\n2019,990104\n"u8.ToArray(), Journey.CsvType))
            Assert.Equal(2, (await late.ProblemAsync(HttpStatusCode.UnprocessableEntity, "records.invalid")).GetProperty("errorCount").GetInt32());
    }

    [Fact]
    public async Task Groups_by_district_are_those_of_today()
    {
        await using var journey = await Journey.StartAsync();
        await ImportAsync(journey, Tree + "990103,临河区\n990103001,河沿街道\n");
        await journey.DefineAsync("visits", Visits);
        await journey.ContributeAsync("visits", "day,place,n\n2019-01-01,990103,1\n2019-01-01,990103001,2\n2019-01-01,990102001,4\n2019-01-01,990101001,8\n2019-01-01,990101,16\n2019-01-01,9901,32\n", 6);
        using var reader = await journey.OtherPartyAsync("reader", Roles.Reader);
        await journey.GrantAsync("visits", "client:reader", new { n = "plain", place = "plain" });
        Assert.Equal("""[["9901",32],["990101",24],["990102",4],["990103",3]]""", await RowsAsync(reader, ByDistrict("place", "county")));
        await ImportAsync(journey, "code,name,validTo,successors,administeredBy\n990103,临河区,2020-01-01,990102,\n990190,高新区,,,\n990101001,东街街道,,,990190\n");
        Assert.Equal("""[["9901",32],["990101",16],["990102",7],["990190",8]]""", await RowsAsync(reader, ByDistrict("place", "county")));
        Assert.Equal("""[["9901",63]]""", await RowsAsync(reader, ByDistrict("place", "prefecture")));

        // What a grant made coarse stays as coarse as it says, by the digits.
        using var coarse = await journey.OtherPartyAsync("coarse", Roles.Reader);
        await journey.GrantAsync("visits", "client:coarse", new { n = "plain", place = new { generalise = 6 } });
        Assert.Equal("""[["9901",32],["990101",24],["990102",4],["990103",3]]""", await RowsAsync(coarse, new
        {
            dataset = "visits", purpose = "check", groupBy = new[] { "place" }, measures = new[] { new { name = "n", function = "sum", field = "n" } }, orderBy = new[] { new { field = "place" } },
        }));

        static object ByDistrict(string field, string unit) => new
        {
            dataset = "visits", purpose = "check", groupBy = new[] { new { field, unit } }, measures = new[] { new { name = "n", function = "sum", field = "n" } }, orderBy = new[] { new { field } },
        };
    }

    [Theory]
    [InlineData("WGS-84", 0)]
    [InlineData("CGCS2000", 0)]
    [InlineData("GCJ-02", 500)]
    [InlineData("BD-09", 1_300)]
    public async Task Outlines_declare_their_system_and_are_kept_once(string crs, double metres)
    {
        await using var journey = await Journey.StartAsync();
        await ImportAsync(journey, Tree);
        await (await journey.Http.GetAsync("/api/v1/places/990101/shape")).ProblemAsync(HttpStatusCode.NotFound, "place.noShape");
        var body = Collection(null, Feature("990101000000", "[[[116.3,39.9],[116.4,39.9],[116.4,40.0],[116.3,39.9]]]"));
        using (var imported = await ShapesAsync(journey, body, "?crs=" + crs))
            Assert.Equal("""{"imported":1}""", await imported.Content.ReadAsStringAsync());
        using var nobody = journey.Node.NewClient();
        using var kept = await nobody.GetAsync("/api/v1/places/990101/shape");
        Assert.Equal("application/geo+json", kept.Content.Headers.ContentType?.MediaType);
        var feature = JsonDocument.Parse(await kept.Content.ReadAsStringAsync()).RootElement;
        Assert.Equal(("990101", "临川区"), (feature.GetProperty("id").GetString(), feature.GetProperty("properties").GetProperty("name").GetString()));
        var corner = feature.GetProperty("geometry").GetProperty("coordinates")[0][1];
        var moved = Gongzhi.Core.Territory.Coordinates.DistanceMetres(corner[0].GetDouble(), corner[1].GetDouble(), 116.4, 39.9);
        Assert.InRange(moved, metres * 0.6, metres * 1.6);

        // A map of the source's own system gets back what the source gave.
        var again = JsonDocument.Parse(await nobody.GetStringAsync($"/api/v1/places/990101/shape?crs={crs}")).RootElement.GetProperty("geometry").GetProperty("coordinates")[0][1];
        Assert.Equal((116.4, 39.9), (Math.Round(again[0].GetDouble(), 6), Math.Round(again[1].GetDouble(), 6)));
        await (await nobody.GetAsync("/api/v1/places/990101/shape?crs=moon")).ProblemAsync(HttpStatusCode.BadRequest, "place.crs");

        // The list of places is imported anew and the outline stays.
        await ImportAsync(journey, Tree);
        Assert.Equal(HttpStatusCode.OK, (await nobody.GetAsync("/api/v1/places/990101/shape")).StatusCode);
    }

    [Fact]
    public async Task A_collection_with_any_error_leaves_nothing()
    {
        const string square = "[[[116.3,39.9],[116.4,39.9],[116.4,40.0],[116.3,39.9]]]";
        await using var journey = await Journey.StartAsync();
        await ImportAsync(journey, Tree);
        var good = Feature("990101", square);
        foreach (var (body, query, code, at) in new[]
        {
            (Collection(null, good), "", "shapes.crs", 0),
            (Collection("\"local\"", good), "", "shapes.crs", 0),
            (Collection("\"GCJ-02\"", good), "?crs=WGS-84", "shapes.crs", 0),
            (Collection("7", good), "?crs=WGS-84", "shapes.crs", 0),
            (Collection(null), "?crs=WGS-84", "shapes.count", 0),
            ("{", "?crs=WGS-84", "shapes.json", 0),
            (new string('[', 40) + new string(']', 40), "?crs=WGS-84", "shapes.json", 0),
            ("[]", "?crs=WGS-84", "shapes.form", 0),
            (good, "?crs=WGS-84", "shapes.form", 0),
            (Collection(null, good, Feature("99010", square)), "?crs=WGS-84", "shapes.code", 2),
            (Collection(null, good, Feature("990199", square)), "?crs=WGS-84", "shapes.unknown", 2),
            (Collection(null, good, Feature("990101000000", square)), "?crs=WGS-84", "shapes.duplicate", 2),
            (Collection(null, good, Feature("990102", "[[[116.3,39.9],[216.4,39.9],[116.4,40.0],[116.3,39.9]]]")), "?crs=WGS-84", "shapes.geometry", 2),
        })
        {
            using var refused = await ShapesAsync(journey, body, query);
            var error = Assert.Single((await refused.ProblemAsync(HttpStatusCode.UnprocessableEntity, "places.shapesInvalid")).GetProperty("errors").EnumerateArray());
            Assert.Equal((code, at), (error.GetProperty("code").GetString(), error.GetProperty("feature").GetInt32()));
        }
        await (await ShapesAsync(journey, Collection(null, good), "?crs=moon")).ProblemAsync(HttpStatusCode.BadRequest, "place.crs");
        await (await journey.Http.GetAsync("/api/v1/places/990101/shape")).ProblemAsync(HttpStatusCode.NotFound, "place.noShape");
        using (var stated = await ShapesAsync(journey, Collection("""{"type":"name","properties":{"name":"urn:ogc:def:crs:EPSG::4490"}}""", good), ""))
            Assert.Equal(HttpStatusCode.OK, stated.StatusCode);
        using var steward = await journey.OtherPartyAsync("steward", Roles.Steward);
        using var denied = await steward.PostAsync("/api/v1/places/shapes?crs=WGS-84", new StringContent(Collection(null, good), Encoding.UTF8, "application/geo+json"));
        await denied.ProblemAsync(HttpStatusCode.Forbidden, "auth.denied");
    }

    private static string Collection(string? crs, params string[] features) =>
        $$"""{"type":"FeatureCollection",{{(crs is null ? "" : $"\"crs\":{crs},")}}"features":[{{string.Join(',', features)}}]}""";

    private static string Feature(string code, string rings) => $$$"""{"type":"Feature","properties":{"code":"{{{code}}}"},"geometry":{"type":"Polygon","coordinates":{{{rings}}}}}""";

    private static Task<HttpResponseMessage> ShapesAsync(Journey journey, string body, string query) =>
        journey.Http.PostAsync("/api/v1/places/shapes" + query, new StringContent(body, Encoding.UTF8, "application/geo+json"));

    private static async Task<string> RowsAsync(HttpClient http, object query)
    {
        var (status, text) = await Journey.QueryAsync(http, query);
        Assert.True(status == HttpStatusCode.OK, text);
        return JsonDocument.Parse(text).RootElement.GetProperty("rows").GetRawText();
    }

    private static async Task ImportAsync(Journey journey, string csv)
    {
        using var imported = await journey.Http.PostAsync("/api/v1/places", new StringContent(csv, Encoding.UTF8, Journey.CsvType));
        Assert.True(imported.StatusCode == HttpStatusCode.OK, await imported.Content.ReadAsStringAsync());
    }
}
