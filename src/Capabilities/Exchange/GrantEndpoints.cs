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
        app.MapGet("/api/v1/grants", (string? dataset, Grants grants, CallerAccessor callers) => Results.Json(new { grants = grants.List(callers.Required, dataset) }))
            .WithName("listGrants").RequireCaller();
        app.MapPost("/api/v1/grants", async (JsonElement body, Grants grants, CallerAccessor callers, CancellationToken cancel) =>
                (await grants.CreateAsync(callers.Required, body, cancel).ConfigureAwait(false)).ToResult(made => Results.Created($"/api/v1/grants/{made.Id}", made)))
            .WithName("createGrant").RequireCaller(Roles.Steward).AcceptsBody(BodyMax);
        app.MapDelete("/api/v1/grants/{id}", async (string id, Grants grants, CallerAccessor callers, CancellationToken cancel) =>
                (await grants.RevokeAsync(callers.Required, id, cancel).ConfigureAwait(false)).ToResult(grant => Results.Ok(grant)))
            .WithName("revokeGrant").RequireCaller(Roles.Steward).AcceptsBody(BodyMax);
    }
}
