using System.Globalization;
using System.Text;
using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Administration;

/// <summary><c>/api/v1/audit</c>: every change of units, parties, roles, grants, postures and definitions, for the audit administrator alone, and the check of all of them.</summary>
internal static class AuditEndpoints
{
    private const long BodyMax = 1_024;

    public static void MapAudit(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/audit/changes", List).WithName("listAuditChanges").RequireCaller(Roles.AuditAdministrator).Produces<ChangeList>().ProducesProblem(400);
        app.MapGet("/api/v1/audit/changes/{id:guid}", OneAsync).WithName("getAuditChange").RequireCaller(Roles.AuditAdministrator).Produces<OpenedChange>().ProducesProblem(404);
        app.MapPost("/api/v1/audit/verification", VerifyAsync).WithName("verifyAudit").RequireCaller(Roles.AuditAdministrator).AcceptsBody(BodyMax).AnswersLong().Produces<AuditVerdict>();
    }

    private static IResult List(
        string? entity, string? key, string? author, DateTimeOffset? from, DateTimeOffset? to, long? before, long? cursor, int? limit, AuditTrail trail, HttpContext http)
    {
        var most = Paging.Limit(limit, AuditTrail.PageDefault, AuditTrail.PageMax);
        if (!most.Ok)
            return most.Problem.ToResult();
        var page = trail.List(new AuditFilter(entity, key, author, from, to, cursor ?? before, most.Value));
        long? next = page.Count == most.Value ? page[^1].Number : null;
        if (next is { } more)
            Paging.LinkNext(http, more.ToString(CultureInfo.InvariantCulture));
        return Results.Json(new ChangeList([.. page.Select(c => new ListedChange(c.Number, c.Id, c.Entry, c.Json()))], next));
    }

    /// <summary>One change with what opens its commitment: SHA-256(0x00 ‖ content ‖ salt) stands in the entry.</summary>
    private static async Task<IResult> OneAsync(Guid id, AuditTrail trail, Sequencer sequencer, CancellationToken cancel)
    {
        if (trail.Find(id) is not { } change)
            return Problem.NotFound("audit.unknown", "There is no change with this id.").ToResult();
        var sequenced = change.Entry is { } at && at < sequencer.Log.Head.Size;
        return Results.Json(new OpenedChange(
            change.Id, change.Number, Encoding.UTF8.GetString(change.Content), Convert.ToBase64String(change.Salt), sequenced ? change.Entry : null,
            sequenced ? Convert.ToBase64String((await sequencer.Log.ReadEntryAsync(change.Entry!.Value, cancel).ConfigureAwait(false)).Span) : null,
            sequenced ? Encoding.UTF8.GetString((await sequencer.Log.ProveEntryAsync(change.Entry!.Value, cancel).ConfigureAwait(false)).Encode()) : null));
    }

    private static async Task<IResult> VerifyAsync(AuditReview review, CancellationToken cancel)
    {
        var report = await review.CheckAsync(cancel).ConfigureAwait(false);
        return Results.Json(new AuditVerdict(report.Findings.Count == 0, report.Changes, report.LogSize, report.Findings));
    }

    /// <param name="Changes">The newest first.</param>
    /// <param name="Next">The cursor of the next page.</param>
    internal sealed record ChangeList(IReadOnlyList<ListedChange> Changes, long? Next);

    internal sealed record ListedChange(long Number, Guid Id, long? Entry, JsonElement Content);

    internal sealed record OpenedChange(Guid Id, long Number, string Content, string Salt, long? Index, string? Entry, string? TlogProof);

    internal sealed record AuditVerdict(bool Sound, long Changes, long LogSize, IReadOnlyList<AuditFinding> Findings);
}
