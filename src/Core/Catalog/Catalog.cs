using System.Collections.Immutable;
using System.Text.Json;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Core.Catalog;

/// <summary>All datasets of the node, held in memory and replaced after each commit; definitions are changed here alone.</summary>
public sealed class Catalog(World world, NodeWriter writer, PolicyEpoch epoch, TimeProvider clock)
{
    private volatile ImmutableSortedDictionary<string, Dataset> _datasets = ImmutableSortedDictionary.Create<string, Dataset>(StringComparer.Ordinal);
    private volatile ImmutableDictionary<(string, int), Dataset> _versions = ImmutableDictionary<(string, int), Dataset>.Empty;

    /// <summary>Raised after a definition changed, on the writer's thread.</summary>
    public event Action<Dataset>? Changed;

    public IEnumerable<Dataset> All => _datasets.Values;

    public Dataset? Find(string id) => _datasets.GetValueOrDefault(id);

    /// <summary>A dataset as it was defined at a version; rows are decoded by the version they were written under.</summary>
    public Dataset? Find(string id, int version) => _versions.GetValueOrDefault((id, version));

    public Dataset? Find(long number) => _datasets.Values.FirstOrDefault(d => d.Number == number);

    /// <summary>Reads every definition from SQL, and from then on those that other machines change.</summary>
    public void Open()
    {
        writer.Feed.Follow(FeedTopic.Catalog, changes =>
        {
            foreach (var number in changes.Select(c => c[0]).Distinct())
            {
                foreach (var (dataset, current) in Read(number))
                {
                    if (Find(dataset.Id, dataset.Version) is { } known)
                        Keep(known, current);
                    else if (current)
                        Publish(dataset);
                    else
                        Keep(dataset, current: false);
                }
            }
        });
        using var _ = writer.Feed.EnterOrder();
        foreach (var (dataset, current) in Read(null))
            Keep(dataset, current);
    }

