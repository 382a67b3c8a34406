using System.Security.Cryptography;
using System.Text;
using System.Threading.Channels;
using Gongzhi.Core.Storage;
using Orleans.Runtime;

namespace Gongzhi.Node.Cluster;

/// <summary>
/// Keeps the seats of this silo's works taken: every silo asks for each every few seconds, and at once when the cluster's members change, so that after the death or departure of the
/// one that held a seat another takes it.
/// </summary>
internal sealed partial class SeatKeeper(IGrainFactory grains, SeatWorks works, WriteGate gate, IClusterMembershipService cluster, ILocalSiloDetails silo, TimeProvider clock, ILogger<SeatKeeper> log) : BackgroundService
{
    /// <summary>Between two rounds. With the death of a silo noticed in about ten seconds, this adds little to it and costs one small message for each kind.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    /// <summary>Hands the seats of this silo over before it leaves the cluster: the works end first, so that whoever takes a seat finds nobody at it.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        works.Leaving = true;
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
        await Task.WhenAll(works.Held.Keys.Select(LeaveAsync)).ConfigureAwait(false);

        async Task LeaveAsync(string kind)
        {
            try
            {
                await grains.GetGrain<ISeatGrain>(kind).LeaveAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                // The silo ends it when it leaves.
                NotKept(e, kind);
            }
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (works.Kinds.Count == 0)
            return;
        var changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        var watching = WatchAsync(changes.Writer, stoppingToken);
        while (!stoppingToken.IsCancellationRequested)
        {
            // A machine that takes no changes holds no seat: another, that does, takes it.
            await Task.WhenAll(gate.Shut is null ? works.Kinds.Select(kind => KeepAsync(kind, stoppingToken)) : works.Held.Keys.Select(kind => GiveUpAsync(kind, stoppingToken))).ConfigureAwait(false);
            using var round = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
            await Task.WhenAny(Task.Delay(Interval, clock, round.Token), changes.Reader.ReadAsync(round.Token).AsTask()).ConfigureAwait(false);
            await round.CancelAsync().ConfigureAwait(false);
        }
        await watching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task WatchAsync(ChannelWriter<bool> changes, CancellationToken cancel)
    {
        await foreach (var _ in cluster.MembershipUpdates.WithCancellation(cancel).ConfigureAwait(false))
            changes.TryWrite(true);
    }

    private async Task GiveUpAsync(string kind, CancellationToken cancel)
    {
        try
        {
            await grains.GetGrain<ISeatGrain>(kind).LeaveAsync().WaitAsync(cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            NotKept(e, kind);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private async Task KeepAsync(string kind, CancellationToken cancel)
    {
        try
        {
            if (works.Find(kind) is { Spread: true } && !await MineAsync(kind, cancel).ConfigureAwait(false))
                return;
            await grains.GetGrain<ISeatGrain>(kind).KeepAsync().WaitAsync(cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
        }
        catch (Exception e)
        {
            // The one that held it is dying or leaving; the next round finds out.
            NotKept(e, kind);
        }
    }

    /// <summary>
    /// Whether this silo is the one that a seat of a spread work belongs to: the highest of the active ones by a hash of both (rendezvous), so that silos that see the same members agree without
    /// asking, and few seats move when one joins. A seat here that belongs elsewhere is given up; should two disagree for a moment, the seat is nobody's until they agree.
    /// </summary>
    private async Task<bool> MineAsync(string kind, CancellationToken cancel)
    {
        var here = silo.SiloAddress;
        var active = cluster.CurrentSnapshot.Members.Values.Where(m => m.Status == SiloStatus.Active).Select(m => m.SiloAddress).ToList();
        if (active.Count == 0 || active.MaxBy(a => Weight(kind, a), StringComparer.Ordinal)!.Equals(here))
        {
            works.Misplaced.TryRemove(kind, out _);
            return true;
        }
        if (works.Held.ContainsKey(kind))
        {
            works.Misplaced[kind] = true;
            await grains.GetGrain<ISeatGrain>(kind).LeaveAsync().WaitAsync(cancel).ConfigureAwait(false);
        }
        return false;
    }

    /// <summary>The address is unique, so no two weigh the same.</summary>
    private static string Weight(string kind, SiloAddress silo) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes($"{kind} {silo.ToParsableString()}")));

    [LoggerMessage(Level = LogLevel.Information, Message = "Nobody answered for the seat {Kind}; asking again")]
    private partial void NotKept(Exception exception, string kind);
}
