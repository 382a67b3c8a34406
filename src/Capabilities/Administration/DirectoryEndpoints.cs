using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;

namespace Gongzhi.Capabilities.Administration;

/// <summary><c>/api/v1/units</c> and <c>/api/v1/parties</c>: who there is, and the roles they hold. The system administrator makes them, the security administrator gives roles.</summary>
internal static class DirectoryEndpoints
{
    private const long BodyMax = 64L << 10;

    public static void MapDirectory(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/units", (PartyDirectory parties) => Results.Json(new UnitList(
            [.. parties.Units.OrderBy(u => u.Id, StringComparer.Ordinal).Select(u => new ListedUnit(u.Id, u.NameZh, u.NameEn, u.Place, u.Level, u.Parent, u.Kind))])))
            .WithName("listUnits").AllowAnonymous().Produces<UnitList>();
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
                }, cancel).ConfigureAwait(false)).ToResult(id => Results.Created($"/api/v1/units/{id}", new Made(id))))
            .WithName("createUnit").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax).Produces<Made>(201).ProducesProblem(403).ProducesProblem(409).ProducesProblem(422);
        app.MapGet("/api/v1/parties", (PartyDirectory parties, TimeProvider clock) => Results.Json(new PartyList(
            [.. parties.Parties.OrderBy(p => p.Id, StringComparer.Ordinal).Select(p => new ListedParty(
                p.Id, p.Kind, p.DisplayName, p.Disabled, p.Suspended, p.Bootstrap, [.. parties.Holdings(p.Id, clock.GetUtcNow()).Select(h => new ListedRole(h.Role, h.Unit, h.Since, h.Until))]))])))
            .WithName("listParties").RequireCaller(Roles.SystemAdministrator, Roles.SecurityAdministrator, Roles.AuditAdministrator).Produces<PartyList>();
        app.MapPost("/api/v1/parties/{id}/disable", (string id, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) => DisableAsync(id, true, parties, callers, cancel))
            .WithName("disableParty").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax).Produces<PartyState>().ProducesProblem(404);
        app.MapPost("/api/v1/parties/{id}/enable", (string id, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) => DisableAsync(id, false, parties, callers, cancel))
            .WithName("enableParty").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax).Produces<PartyState>().ProducesProblem(404);
        app.MapGet("/api/v1/setup", (PartyDirectory parties) =>
        {
            var missing = parties.MissingAdministrators();
            return Results.Json(new SetupState(missing.Count == 0, missing));
        }).WithName("setupState").RequireCaller().Produces<SetupState>();
        app.MapPost("/api/v1/parties", async (NewPartyBody party, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
                (await parties.CreatePartyAsync(callers.Required, party.Id, party.Kind, party.DisplayName, cancel).ConfigureAwait(false)).ToResult(id => Results.Created($"/api/v1/parties/{id}", new Made(id))))
            .WithName("createParty").RequireCaller(Roles.SystemAdministrator).AcceptsBody(BodyMax).Produces<Made>(201).ProducesProblem(403).ProducesProblem(409).ProducesProblem(422);
        app.MapPost("/api/v1/parties/{id}/roles", async (string id, RoleBody role, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
                (await parties.GiveRoleAsync(callers.Required, id, role.Role, role.Unit, role.Until, cancel).ConfigureAwait(false)).ToResult(holding => Results.Ok(new Made(holding))))
            .WithName("giveRole").RequireCaller(Roles.SystemAdministrator, Roles.SecurityAdministrator).AcceptsBody(BodyMax).Produces<Made>().ProducesProblem(404).ProducesProblem(409).ProducesProblem(422);
        app.MapDelete("/api/v1/parties/{id}/roles", async (string id, string role, string unit, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
                (await parties.EndRoleAsync(callers.Required, id, role, unit, cancel).ConfigureAwait(false)).ToResult(holding => Results.Ok(new Made(holding))))
            .WithName("endRole").RequireCaller(Roles.SystemAdministrator, Roles.SecurityAdministrator).AcceptsBody(BodyMax).Produces<Made>().ProducesProblem(404);
    }

    private static async Task<IResult> DisableAsync(string id, bool disabled, PartyDirectory parties, CallerAccessor callers, CancellationToken cancel) =>
        (await parties.DisableAsync(callers.Required, id, disabled, cancel).ConfigureAwait(false)).ToResult(party => Results.Ok(new PartyState(party, disabled)));

    internal sealed record UnitList(IReadOnlyList<ListedUnit> Units);

    internal sealed record ListedUnit(string Id, string NameZh, string NameEn, string Place, int Level, string? Parent, string Kind);

    internal sealed record PartyList(IReadOnlyList<ListedParty> Parties);

    internal sealed record ListedParty(string Id, PartyKind Kind, string DisplayName, bool Disabled, bool Suspended, bool Bootstrap, IReadOnlyList<ListedRole> Roles);

    internal sealed record ListedRole(string Role, string Unit, DateTimeOffset Since, DateTimeOffset? Until);

    /// <param name="Id">Of what was made or ended.</param>
    internal sealed record Made(string Id);

    internal sealed record PartyState(string Id, bool Disabled);

    /// <param name="Missing">Which of the three administrators nobody is.</param>
    internal sealed record SetupState(bool Complete, IReadOnlyList<string> Missing);

    // What is left out becomes empty and is refused by the directory, rather than null.
    internal sealed record NewUnit(string Id = "", string NameZh = "", string? NameEn = null, string? Place = null, int? Level = null, string? Parent = null, string? Kind = null);

    internal sealed record NewPartyBody(string Id = "", PartyKind Kind = PartyKind.Person, string DisplayName = "");

    internal sealed record RoleBody(string Role = "", string Unit = "", DateTimeOffset? Until = null);
}
