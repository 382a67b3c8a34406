using System.Globalization;
using System.Text;
using Gongzhi.Ledger;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Cluster.Faults;

/// <summary>
/// Faults under steady load. After each: every acknowledged report is present once on every machine that is left, readers were never shown less than had been acknowledged, and the log is one
/// straight line that verifies, and the analyses have counted every report once. Once each here; GONGZHI_FAULT_ROUNDS=20 repeats each on one cluster after another. In each of these, and once here, the signal of a
/// dataset that fell silent before the fault is waited for: there is one.
/// </summary>
public sealed class FaultTests(ITestOutputHelper output)
{
    private const int Writers = 8, Readers = 2;
    private const string Seat = "sequencer";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(60);

    private static int Rounds => int.TryParse(Environment.GetEnvironmentVariable("GONGZHI_FAULT_ROUNDS"), NumberStyles.None, CultureInfo.InvariantCulture, out var rounds) ? rounds : 1;

    [Fact]
    public Task A_machine_is_killed() => UnderLoadAsync("kill -9 of a machine", async (cluster, _) =>
    {
        var holder = await cluster.HolderAsync(Seat, Soon);
        Remove(cluster, cluster.Machines.First(m => m != holder)).Kill();
    });

    [Fact]
    public Task The_machine_that_sequences_the_ledger_is_killed() =>
        UnderLoadAsync("kill -9 of the one with the sequencer", async (cluster, _) => Remove(cluster, await cluster.HolderAsync(Seat, Soon)).Kill(), untilSilent: true);

    [Fact]
    public Task PostgreSQL_is_stopped_and_started_again() => UnderLoadAsync("PostgreSQL stopped as by a crash, 3 s, started", async (cluster, _) =>
    {
        await cluster.Postgres.StopAsync("immediate");
        await Task.Delay(TimeSpan.FromSeconds(3), TimeProvider.System);
        await cluster.Postgres.StartAgainAsync();
    });

    [Fact]
    public Task A_frozen_machine_wakes_and_does_not_go_on_as_if_nothing_had_happened() => UnderLoadAsync("the one with the sequencer frozen until the others took over", async (cluster, load) =>
    {
        var frozen = await cluster.HolderAsync(Seat, Soon);
        await frozen.FreezeAsync();
        Remove(cluster, frozen);
        // Somebody else has its seat before it wakes.
        await cluster.HolderAsync(Seat, Soon);
        await load.MoreAsync(50, Soon);
        await AskedAgainAsync(cluster, frozen, frozen.WakeAsync);
    });

    [Fact]
    public async Task A_machine_is_cut_off_from_the_network()
    {
        for (var round = 0; round < Rounds; round++)
        {
            var apart = await Namespace.TryMakeAsync();
            Assert.SkipWhen(apart is null, "Network namespaces need root and the program ip.");
            await using var _ = apart;
            await UnderLoadAsync("the network of a machine cut until the others took it for dead", async (cluster, load) =>
            {
                var cut = cluster.Apart!;
                await apart!.CutAsync();
                Remove(cluster, cut);
                await cluster.HolderAsync(Seat, Soon);
                await load.MoreAsync(200, Soon);
                for (var began = TimeProvider.System.GetTimestamp(); await cluster.ScalarAsync("SELECT count(*) FROM cluster_silo WHERE status = 6") == 0; await Task.Delay(TimeSpan.FromMilliseconds(200), TimeProvider.System))
                    Assert.True(TimeProvider.System.GetElapsedTime(began) < Soon, "Nobody was voted out.");
                // It learns that it was voted out, and ends.
                await AskedAgainAsync(cluster, cut, apart.MendAsync);
            }, apart, rounds: 1);
        }
    }

