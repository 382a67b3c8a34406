using Gongzhi.Core.Policy;
using Gongzhi.Core.Territory;
using Gongzhi.Tests.Unit.Policy;
using Xunit;

namespace Gongzhi.Tests.Unit.Territory;

/// <summary>The territory of a real store, and what a change of it does to decisions that were made before.</summary>
public sealed class TerritoryStoreTests : IAsyncLifetime
{
    private readonly PolicyWorld _world = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await _world.FoundAsync();
    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Fact]
    public async Task A_place_that_goes_to_another_district_leaves_the_scope_of_a_grant_at_once()
    {
        await ImportAsync(Place("12"), Place("1201"), Place("120101"), Place("120101001"), Place("120116"));
        await _world.GrantAsync("\"rows\":{\"placeWithin\":\"120101\"}");
        Assert.True(Covers("120101001"));
        var epoch = _world.Epoch.Current;
        await ImportAsync(Place("120101001") with { AdministeredBy = PlaceCode.Parse("120116") });
        Assert.True(_world.Epoch.Current > epoch);
        Assert.False(Covers("120101001"));
        Assert.True(Covers("120101002"));
    }

    [Fact]
    public async Task A_reform_takes_effect_at_midnight_of_the_nodes_zone_with_nothing_running()
    {
        // Midnight in Shanghai is four in the afternoon in UTC.
        var midnight = new DateTimeOffset(2026, 12, 31, 16, 0, 0, TimeSpan.Zero);
        var day = new DateOnly(2027, 1, 1);
        await ImportAsync(
            Place("12"), Place("1201"), Place("120101") with { ValidTo = day, Successors = [PlaceCode.Parse("120119")] }, Place("120116"),
            Place("120119") with { ValidFrom = day }, Place("120190") with { ValidFrom = day }, Place("120116001") with { AdministeredBy = PlaceCode.Parse("120190") });
        await _world.GrantAsync("\"rows\":{\"placeWithin\":\"120119\"},\"validUntil\":\"2028-01-01T00:00:00Z\"");
        _world.Clock.Now = midnight.AddTicks(-1);
        Assert.Equal(midnight, _world.Territory.NextReform);
        Assert.False(Covers("120101"));
        Assert.Equal(["120101", "120116"], Districts());
        Assert.Equal(PlaceCode.Parse("120116"), _world.Territory.Index.ParentOf(PlaceCode.Parse("120116001")));

        _world.Clock.Now = midnight;
        Assert.True(Covers("120101"));
        Assert.Equal(["120116", "120119", "120190"], Districts());
        Assert.Equal(PlaceCode.Parse("120190"), _world.Territory.Index.ParentOf(PlaceCode.Parse("120116001")));
        Assert.Equal(DateTimeOffset.MaxValue, _world.Territory.NextReform);

        // A clock put right backwards, too.
        _world.Clock.Now = midnight.AddTicks(-1);
        Assert.Equal(["120101", "120116"], Districts());

        IEnumerable<string> Districts() => _world.Territory.Index.Children(PlaceCode.Parse("1201")).Select(p => p.Code.ToString());
    }

    [Fact]
    public async Task Of_two_imports_in_one_group_commit_none_is_lost()
    {
        await ImportAsync(Place("12"), Place("1201"));
        Task<Gongzhi.Core.Result<int>>[] imports = [];
        // While the writer is busy with this, both wait, and then share a commit.
        await _world.Writer.RunAsync(_ =>
        {
            imports = [.. new[] { "120101", "120102" }.Select(code => _world.Territory.ImportAsync([Place(code)], "setup", Stop))];
        }, Stop);
        var totals = await Task.WhenAll(imports);
        Assert.Equal([3, 4], totals.Select(t => t.Value).Order());
        Assert.True(_world.Territory.Knows("120101") && _world.Territory.Knows("120102"));
        Assert.Equal(4, _world.Territory.Index.Places.Count);
    }

    [Fact]
    public async Task Outlines_that_stood_in_the_definitions_are_taken_along()
    {
        Shared.TestStore.OnlySqlite();
        await ImportAsync(Place("12"), Place("1201"));
        using (var connection = _world.Connect())
        {
            using var command = connection.CreateCommand();
            command.CommandText = """
                DROP TABLE place_shape; PRAGMA user_version = 2;
                UPDATE place SET definition = json_set(definition, '$.shape', 'POLYGON ((116 39, 117 39, 117 40, 116 39))') WHERE code = '1201';
                """;
            command.ExecuteNonQuery();
        }
        using (var db = _world.Open())
            _world.Prepare(db);
        _world.Territory.Open();
        Assert.Equal(4, _world.Territory.Shape(PlaceCode.Parse("1201"))!.NumPoints);
        Assert.Null(_world.Territory.Shape(PlaceCode.Parse("12")));
        Assert.Equal("地1201", _world.Territory.Index.Places[1].Name);
    }

    private static Place Place(string code) => new() { Code = PlaceCode.Parse(code), Name = "地" + code };

    private bool Covers(string place) => _world.Decide("auditor").Permit is { Rows.Places: { } ranges }
        && ranges.Any(r => string.CompareOrdinal(r.From, place) <= 0 && string.CompareOrdinal(place, r.To) < 0);

    private async Task ImportAsync(params Place[] places)
    {
        var imported = await _world.Territory.ImportAsync(places, "setup", Stop);
        Assert.True(imported.Ok, imported.Problem?.Detail);
    }
}
