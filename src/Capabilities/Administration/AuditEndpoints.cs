using System.Text;
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
        app.MapGet("/api/v1/audit/changes", List).WithName("listAuditChanges").RequireCaller(Roles.AuditAdministrator);
        app.MapGet("/api/v1/audit/changes/{id:guid}", OneAsync).WithName("getAuditChange").RequireCaller(Roles.AuditAdministrator).ProducesProblem(404);
        app.MapPost("/api/v1/audit/verification", VerifyAsync).WithName("verifyAudit").RequireCaller(Roles.AuditAdministrator).AcceptsBody(BodyMax).AnswersLong();
    }

    private static IResult List(
        string? entity, string? key, string? author, DateTimeOffset? from, DateTimeOffset? to, long? before, int? limit, AuditTrail trail)
    {
        var page = trail.List(new AuditFilter(entity, key, author, from, to, before, limit ?? AuditTrail.PageDefault));
        return Results.Json(new
        {
            changes = page.Select(c => new { c.Number, c.Id, c.Entry, content = c.Json() }),
            next = page.Count == Math.Clamp(limit ?? AuditTrail.PageDefault, 1, AuditTrail.PageMax) ? page[^1].Number : (long?)null,
        });
    }

    /// <summary>One change with what opens its commitment: SHA-256(0x00 ‖ content ‖ salt) stands in the entry.</summary>
    private static async Task<IResult> OneAsync(Guid id, AuditTrail trail, Sequencer sequencer, CancellationToken cancel)
    {
        if (trail.Find(id) is not { } change)
            return Problem.NotFound("audit.unknown", "There is no change with this id.").ToResult();
        var sequenced = change.Entry is { } at && at < sequencer.Log.Head.Size;
        return Results.Json(new
        {
            change.Id, change.Number,
            content = Encoding.UTF8.GetString(change.Content),
            salt = Convert.ToBase64String(change.Salt),
            index = sequenced ? change.Entry : null,
            entry = sequenced ? Convert.ToBase64String((await sequencer.Log.ReadEntryAsync(change.Entry!.Value, cancel).ConfigureAwait(false)).Span) : null,
            tlogProof = sequenced ? Encoding.UTF8.GetString((await sequencer.Log.ProveEntryAsync(change.Entry!.Value, cancel).ConfigureAwait(false)).Encode()) : null,
        });
    }

    private static async Task<IResult> VerifyAsync(AuditReview review, CancellationToken cancel)
    {
        var report = await review.CheckAsync(cancel).ConfigureAwait(false);
        return Results.Json(new { sound = report.Findings.Count == 0, report.Changes, report.LogSize, report.Findings });
    }
}
