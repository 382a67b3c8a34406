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

    [Fact]
    public async Task One_area_has_one_state_however_its_code_is_written()
    {
        var now = _world.Clock.Now;
        await SetAsync("120101000000", PostureLevel.EmergencyI, now.AddHours(1));
        Assert.Equal(["120101"], _world.Postures.AreasAt(PostureLevel.Watch, now));
        Assert.Equal(PostureLevel.EmergencyI, _world.Postures.At("120101001000", now));
        Assert.Equal(PostureLevel.Ordinary, _world.Postures.At("120102", now));
        await SetAsync("120101", PostureLevel.Ordinary, null);
        Assert.Empty(_world.Postures.AreasAt(PostureLevel.Watch, now));
        foreach (var area in (string[])["1201010", "12010", "012010", "12 ", ""])
            Assert.Equal("posture.invalid", (await _world.Postures.SetAsync(_world.As("duty"), area, PostureLevel.Watch, "r", now.AddDays(1), Stop)).Problem!.Code);
    }

    [Fact]
    public async Task What_was_kept_as_it_was_written_counts_for_the_same_area_and_the_latest_stands()
    {
        var now = _world.Clock.Now;
        var since = now.AddMinutes(-1);
        await KeepAsync("120101", PostureLevel.Watch);
        await KeepAsync("120101000000", PostureLevel.EmergencyII);
        Assert.Equal(["120101"], _world.Postures.AreasAt(PostureLevel.Watch, now));
        Assert.Equal(PostureLevel.EmergencyII, _world.Postures.At("120101001", now));
        await KeepAsync("120101", PostureLevel.Watch);
        Assert.Equal(PostureLevel.Watch, _world.Postures.At("120101001", now));
        await SetAsync("120101000000", PostureLevel.Ordinary, null);
        Assert.Empty(_world.Postures.AreasAt(PostureLevel.Watch, now));

        // As versions before this one kept it: no number, and one after the other in time.
        async Task KeepAsync(string area, PostureLevel level)
        {
            since = since.AddMilliseconds(1);
            await _world.Writer.ChangeAsync((db, scope) =>
            {
                db.Audit = new Gongzhi.Core.Audit.AuditContext("duty", now);
                db.Add(new PostureState { Id = Guid.CreateVersion7(now).ToString("N"), Area = area, Level = level, Reason = "r", Author = "duty", Since = since, Expires = level == PostureLevel.Ordinary ? null : now.AddHours(1) });
                return true;
            }, Stop);
            await SetAsync("1299", PostureLevel.Ordinary, null);
        }
    }

    [Fact]
    public async Task A_duty_officer_answers_for_the_unit_s_place_however_it_was_written()
    {
        var now = _world.Clock.Now;
        await PolicyWorld.MustAsync(_world.Parties.CreateUnitAsync(_world.Setup, Unit("district", "120101000000"), Stop));
        Assert.Equal("120101", _world.Parties.Unit("district")!.Place);
        await _world.Writer.ChangeAsync((db, _) =>
        {
            db.Audit = new Gongzhi.Core.Audit.AuditContext("setup", now);
            db.Add(Unit("old-district", "120102000000"));
            return true;
        }, Stop);
        await _world.HireAsync("officer", Gongzhi.Core.Parties.Roles.DutyOfficer, "district");
        await _world.HireAsync("old-officer", Gongzhi.Core.Parties.Roles.DutyOfficer, "old-district");
        Assert.Equal("120102", _world.Parties.Unit("old-district")!.Place);
        foreach (var (party, own, other) in new[] { ("officer", "120101001", "120102"), ("old-officer", "120102", "120101") })
        {
            Assert.True((await _world.Postures.SetAsync(_world.As(party), own, PostureLevel.Watch, "r", now.AddDays(1), Stop)).Ok);
            Assert.Equal("posture.denied", (await _world.Postures.SetAsync(_world.As(party), other, PostureLevel.Watch, "r", now.AddDays(1), Stop)).Problem!.Code);
        }
        foreach (var place in (string[])["1201010", "0", "12x", ""])
            Assert.Equal("parties.invalid", (await _world.Parties.CreateUnitAsync(_world.Setup, Unit("bad", place), Stop)).Problem!.Code);

        static Gongzhi.Core.Parties.Unit Unit(string id, string place) => new() { Id = id, NameZh = id, NameEn = id, Place = place, Level = 2, Parent = "city", Kind = "government" };
    }

    private Task SetAsync(string area, PostureLevel level, DateTimeOffset? expires) =>
        PolicyWorld.MustAsync(_world.Postures.SetAsync(_world.As("duty"), area, level, "flood", expires, Stop));
}
