using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Orleans.Runtime;
using Orleans.Runtime.Services;
using Orleans.Services;

namespace Gongzhi.Node.Cluster;

/// <summary>What each silo does for another that is about to delete a segment.</summary>
internal interface ISegmentReleases : IGrainService
{
    /// <summary>Waits a while for this machine's readers of a segment that its list does not name any more.</summary>
    /// <returns>Whether nobody reads it here now, and no copy is kept.</returns>
    [ResponseTimeout("00:00:30")]
    Task<bool> ReleaseAsync(string segment);
}

/// <summary>Lets go of segments that another machine is about to delete.</summary>
internal sealed class SegmentReleases(GrainId id, Silo silo, ILoggerFactory log, IServiceProvider services) : GrainService(id, silo, log), ISegmentReleases
{
    /// <summary>How long one call waits for readers; who asks asks again.</summary>
    private static readonly TimeSpan Wait = TimeSpan.FromSeconds(10);

    public async Task<bool> ReleaseAsync(string segment)
    {
        // Only now: the store is opened after this service is made.
        var store = services.GetRequiredService<RecordStore>();
        await services.GetRequiredService<NodeWriter>().Feed.CurrentAsync();
        var released = store.Uses.ReleaseAsync(segment);
        await Task.WhenAny(released, Task.Delay(Wait, TimeProvider.System));
        return released.IsCompletedSuccessfully;
    }
}

/// <summary>Calls the service of one silo.</summary>
internal sealed class SegmentReleaseClient(IServiceProvider services) : GrainServiceClient<ISegmentReleases>(services)
{
    public Task<bool> ReleaseAsync(SiloAddress silo, string segment) => GetGrainService(silo).ReleaseAsync(segment);
}

/// <summary>
/// The other machines that use the store of the segments: every silo of the cluster that is not dead. One that does not answer may still read, so what it reads stays until it answers or the
/// others declare it dead; a process that is to be taken for ended is first written down as such, after which it lists nothing any more (<see cref="Machines"/>).
/// </summary>
internal sealed class ClusterPeers(IServiceProvider services, TimeProvider clock) : ISegmentPeers
{
    /// <summary>Longest time readers elsewhere are waited for; then the file stays, and the sweep asks again.</summary>
    private static readonly TimeSpan ReleaseLimit = TimeSpan.FromMinutes(10);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    // Made by the silo, which asks for the store in turn.
    private IClusterMembershipService Members => services.GetRequiredService<IClusterMembershipService>();

    public async Task ReleaseAsync(string name, CancellationToken cancel)
    {
        var until = clock.GetTimestamp() + (long)(ReleaseLimit.TotalSeconds * clock.TimestampFrequency);
        var released = new HashSet<SiloAddress>();
        var client = services.GetRequiredService<SegmentReleaseClient>();
        var own = services.GetRequiredService<ILocalSiloDetails>().SiloAddress;
        while (Others(own).Except(released).ToList() is { Count: > 0 } asked)
        {
            Exception? failed = null;
            foreach (var silo in asked)
            {
                try
                {
                    if (await client.ReleaseAsync(silo, name).WaitAsync(cancel).ConfigureAwait(false))
                        released.Add(silo);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    failed = e;
                }
            }
            if (clock.GetTimestamp() > until)
                throw new SegmentStoreException($"The segment {name} is still read by another machine, or one does not answer; it is asked again later.", failed);
            if (!asked.TrueForAll(released.Contains))
                await Task.Delay(Pause, clock, cancel).ConfigureAwait(false);
        }
    }

    public async ValueTask<bool> HasEndedAsync(string machine, string run, CancellationToken cancel)
    {
        var machines = services.GetRequiredService<Machines>();
        if (machines.Find(run) is not var (silo, ended))
            return false;
        if (ended)
            return true;
        await Members.Refresh(cancellationToken: cancel).ConfigureAwait(false);
        if (Members.CurrentSnapshot.GetSiloStatus(SiloAddress.FromParsableString(silo)) != SiloStatus.Dead)
            return false;
        await machines.EndAsync(run, cancel).ConfigureAwait(false);
        return true;
    }

    /// <summary>Silos that have not joined yet do not read; they look at the list after.</summary>
    private IEnumerable<SiloAddress> Others(SiloAddress own) =>
        Members.CurrentSnapshot.Members.Values.Where(m => m.Status is SiloStatus.Active or SiloStatus.ShuttingDown or SiloStatus.Stopping && !m.SiloAddress.Equals(own)).Select(m => m.SiloAddress);
}
