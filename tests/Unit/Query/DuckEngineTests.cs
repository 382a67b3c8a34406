using DuckDB.NET.Data;
using Gongzhi.Core.Query;
using Xunit;

namespace Gongzhi.Tests.Unit.Query;

public sealed class DuckEngineTests : IDisposable
{
    private readonly QueryWorld _world = new(QueryWorld.Some(40, 1));

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("SELECT * FROM read_csv('/etc/passwd')")]
    [InlineData("SELECT * FROM read_text('/etc/passwd')")]
    [InlineData("SELECT * FROM read_parquet('segments/../../../etc/passwd')")]
    [InlineData("SELECT * FROM glob('/etc/*')")]
    [InlineData("COPY (SELECT 1) TO '/tmp/gongzhi-escape.csv'")]
    [InlineData("ATTACH '/tmp/gongzhi-escape.db'")]
    [InlineData("EXPORT DATABASE '/tmp/gongzhi-escape'")]
    [InlineData("INSTALL httpfs")]
    [InlineData("LOAD httpfs")]
    [InlineData("SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')")]
    [InlineData("SET enable_external_access = true")]
    [InlineData("SET threads = 64")]
    [InlineData("SET allowed_directories = ['/']")]
    [InlineData("RESET lock_configuration")]
    public void The_sandbox_holds(string sql)
    {
        Assert.Throws<DuckDBException>(() => _world.Engine.Execute(sql));
        _world.Engine.Execute("SELECT 1");
    }

    private CompiledQuery Heavy() => _world.Compile("{}", QueryWorld.Permit(), QueryFormat.Ndjson).Value! with { Sql = "SELECT sum(a.range * b.range) AS o0 FROM range(2000000) a, range(2000000) b", Parameters = [] };

    private DuckEngine Other(TimeSpan timeout, TimeProvider? clock = null) => new(new()
    {
        SegmentsDirectory = Path.Combine(_world.Root, "segments"), TempDirectory = Path.Combine(_world.Root, "tmp2"), Threads = 1, MemoryMegabytes = 128,
        ConcurrentQueries = 1, QueryTimeout = timeout, AdmissionWait = TimeSpan.FromMilliseconds(20),
    }, clock ?? TimeProvider.System);

    [Fact]
    public async Task A_query_is_interrupted_at_its_time_limit_and_frees_its_place()
    {
        using var engine = Other(TimeSpan.FromMilliseconds(100));
        for (var i = 0; i < 3; i++)
            Assert.Equal("query.timeout", (await engine.RunAsync(Heavy(), TestContext.Current.CancellationToken)).Problem?.Code);
    }

    [Fact]
    public async Task A_query_stops_when_its_caller_leaves()
    {
        using var engine = Other(TimeSpan.FromMinutes(1));
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => engine.RunAsync(Heavy(), cancel.Token));
        engine.Execute("SELECT 1");
    }

    [Fact]
    public async Task Too_many_queries_are_told_to_come_back()
    {
        using var engine = Other(TimeSpan.FromMinutes(1));
        var light = Heavy() with { Sql = "SELECT 1 AS o0" };
        using var stop = new CancellationTokenSource();
        var working = engine.RunAsync(Heavy(), stop.Token);
        var second = await engine.RunAsync(light, TestContext.Current.CancellationToken);
        Assert.Equal(("query.busy", 503), (second.Problem!.Code, second.Problem.Status));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => working);
        using var third = (await engine.RunAsync(light, TestContext.Current.CancellationToken)).Value;
        Assert.NotNull(third);
    }

    [Fact]
    public async Task An_answer_that_nobody_reads_on_keeps_no_other_waiting_and_does_not_run_out_of_time()
    {
        var clock = new MovedClock();
        using var engine = Other(TimeSpan.FromMinutes(1), clock);
        var rows = Heavy() with { Sql = "SELECT range AS o0 FROM range(2000000)" };
        var open = new List<QueryReader>();
        for (var i = 0; i < 5; i++)
            open.Add((await engine.RunAsync(rows, TestContext.Current.CancellationToken)).Value!);
        foreach (var reader in open)
            (await reader.NextAsync())!.Dispose();
        // Hours go by at the reader's; the query was worked on for moments.
        clock.Advance(TimeSpan.FromHours(3));
        foreach (var reader in open)
        {
            while (await reader.NextAsync() is { } batch)
                batch.Dispose();
            Assert.Equal(2_000_000, reader.RowsRead);
            reader.Dispose();
        }
    }

    [Fact]
    public async Task Nobody_has_all_places_and_those_without_an_account_leave_one()
    {
        using var places = new AnswerPlaces(new DuckEngineOptions { SegmentsDirectory = "/x", TempDirectory = "/x", ConcurrentQueries = 4, OpenAnswers = 8, AnswersPerCaller = 3 }, TimeProvider.System);
        var (now, stop) = (TimeSpan.Zero, TestContext.Current.CancellationToken);
        AnswerPlaces.Place Open(string key, bool anonymous = false) => places.Open(key, anonymous).Value!;

        var mine = Enumerable.Range(0, 3).Select(_ => Open("party a")).ToList();
        Assert.Equal(("query.share", 429), (places.Open("party a", false).Problem!.Code, places.Open("party a", false).Problem!.Status));
        // Two of four at work, the third of mine waits while others need not.
        Assert.True(await places.EnterAsync(mine[0], now, stop));
        Assert.True(await places.EnterAsync(mine[1], now, stop));
        Assert.False(await places.EnterAsync(mine[2], now, stop));
        places.Exit(mine[0]);
        places.Exit(mine[1]);

        // Two addresses have two each at most, and three together.
        var strangers = new[] { Open("address 1", true), Open("address 1", true), Open("address 2", true), Open("address 2", true) };
        Assert.Equal("query.busy", places.Open("address 3", true).Problem!.Code);
        var entered = new List<bool>();
        foreach (var stranger in strangers)
            entered.Add(await places.EnterAsync(stranger, now, stop));
        Assert.Equal("True True True False", string.Join(' ', entered));
        Assert.True(await places.EnterAsync(mine[0], now, stop));
        Assert.False(await places.EnterAsync(mine[1], now, stop));
        places.Exit(mine[0]);
        foreach (var stranger in strangers.Take(3))
            places.Exit(stranger);

        // What could not be entered left nothing taken.
        var other = Open("party b");
        Assert.Equal("query.busy", places.Open("party c", false).Problem!.Code);
        foreach (var place in mine.Concat(strangers).Append(other))
        {
            place.Dispose();
            place.Dispose();
        }
        var after = new[] { Open("party a"), Open("party a"), Open("party b"), Open("party b") };
        foreach (var place in after)
            Assert.True(await places.EnterAsync(place, now, stop));
        foreach (var place in after)
            places.Exit(place);
    }

    /// <summary>Timers and timestamps move only when it is moved.</summary>
    private sealed class MovedClock : TimeProvider
    {
        private readonly Lock _lock = new();
        private readonly List<Timer> _timers = [];
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Interlocked.Read(ref _now);

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddTicks(GetTimestamp());

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new Timer(this, () => callback(state));
            timer.Change(dueTime, period);
            lock (_lock)
                _timers.Add(timer);
            return timer;
        }

        public void Advance(TimeSpan by)
        {
            Interlocked.Add(ref _now, by.Ticks);
            List<Timer> due;
            lock (_lock)
                due = _timers.FindAll(t => t.Due <= GetTimestamp());
            foreach (var timer in due)
                timer.Fire();
        }

        private sealed class Timer(MovedClock clock, Action fire) : ITimer
        {
            public long Due { get; private set; } = long.MaxValue;

            public void Fire()
            {
                Due = long.MaxValue;
                fire();
            }

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                Due = dueTime == Timeout.InfiniteTimeSpan ? long.MaxValue : clock.GetTimestamp() + dueTime.Ticks;
                return true;
            }

            public void Dispose() => Due = long.MaxValue;

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
