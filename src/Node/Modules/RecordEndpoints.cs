using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;

namespace Gongzhi.Node.Modules;

/// <summary>Contributing records, receipts and proofs.</summary>
internal static class RecordEndpoints
{
    /// <summary>How long <c>?wait=proof</c> waits before it answers without one.</summary>
    private static readonly TimeSpan ProofWait = TimeSpan.FromSeconds(10);

    public static void MapRecords(this IEndpointRouteBuilder app, NodeOptions options)
    {
        app.MapPost("/api/v1/datasets/{id}/records", ContributeAsync).WithName("contributeRecords").RequireCaller(Roles.Contributor, Roles.Steward).AcceptsUpload(options)
            .Produces<ReceiptAnswer>(201).ProducesProblem(403).ProducesProblem(404).ProducesProblem(422).DisableAntiforgery();
        app.MapGet("/api/v1/receipts/{id:guid}", ReceiptAsync).WithName("getReceipt").RequireCaller();
        app.MapGet("/api/v1/receipts/{id:guid}/rejects", Rejects).WithName("getRejects").RequireCaller().AnswersLong();
        app.MapGet("/api/v1/datasets/{id}/records/{recordId:guid}/proof", ProveAsync).WithName("proveRecord").RequireCaller();
    }

    private static async Task<IResult> ContributeAsync(
        string id, string? mode, string? wait, HttpContext http, Catalog catalog, IntakeService intake, World world, CallerAccessor callers,
        ProofService proofs, Sequencer sequencer, PolicyEngine policy, TimeProvider clock, CancellationToken cancel)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        var caller = callers.Required;
        if (!caller.Units.Contains(dataset.Owner) && dataset.Sharing == SharingMode.None)
            return Problem.Denied("records.notYourDataset", "Only the owning unit contributes to a dataset that is not shared.").ToResult();
        if (mode is not (null or "all" or "partial"))
            return Problem.BadRequest("request.mode", "The mode is all or partial.").ToResult();
        if (wait is not (null or "proof"))
            return Problem.BadRequest("request.wait", "The only thing to wait for is proof.").ToResult();
        var contributionMode = mode == "partial" ? IntakeMode.Partial : IntakeMode.All;
        Directory.CreateDirectory(world.SpoolDirectory);
        var body = new DigestStream(http.Request.Body);
        ICellSource source;
        try
        {
            source = await CellSources.OpenAsync(body, http.Request.ContentType, null, RowReader.ColumnsOf(dataset), world.SpoolDirectory,
                new SourceOptions { CollectFaults = contributionMode == IntakeMode.Partial }, cancel).ConfigureAwait(false);
        }
        catch (SourceFormatException e)
        {
            return Problem.Invalid(e.Code, e.Message).ToResult();
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
                IdempotencyKey = http.Request.Headers["Idempotency-Key"].ToString() is { Length: > 0 } key ? key : null,
                BodyDigest = body.FinishAsync,
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
        return Results.Json(Answer(batch, proof, outcome.Value.Errors), statusCode: outcome.Value.Repeated ? 200 : 201);
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

    private static async Task<IResult> ReceiptAsync(Guid id, RecordStore records, Catalog catalog, PartyDirectory parties, ProofService proofs, CallerAccessor callers, CancellationToken cancel)
    {
        if (records.FindBatch(id) is not { } batch || !MaySee(callers.Required, batch, catalog, parties))
            return UnknownReceipt.ToResult();
        var proof = await proofs.ProveBatchAsync(batch, cancel).ConfigureAwait(false);
        return Results.Json(Answer(batch, proof.Ok ? proof.Value : null, []));
    }

    private static IResult Rejects(Guid id, RecordStore records, Catalog catalog, PartyDirectory parties, World world, CallerAccessor callers)
    {
        if (records.FindBatch(id) is not { } batch || !MaySee(callers.Required, batch, catalog, parties))
            return UnknownReceipt.ToResult();
        var path = RejectsFile.PathOf(world, id);
        return File.Exists(path)
            ? Results.File(path, "text/csv; charset=utf-8", $"rejects-{id}.csv")
            : Problem.NotFound("receipt.noRejects", "Nothing was rejected in this contribution.").ToResult();
    }

    private static async Task<IResult> ProveAsync(string id, Guid recordId, RecordStore records, Catalog catalog, PartyDirectory parties, ProofService proofs, CallerAccessor callers, CancellationToken cancel)
    {
        if (catalog.Find(id) is not { } dataset || !RecordId.TrySplit(recordId, out var batchId, out _) || records.FindBatch(batchId) is not { } batch
            || !(MaySee(callers.Required, batch, catalog, parties) || (dataset.Opening == OpeningMode.Open && !dataset.Personal)))
            return Problem.NotFound("record.unknown", "There is no record with this id in this dataset, or you may not read it.").ToResult();
        var proof = await proofs.ProveRowAsync(id, recordId, cancel).ConfigureAwait(false);
        return proof.ToResult(p => Results.Json(new
        {
            row = new { format = RowEncoder.FormatVersion, bytes = Convert.ToBase64String(p.Row), salt = p.Salt is null ? null : Convert.ToBase64String(p.Salt) },
            index = p.Index,
            count = p.Count,
            path = p.Path.Select(Convert.ToBase64String),
            root = Convert.ToBase64String(p.Root),
            entry = Convert.ToBase64String(p.Entry),
            tlogProof = p.TlogProof,
        }));
    }

    /// <summary>A receipt and the rows behind it are for who contributed them and for the owning unit.</summary>
    internal static bool MaySee(Caller caller, Batch batch, Catalog catalog, PartyDirectory parties) =>
        batch.Contributor == caller.Party || (catalog.Find(batch.Dataset) is { } dataset && parties.Holds(caller, Roles.Reader, dataset.Owner));

    private static readonly Problem UnknownReceipt = Problem.NotFound("receipt.unknown", "There is no receipt with this id, or it is not yours.");

    internal static ReceiptAnswer Answer(Batch batch, BatchProof? proof, IReadOnlyList<RowError> errors) => new(
        batch.Id, batch.Dataset, batch.Id, batch.Rows, batch.Rejected,
        batch.Rejected > 0 ? $"/api/v1/receipts/{batch.Id}/rejects" : null,
        Convert.ToBase64String(batch.Root),
        proof is null ? null : new ReceiptEntry(proof.Index, proof.Checkpoint, Convert.ToBase64String(proof.Entry), proof.TlogProof),
        RecordId.Of(batch.Id, 0), errors.Count == 0 ? null : errors);

    /// <param name="FirstRecord">Id of the first record; the next ones count up in the last four bytes.</param>
    internal sealed record ReceiptAnswer(
        Guid Receipt, string Dataset, Guid Batch, long Accepted, long Rejected, string? Rejects, string Root, ReceiptEntry? Entry, Guid FirstRecord, IReadOnlyList<RowError>? Errors);

    internal sealed record ReceiptEntry(long Index, string Checkpoint, string Entry, string TlogProof);
}
