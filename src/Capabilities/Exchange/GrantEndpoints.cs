using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>/api/v1/grants</c>.</summary>
internal static class GrantEndpoints
{
    private const long BodyMax = 1L << 20;

    public static void MapGrants(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/grants", List).WithName("listGrants").RequireCaller().Produces<GrantList>().ProducesProblem(400);
        app.MapPost("/api/v1/grants", async (JsonElement body, Grants grants, CallerAccessor callers, CancellationToken cancel) =>
                (await grants.CreateAsync(callers.Required, body, cancel).ConfigureAwait(false)).ToResult(made => Results.Created($"/api/v1/grants/{made.Id}", made)))
            .WithName("createGrant").RequireCaller(Roles.Steward).AcceptsBody(BodyMax).TakesBody(typeof(GrantBody)).Produces<GrantCreated>(201).ProducesProblem(403).ProducesProblem(404).ProducesProblem(422);
        app.MapDelete("/api/v1/grants/{id}", async (string id, Grants grants, CallerAccessor callers, CancellationToken cancel) =>
                (await grants.RevokeAsync(callers.Required, id, cancel).ConfigureAwait(false)).ToResult(grant => Results.Ok(grant)))
            .WithName("revokeGrant").RequireCaller(Roles.Steward).AcceptsBody(BodyMax).Produces<GrantView>().ProducesProblem(403).ProducesProblem(404);
    }

    private static IResult List(string? dataset, string? cursor, int? limit, Grants grants, CallerAccessor callers, HttpContext http)
    {
        var most = Paging.Limit(limit, Paging.LimitMax);
        if (!most.Ok)
            return most.Problem.ToResult();
        var page = Paging.Of(http, grants.List(callers.Required, dataset), g => g.Id, cursor, most.Value);
        return Results.Json(new GrantList(page.Items, page.Next));
    }

    internal sealed record GrantList(IReadOnlyList<GrantView> Grants, string? Next);
}
