using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>GET /api/v1/datasets/{id}/records/{recordId}/proof</c>: one row with everything needed to check it. It shows the row, so it is a reading.</summary>
internal static class RowProofEndpoint
{
    public static void MapRowProof(this IEndpointRouteBuilder app) =>
        app.MapGet("/api/v1/datasets/{id}/records/{recordId:guid}/proof", ProveAsync).WithName("proveRecord").AllowAnonymous()
            .Produces<RowProofAnswer>().ProducesProblem(401).ProducesProblem(404).ProducesProblem(409);

    private static async Task<IResult> ProveAsync(
        string id, Guid recordId, string? purpose, string? grant, GovernedProof proofs, CallerAccessor callers, HttpContext http, CancellationToken cancel)
    {
        var answer = await proofs.ProveAsync(callers.Current ?? Caller.Nobody, id, recordId, purpose, grant, cancel).ConfigureAwait(false);
        if (!answer.Ok && answer.Problem.Status == StatusCodes.Status404NotFound && callers.Current is null)
            return HostProblems.SignInNeeded.ToResult();
        return answer.ToResult(given =>
        {
            http.Response.Headers["Gongzhi-Access"] = given.Access.ToString();
            http.Response.Headers["Gongzhi-Grant"] = given.Grant;
            var p = given.Proof;
            return Results.Json(new RowProofAnswer(
                new ProvenRow(RowEncoder.FormatVersion, Convert.ToBase64String(p.Row), p.Salt is null ? null : Convert.ToBase64String(p.Salt)),
                p.Index, p.Count, [.. p.Path.Select(Convert.ToBase64String)], Convert.ToBase64String(p.Root), Convert.ToBase64String(p.Entry), p.TlogProof));
        });
    }

    /// <summary>Everything needed to check one row with no account and no network; binary values are base64 (docs/contracts/ledger.md).</summary>
    internal sealed record RowProofAnswer(ProvenRow Row, long Index, long Count, IReadOnlyList<string> Path, string Root, string Entry, string TlogProof);

    internal sealed record ProvenRow(int Format, string Bytes, string? Salt);
}
