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
        app.MapGet("/api/v1/parties", (PartyDirectory parties, TimeProvider clock) => Results.Json(new
        {
            parties = parties.Parties.OrderBy(p => p.Id, StringComparer.Ordinal).Select(p => new
            {
                p.Id, p.Kind, p.DisplayName, p.Disabled, p.Suspended, p.Bootstrap, roles = parties.Holdings(p.Id, clock.GetUtcNow()).Select(h => new { h.Role, h.Unit, h.Since, h.Until }),
            }),
        })).WithName("listParties").RequireCaller(Roles.SystemAdministrator, Roles.SecurityAdministrator, Roles.AuditAdministrator);
        app.MapPost("/api/v1/parties/{id}/disable", (string id, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) => DisableAsync(id, true, parties, callers, cancel))
            .WithName("disableParty").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax);
        app.MapPost("/api/v1/parties/{id}/enable", (string id, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) => DisableAsync(id, false, parties, callers, cancel))
            .WithName("enableParty").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax);
        app.MapGet("/api/v1/setup", (PartyDirectory parties) =>
        {
            var missing = parties.MissingAdministrators();
            return Results.Json(new { complete = missing.Count == 0, missing });
        }).WithName("setupState").RequireCaller();
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

    private static async Task<IResult> DisableAsync(string id, bool disabled, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
        (await parties.DisableAsync(callers.Required, id, disabled, cancel).ConfigureAwait(false)).ToResult(party => Results.Ok(new { id = party, disabled }));

    // What is left out becomes empty and is refused by the directory, rather than null.
    internal sealed record NewUnit(string Id = "", string NameZh = "", string? NameEn = null, string? Place = null, int? Level = null, string? Parent = null, string? Kind = null);

    internal sealed record NewPartyBody(string Id = "", PartyKind Kind = PartyKind.Person, string DisplayName = "");

    internal sealed record RoleBody(string Role = "", string Unit = "", DateTimeOffset? Until = null);
}