    private List<(Dataset Dataset, bool Current)> Read(long? number)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.CreateCommand();
        command.CommandText = """
            SELECT d.id, d.number, d.version, v.version, v.definition
            FROM dataset d JOIN dataset_version v ON v.dataset = d.id WHERE CAST(@number AS bigint) IS NULL OR d.number = @number ORDER BY d.id, v.version
            """;
        command.Set("@number", (object?)number ?? DBNull.Value);
        var found = new List<(Dataset, bool)>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            using var json = JsonDocument.Parse(reader.GetString(4));
            found.Add((Stored(json.RootElement, reader.GetString(0), reader.GetInt32(3), reader.GetInt64(1)), reader.GetInt32(3) == reader.GetInt32(2)));
        }
        return found;
    }

    /// <summary>
    /// Creates a dataset, or makes its next version if the change is compatible. Who may: a steward of the owning unit. An equal definition
    /// changes nothing.
    /// </summary>
    /// <param name="expected">The version the caller last saw (If-Match); 0: there must be none yet; or null.</param>
    public async Task<Result<PutOutcome>> PutAsync(Caller caller, string id, JsonElement definition, int? expected, CancellationToken cancel)
    {
        if (!caller.Has(Roles.Steward))
            return Problem.Denied("dataset.stewardsOnly", "Only a steward of the owning unit can define a dataset.");
        var parsed = DatasetJson.Parse(definition, id, caller.Units.Count > 0 ? caller.Units[0] : null);
        if (!parsed.Ok)
            return parsed.Problem;
        if (!caller.Units.Contains(parsed.Value.Owner))
            return Problem.Denied("dataset.notYourUnit", $"You hold no steward role in the unit {parsed.Value.Owner}.");
        if (parsed.Value is { Sharing: SharingMode.Unconditional } shared && (shared.Personal || shared.Class != DataClass.General))
            return Fault("sharing", new("Only general data that are not personal can be shared unconditionally; choose conditional, and give grants.", "只有非个人的一般数据可以无条件共享；请改为有条件共享并另行授权。"));
        return await writer.ChangeAsync<Result<PutOutcome>>((db, scope) =>
        {
            var now = clock.GetUtcNow();
            db.Audit = new AuditContext(caller.Party, now);
            if (Elements.BindingFault(db, parsed.Value) is { } unbound)
                return Fault(unbound.Path, unbound.Why);
            var state = db.Set<DatasetState>().SingleOrDefault(d => d.Id == id);
            if (state is null)
            {
                if (expected is > 0)
                    return Problem.NotFound("dataset.unknown", "There is no dataset with this id.");
                state = new DatasetState { Number = (db.Set<DatasetState>().Max(d => (long?)d.Number) ?? 0) + 1, Id = id, Owner = parsed.Value.Owner, Version = 1, Created = now, Changed = now };
                db.Add(state);
                db.Add(new DatasetVersionState { Dataset = id, Version = 1, Definition = DatasetJson.ToText(parsed.Value), Created = now });
                var created = parsed.Value with { Number = state.Number };
                Tell(scope, created);
                epoch.Raise(scope);
                return new PutOutcome(created, Created: true);
            }
            // From the transaction: a definition of the same group commit is not in memory yet.
            var current = Current(db, state);
            if (expected is not null && expected != state.Version)
                return new Problem("dataset.changed", 412, "The dataset was changed by someone else since you read it; read it again.");
            if (!caller.Units.Contains(current.Owner))
                return Problem.Denied("dataset.notYourUnit", $"You hold no steward role in the unit {current.Owner}, which owns this dataset.");
            var next = parsed.Value with { Number = current.Number, Version = current.Version };
            if (DatasetJson.ToText(next) == DatasetJson.ToText(current))
                return new PutOutcome(current, Created: false);
            if (DatasetCompatibility.Obstacle(current, next) is var (obstacle, chinese))
                return Problem.Conflict("dataset.incompatible", obstacle, chinese);
            next = next with { Version = current.Version + 1 };
            state.Version = next.Version;
            state.Owner = next.Owner;
            state.Changed = now;
            db.Add(new DatasetVersionState { Dataset = id, Version = next.Version, Definition = DatasetJson.ToText(next), Created = now });
            Tell(scope, next);
            epoch.Raise(scope);
            return new PutOutcome(next, Created: false);
        }, cancel).ConfigureAwait(false);
    }

    private static Problem Fault(string path, Sentence why) =>
        Problem.Invalid("dataset.invalid", why.English, why.Chinese) with { Extensions = new Dictionary<string, object?> { ["path"] = path } };

    private static Dataset Current(NodeDb db, DatasetState state)
    {
        var version = db.Set<DatasetVersionState>().AsNoTracking().Single(v => v.Dataset == state.Id && v.Version == state.Version);
        using var json = JsonDocument.Parse(version.Definition);
        return Stored(json.RootElement, state.Id, version.Version, state.Number);
    }

    internal static Dataset Stored(JsonElement definition, string id, int version, long number)
    {
        var parsed = DatasetJson.Parse(definition, id, null, version, number);
        return parsed.Ok ? parsed.Value : throw new InvalidDataException($"The stored definition of {id} cannot be read: {parsed.Problem.Detail}");
    }

    private void Tell(WriteScope scope, Dataset dataset)
    {
        scope.Tell(FeedTopic.Catalog, dataset.Number);
        scope.AfterCommit(() => Publish(dataset));
    }

    private void Publish(Dataset dataset)
    {
        Keep(dataset, current: true);
        Changed?.Invoke(dataset);
    }

    private void Keep(Dataset dataset, bool current)
    {
        _versions = _versions.SetItem((dataset.Id, dataset.Version), dataset);
        if (current)
            _datasets = _datasets.SetItem(dataset.Id, dataset);
    }
}

/// <summary>The definition as it now stands, and whether it is new.</summary>
public sealed record PutOutcome(Dataset Dataset, bool Created);
