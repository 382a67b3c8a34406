using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Xunit;

namespace Gongzhi.Tests.Unit.Policy;

/// <summary>Who contributes, and who sees what a contribution left.</summary>
public sealed class BatchPolicyTests : IAsyncLifetime
{
    private const string WholeRow = "\"fields\":{\"amount\":\"plain\",\"merchant\":\"plain\",\"card\":\"plain\",\"date\":\"plain\",\"place\":\"plain\"}";
    private readonly PolicyWorld _world = new();

    public async ValueTask InitializeAsync()
    {
        await _world.FoundAsync();
        await _world.HireAsync("clerk", Roles.Contributor, "finance");
        await _world.HireAsync("outsider", Roles.Contributor, "audit");
    }

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Theory]
    [InlineData("clerk", true, "owner")]
    [InlineData("steward", true, "owner")]
    [InlineData("setup", true, "bootstrap")]
    [InlineData("outsider", false, "contribute.none")]
    [InlineData("own-reader", false, "contribute.none")]
    [InlineData("system", false, "administrator")]
    public void Contributors_and_stewards_of_the_owner_contribute_and_nobody_else(string party, bool allowed, string why)
    {
        var permission = _world.Engine.DecideContribution(_world.As(party), PolicyWorld.Cards, _world.Clock.Now);
        Assert.Equal((allowed, why), (permission.Allowed, Assert.Single(permission.Why).Code));
        Assert.All(permission.Why, r => Assert.NotEqual(r.En, r.Zh));
    }

    [Fact]
    public void Nobody_and_strangers_contribute_nothing()
    {
        foreach (var caller in new[] { Caller.Nobody, new Caller { Party = "ghost", Units = ["finance"], Roles = new HashSet<string> { Roles.Contributor } } })
            Assert.False(_world.Engine.DecideContribution(caller, PolicyWorld.Cards, _world.Clock.Now).Allowed);
    }

    [Fact]
    public async Task A_grant_to_contribute_lets_another_unit_send_and_read_nothing()
    {
        var stop = TestContext.Current.CancellationToken;
        var made = await _world.Grants.CreateAsync(_world.As("steward"), Contribute("""{"unit":"audit"}"""), stop);
        Assert.True(made.Ok, made.Problem is { } p ? JsonSerializer.Serialize(p.Extensions) : "");
        Assert.True(May("outsider").Allowed);
        Assert.Equal("contribute", _world.Grants.List(_world.As("steward"), "cards").Single().Action);
        // The unit's readers do not contribute, and its contributors do not read.
        Assert.False(May("auditor").Allowed);
        Assert.Null(_world.Decide("outsider", "audit").Permit);
        Assert.Null(_world.Decide("outsider", "audit", made.Value.Id).Permit);

        _world.Clock.Now += TimeSpan.FromDays(400);
        Assert.Equal("grant.expired", Assert.Single(May("outsider").Why).Code);
        _world.Clock.Now -= TimeSpan.FromDays(400);
        Assert.True((await _world.Grants.RevokeAsync(_world.As("steward"), made.Value.Id, stop)).Ok);
        Assert.Equal("grant.revoked", Assert.Single(May("outsider").Why).Code);

        Permission May(string party) => _world.Engine.DecideContribution(_world.As(party), PolicyWorld.Cards, _world.Clock.Now);
    }

    [Fact]
    public async Task A_dataset_that_is_not_shared_may_still_take_data_from_others()
    {
        _world.Datasets["cards"] = PolicyWorld.Cards with { Sharing = SharingMode.None };
        Assert.True((await _world.Grants.CreateAsync(_world.As("steward"), Contribute("""{"unit":"audit"}"""), TestContext.Current.CancellationToken)).Ok);
        Assert.True(_world.Engine.DecideContribution(_world.As("outsider"), _world.Datasets["cards"], _world.Clock.Now).Allowed);
    }

    [Theory]
    [InlineData("\"purposes\":[\"audit\"]", "purposes")]
    [InlineData("\"fields\":{\"amount\":\"plain\"}", "fields")]
    [InlineData("\"rows\":null", "rows")]
    [InlineData("\"minimumGroup\":3", "minimumGroup")]
    [InlineData("\"posture\":\"watch\"", "posture")]
    [InlineData("\"grantee\":{\"role\":\"system-administrator\"}", "grantee.role")]
    public async Task A_grant_to_contribute_holds_nothing_about_reading(string member, string path)
    {
        var body = member.StartsWith("\"grantee", StringComparison.Ordinal)
            ? JsonDocument.Parse($"{{\"dataset\":\"cards\",\"action\":\"contribute\",{member}}}").RootElement
            : JsonDocument.Parse($"{{\"dataset\":\"cards\",\"action\":\"contribute\",\"grantee\":{{\"unit\":\"audit\"}},{member}}}").RootElement;
        var made = await _world.Grants.CreateAsync(_world.As("steward"), body, TestContext.Current.CancellationToken);
        Assert.Equal("grants.invalid", made.Problem?.Code);
        Assert.Equal(path, Assert.Single((IReadOnlyList<RequestError>)made.Problem!.Extensions["errors"]!).Path);
    }

    [Fact]
    public async Task An_unknown_action_is_refused()
    {
        var made = await _world.Grants.CreateAsync(_world.As("steward"), PolicyWorld.Body("\"action\":\"delete\""), TestContext.Current.CancellationToken);
        Assert.Contains((IReadOnlyList<RequestError>)made.Problem!.Extensions["errors"]!, e => e.Path == "action");
    }

    [Theory]
    [InlineData("clerk", "clerk", true)]
    [InlineData("own-reader", "clerk", true)]
    [InlineData("steward", "clerk", false)]
    [InlineData("auditor", "clerk", false)]
    [InlineData("audit-admin", "clerk", false)]
    public void A_receipt_is_for_its_contributor_and_readers_of_the_owner(string party, string contributor, bool allowed)
    {
        Assert.Equal(allowed, _world.Engine.DecideReceipt(_world.As(party), PolicyWorld.Cards, contributor, _world.Clock.Now).Allowed);
        Assert.False(_world.Engine.DecideReceipt(Caller.Nobody, PolicyWorld.Cards, "", _world.Clock.Now).Allowed);
    }

    [Fact]
    public void What_is_open_is_open_to_everybody_unless_it_is_personal_or_of_a_raised_class()
    {
        var open = PolicyWorld.Cards with { Opening = OpeningMode.Open };
        Assert.True(_world.Engine.DecideReceipt(Caller.Nobody, open, "clerk", _world.Clock.Now).Allowed);
        Assert.Equal(PolicyEngine.OpenData, _world.Engine.DecideProof(Caller.Nobody, open, "clerk", "", _world.Clock.Now).Permit?.Grant);
        foreach (var closed in new[] { open with { Personal = true }, open with { Class = DataClass.Important } })
        {
            Assert.False(_world.Engine.DecideReceipt(Caller.Nobody, closed, "clerk", _world.Clock.Now).Allowed);
            Assert.Null(_world.Engine.DecideProof(Caller.Nobody, closed, "clerk", "", _world.Clock.Now).Permit);
        }
    }

    [Fact]
    public async Task A_proof_needs_a_permit_for_the_whole_row()
    {
        Assert.Equal(PolicyEngine.ContributorGrant, Prove("clerk", "").Permit?.Grant);
        Assert.Equal(PolicyEngine.OwnerGrant, Prove("own-reader", "").Permit?.Grant);
        Assert.Null(Prove("steward", "audit").Permit);
        Assert.Equal("grant.none", Prove("auditor", "audit").Why[0].Code);
        var partial = await _world.GrantAsync();
        Assert.Equal("proof.partial", Assert.Single(Prove("auditor", "audit").Why).Code);
        var grouped = await _world.GrantAsync(WholeRow + ",\"minimumGroup\":5");
        Assert.Equal("proof.partial", Assert.Single(Prove("auditor", "audit", grouped).Why).Code);
        var whole = await _world.GrantAsync(WholeRow);
        Assert.Equal(whole, Prove("auditor", "audit", whole).Permit?.Grant);
        Assert.Equal("proof.partial", Assert.Single(Prove("auditor", "audit", partial).Why).Code);
        Assert.Null(Prove("auditor", "curiosity").Permit);
        Assert.Equal("purpose.form", Assert.Single(Prove("clerk", "Not a purpose").Why).Code);

        // A clerk who has become an administrator sees no data, its own included.
        Assert.True((await _world.Parties.EndRoleAsync(_world.Setup, "clerk", Roles.Contributor, "finance", TestContext.Current.CancellationToken)).Ok);
        await PolicyWorld.MustAsync(_world.Parties.GiveRoleAsync(_world.Setup, "clerk", Roles.AuditAdministrator, "city"));
        Assert.Equal("administrator", Assert.Single(Prove("clerk", "").Why).Code);

        Decision Prove(string party, string purpose, string? grant = null) =>
            _world.Engine.DecideProof(_world.As(party), PolicyWorld.Cards, "clerk", purpose, _world.Clock.Now, grant);
    }

    private static JsonElement Contribute(string grantee) =>
        JsonDocument.Parse($"{{\"dataset\":\"cards\",\"action\":\"contribute\",\"grantee\":{grantee}}}").RootElement;
}
