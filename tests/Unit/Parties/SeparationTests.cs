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
