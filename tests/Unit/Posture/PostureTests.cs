using Gongzhi.Core.Posture;
using Gongzhi.Tests.Unit.Policy;
using Xunit;

namespace Gongzhi.Tests.Unit.Posture;

public sealed class PostureTests : IAsyncLifetime
{
    private readonly PolicyWorld _world = new();

    public async ValueTask InitializeAsync() => await _world.FoundAsync();
    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_highest_state_around_a_place_counts_until_it_expires()
    {
        var start = _world.Clock.Now;
        await SetAsync("1201", PostureLevel.EmergencyII, start.AddHours(1));
        await SetAsync("12", PostureLevel.Watch, start.AddHours(2));
        await SetAsync("120105", PostureLevel.Ordinary, null);
        Assert.Equal(PostureLevel.EmergencyII, _world.Postures.At("120105001", start));
        Assert.Equal(PostureLevel.Watch, _world.Postures.At("1202", start));
        Assert.Equal(PostureLevel.Ordinary, _world.Postures.At("31", start));
        Assert.Equal(PostureLevel.Watch, _world.Postures.At("120105", start.AddHours(1)));
        Assert.Equal(PostureLevel.EmergencyII, _world.Postures.At("120105", start.AddHours(1).AddTicks(-1)));
        Assert.Equal(PostureLevel.Ordinary, _world.Postures.At("120105", start.AddHours(2)));
        await SetAsync("1201", PostureLevel.Ordinary, null);
        Assert.Equal(PostureLevel.Watch, _world.Postures.At("1201", start));
    }

    [Fact]
    public async Task Emergencies_expire_within_thirty_days_and_are_set_by_duty_officers_in_their_areas()
    {
        var now = _world.Clock.Now;
        foreach (var expires in (DateTimeOffset?[])[null, now, now.AddDays(30).AddTicks(1)])
            Assert.Equal("posture.invalid", (await _world.Postures.SetAsync(_world.As("duty"), "12", PostureLevel.Watch, "r", expires, Stop)).Problem!.Code);
        Assert.Equal("posture.invalid", (await _world.Postures.SetAsync(_world.As("duty"), "99", PostureLevel.Watch, "r", now.AddDays(1), Stop)).Problem!.Code);
        Assert.Equal("posture.invalid", (await _world.Postures.SetAsync(_world.As("duty"), "12", PostureLevel.Watch, " ", now.AddDays(1), Stop)).Problem!.Code);
        foreach (var party in (string[])["steward", "system", "security", "audit-admin", "auditor"])
            Assert.Equal("posture.denied", (await _world.Postures.SetAsync(_world.As(party), "12", PostureLevel.Watch, "r", now.AddDays(1), Stop)).Problem!.Code);
    }

    private Task SetAsync(string area, PostureLevel level, DateTimeOffset? expires) =>
        PolicyWorld.MustAsync(_world.Postures.SetAsync(_world.As("duty"), area, level, "flood", expires, Stop));
}
