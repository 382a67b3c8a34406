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
