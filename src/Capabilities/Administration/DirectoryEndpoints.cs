using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;

namespace Gongzhi.Capabilities.Administration;

/// <summary><c>/api/v1/units</c> and <c>/api/v1/parties</c>: who there is, and the roles they hold. The system administrator makes them, the security administrator gives roles.</summary>
internal static class DirectoryEndpoints
{
    private const long BodyMax = 64L << 10;

    public static void MapDirectory(this IEndpointRouteBuilder app)
    {
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
