using System.Globalization;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>/api/v1/receipts</c>: what a contribution left. For who contributed, for readers of the owner, and for everybody where the dataset is open.</summary>
internal static class ReceiptEndpoints
{
    public static void MapReceipts(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/receipts/{id:guid}", ReceiptAsync).WithName("getReceipt").AllowAnonymous().Produces<ReceiptAnswer>().ProducesProblem(401).ProducesProblem(404);
        app.MapGet("/api/v1/receipts/{id:guid}/rejects", RejectsAsync).WithName("getRejects").AllowAnonymous().AnswersLong()
            .Produces<string>(200, "text/csv").ProducesProblem(401).ProducesProblem(404);
    }

    private static async Task<IResult> ReceiptAsync(
        Guid id, RecordStore records, Catalog catalog, PolicyEngine policy, ProofService proofs, CallerAccessor callers, TimeProvider clock, CancellationToken cancel)
    {
        if (Seen(id, records, catalog, policy, callers, clock) is not { } batch)
            return Unknown(callers);
        var proof = await proofs.ProveBatchAsync(batch, cancel).ConfigureAwait(false);
        return Results.Json(ReceiptAnswer.Of(batch, proof.Ok ? proof.Value : null, []));
    }

    private static async Task<IResult> RejectsAsync(
        Guid id, RecordStore records, Catalog catalog, PolicyEngine policy, World world, CallerAccessor callers, TimeProvider clock, CancellationToken cancel)
    {
        if (Seen(id, records, catalog, policy, callers, clock) is null)
            return Unknown(callers);
        return await RejectsFile.FindAsync(world, records.Segments, id, cancel).ConfigureAwait(false) is { } path
            ? Results.Stream(to => RejectsFile.CopyAsync(path, to, CultureInfo.CurrentUICulture, cancel), "text/csv; charset=utf-8", $"rejects-{id}.csv")
            : Problem.NotFound("receipt.noRejects", "Nothing was rejected in this contribution.").ToResult();
    }

    /// <summary>The batch, when there is one and the caller may know of it.</summary>
    private static Batch? Seen(Guid id, RecordStore records, Catalog catalog, PolicyEngine policy, CallerAccessor callers, TimeProvider clock) =>
        records.FindBatch(id) is { } batch && catalog.Find(batch.Dataset) is { } dataset
        && policy.DecideReceipt(callers.Current ?? Caller.Nobody, dataset, batch.Contributor, clock.GetUtcNow()).Allowed ? batch : null;

    /// <summary>The same answer whether it is not there or not for this caller; who is not signed in is asked to.</summary>
    private static IResult Unknown(CallerAccessor callers) => callers.Current is null
        ? HostProblems.SignInNeeded.ToResult()
        : Problem.NotFound("receipt.unknown", "There is no receipt with this id, or it is not yours.").ToResult();
}

/// <param name="FirstRecord">Id of the first record; the next ones count up in the last four bytes.</param>
internal sealed record ReceiptAnswer(
    Guid Receipt, string Dataset, Guid Batch, long Accepted, long Rejected, string? Rejects, string Root, ReceiptEntry? Entry, Guid FirstRecord, IReadOnlyList<RowError>? Errors)
{
    public static ReceiptAnswer Of(Batch batch, BatchProof? proof, IReadOnlyList<RowError> errors) => new(
        batch.Id, batch.Dataset, batch.Id, batch.Rows, batch.Rejected,
        batch.Rejected > 0 ? $"/api/v1/receipts/{batch.Id}/rejects" : null,
        Convert.ToBase64String(batch.Root),
        proof is null ? null : new ReceiptEntry(proof.Index, proof.Checkpoint, Convert.ToBase64String(proof.Entry), proof.TlogProof),
        RecordId.Of(batch.Id, 0), errors.Count == 0 ? null : errors);
}

internal sealed record ReceiptEntry(long Index, string Checkpoint, string Entry, string TlogProof);
