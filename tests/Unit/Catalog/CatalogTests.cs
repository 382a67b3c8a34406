using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Tests.Unit.Records;
using Xunit;

namespace Gongzhi.Tests.Unit.Catalog;

public sealed class CatalogTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Two_definitions_of_one_dataset_in_one_group_commit_are_one_after_the_other()
    {
        await using var core = await CoreFixture.OpenAsync();
        // Equal: the second finds what the first made.
        var equal = await TogetherAsync(core, (Definition("a"), null), (Definition("a"), null));
        Assert.Equal([(true, 1), (false, 1)], equal.Select(r => (r.Value!.Created, r.Value.Dataset.Version)));
        Assert.Equal(equal[0].Value!.Dataset.Number, equal[1].Value!.Dataset.Number);

        // Both add a field: the second is judged against the first's version, and not against the one before.
        var updates = await TogetherAsync(core, (Definition("a", "b"), null), (Definition("a", "c"), null));
        Assert.Equal(2, updates[0].Value!.Dataset.Version);
        Assert.Equal("dataset.incompatible", updates[1].Problem?.Code);
        updates = await TogetherAsync(core, (Definition("a", "b", "c"), null), (Definition("a", "b", "c", "d"), null));
        Assert.Equal([3, 4], updates.Select(r => r.Value!.Dataset.Version));
        Assert.Equal(4, core.Catalog.Find("d")!.Version);
        Assert.Equal(4, core.Catalog.Find("d")!.Fields.Count);

        // Who named the version it saw loses to whoever came first.
        updates = await TogetherAsync(core, (Definition("a", "b", "c", "d", "e"), 4), (Definition("a", "b", "c", "d", "f"), 4));
        Assert.Equal(5, updates[0].Value!.Dataset.Version);
        Assert.Equal("dataset.changed", updates[1].Problem?.Code);
    }

    private static async Task<Result<PutOutcome>[]> TogetherAsync(CoreFixture core, params (JsonElement Definition, int? Expected)[] puts)
    {
        Task<Result<PutOutcome>>[] waiting = [];
        // While the writer is busy with this, all wait in turn, and then share a commit.
        await core.Writer.RunAsync(_ =>
        {
            waiting = [.. puts.Select(p => core.Catalog.PutAsync(CoreFixture.Steward, "d", p.Definition, p.Expected, Stop))];
        }, Stop);
        return await Task.WhenAll(waiting);
    }

    private static JsonElement Definition(params string[] fields) =>
        JsonSerializer.SerializeToElement(new { owner = "office", schema = new { fields = fields.Select(name => new { name, type = "string" }) } });
}
