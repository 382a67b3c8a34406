using System.Text.Json;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;

namespace Gongzhi.Node.Modules;

/// <summary><c>/api/v1/grants</c>, and the units and parties they speak of.</summary>
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

        app.MapGet("/api/v1/units", (PartyDirectory parties) => Results.Json(new
        {
            units = parties.Units.OrderBy(u => u.Id, StringComparer.Ordinal).Select(u => new { u.Id, u.NameZh, u.NameEn, u.Place, u.Level, u.Parent, u.Kind }),
        })).WithName("listUnits").AllowAnonymous();
        app.MapPost("/api/v1/units", async (NewUnit unit, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
                (await parties.CreateUnitAsync(callers.Required, new Unit
                {
                    Id = unit.Id,
                    NameZh = unit.NameZh,
                    NameEn = unit.NameEn ?? unit.NameZh,
                    Place = unit.Place ?? "",
                    Level = unit.Level ?? 0,
                    Parent = unit.Parent,
                    Kind = unit.Kind ?? "government",
                }, cancel).ConfigureAwait(false)).ToResult(id => Results.Created($"/api/v1/units/{id}", new { id })))
            .WithName("createUnit").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax);
        app.MapPost("/api/v1/parties", async (NewPartyBody party, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
                (await parties.CreatePartyAsync(callers.Required, party.Id, party.Kind, party.DisplayName, cancel).ConfigureAwait(false)).ToResult(id => Results.Created($"/api/v1/parties/{id}", new { id })))
            .WithName("createParty").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax);
        app.MapPost("/api/v1/parties/{id}/roles", async (string id, RoleBody role, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
                (await parties.GiveRoleAsync(callers.Required, id, role.Role, role.Unit, role.Until, cancel).ConfigureAwait(false)).ToResult(holding => Results.Ok(new { id = holding })))
            .WithName("giveRole").RequireCaller(Roles.SystemAdministrator, Roles.SecurityAdministrator).AcceptsBody(BodyMax);
        app.MapDelete("/api/v1/parties/{id}/roles", async (string id, string role, string unit, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
                (await parties.EndRoleAsync(callers.Required, id, role, unit, cancel).ConfigureAwait(false)).ToResult(holding => Results.Ok(new { id = holding })))
            .WithName("endRole").RequireCaller(Roles.SystemAdministrator, Roles.SecurityAdministrator).AcceptsBody(BodyMax);
    }

    internal sealed record NewUnit(string Id, string NameZh, string? NameEn, string? Place, int? Level, string? Parent, string? Kind);

    internal sealed record NewPartyBody(string Id, PartyKind Kind, string DisplayName);

    internal sealed record RoleBody(string Role, string Unit, DateTimeOffset? Until);
}
