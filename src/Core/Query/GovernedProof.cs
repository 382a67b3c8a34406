using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;

namespace Gongzhi.Core.Query;

/// <summary>A row's proof, and the access that handing it out left.</summary>
public sealed record GivenProof(RowProof Proof, Guid Access, string Grant);

/// <summary>Hands out the proof of one row. The proof shows the row, so it is decided and recorded like any other reading.</summary>
public sealed class GovernedProof(
    Catalog.Catalog catalog, PolicyEngine policy, RecordStore records, ProofService proofs, GovernedQuery query, AccessLog accesses, Sequencer sequencer, TimeProvider clock)
{
    /// <summary>Refusals are 404 <c>record.unknown</c>, with <c>why</c>, whether there is such a row or not.</summary>
    public Task<Result<GivenProof>> ProveAsync(Caller caller, string dataset, Guid record, string? purpose, string? grant, CancellationToken cancel) =>
        AccessLog.DecidedAsync(() => DecideAsync(caller, dataset, record, purpose, grant, cancel));

    private async Task<Result<GivenProof>> DecideAsync(Caller caller, string dataset, Guid record, string? purpose, string? grant, CancellationToken cancel)
    {
        if (catalog.Find(dataset) is not { } definition)
            return Unknown(null);
        var batch = RecordId.TrySplit(record, out var batchId, out _) && records.FindBatch(batchId) is { } found && found.Dataset == dataset ? found : null;
        var decision = policy.DecideProof(caller, definition, batch?.Contributor ?? "", purpose ?? "", clock.GetUtcNow(), grant);
        if (decision.Permit is not { } permit)
            return Unknown(decision.Why);
        if (batch is null)
            return Unknown(null);
        if (permit.Rows is not { Places: null, TimeFrom: null, TimeTo: null, Filter: null })
            return await CoveredAsync(caller, permit, record, cancel).ConfigureAwait(false);
        // Made first: a proof that cannot be given shows nothing and leaves no access.
        var proof = await proofs.ProveRowAsync(dataset, record, cancel).ConfigureAwait(false);
        if (!proof.Ok)
            return proof.Problem;
        var question = SHA256.HashData(Encoding.UTF8.GetBytes("proof/" + record));
        var reading = new Reading(dataset, permit.Grant, permit.Purpose, permit.Epoch, sequencer.Log.Head.Size, definition.Fields.Select(f => f.Name), question);
        return new GivenProof(proof.Value, await accesses.RecordAsync(caller, reading, cancel).ConfigureAwait(false), permit.Grant);
    }

    /// <summary>Whether the row is among those the permit covers is a query's own question; asking it leaves the access.</summary>
    private async Task<Result<GivenProof>> CoveredAsync(Caller caller, ReadPermit permit, Guid record, CancellationToken cancel)
    {
        using var id = JsonDocument.Parse($"\"{record}\"");
        var answer = await query.RunAsync(caller, new QueryRequest
        {
            Dataset = permit.Dataset,
            Purpose = permit.Purpose,
            Grant = permit.Grant,
            Format = QueryFormat.Ndjson,
            Filter = new Filter.Compare("_id", "eq", id.RootElement.Clone()),
            Limit = 1,
        }, cancel).ConfigureAwait(false);
        if (!answer.Ok)
            return answer.Problem;
        using (answer.Value)
        {
            using var row = await answer.Value.Reader.NextAsync().ConfigureAwait(false);
            if (row is not { Length: 1 })
                return Unknown([new("proof.outside", "The row is not among those that your permit covers.", "该行不在您的许可范围内。")]);
        }
        var proof = await proofs.ProveRowAsync(permit.Dataset, record, cancel).ConfigureAwait(false);
        return proof.Ok ? new GivenProof(proof.Value, answer.Value.Access, permit.Grant) : proof.Problem;
    }

    private static Problem Unknown(IReadOnlyList<Reason>? why)
    {
        var problem = Problem.NotFound("record.unknown", "There is no record with this id in this dataset, or you may not read it.");
        return why is null ? problem : problem with { Extensions = new Dictionary<string, object?> { ["why"] = why } };
    }
}
