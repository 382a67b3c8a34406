using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>POST /api/v1/datasets/{id}/erasures</c>: the content of records goes, their leaves stay. Who may, the policy decides for the dataset.</summary>
internal static class ErasureEndpoint
{
    public static void MapErasures(this IEndpointRouteBuilder app) =>
        app.MapPost("/api/v1/datasets/{id}/erasures", EraseAsync).WithName("eraseRecords").RequireCaller().AcceptsBody(1L << 20).AnswersLong()
            .Produces<ErasureAnswer>(201).Produces<ErasureAnswer>().ProducesProblem(403).ProducesProblem(404).ProducesProblem(422).DisableAntiforgery();

    private static async Task<IResult> EraseAsync(
        string id, ErasureBody body, Catalog catalog, PolicyEngine policy, Erasures erasures, CallerAccessor callers, TimeProvider clock, CancellationToken cancel)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        var caller = callers.Required;
        if (policy.DecideErase(caller, dataset, clock.GetUtcNow()) is { Allowed: false } denied)
            return denied.Refusal().ToResult();
        var outcome = await erasures.EraseAsync(new ErasureRequest
        {
            Dataset = dataset,
            Author = caller.Party,
            Records = body.Records ?? [],
            Subject = body.Subject,
            Reason = body.Reason ?? "",
        }, cancel).ConfigureAwait(false);
        return outcome.ToResult(e => Results.Json(new ErasureAnswer(e.Id, e.Dataset, e.Author, e.Time, e.Reason, e.Records), statusCode: e.Repeated ? 200 : 201));
    }

    /// <param name="Records">Ids; or else a subject.</param>
    /// <param name="Reason">The legal basis.</param>
    internal sealed record ErasureBody(IReadOnlyList<Guid>? Records, string? Subject, string? Reason);

    /// <param name="Records">How many were erased.</param>
    internal sealed record ErasureAnswer(Guid Erasure, string Dataset, string Author, DateTimeOffset Time, string Reason, long Records);
}
