using System.Net;
using Gongzhi.Core;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Node.Hosting;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Npgsql;
using Orleans.Configuration;
using Orleans.Runtime;

namespace Gongzhi.Node.Cluster;

/// <summary>The node's part in a cluster: an Orleans silo in the process. Alone by default; with <see cref="NodeOptions.Cluster"/> one of several that know each other through PostgreSQL.</summary>
internal static class SiloSetup
{
    // How a silo that died, froze or was cut off is found out, about ten seconds after: others ask it every two seconds (sooner would mistake a long pause of a busy machine for a death),
    // and three unanswered questions in a row, the last one put by a third silo, make a vote; two votes decide, or the only one there can be when two silos are left. A silo is not voted
    // out while messages come from it: within the last three times ProbeMax, so that must not be longer than the rest.
    private static readonly TimeSpan Probe = TimeSpan.FromSeconds(2), ProbeMax = TimeSpan.FromSeconds(3);
    private const int ProbesMissed = 3, Votes = 2;

    // Gossip tells of changes at once; the table is read for those whom it did not reach, above all for one that is cut off from the others and not from PostgreSQL.
    private static readonly TimeSpan TableRead = TimeSpan.FromSeconds(5);

    // A sign of life in the table; who missed three is not asked by a silo that joins, so a cluster whose machines all fell at once can be started again after 15 s.
    private static readonly TimeSpan SignOfLife = TimeSpan.FromSeconds(5);
    private const int SignsMissed = 3;

    // A start that cannot join by then has failed and says so; leaving waits as long for PostgreSQL at most.
    private static readonly TimeSpan JoinLimit = TimeSpan.FromSeconds(30);

    // The dead stay in the table for an inquiry.
    private static readonly TimeSpan DeadKept = TimeSpan.FromDays(7), Cleanup = TimeSpan.FromHours(1);

    /// <exception cref="StartRefusedException">The settings of the cluster do not allow a start.</exception>
    public static void AddNodeSilo(this IServiceCollection services, NodeOptions options, World world)
    {
        services.AddLogging(logging => logging.AddFilter("Orleans", LogLevel.Warning).AddFilter("Microsoft.Orleans", LogLevel.Warning)
            // The first recommends a garbage collector that takes several times the memory; the second reports a stall at each stop, as long as the machine has been up.
            .AddFilter("Polly", LogLevel.Warning).AddFilter(typeof(SegmentReleases).FullName, LogLevel.Warning).AddFilter("Orleans.Runtime.Silo", LogLevel.Error).AddFilter("Orleans.Runtime.Watchdog", LogLevel.Error));
        services.TryAddSingleton(TimeProvider.System);
        // A clock that a test sets by hand must not move the silo's timers.
        services.AddKeyedSingleton(KeyedService.AnyKey, TimeProvider.System);
        services.TryAddSingleton<SiloLost>(SiloLoss.EndProcess);
        services.AddSingleton<IFatalErrorHandler, SiloLoss>();
        services.AddSingleton<SeatWorks>();
        // Without the configuration: settings of a section "Orleans" would go round the checks here.
        services.AddOrleans(silo =>
        {
            silo.Configure<ClusterOptions>(o => (o.ClusterId, o.ServiceId) = (world.Mark, "gongzhi"));
            silo.Configure<ClusterMembershipOptions>(Liveness);
            if (world.Shared)
                silo.AddGrainService<SegmentReleases>();
            if (options.Cluster is null)
                AddAlone(silo, options);
            else
                AddCluster(silo, options, world);
        });
        if (world.Shared)
        {
            services.AddSingleton<ISegmentPeers, ClusterPeers>();
            services.AddSingleton<SegmentReleaseClient>();
            services.AddSingleton<ISeatWork, UpkeepSeat>();
            services.AddSingleton<ISeatWork, SequencerSeat>();
            services.AddHostedService<FeedLoop>();
        }
        // After the silo, so started after it and stopped before it.
        services.AddHostedService<SeatKeeper>();
    }

