using System.Diagnostics;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Cli;
using Gongzhi.Node.Cluster;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Cluster;

/// <summary>Three silos are one cluster; a seat is held by one of them, and by another when that one leaves, dies or freezes.</summary>
public sealed class SeatTests
{
    private const string Kind = SiloProcess.Kind;

    /// <summary>What a loaded machine may take over what is promised.</summary>
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20), AfterDeath = TimeSpan.FromSeconds(40);

    [Fact]
    public async Task Three_silos_are_one_cluster_and_a_seat_is_held_by_one_of_them()
    {
        var (database, journal) = await JournalAsync();
        var silos = await ThreeAsync(database, journal);
        var seen = await Task.WhenAll(silos.Select(s => s.SeesAsync(3, Soon)));
        Assert.All(seen, s => Assert.Equal(silos.Select(x => x.Address).Order(StringComparer.Ordinal), s.Order(StringComparer.Ordinal)));
        var holders = await Task.WhenAll(silos.Select(s => s.HolderAsync(Kind)));
        Assert.Single(holders.Distinct());
        var began = await journal.WaitAsync(events => events.Count > 0, Soon);
        Assert.Single(began);
        Assert.Equal(holders[0], silos.Single(s => s.Address == holders[0]).Address);
        foreach (var silo in silos)
            await silo.DisposeAsync();
    }

    [Fact]
    public async Task A_silo_that_leaves_hands_its_seat_over_at_once()
    {
        var (database, journal) = await JournalAsync();
        var silos = await ThreeAsync(database, journal);
        await Task.WhenAll(silos.Select(s => s.SeesAsync(3, Soon)));
        var address = await silos[0].HolderAsync(Kind);
        await journal.WaitAsync(events => events.Count == 1, Soon);
        var leaving = silos.Single(s => s.Address == address);
        var start = Stopwatch.GetTimestamp();
        var stopped = leaving.StopAsync();
        var events = await journal.WaitAsync(e => e.Count >= 3, Soon);
        Say($"Drain: the seat was taken {(events[2].At - events[1].At).TotalSeconds:0.00} s after its work ended, {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s after the silo was told to stop.");
        await stopped;
        // First ended, then begun elsewhere: nobody worked twice.
        Assert.Equal(["began", "ended", "began"], events.Select(e => e.What));
        Assert.Equal(events[0].Silo, events[1].Silo);
        Assert.NotEqual(events[0].Silo, events[2].Silo);
        Assert.False(leaving.Lost.IsCompleted);
        foreach (var silo in silos)
            await silo.DisposeAsync();
        // The last one to leave left the seat too.
        Assert.Null(SeatJournal.Holder(await journal.ReadAsync(), Kind));
    }

    [Fact]
    public async Task A_silo_that_takes_no_changes_any_more_gives_its_seat_up_and_gets_none_again()
    {
        var (database, journal) = await JournalAsync();
        var silos = await ThreeAsync(database, journal);
        await Task.WhenAll(silos.Select(s => s.SeesAsync(3, Soon)));
        var address = await silos[0].HolderAsync(Kind);
        var first = silos.Single(s => s.Address == address);
        await journal.WaitAsync(events => events.Count == 1, Soon);
        first.Services.GetRequiredService<WriteGate>().Close("it is older than what was signed.");
        var events = await journal.WaitAsync(e => e.Count >= 3, Soon);
        Assert.Equal(["began", "ended", "began"], events.Select(e => e.What));
        Assert.NotEqual(events[0].Silo, events[2].Silo);
        // The others go too: it is nobody's then.
        foreach (var silo in silos.Where(s => s != first))
            await silo.DisposeAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => first.HolderAsync(Kind));
        Assert.Null(SeatJournal.Holder(await journal.ReadAsync(), Kind));
        await first.DisposeAsync();
    }

    [Fact]
    public async Task The_seat_of_a_killed_silo_is_taken_by_another()
    {
        var (database, journal) = await JournalAsync();
        using var a = await SiloProcess.StartAsync("a", database);
        using var b = await SiloProcess.StartAsync("b", database);
        using var c = await SiloProcess.StartAsync("c", database);
        // The others came later and found the seat taken.
        Assert.Equal("a", Assert.Single(await journal.WaitAsync(events => events.Count > 0, Soon)).Silo);
        const string first = "a";
        var start = Stopwatch.GetTimestamp();
        new[] { a, b, c }.Single(s => s.Name == first).Kill();
        var events = await journal.WaitAsync(e => e.Any(x => x.What == "began" && x.Silo != first), AfterDeath);
        Say($"Kill: another silo took the seat after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s.");
        // And of three, two are left: one more death leaves the last one alone to decide.
        var second = SeatJournal.Holder([.. events.Where(e => e.Silo != first)], Kind);
        start = Stopwatch.GetTimestamp();
        new[] { a, b, c }.Single(s => s.Name == second).Kill();
        await journal.WaitAsync(e => e.Any(x => x.What == "began" && x.Silo != first && x.Silo != second), AfterDeath);
        Say($"Kill of the second of three: the last silo took the seat after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s.");
    }

    [Fact]
    public async Task A_frozen_silo_loses_its_seat_and_ends_with_a_sentence_when_it_wakes()
    {
        var (database, journal) = await JournalAsync();
        using var a = await SiloProcess.StartAsync("a", database);
        using var b = await SiloProcess.StartAsync("b", database);
        using var c = await SiloProcess.StartAsync("c", database);
        // The others came later and found the seat taken.
        Assert.Equal("a", Assert.Single(await journal.WaitAsync(events => events.Count > 0, Soon)).Silo);
        const string first = "a";
        var frozen = new[] { a, b, c }.Single(s => s.Name == first);
        var start = Stopwatch.GetTimestamp();
        await frozen.FreezeAsync();
        await journal.WaitAsync(e => e.Any(x => x.What == "began" && x.Silo != first), AfterDeath);
        Say($"Freeze: another silo took the seat after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s.");
        start = Stopwatch.GetTimestamp();
        await frozen.WakeAsync();
        var (code, said) = await frozen.ExitAsync(Soon);
        Say($"Wake: the silo ended itself after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s.");
        Assert.Equal(ExitCode.Unavailable, code);
        Assert.Contains("declared this one dead", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Work_that_fails_is_started_again_and_is_stopped_with_its_silo()
    {
        var work = new FailingWork(failures: 3);
        var silo = await TestSilo.StartAsync(new() { LedgerOrigin = TestSilo.Origin }, [work]);
        await work.Healthy.WaitAsync(Soon);
        Assert.Equal(4, work.Starts);
        await silo.DisposeAsync();
        Assert.True(work.Stopped.IsCompletedSuccessfully);
    }

    [Fact]
    public async Task Seats_that_are_shared_out_move_to_silos_that_join_and_back_when_these_leave()
    {
        var database = await MembershipTests.DatabaseAsync();
        // Two dozen seats: that chance leaves a silo of three without any happens once in five thousand runs, and the test demands two silos only.
        var places = Enumerable.Range(0, 3).Select(_ => Enumerable.Range(0, 24).Select(i => new SpreadWork($"spread-{i}")).ToArray()).ToArray();
        var silos = new List<TestSilo> { await TestSilo.StartAsync(TestSilo.Options(database), [.. places[0]]) };
        await AllHeldAsync(held => held[0] == 24);
        silos.Add(await TestSilo.StartAsync(TestSilo.Options(database), [.. places[1]]));
        silos.Add(await TestSilo.StartAsync(TestSilo.Options(database), [.. places[2]]));
        var spread = await AllHeldAsync(held => held.Count(n => n is > 0 and < 24) >= 2 && held.Sum() == 24);
        Say($"24 seats over three silos: {string.Join(", ", spread)}.");
        // By the members alone: whoever asks finds the same places, and nothing moves any more.
        var now = places.Select(p => p.Select(w => w.Running).ToArray()).ToArray();
        foreach (var silo in silos)
            await silo.HolderAsync("spread-0");
        Assert.Equal(now, places.Select(p => p.Select(w => w.Running).ToArray()).ToArray());
        await silos[2].DisposeAsync();
        await silos[1].DisposeAsync();
        await AllHeldAsync(held => held is [24, 0, 0]);
        await silos[0].DisposeAsync();
        Assert.All(places.SelectMany(p => p), w => Assert.False(w.Running));

        async Task<int[]> AllHeldAsync(Func<int[], bool> wanted)
        {
            var since = Stopwatch.GetTimestamp();
            while (true)
            {
                var held = places.Select(p => p.Count(w => w.Running)).ToArray();
                if (wanted(held))
                    return held;
                Assert.True(Stopwatch.GetElapsedTime(since) < AfterDeath, $"The seats are held so: {string.Join(", ", held)}.");
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, TestContext.Current.CancellationToken);
            }
        }
    }

    private static async Task<(string Database, SeatJournal Journal)> JournalAsync()
    {
        var database = await MembershipTests.DatabaseAsync();
        var journal = new SeatJournal(database);
        await journal.CreateAsync();
        return (database, journal);
    }

    private static async Task<TestSilo[]> ThreeAsync(string database, SeatJournal journal) =>
        await Task.WhenAll(new[] { "a", "b", "c" }.Select(name => TestSilo.StartAsync(TestSilo.Options(database), [new NotingWork(Kind, name, journal)])));

    private static void Say(FormattableString line) => TestContext.Current.TestOutputHelper?.WriteLine(FormattableString.Invariant(line));

    private sealed class SpreadWork(string kind) : ISeatWork
    {
        private volatile bool _running;

        public string Kind => kind;

        public bool Spread => true;

        public bool Running => _running;

        public async Task RunAsync(CancellationToken cancel)
        {
            _running = true;
            await Task.Delay(Timeout.Infinite, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _running = false;
        }
    }

    private sealed class FailingWork(int failures) : ISeatWork
    {
        private readonly TaskCompletionSource _healthy = new(TaskCreationOptions.RunContinuationsAsynchronously), _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string Kind => "failing";

        public int Starts { get; private set; }

        public Task Healthy => _healthy.Task;

        public Task Stopped => _stopped.Task;

        public async Task RunAsync(CancellationToken cancel)
        {
            if (++Starts <= failures)
                throw new IOException("the disk is full");
            _healthy.SetResult();
            await Task.Delay(Timeout.Infinite, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _stopped.SetResult();
        }
    }
}
