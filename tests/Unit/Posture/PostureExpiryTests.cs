using Gongzhi.Core.Due;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Storage;
using Gongzhi.Tests.Unit.Policy;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Unit.Posture;

public sealed class PostureExpiryTests : IAsyncLifetime
{
    private readonly PolicyWorld _world = new();

    public async ValueTask InitializeAsync() => await _world.FoundAsync();

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_end_is_noted_once_however_many_clocks_look()
    {
        var now = _world.Clock.Now;
        for (var i = 0; i < 20; i++)
            Assert.True((await _world.Postures.SetAsync(_world.As("duty"), "12", PostureLevel.Watch, "r", now.AddMinutes(1), Stop)).Ok);
        Assert.True((await _world.Postures.SetAsync(_world.As("duty"), "1201", PostureLevel.Watch, "r", now.AddMinutes(2), Stop)).Ok);
        Assert.Equal(0, await Clock().LookAsync(Stop));
        _world.Clock.Now = now.AddMinutes(2);
        var looks = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Clock().LookAsync(Stop), Stop)));
        // Of the first area's, the last alone came to its end: the others were replaced.
        Assert.Equal(2, looks.Sum());
        Assert.Equal(2, Notes());
        Assert.Equal(0, await Clock().LookAsync(Stop));
        Assert.Equal(2, Notes());
    }

    [Fact]
    public async Task What_was_replaced_or_ended_before_does_not_expire()
    {
        var now = _world.Clock.Now;
        Assert.True((await _world.Postures.SetAsync(_world.As("duty"), "12", PostureLevel.EmergencyII, "r", now.AddHours(1), Stop)).Ok);
        _world.Clock.Now = now.AddMinutes(10);
        Assert.True((await _world.Postures.SetAsync(_world.As("duty"), "12", PostureLevel.Ordinary, "r", null, Stop)).Ok);
        _world.Clock.Now = now.AddDays(1);
        Assert.Equal(0, await Clock().LookAsync(Stop));
        Assert.Equal(0, Notes());
    }

    [Fact]
    public async Task A_work_that_fails_keeps_nothing_and_holds_up_no_other()
    {
        var now = _world.Clock.Now;
        Assert.True((await _world.Postures.SetAsync(_world.As("duty"), "12", PostureLevel.Watch, "r", now.AddMinutes(1), Stop)).Ok);
        _world.Clock.Now = now.AddMinutes(2);
        var failing = new Failing();
        Assert.Equal(1, await Clock(failing).LookAsync(Stop));
        // On a far database what failed in a group is run once more by itself.
        var tried = failing.Tried;
        Assert.True(tried > 0);
        Assert.Equal(0, await Clock(failing).LookAsync(Stop));
        // Its item is still to be done.
        Assert.Equal(2 * tried, failing.Tried);
        Assert.Equal(1, Notes());
    }

    private DueClock Clock(params IDueWork[] more) => new(_world.World, _world.Writer, [new PostureExpiry(), .. more], _world.Clock, NullLogger<DueClock>.Instance);

    private long Notes()
    {
        using var connection = NodeDatabase.OpenReader(_world.World);
        using var command = connection.Command(
            $"SELECT COUNT(*) FROM audit_change c JOIN ledger_pending p ON p.id = c.id WHERE {SqlStore.Of(_world.World).JsonText("c.content", "what")} = '{PostureExpiry.What}'");
        return (long)command.ExecuteScalar()!;
    }

    private sealed class Failing : IDueWork
    {
        public string Name => "a-failing";
        public int Tried { get; private set; }

        public IReadOnlyList<DueItem> Find(System.Data.Common.DbConnection connection, DateTimeOffset now, int most) => [new("one", now)];

        public void Act(WriteScope scope, DueItem item, DateTimeOffset now)
        {
            Tried++;
            throw new InvalidOperationException("It fails.");
        }
    }
}