    /// <summary>Makes the tables of the cluster, so that what is wrong with PostgreSQL is said before anything starts.</summary>
    /// <exception cref="StartRefusedException">PostgreSQL answered and refuses.</exception>
    /// <exception cref="IOException">PostgreSQL cannot be reached.</exception>
    public static async Task PrepareAsync(IServiceProvider services, CancellationToken cancel)
    {
        if (services.GetRequiredService<IMembershipTable>() is not PostgresMembership table)
            return;
        try
        {
            await table.InitializeMembershipTableAsync(true, cancel).ConfigureAwait(false);
        }
        catch (PostgresException e) when (!e.IsTransient)
        {
            throw new StartRefusedException($"The cluster's PostgreSQL refuses: {e.MessageText}");
        }
        catch (Exception e) when (e is NpgsqlException or TimeoutException)
        {
            throw new IOException($"The cluster's PostgreSQL cannot be reached: {e.GetBaseException().Message}", e);
        }
    }

    private static void Liveness(ClusterMembershipOptions o)
    {
        (o.ProbeTimeout, o.MinProbeTimeout, o.MaxProbeTimeout) = (Probe, Probe, ProbeMax);
        (o.NumMissedProbesLimit, o.NumVotesForDeathDeclaration, o.EnableIndirectProbes) = (ProbesMissed, Votes, true);
        (o.IAmAliveTablePublishTimeout, o.NumMissedTableIAmAliveLimit) = (SignOfLife, SignsMissed);
        (o.TableRefreshTimeout, o.MaxJoinAttemptTime) = (TableRead, JoinLimit);
        (o.DefunctSiloExpiration, o.DefunctSiloCleanupPeriod) = (DeadKept, Cleanup);
    }

    private static void AddAlone(ISiloBuilder silo, NodeOptions options)
    {
        if (options.SiloAddress != new NodeOptions().SiloAddress || options.SiloPort != 0 || options.SiloCertificate is not null || options.SiloKey is not null || options.SiloAuthority is not null)
            throw new StartRefusedException("SiloAddress, SiloPort, SiloCertificate, SiloKey and SiloAuthority belong to a cluster, and Cluster is not set.");
        // The port is a name only: nothing listens.
        UseDoor(silo, new ClosedDoor(), new IPEndPoint(IPAddress.Loopback, EndpointOptions.DEFAULT_SILO_PORT));
        silo.Services.AddSingleton<IMembershipTable, LoneMembership>();
    }

    private static void AddCluster(ISiloBuilder silo, NodeOptions options, World world)
    {
        if (!IPAddress.TryParse(options.SiloAddress, out var address) || address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any))
            throw new StartRefusedException($"SiloAddress must be the one address of this machine that the others reach it by, not {options.SiloAddress}.");
        var certificates = SiloCertificates.Load(options, TimeProvider.System);
        if (certificates is null && !IPAddress.IsLoopback(address))
            throw new StartRefusedException(
                $"SiloAddress {address} can be reached by other machines, and silos without certificates believe whoever speaks to them. Set SiloCertificate, SiloKey and SiloAuthority.");
        PostgresMembership table;
        try
        {
            table = new PostgresMembership(options.Cluster!, world.Mark);
        }
        catch (ArgumentException e)
        {
            throw new StartRefusedException($"Cluster is not a PostgreSQL connection string: {e.Message}");
        }
        silo.Services.AddSingleton<IMembershipTable>(table);
#pragma warning disable ORLEANSEXP003 // The other directory gave one seat to two silos for seconds whenever a third one joined.
        silo.AddDistributedGrainDirectory();
#pragma warning restore ORLEANSEXP003
        // No wait after a death before its seats are given anew: what protects is the store, and promptness is wanted.
        silo.Configure<GrainDirectoryOptions>(o => o.RangeLeaseDuration = TimeSpan.Zero);
        if (certificates is not null)
        {
            silo.Services.AddSingleton(_ => certificates);
            silo.UseTls(certificates.Configure);
        }
        var door = OpenDoor.Open(address, options.SiloPort);
        silo.Services.AddSingleton(_ => door);
        UseDoor(silo, door, door.Address);
    }

    /// <summary>Puts our door in the place of the one Orleans would open, for silos and for the gateway, which with port 0 opens none.</summary>
    private static void UseDoor(ISiloBuilder silo, IConnectionListenerFactory door, IPEndPoint address)
    {
        silo.Configure<EndpointOptions>(o =>
        {
            (o.AdvertisedIPAddress, o.SiloPort, o.GatewayPort) = (address.Address, address.Port, 0);
            o.SiloListeningEndpoint = address;
        });
        foreach (var old in silo.Services.Where(s => s.IsKeyedService && s.ServiceType == typeof(IConnectionListenerFactory)).ToList())
        {
            silo.Services.Remove(old);
            silo.Services.AddKeyedSingleton(old.ServiceKey, door);
        }
    }
}
