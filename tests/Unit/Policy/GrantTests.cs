using System.Text;
using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Xunit;

namespace Gongzhi.Tests.Unit.Policy;

public sealed class GrantTests : IAsyncLifetime
{
    private readonly PolicyWorld _world = new();

    public async ValueTask InitializeAsync() => await _world.FoundAsync();
    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("\"fields\":{\"salary\":\"plain\"}", "fields.salary", "unknown")]
    [InlineData("\"fields\":{}", "fields", "type")]
    [InlineData("\"fields\":{\"amount\":{\"mask\":\"name\"}}", "fields.amount", "unfit")]
    [InlineData("\"fields\":{\"merchant\":{\"mask\":\"nose\"}}", "fields.merchant", "transform")]
    [InlineData("\"fields\":{\"amount\":{\"aggregate\":{\"k\":1}}}", "fields.amount", "transform")]
    [InlineData("\"fields\":{\"amount\":{\"generalise\":0.001}}", "fields.amount", "unfit")]
    [InlineData("\"fields\":{\"date\":{\"generalise\":\"week\"}}", "fields.date", "unfit")]
    [InlineData("\"fields\":{\"date\":\"pseudonym\"}", "fields.date", "unfit")]
    [InlineData("\"purposes\":[]", "purposes", "form")]
    [InlineData("\"purposes\":[\"Audit!\"]", "purposes", "form")]
    [InlineData("\"purposes\":\"audit\"", "purposes", "form")]
    [InlineData("\"grantee\":{}", "grantee", "type")]
    [InlineData("\"grantee\":{\"unit\":\"nobody\"}", "grantee.unit", "unknown")]
    [InlineData("\"grantee\":{\"role\":\"security-administrator\"}", "grantee.role", "administrator")]
    [InlineData("\"rows\":{\"placeWithin\":\"9901\"}", "rows.placeWithin", "unknown")]
    [InlineData("\"rows\":{\"timeFrom\":\"yesterday\"}", "rows.timeFrom", "time")]
    [InlineData("\"rows\":{\"timeFrom\":\"2010-01-01T00:00:00\"}", "rows.timeFrom", "time")]
    [InlineData("\"rows\":{\"timeFrom\":\"2011-01-01\",\"timeTo\":\"2010-01-01\"}", "rows.timeTo", "range")]
    [InlineData("\"rows\":{\"filter\":{\"field\":\"salary\",\"op\":\"eq\",\"value\":1}}", "rows.filter", "filter")]
    [InlineData("\"rows\":{\"where\":1}", "rows.where", "unknown")]
    [InlineData("\"posture\":\"ordinary\"", "posture", "unknown")]
    [InlineData("\"validUntil\":\"2026-01-01\"", "validUntil", "range")]
    [InlineData("\"validUntil\":\"2099-01-01\"", "validUntil", "range")]
    [InlineData("\"color\":1", "color", "unknown")]
    [InlineData("\"grantee\":{\"unit\":\"\\ud800\"}", "grantee.unit", "unknown")]
    public async Task What_is_wrong_is_named_where_it_stands(string change, string path, string code)
    {
        var body = PolicyWorld.Body();
        if (change.Contains("ud800", StringComparison.Ordinal))
            body = JsonDocument.Parse(body.GetRawText().Replace("{\"unit\":\"audit\"}", "{\"unit\":\"\\ud800\"}", StringComparison.Ordinal)).RootElement;
        else
            body = PolicyWorld.Body(change);
        var result = await _world.Grants.CreateAsync(_world.As("steward"), body, Stop);
        Assert.Equal("grants.invalid", result.Problem!.Code);
        var errors = (IReadOnlyList<RequestError>)result.Problem.Extensions["errors"]!;
        Assert.Contains(errors, e => e.Path == path && e.Code == code);
        Assert.All(errors, e => Assert.NotEmpty(e.MessageZh));
    }

    [Theory]
    [InlineData("""{"dataset":"\ud800"}""")]
    [InlineData("""{"dataset":"cards","\ud800":1}""")]
    [InlineData("""{"dataset":"cards","fields":{"\ud800":"plain"}}""")]
    [InlineData("""{"dataset":"cards","fields":{"card":"\ud800"}}""")]
    [InlineData("""{"dataset":"cards","rows":{"filter":{"\ud800":1}}}""")]
    [InlineData("""{"dataset":1}""")]
    [InlineData("""[]""")]
    public async Task Hostile_bodies_are_refused_not_thrown(string body)
    {
        using var document = JsonDocument.Parse(body);
        Assert.Equal("grants.invalid", (await _world.Grants.CreateAsync(_world.As("steward"), document.RootElement, Stop)).Problem!.Code);
    }

    [Fact]
    public async Task Only_a_steward_of_the_owner_grants_and_never_to_himself_or_an_administrator()
    {
        foreach (var party in (string[])["system", "security", "audit-admin", "auditor", "own-reader", "duty"])
            Assert.Equal("grants.denied", (await _world.Grants.CreateAsync(_world.As(party), PolicyWorld.Body($"\"grantee\":{{\"party\":\"{party}\"}}"), Stop)).Problem!.Code);
        Assert.Equal("grants.self", (await _world.Grants.CreateAsync(_world.As("steward"), PolicyWorld.Body("\"grantee\":{\"party\":\"steward\"}"), Stop)).Problem!.Code);
        Assert.Equal("grants.administrator", (await _world.Grants.CreateAsync(_world.As("steward"), PolicyWorld.Body("\"grantee\":{\"party\":\"security\"}"), Stop)).Problem!.Code);
        var id = await _world.GrantAsync(by: PolicyWorld.Bootstrap);
        Assert.Equal("grants.denied", (await _world.Grants.RevokeAsync(_world.As("auditor"), id, Stop)).Problem!.Code);
        Assert.Equal("grants.unknown", (await _world.Grants.RevokeAsync(_world.As("duty"), id, Stop)).Problem!.Code);
        _world.Datasets["cards"] = PolicyWorld.Cards with { Sharing = SharingMode.None };
        Assert.Contains(_world.Decide("auditor").Why, r => r.Code == "sharing.none");
    }

    [Theory]
    [InlineData("{\"party\":\"many\"}", true)]
    [InlineData("{\"party\":\"many\",\"unit\":\"finance\",\"role\":\"steward\"}", true)]
    [InlineData("{\"party\":\"many\",\"unit\":\"audit\"}", true)]
    [InlineData("{\"role\":\"steward\"}", true)]
    [InlineData("{\"role\":\"reader\"}", true)]
    [InlineData("{\"unit\":\"finance\",\"role\":\"steward\"}", true)]
    [InlineData("{\"unit\":\"audit\"}", true)]
    [InlineData("{\"unit\":\"audit\",\"role\":\"reader\"}", true)]
    [InlineData("{\"unit\":\"payroll\",\"role\":\"duty-officer\"}", true)]
    [InlineData("{\"unit\":\"payroll\"}", false)]
    [InlineData("{\"unit\":\"finance\"}", false)]
    [InlineData("{\"unit\":\"audit\",\"role\":\"steward\"}", false)]
    [InlineData("{\"role\":\"contributor\"}", false)]
    [InlineData("{\"party\":\"auditor\"}", false)]
    [InlineData("{\"party\":\"auditor\",\"unit\":\"audit\",\"role\":\"reader\"}", false)]
    public async Task No_description_of_a_grantee_reaches_the_one_who_grants(string grantee, bool reaches)
    {
        // A steward of finance who reads for audit and is on duty in a unit below his own.
        await PolicyWorld.MustAsync(_world.Parties.CreateUnitAsync(_world.As("system"), PolicyWorld.Unit("payroll", "finance"), Stop));
        await _world.HireAsync("many", Roles.Steward, "finance");
        await PolicyWorld.MustAsync(_world.Parties.GiveRoleAsync(_world.As("security"), "many", Roles.Reader, "audit", cancel: Stop));
        await PolicyWorld.MustAsync(_world.Parties.GiveRoleAsync(_world.As("security"), "many", Roles.DutyOfficer, "payroll", cancel: Stop));

        var all = _world.As("many");
        // Using one role only is no way round either.
        foreach (var caller in (Caller[])[all, all with { Roles = new HashSet<string> { Roles.Steward }, Units = ["finance"] }])
        {
            Assert.Equal(reaches ? "grants.self" : null, (await _world.Grants.CreateAsync(caller, PolicyWorld.Body($"\"grantee\":{grantee}"), Stop)).Problem?.Code);
            // Without a role, contributing is for contributors, and he is none.
            var contributes = reaches && (grantee.Contains("role", StringComparison.Ordinal) || !grantee.Contains("unit", StringComparison.Ordinal));
            var body = JsonDocument.Parse($$"""{"dataset":"cards","action":"contribute","grantee":{{grantee}}}""").RootElement;
            Assert.Equal(contributes ? "grants.self" : null, (await _world.Grants.CreateAsync(caller, body, Stop)).Problem?.Code);
        }
        Assert.Null(_world.Decide("many").Permit);
    }

    [Fact]
    public async Task The_client_that_sets_a_node_up_may_grant_to_roles_it_holds_itself()
    {
        var id = await _world.GrantAsync("\"grantee\":{\"role\":\"reader\"}", by: PolicyWorld.Bootstrap);
        Assert.Equal(id, _world.Decide("auditor").Permit!.Grant);
    }

    [Fact]
    public async Task Lists_show_each_what_concerns_him_and_never_the_key()
    {
        var id = await _world.GrantAsync();
        foreach (var party in (string[])["steward", "auditor", "security", "audit-admin"])
            Assert.Equal(id, Assert.Single(_world.Grants.List(_world.As(party), "cards")).Id);
        foreach (var party in (string[])["duty", "system", "own-reader"])
            Assert.Empty(_world.Grants.List(_world.As(party)));
        Assert.DoesNotContain("key", JsonSerializer.Serialize(_world.Grants.List(_world.As("steward"))), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Aggregate_only_fields_set_the_smallest_group()
    {
        await _world.GrantAsync("\"fields\":{\"amount\":{\"aggregate\":{\"k\":10}},\"date\":{\"generalise\":\"month\"},\"merchant\":\"mask\",\"place\":{\"generalise\":6}}");
        var permit = _world.Decide("auditor").Permit!;
        Assert.Equal(10, permit.MinimumGroup);
        Assert.Equal(new FieldTransform(TransformKind.AggregateOnly, "10"), permit.Fields["amount"]);
        Assert.Equal(new FieldTransform(TransformKind.Mask, "all"), permit.Fields["merchant"]);
        Assert.Equal(new FieldTransform(TransformKind.Generalise, "6"), permit.Fields["place"]);
    }

    [Theory]
    [InlineData("""{"and":[{"field":"amount","op":"ge","value":100},{"not":{"field":"merchant","op":"in","value":["a","b"]}},{"or":[{"field":"_place","op":"within","value":"12"}]}]}""", true)]
    [InlineData("""{"field":"card","op":"isNull"}""", true)]
    [InlineData("""{"and":[]}""", false)]
    [InlineData("""{"and":[{"field":"a","op":"eq","value":1}],"or":[]}""", false)]
    [InlineData("""{"field":"a","op":"eq"}""", false)]
    [InlineData("""{"field":"a","op":"eq","value":null}""", false)]
    [InlineData("""{"field":"a","op":"like","value":"x"}""", false)]
    [InlineData("""{"field":"a","field":"b","op":"eq"}""", false)]
    [InlineData("""{"field":"a","op":"in","value":[]}""", false)]
    [InlineData("""{"field":"a","op":"in","value":[[1]]}""", false)]
    [InlineData("""{"field":"a","op":"eq","value":"\ud800"}""", false)]
    [InlineData("""{"\ud800":[]}""", false)]
    [InlineData("""{"field":"\ud800","op":"eq","value":1}""", false)]
    [InlineData("""[1]""", false)]
    [InlineData("""null""", false)]
    public void Filters_have_one_shape(string json, bool fits)
    {
        using var document = JsonDocument.Parse(json);
        Assert.Equal(fits, FilterJson.Parse(document.RootElement).Ok);
    }

    [Fact]
    public void Filters_have_a_depth_and_a_size()
    {
        const string Leaf = """{"field":"amount","op":"eq","value":1}""";
        Assert.True(Parses(Nested(FilterJson.DepthMax - 1)));
        Assert.False(Parses(Nested(FilterJson.DepthMax)));
        Assert.True(Parses(Wide(FilterJson.NodesMax - 1)));
        Assert.False(Parses(Wide(FilterJson.NodesMax)));

        static string Wide(int leaves) => "{\"or\":[" + string.Join(',', Enumerable.Repeat(Leaf, leaves)) + "]}";
        static string Nested(int times) => new StringBuilder().Insert(0, "{\"not\":", times).Append(Leaf).Append('}', times).ToString();
        static bool Parses(string json)
        {
            using var document = JsonDocument.Parse(json);
            return FilterJson.Parse(document.RootElement).Ok;
        }
    }
}