    /// <summary>Behind nginx as the guide has it, with clients that ask once. GONGZHI_OLDER_PROGRAM names another build's gongzhi.dll that the machines have until each is replaced: both serve side by side then.</summary>
    [Fact]
    public async Task Machines_are_replaced_one_after_another_and_nobody_who_asks_is_refused()
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        Assert.SkipWhen(Balancer.Missing is not null, Balancer.Missing ?? "");
        for (var round = 0; round < Rounds; round++)
            await ReplaceAllAsync();
    }

    private async Task ReplaceAllAsync()
    {
        await using var cluster = await FaultCluster.StartAsync(null, Environment.GetEnvironmentVariable("GONGZHI_OLDER_PROGRAM"), ("TrustedProxies", "127.0.0.1"));
        await using var balancer = await Balancer.StartAsync(cluster.Machines.Select(m => m.Http.BaseAddress!.Authority));
        using var http = new HttpClient { BaseAddress = balancer.InTurn };
        await RunningNode.SignInAsync(http);
        await using var load = new SteadyLoad(cluster, Writers, Readers, http);
        await load.MoreAsync(200, Soon);
        var note = Encoding.UTF8.GetBytes(await cluster.Machines[0].Http.GetStringAsync("/ledger/checkpoint"));
        load.Forget();
        foreach (var old in cluster.Machines)
        {
            await cluster.ReplaceAsync(old);
            await load.MoreAsync(100, Soon);
        }
        await load.StopAsync();
        await CheckAsync(cluster, load, note);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"each machine replaced behind a balancer: {load.Count} reports, {load.Reads} readings, none refused or repeated; longest wait of a client {load.LongestPause.TotalSeconds:F2} s."));
    }

    private static RunningNode Remove(FaultCluster cluster, RunningNode machine)
    {
        // A load balancer leaves a machine that does not answer; whoever is on it finds out by himself.
        cluster.Machines = cluster.Machines.Remove(machine);
        return machine;
    }

    /// <summary>A machine whose place another has comes back, and clients ask it as ever: it takes nothing as if it still owned anything, and ends itself.</summary>
    private static async Task AskedAgainAsync(FaultCluster cluster, RunningNode machine, Func<Task> comeBack)
    {
        cluster.Machines = cluster.Machines.Add(machine);
        await comeBack();
        Assert.Equal(3, await machine.ExitAsync().WaitAsync(Soon));
        Remove(cluster, machine);
    }

    private async Task UnderLoadAsync(string name, Func<FaultCluster, SteadyLoad, Task> fault, Namespace? apart = null, int? rounds = null, bool untilSilent = false)
    {
        Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");
        for (var round = 0; round < (rounds ?? Rounds); round++)
        {
            await using var cluster = await FaultCluster.StartAsync(apart);
            await using var load = new SteadyLoad(cluster, Writers, Readers);
            await load.MoreAsync(300, Soon);
            var note = Encoding.UTF8.GetBytes(await cluster.Machines[0].Http.GetStringAsync("/ledger/checkpoint"));
            if (untilSilent || Rounds > 1)
                await SilentAsync(cluster, 1);
            var (usual, reads) = (load.LongestPause, load.Reads);
            load.Forget();
            var clock = TimeProvider.System;
            var began = clock.GetTimestamp();
            await fault(cluster, load);
            await cluster.HolderAsync(Seat, Soon);
            await load.MoreAsync(300, Soon);
            var took = clock.GetElapsedTime(began);
            await load.StopAsync();
            Assert.True(load.Reads > reads, "Nobody was shown anything after the fault.");
            await CheckAsync(cluster, load, note, untilSilent || Rounds > 1);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{name}: {load.Count} reports, {load.Reads} readings; longest wait of one who reports {load.LongestPause.TotalSeconds:F2} s (before the fault {usual.TotalSeconds:F2} s), of one who reads {load.LongestReading.TotalSeconds:F2} s, {took.TotalSeconds:F1} s until 300 more were taken."));
        }
    }

    /// <summary>
    /// At least once in, exactly once out: what the volume analysis has counted of the day is what the log holds of it, however often a shard moved and a step was repeated. No two signals say the same, and each has its entry.
    /// </summary>
    private static async Task CheckAnalysesAsync(FaultCluster cluster, bool untilSilent)
    {
        var clock = TimeProvider.System;
        var (counted, kept) = await cluster.CountedAsync();
        // One that skipped or doubled never comes to the same.
        for (var began = clock.GetTimestamp(); counted != kept; (counted, kept) = await cluster.CountedAsync())
        {
            Assert.True(clock.GetElapsedTime(began) < Soon, $"The analysis has counted {counted} rows of {kept}.");
            await Task.Delay(TimeSpan.FromMilliseconds(100), clock);
        }
        Assert.Equal(0, await cluster.ScalarAsync("SELECT count(*) FROM analysis_position WHERE parked IS NOT NULL"));
        Assert.Equal(0, await cluster.ScalarAsync("SELECT count(*) FROM (SELECT 1 FROM signal GROUP BY analysis, part, same, first_index HAVING count(*) > 1) twice"));
        Assert.Equal(0, await cluster.ScalarAsync("SELECT count(*) FROM signal s WHERE NOT EXISTS (SELECT 1 FROM ledger_pending p WHERE p.id = s.id)"));
        if (!untilSilent)
            return;
        // A minute that was promised and one of patience after the last news.
        await SilentAsync(cluster, FaultCluster.QuietCount);
        Assert.Equal(FaultCluster.QuietCount, await cluster.ScalarAsync(SilentSignals));
        Assert.Equal(FaultCluster.QuietCount, await cluster.ScalarAsync(SilentSignals.Replace("count(*)", "count(DISTINCT part)", StringComparison.Ordinal)));
    }

    private static async Task SilentAsync(FaultCluster cluster, int count)
    {
        var clock = TimeProvider.System;
        for (var began = clock.GetTimestamp(); await cluster.ScalarAsync(SilentSignals) < count; await Task.Delay(TimeSpan.FromMilliseconds(100), clock))
            Assert.True(clock.GetElapsedTime(began) < TimeSpan.FromMinutes(3), "Nobody noticed the silence.");
    }

    private const string SilentSignals = $"SELECT count(*) FROM signal WHERE kind = 'freshness.silent' AND part LIKE '{FaultCluster.Quiet}%'";

    private static async Task CheckAsync(FaultCluster cluster, SteadyLoad load, byte[] earlier, bool untilSilent = false)
    {
        var expected = load.Acknowledged.Order(StringComparer.Ordinal).ToList();
        Assert.Equal(expected.Count, expected.Distinct(StringComparer.Ordinal).Count());
        foreach (var machine in cluster.Machines)
        {
            var rows = await machine.QueryAsync(new { dataset = FaultCluster.Dataset, purpose = "check", fields = new[] { "v" } });
            Assert.Equal(expected, rows.Select(r => r[0]).Order(StringComparer.Ordinal));
        }
        var clock = TimeProvider.System;
        for (var began = clock.GetTimestamp(); await cluster.ScalarAsync("SELECT count(*) FROM ledger_pending WHERE log_index IS NULL") > 0; await Task.Delay(TimeSpan.FromMilliseconds(100), clock))
            Assert.True(clock.GetElapsedTime(began) < Soon, "Entries still wait for the ledger.");
        var entries = await cluster.ScalarAsync("SELECT count(*) FROM ledger_pending");
        Assert.Equal(entries, await cluster.ScalarAsync("SELECT count(DISTINCT log_index) FROM ledger_pending"));
        Assert.True(await cluster.ScalarAsync("SELECT count(*) FROM batch") >= expected.Count);
        await CheckAnalysesAsync(cluster, untilSilent);
        // The signals have entries of their own.
        for (var began = clock.GetTimestamp(); await cluster.ScalarAsync("SELECT count(*) FROM ledger_pending WHERE log_index IS NULL") > 0; await Task.Delay(TimeSpan.FromMilliseconds(100), clock))
            Assert.True(clock.GetElapsedTime(began) < Soon, "Entries still wait for the ledger.");
        entries = await cluster.ScalarAsync("SELECT count(*) FROM ledger_pending");
        // Each machine serves the same log, which goes on from what was signed before the fault and holds every entry once.
        foreach (var machine in cluster.Machines)
        {
            Assert.True(NoteVerifier.TryParse((await machine.Http.GetStringAsync("/ledger/vkey")).Trim(), out var key));
            var report = await LogAuditor.AuditAsync(new HttpTileSource(machine.Http, new Uri(machine.Http.BaseAddress!, "/ledger/")), key!, earlier);
            Assert.True(report.Ok, $"{report.Break?.File} {report.Break?.Reason}");
            Assert.Equal(entries, report.Size);
        }
    }
}
