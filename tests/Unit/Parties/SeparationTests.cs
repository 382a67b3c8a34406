using Gongzhi.Core.Parties;
using Gongzhi.Tests.Unit.Policy;
using Xunit;

namespace Gongzhi.Tests.Unit.Parties;

public sealed class SeparationTests : IAsyncLifetime
{
    private static readonly string[] All =
        [Roles.SystemAdministrator, Roles.SecurityAdministrator, Roles.AuditAdministrator, Roles.Steward, Roles.Contributor, Roles.Reader, Roles.DutyOfficer];

    private readonly PolicyWorld _world = new();

    public async ValueTask InitializeAsync() => await _world.FoundAsync();
    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task No_two_excluding_roles_are_ever_held_together_whatever_the_order_and_the_unit()
    {
        foreach (var one in All)
        {
            foreach (var other in All.Where(o => o != one))
            {
                var party = $"p-{one}-{other}";
                await _world.HireAsync(party, one, "finance");
                var second = await _world.Parties.GiveRoleAsync(_world.As("security"), party, other, "audit", cancel: Stop);
                Assert.Equal(!Separation.Excludes(one, other), second.Ok);
                if (!second.Ok)
                    Assert.Equal("parties.separation", second.Problem.Code);
            }
        }
    }

    [Fact]
    public async Task Two_gifts_at_the_same_moment_see_each_other()
    {
        await PolicyWorld.MustAsync(_world.Parties.CreatePartyAsync(_world.As("system"), "racer", PartyKind.Person, "racer", Stop));
        var security = _world.As("security");
        var gifts = await Task.WhenAll(All.Take(3).Select(role => _world.Parties.GiveRoleAsync(security, "racer", role, "city", cancel: Stop)));
        Assert.Single(gifts, g => g.Ok);
        Assert.Single(_world.As("racer").Roles);
    }

    [Fact]
    public async Task Roles_may_follow_one_another_but_not_overlap()
    {
        var until = _world.Clock.Now.AddDays(1);
        await PolicyWorld.MustAsync(_world.Parties.CreatePartyAsync(_world.As("system"), "temp", PartyKind.Person, "temp", Stop));
        await PolicyWorld.MustAsync(_world.Parties.GiveRoleAsync(_world.As("security"), "temp", Roles.AuditAdministrator, "city", until, Stop));
        Assert.False((await _world.Parties.GiveRoleAsync(_world.As("security"), "temp", Roles.Reader, "city", cancel: Stop)).Ok);
        _world.Clock.Now = until;
        Assert.Empty(_world.As("temp").Roles);
        Assert.True((await _world.Parties.GiveRoleAsync(_world.As("security"), "temp", Roles.Reader, "city", cancel: Stop)).Ok);
    }

    [Fact]
    public async Task Nobody_lifts_himself_or_acts_out_of_his_office()
    {
        var parties = _world.Parties;
        Assert.Equal("parties.self", (await parties.GiveRoleAsync(_world.As("security"), "security", Roles.SecurityAdministrator, "audit", cancel: Stop)).Problem!.Code);
        foreach (var party in (string[])["system", "audit-admin", "steward", "auditor", "duty"])
            Assert.Equal("parties.denied", (await parties.GiveRoleAsync(_world.As(party), "auditor", Roles.Reader, "finance", cancel: Stop)).Problem!.Code);
        foreach (var party in (string[])["security", "audit-admin", "steward", "auditor"])
        {
            Assert.Equal("parties.denied", (await parties.CreateUnitAsync(_world.As(party), PolicyWorld.Unit("new", "city"), Stop)).Problem!.Code);
            Assert.Equal("parties.denied", (await parties.CreatePartyAsync(_world.As(party), "new", PartyKind.Client, "new", Stop)).Problem!.Code);
        }
        // A root of its own would lie outside everybody's reach.
        Assert.Equal("parties.denied", (await parties.CreateUnitAsync(_world.As("system"), PolicyWorld.Unit("root", null), Stop)).Problem!.Code);
    }

