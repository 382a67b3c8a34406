using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>Makes the store that a world says it keeps its segments in.</summary>
public static class SegmentStores
{
    /// <param name="world">Whose segments.</param>
    /// <param name="peers">The other machines that use the store.</param>
    /// <param name="clock">What waits and promises are counted by.</param>
    /// <param name="log">Told of what is tried again.</param>
    public static ISegmentStore Make(World world, ISegmentPeers peers, TimeProvider clock, ILogger log) => world.Segments.Kind switch
    {
        SegmentPlaceKind.Own => new DirectorySegmentStore(world),
        SegmentPlaceKind.SharedDirectory => new DirectorySegmentStore(world, world.Segments.Directory, peers, clock, log),
        _ => new S3SegmentStore(world, peers, clock, log),
    };

    /// <summary>The store to look at and not to work on: nothing is written to it, nor marked as this machine's.</summary>
    public static ISegmentStore Look(World world) => world.Segments.Kind switch
    {
        SegmentPlaceKind.Own => new DirectorySegmentStore(world),
        SegmentPlaceKind.SharedDirectory => new DirectorySegmentStore(world with { Segments = SegmentPlace.Own }, world.Segments.Directory),
        _ => new S3SegmentStore(world, NoSegmentPeers.Instance, TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance),
    };
}
