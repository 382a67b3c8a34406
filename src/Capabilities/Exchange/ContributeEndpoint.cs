using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>POST /api/v1/datasets/{id}/records</c>: contributing records. Who may, the policy decides for the dataset.</summary>
internal static class ContributeEndpoint
{
    /// <summary>How long <c>?wait=proof</c> waits before it answers without one.</summary>
    private static readonly TimeSpan ProofWait = TimeSpan.FromSeconds(10);

    public static void MapContribute(this IEndpointRouteBuilder app, UploadLimits limits) =>
        app.MapPost("/api/v1/datasets/{id}/records", ContributeAsync).WithName("contributeRecords").RequireCaller().AcceptsUpload(limits)
            .TakesBody(typeof(Stream), "text/csv", "application/x-ndjson", "application/json", "application/vnd.apache.parquet",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/vnd.ms-excel", "application/gzip", "application/octet-stream")
            .Produces<ReceiptAnswer>(201).Produces<ReceiptAnswer>().ProducesProblem(403).ProducesProblem(404).ProducesProblem(422).DisableAntiforgery();

    private static async Task<IResult> ContributeAsync(
        string id, string? mode, string? wait, HttpContext http, Catalog catalog, IntakeService intake, World world, CallerAccessor callers,
        PolicyEngine policy, ProofService proofs, Sequencer sequencer, TimeProvider clock, CancellationToken cancel)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        var caller = callers.Required;
        if (policy.DecideContribution(caller, dataset, clock.GetUtcNow()) is { Allowed: false } denied)
            return denied.Refusal().ToResult();
        if (mode is not (null or "all" or "partial"))
            return Problem.BadRequest("request.mode", "The mode is all or partial.").ToResult();
        if (wait is not (null or "proof"))
            return Problem.BadRequest("request.wait", "The only thing to wait for is proof.").ToResult();
        var contributionMode = mode == "partial" ? IntakeMode.Partial : IntakeMode.All;
        var key = http.Request.Headers["Idempotency-Key"].ToString() is { Length: > 0 } given ? given : null;
        // Only a repeat has to be told from another file.
        var body = key is null ? null : new DigestStream(http.Request.Body);
        ICellSource source;
        try
        {
            source = await CellSources.OpenAsync(body ?? http.Request.Body, http.Request.ContentType, null, RowReader.ColumnsOf(dataset), world.SpoolDirectory,
                new SourceOptions { CollectFaults = contributionMode == IntakeMode.Partial, FreeBytesMin = world.FreeBytesMin, Workbooks = intake.Workbooks }, cancel).ConfigureAwait(false);
        }
        catch (SourceFormatException e)
        {
            return e.ToProblem().ToResult();
        }
        catch (IntakeBusyException)
        {
            return IntakeBusyException.Problem.ToResult();
        }
        Result<IntakeReceipt> outcome;
        await using (source.ConfigureAwait(false))
        {
            outcome = await intake.ContributeAsync(new Contribution
            {
                Dataset = dataset,
                Contributor = caller.Party,
                Source = source,
                Mode = contributionMode,
                IdempotencyKey = key,
                BodyDigest = body is null ? null : body.FinishAsync,
                MaySupersede = CorrectionEndpoints.Rule(policy, caller, dataset, clock),
                Origin = "http " + (http.Request.ContentType ?? "unnamed"),
            }, cancel).ConfigureAwait(false);
        }
        if (!outcome.Ok)
            return outcome.Problem.ToResult();
        var batch = outcome.Value.Batch;
        BatchProof? proof = null;
        if (wait == "proof")
            proof = await WaitAsync(batch, proofs, sequencer, cancel).ConfigureAwait(false);
        return Results.Json(ReceiptAnswer.Of(batch, proof, outcome.Value.Errors), statusCode: outcome.Value.Repeated ? 200 : 201);
    }

    private static async Task<BatchProof?> WaitAsync(Batch batch, ProofService proofs, Sequencer sequencer, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(ProofWait);
        try
        {
            await sequencer.WaitAsync(batch.Entry, limit.Token).ConfigureAwait(false);
            return (await proofs.ProveBatchAsync(batch, limit.Token).ConfigureAwait(false)).Value;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // The records are kept; the receipt says that the proof is still to come.
            return null;
        }
    }
}