    [Fact]
    public async Task Whoever_renews_how_another_signs_in_does_not_act_as_him()
    {
        var parties = _world.Parties;
        await _world.GrantAsync("\"grantee\":{\"party\":\"auditor\"}");
        var before = _world.As("auditor");
        foreach (var party in (string[])["security", "audit-admin", "steward", "duty"])
            Assert.Equal("parties.denied", (await parties.RenewAsync(_world.As(party), "auditor", "renew", cancel: Stop)).Problem!.Code);
        // His own, and one behind a second factor: nobody else can act with it.
        await PolicyWorld.MustAsync(parties.RenewAsync(before, "auditor", "renew", cancel: Stop));
        await PolicyWorld.MustAsync(parties.RenewAsync(_world.As("system"), "auditor", "renew", opens: false, cancel: Stop));
        Assert.NotNull(_world.Decide("auditor").Permit);

        await PolicyWorld.MustAsync(parties.RenewAsync(_world.As("system"), "auditor", "renew", cancel: Stop));
        Assert.Null(parties.Resolve("auditor"));
        Assert.Empty(parties.Holdings("auditor", _world.Clock.Now));
        Assert.Null(_world.Engine.Decide(before, _world.Datasets["cards"], "audit", _world.Clock.Now).Permit);
        // Nothing that leaves it out of account ends it: another renewal behind a second factor, or enabling.
        await PolicyWorld.MustAsync(parties.RenewAsync(_world.As("system"), "auditor", "renew", opens: false, cancel: Stop));
        await PolicyWorld.MustAsync(parties.DisableAsync(_world.As("system"), "auditor", disabled: false, Stop));
        Assert.True(parties.Party("auditor")!.Suspended);
        foreach (var party in (string[])["system", "audit-admin", "steward"])
            Assert.Equal("parties.denied", (await parties.ConfirmAsync(_world.As(party), "auditor", 4, Stop)).Problem!.Code);
        // A confirmation is of the renewal that the administrator saw, and a renewal of the one that its author saw.
        Assert.Equal("parties.renewed", (await parties.ConfirmAsync(_world.As("security"), "auditor", 3, Stop)).Problem!.Code);
        Assert.Equal("parties.renewed", (await parties.RenewAsync(before, "auditor", "renew", renewal: 3, cancel: Stop)).Problem!.Code);
        Assert.Null(parties.Resolve("auditor"));
        await PolicyWorld.MustAsync(parties.ConfirmAsync(_world.As("security"), "auditor", 4, Stop));
        Assert.NotNull(_world.Decide("auditor").Permit);
        Assert.Equal(4, parties.Party("auditor")!.Renewals);
    }

    [Fact]
    public async Task A_security_administrator_confirms_only_whom_he_governs_and_never_himself()
    {
        await _world.HireAsync("below", Roles.SecurityAdministrator, "audit");
        await PolicyWorld.MustAsync(_world.Parties.RenewAsync(_world.As("system"), "steward", "renew", cancel: Stop));
        Assert.Equal("parties.denied", (await _world.Parties.ConfirmAsync(_world.As("below"), "steward", 1, Stop)).Problem!.Code);
        var before = _world.As("security");
        await PolicyWorld.MustAsync(_world.Parties.RenewAsync(_world.As("system"), "security", "renew", cancel: Stop));
        foreach (var caller in (Caller[])[before, _world.As("below")])
            Assert.Equal("parties.denied", (await _world.Parties.ConfirmAsync(caller, "security", 1, Stop)).Problem!.Code);
        // The way back that is left: whoever holds the stopped node.
        await PolicyWorld.MustAsync(_world.Parties.RenewStoppedAsync("security", "reset account", Stop));
        await PolicyWorld.MustAsync(_world.Parties.ConfirmAsync(_world.As("security"), "steward", 1, Stop));
        Assert.NotNull(_world.Parties.Resolve("steward"));
    }

    [Fact]
    public async Task A_bootstrap_client_comes_from_the_start_of_the_node_only()
    {
        Assert.Equal(All.Order(StringComparer.Ordinal), _world.Setup.Roles.Order(StringComparer.Ordinal));
        await Assert.ThrowsAsync<InvalidOperationException>(() => _world.Parties.EnsureBootstrapAsync("steward", PolicyWorld.Unit("city", null), Stop));
        await _world.Parties.EnsureBootstrapAsync(PolicyWorld.Bootstrap, PolicyWorld.Unit("city", null), Stop);
        Assert.Equal(All.Length, _world.Parties.Holdings(PolicyWorld.Bootstrap, _world.Clock.Now).Count);
    }

    [Fact]
    public void A_party_that_nobody_knows_is_nobody() => Assert.Null(_world.Parties.Resolve("nobody"));
}
