using CsCheck;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Territory;
using Gongzhi.Tests.Shared;
using Xunit;

namespace Gongzhi.Tests.Unit.Policy;

public sealed class PolicyEngineTests : IAsyncLifetime
{
    private readonly PolicyWorld _world = new();

    public async ValueTask InitializeAsync() => await _world.FoundAsync();
    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Fact]
    public void Without_a_grant_nothing_is_allowed_and_the_reason_is_told_in_both_languages()
    {
        var decision = _world.Decide("auditor");
        Assert.Null(decision.Permit);
        var reason = Assert.Single(decision.Why);
        Assert.Equal("grant.none", reason.Code);
        Assert.Contains("cards", reason.Zh, StringComparison.Ordinal);
        Assert.Equal("policy.refused", decision.Refusal().Code);
    }

    [Fact]
    public async Task A_grant_becomes_a_permit_with_its_transforms_and_rows()
    {
        var id = await _world.GrantAsync();
        var permit = _world.Decide("auditor").Permit!;
        Assert.Equal(id, permit.Grant);
        Assert.Equal(["amount", "card", "merchant"], permit.Fields.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(new FieldTransform(TransformKind.Mask, "name"), permit.Fields["merchant"]);
        Assert.Equal(new PlaceRange("1201", "1202"), Assert.Single(permit.Rows.Places!));
        // Midnight in Shanghai.
        Assert.Equal(new DateTimeOffset(2009, 12, 31, 16, 0, 0, TimeSpan.Zero), Core.Storage.Microseconds.ToTime(permit.Rows.TimeFrom!.Value));
        Assert.Equal(32, permit.PseudonymKey.Length);
    }

    [Fact]
    public async Task A_revoked_grant_allows_nothing_from_the_moment_its_revocation_is_answered()
    {
        for (var i = 0; i < 20; i++)
        {
            var id = await _world.GrantAsync();
            var caller = _world.As("auditor");
            Assert.NotNull(_world.Engine.Decide(caller, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
            Assert.True((await _world.Grants.RevokeAsync(_world.As("steward"), id, TestContext.Current.CancellationToken)).Ok);
            var after = _world.Engine.Decide(caller, PolicyWorld.Cards, "audit", _world.Clock.Now);
            Assert.Null(after.Permit);
            Assert.Contains(after.Why, r => r.Code == "grant.revoked");
        }
    }

    [Fact]
    public async Task Decisions_racing_with_a_revocation_never_outlive_it()
    {
        using var stop = new StopAtEnd();
        var caller = _world.As("auditor");
        var readers = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
                _world.Engine.Decide(caller, PolicyWorld.Cards, "audit", _world.Clock.Now);
        }, TestContext.Current.CancellationToken);
        for (var i = 0; i < 50; i++)
        {
            var id = await _world.GrantAsync();
            await _world.Grants.RevokeAsync(_world.As("steward"), id, TestContext.Current.CancellationToken);
            Assert.Null(_world.Engine.Decide(caller, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
        }
        await stop.CancelAsync();
        await readers;
    }

    [Fact]
    public async Task A_role_that_ended_takes_the_decision_with_it_even_for_a_caller_resolved_before()
    {
        await _world.GrantAsync();
        var before = _world.As("auditor");
        Assert.NotNull(_world.Engine.Decide(before, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
        await PolicyWorld.MustAsync(_world.Parties.EndRoleAsync(_world.As("security"), "auditor", Roles.Reader, "audit", TestContext.Current.CancellationToken));
        Assert.Null(_world.Engine.Decide(before, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
    }

    [Fact]
    public async Task A_caller_cannot_claim_more_than_the_directory_knows()
    {
        await _world.GrantAsync();
        var forged = new Caller { Party = "duty", Units = ["audit", "finance"], Roles = new HashSet<string> { Roles.Reader } };
        Assert.Null(_world.Engine.Decide(forged, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
        var unknown = new Caller { Party = "nobody", Units = ["finance"], Roles = new HashSet<string> { Roles.Reader } };
        Assert.Null(_world.Engine.Decide(unknown, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
        var narrowed = _world.As("auditor") with { Roles = new HashSet<string>() };
        Assert.NotNull(_world.Decide("auditor").Permit);
        Assert.Null(_world.Engine.Decide(narrowed, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
    }

    [Fact]
    public async Task Validity_is_exact_to_the_tick_and_cached_decisions_respect_it()
    {
        await _world.GrantAsync("\"validFrom\":\"2026-11-10T00:00:00Z\",\"validUntil\":\"2026-11-20T00:00:00Z\"");
        var start = _world.Clock.Now;
        var (from, until) = (new DateTimeOffset(2026, 11, 10, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2026, 11, 20, 0, 0, 0, TimeSpan.Zero));
        var caller = _world.As("auditor");
        // Moments near both ends and anywhere, in any order, on one engine with its cache.
        Gen.OneOf(Gen.Long[-3, 3].Select(t => from.AddTicks(t)), Gen.Long[-3, 3].Select(t => until.AddTicks(t)), Gen.Int[0, 40].Select(d => start.AddDays(d)))
            .Sample(now => (_world.Engine.Decide(caller, PolicyWorld.Cards, "audit", now).Permit is not null) == (now >= from && now < until), iter: 2_000, threads: 1);
    }

    [Fact]
    public async Task A_grant_sleeps_until_an_area_is_in_an_emergency_and_opens_only_that_area()
    {
        await _world.GrantAsync("\"posture\":\"emergency-IV\"");
        Assert.Contains(_world.Decide("auditor").Why, r => r.Code == "grant.asleep");
        var end = _world.Clock.Now.AddHours(2);
        await PolicyWorld.MustAsync(_world.Postures.SetAsync(_world.As("duty"), "120105", PostureLevel.EmergencyIII, "flood", end, TestContext.Current.CancellationToken));
        await PolicyWorld.MustAsync(_world.Postures.SetAsync(_world.As("duty"), "1202", PostureLevel.EmergencyI, "elsewhere", end, TestContext.Current.CancellationToken));
        Assert.Equal(new PlaceRange("120105", "120106"), Assert.Single(_world.Decide("auditor").Permit!.Rows.Places!));
        _world.Clock.Now = end;
        Assert.Null(_world.Decide("auditor").Permit);
    }

    [Fact]
    public async Task Purposes_are_exact_and_named_grants_are_kept_apart()
    {
        var narrow = await _world.GrantAsync("\"fields\":{\"amount\":\"plain\"}");
        var wide = await _world.GrantAsync("\"rows\":null");
        Assert.Contains(_world.Decide("auditor", "marketing").Why, r => r.Code == "grant.purpose");
        Assert.Equal(wide, _world.Decide("auditor").Permit!.Grant);
        Assert.Equal(narrow, _world.Decide("auditor", grant: narrow).Permit!.Grant);
        Assert.Contains(_world.Decide("own-reader", grant: narrow).Why, r => r.Code == "grant.unknown");
    }

    [Fact]
    public async Task Readers_of_the_owner_read_everything_and_administrators_nothing()
    {
        var own = _world.Decide("own-reader", "");
        Assert.Equal(PolicyEngine.OwnerGrant, own.Permit!.Grant);
        Assert.Equal(PolicyEngine.OwnWork, own.Permit.Purpose);
        _world.Datasets["cards"] = PolicyWorld.Cards with { Personal = true };
        Assert.Contains(_world.Decide("own-reader", "").Why, r => r.Code == "purpose.missing");
        Assert.NotNull(_world.Decide("own-reader", "audit").Permit);
        await _world.GrantAsync();
        foreach (var administrator in (string[])["system", "security", "audit-admin"])
            Assert.Contains(_world.Decide(administrator).Why, r => r.Code == "administrator");
    }

    [Fact]
    public void Open_data_is_for_anybody_unless_it_is_personal_or_important()
    {
        var anybody = new Caller { Party = "" };
        var open = PolicyWorld.Cards with { Opening = OpeningMode.Open };
        Assert.Equal(PolicyEngine.OpenData, _world.Engine.Decide(anybody, open, "open-data", _world.Clock.Now).Permit!.Grant);
        Assert.Null(_world.Engine.Decide(anybody, open, "audit", _world.Clock.Now).Permit);
        Assert.Null(_world.Engine.Decide(anybody, open with { Personal = true }, "open-data", _world.Clock.Now).Permit);
        Assert.Null(_world.Engine.Decide(anybody, open with { Class = DataClass.Important }, "open-data", _world.Clock.Now).Permit);
    }

    [Fact]
    public async Task A_remembered_decision_is_not_worked_out_again()
    {
        await _world.GrantAsync();
        var caller = _world.As("auditor");
        var before = _world.Engine.Compiled;
        for (var i = 0; i < 1_000; i++)
            Assert.NotNull(_world.Engine.Decide(caller, PolicyWorld.Cards, "audit", _world.Clock.Now).Permit);
        Assert.Equal(1, _world.Engine.Compiled - before);
        // Each question of its own once, and again only after a change.
        for (var i = 0; i < 2_000; i++)
            _world.Engine.Decide(caller, PolicyWorld.Cards, "audit" + i % 100, _world.Clock.Now);
        Assert.Equal(101, _world.Engine.Compiled - before);
        await _world.GrantAsync();
        _world.Engine.Decide(caller, PolicyWorld.Cards, "audit", _world.Clock.Now);
        _world.Engine.Decide(caller, PolicyWorld.Cards, "audit", _world.Clock.Now);
        Assert.Equal(102, _world.Engine.Compiled - before);
    }

    [Fact]
    public void Ranges_intersect_as_sets_of_codes_do()
    {
        var code = Gen.Int[0, 99].Select(i => i.ToString("00", System.Globalization.CultureInfo.InvariantCulture));
        var ranges = Gen.Select(code, code, (a, b) => new PlaceRange(a, b)).List[0, 6];
        Gen.Select(ranges, ranges, code).Sample((one, other, c) =>
        {
            bool In(IEnumerable<PlaceRange> set) => set.Any(r => string.CompareOrdinal(r.From, c) <= 0 && string.CompareOrdinal(c, r.To) < 0);
            return In(PlaceScope.Intersect(PlaceScope.Union(one), PlaceScope.Union(other))) == (In(one) && In(other));
        });
    }
}
