using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Territory;

namespace Gongzhi.Capabilities.Administration;

/// <summary><c>/api/v1/postures</c>: which areas are at which level, why and until when. Public, but for who declared it; duty officers declare and end.</summary>
internal static class PostureEndpoints
{
    private const long BodyMax = 16L << 10;

    public static void MapPostures(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/postures", List).WithName("listPostures").AllowAnonymous().Produces<PostureList>();
        app.MapPut("/api/v1/postures/{area}", DeclareAsync).WithName("declarePosture").RequireCaller(Roles.DutyOfficer).AcceptsBody(BodyMax)
            .Produces<DeclaredPosture>().ProducesProblem(403).ProducesProblem(422);
        app.MapDelete("/api/v1/postures/{area}", EndAsync).WithName("endPosture").RequireCaller(Roles.DutyOfficer).AcceptsBody(BodyMax).Produces(204).ProducesProblem(403).ProducesProblem(422);
    }

    private static IResult List(Postures postures, CallerAccessor callers, TimeProvider clock) => Results.Json(new PostureList(
        [.. postures.Standing(clock.GetUtcNow()).Where(p => p.Level != PostureLevel.Ordinary).OrderBy(p => p.Area, StringComparer.Ordinal).Select(p => new ListedPosture(
            p.Area, Postures.Name(p.Level), p.Reason, p.Since, p.Expires,
            // Who declared it is a person's id, and only for those who are known themselves.
            callers.Current is null ? null : p.Author))]));

    private static async Task<IResult> DeclareAsync(string area, NewPosture body, Postures postures, CallerAccessor callers, CancellationToken cancel) =>
        Postures.Parse(body.Level) is { } level and not PostureLevel.Ordinary
            ? (await postures.SetAsync(callers.Required, area, level, body.Reason, body.Expires, cancel).ConfigureAwait(false)).ToResult(_ => Results.Ok(new DeclaredPosture(PlaceCode.Parse(area).ToString(), body.Level, body.Expires)))
            : Problem.Invalid("posture.invalid", "The level is watch or emergency-IV to emergency-I; DELETE ends one.").ToResult();

    private static async Task<IResult> EndAsync(string area, string? reason, Postures postures, CallerAccessor callers, CancellationToken cancel) =>
        (await postures.SetAsync(callers.Required, area, PostureLevel.Ordinary, reason ?? "", null, cancel).ConfigureAwait(false)).ToResult(_ => Results.NoContent());

    internal sealed record PostureList(IReadOnlyList<ListedPosture> Postures);

    internal sealed record ListedPosture(string Area, string Level, string Reason, DateTimeOffset Since, DateTimeOffset? Expires, string? Author);

    internal sealed record DeclaredPosture(string Area, string Level, DateTimeOffset? Expires);

    internal sealed record NewPosture(string Level = "", string Reason = "", DateTimeOffset? Expires = null);
}
