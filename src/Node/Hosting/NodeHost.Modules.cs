using Gongzhi.Capabilities.Administration;
using Gongzhi.Capabilities.Exchange;
using Gongzhi.Capabilities.Http;
using Gongzhi.Capabilities.Places;
using Gongzhi.Capabilities.Signals;
using Gongzhi.Capabilities.Transparency;
using Gongzhi.Core;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Due;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;
using Gongzhi.Core.Records.Keys;
using Gongzhi.Core.Signals;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Core.Territory;
using Gongzhi.Core.Witnessing;
using Gongzhi.Ledger;
using Gongzhi.Node.Cluster;
using Gongzhi.Node.Pages;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Witnessing;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Node.Hosting;

public static partial class NodeHost
{
    static partial void AddModules(WebApplicationBuilder builder, NodeOptions options, World world)
    {
        var services = builder.Services;
        services.AddSingleton<IHotSchema, RecordSchema>();
        services.AddSingleton<IHotSchema, KeySchema>();
        services.AddSingleton<IHotSchema, ErasureSchema>();
        services.AddSingleton<IHotSchema, LogStateSchema>();
        services.AddSingleton<IHotSchema, LedgerEventSchema>();
        services.AddSingleton<IHotSchema, WitnessSchema>();
        services.AddSingleton<WitnessedLogs>();
        services.AddSingleton<CosignedCheckpoint>();
        services.AddSingleton(provider => new Witness(WitnessKey.Load(world, provider.GetRequiredService<WriteGate>()), options.LogsWitnessed(), provider.GetRequiredService<WitnessedLogs>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<Witnesses>();
        if (options.Witnesses is not null)
            services.AddSingleton<ISeatWork>(provider => provider.GetRequiredService<Witnesses>());
        services.AddSingleton<IHotSchema, PlaceSchema>();
        services.AddSingleton<IModelPart, CatalogModel>();
        services.AddSingleton<IModelPart, PartiesModel>();
        services.AddSingleton<IModelPart, PostureModel>();
        services.AddSingleton<PolicyEpoch>();
        services.AddSingleton<IHotSchema>(provider => provider.GetRequiredService<PolicyEpoch>());
        services.AddSingleton(provider => new PartyDirectory(
            provider.GetRequiredService<NodeWriter>(), () => provider.GetRequiredService<IDbContextFactory<NodeDb>>().CreateDbContext(),
            provider.GetRequiredService<PolicyEpoch>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<PartyProvision>(provider => (party, cancel) => ProvisionAsync(provider.GetRequiredService<PartyDirectory>(), party, cancel));
        services.AddSingleton<PartyLookup>(provider => provider.GetRequiredService<PartyDirectory>().Resolve);
        services.AddSingleton<SuspendedLookup>(provider => provider.GetRequiredService<PartyDirectory>().Suspended);
        services.AddSingleton(provider => new TerritoryStore(
            world, provider.GetRequiredService<NodeWriter>(), provider.GetRequiredService<PolicyEpoch>(), provider.GetRequiredService<TimeProvider>(), TimeZoneInfo.FindSystemTimeZoneById(options.TimeZone)));
        services.AddSingleton<Catalog>();
        services.AddSingleton<Elements>();
        if (!world.Shared)
            services.AddSingleton<ISegmentPeers>(NoSegmentPeers.Instance);
        services.AddSingleton<Machines>();
        services.AddSingleton(provider => SegmentStores.Make(
            world, provider.GetRequiredService<ISegmentPeers>(), provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(SegmentStores).FullName!)));
        services.AddSingleton<RecordStore>();
        services.AddSingleton<SegmentSweep>();
        services.AddSingleton<RecordVersions>();
        services.AddSingleton<SubjectKey>();
        services.AddSingleton<Erasures>();
        services.AddSingleton<Gongzhi.Ledger.ITileSource>(_ => LedgerFiles.Look(world));
        services.AddSingleton<Sequencer>();
        services.AddSingleton<Fold>();
        services.AddSingleton<Compaction>();
        services.AddSingleton<KeyIndex>();
        services.AddSingleton<KeyMerge>();
        services.AddSingleton<ProofService>();
        services.AddSingleton(provider => new IntakeRules
        {
            Places = provider.GetRequiredService<TerritoryStore>().TryRead,
            ElementTypes = ElementChecks.Find,
            ElementCodes = provider.GetRequiredService<Elements>().Codes,
        });
        services.AddSingleton<IntakeService>();
        services.AddSingleton<IModelPart, GrantModel>();
        services.AddSingleton<Func<NodeDb>>(provider => () => provider.GetRequiredService<IDbContextFactory<NodeDb>>().CreateDbContext());
        services.AddSingleton(provider => new Postures(
            provider.GetRequiredService<NodeWriter>(), provider.GetRequiredService<Func<NodeDb>>(), provider.GetRequiredService<PolicyEpoch>(),
            provider.GetRequiredService<PartyDirectory>(), provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<TerritoryStore>().Knows));
        services.AddSingleton(provider => new Grants(
            provider.GetRequiredService<NodeWriter>(), provider.GetRequiredService<Func<NodeDb>>(), provider.GetRequiredService<PolicyEpoch>(),
            provider.GetRequiredService<PartyDirectory>(), provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<Catalog>().Find, provider.GetRequiredService<TerritoryStore>().Knows));
        services.AddSingleton(provider => new PolicyEngine(
            provider.GetRequiredService<Grants>(), provider.GetRequiredService<Postures>(), provider.GetRequiredService<PartyDirectory>(), provider.GetRequiredService<PolicyEpoch>(),
            place => GovernedQuery.Ranges(provider.GetRequiredService<TerritoryStore>(), place), () => provider.GetRequiredService<TerritoryStore>().NextReform));
        services.AddSingleton<IHotSchema, AccessSchema>();
        services.AddSingleton<AccessLog>();
        services.AddSingleton<Accesses>();
        services.AddSingleton<AuditTrail>();
        services.AddSingleton<AuditReview>();
        services.AddSingleton(provider => new DuckEngine(
            new DuckEngineOptions
            {
                SegmentsDirectory = provider.GetRequiredService<ISegmentStore>().Directory, TempDirectory = world.SpillDirectory,
                ConcurrentQueries = options.QueriesRunningMax, QueryTimeout = TimeSpan.FromSeconds(options.QuerySecondsMax),
                OpenAnswers = options.AnswersOpenMax, AnswersPerCaller = options.CallerAnswersMax,
                FreeBytesMin = world.FreeBytesMin,
            },
            provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ISegmentStore>()));
        services.AddSingleton<TailTables>();
        // From a key that is kept: a page's cursor is good after a restart too, and on every machine that shares the keys.
        services.AddSingleton(provider => new CursorKey(provider.GetRequiredService<SubjectKey>().Hash("cursor", [])));
        services.AddSingleton<GovernedQuery>();
        services.AddSingleton<GovernedProof>();
        services.AddSingleton<IHotSchema, SignalSchema>();
        services.AddSingleton<IHotSchema, DueSchema>();
        services.AddSingleton<IAnalysis, FreshnessAnalysis>();
        services.AddSingleton<IAnalysis, VolumeAnalysis>();
        services.AddSingleton<AnalysisRunner>();
        services.AddSingleton<Signals>();
        services.AddSingleton<IDueWork, PostureExpiry>();
        services.AddSingleton<DueClock>();
        for (var shard = 0; shard < AnalysisRunner.Shards; shard++)
        {
            var own = shard;
            services.AddSingleton<ISeatWork>(provider => new AnalysisSeat(provider.GetRequiredService<AnalysisRunner>(), own, provider.GetRequiredService<WriteGate>()));
        }
        services.AddSingleton<ISeatWork, ClockSeat>();
        services.AddSingleton<RecordsStartup>();
        services.AddPortal();
    }

    static partial void MapModules(WebApplication app, NodeOptions options)
    {
        app.MapExchange();
        app.MapPlaces();
        app.MapTransparency();
        app.MapSignals();
        app.MapAdministration();
        app.MapPortal(options);
    }

    /// <summary>The unit a fresh node starts with; every other unit is created below it.</summary>
    internal static Unit FirstUnit() => new() { Id = "node", NameZh = "本级单位", NameEn = "This node", Place = "", Level = 0, Kind = "government" };

    private static async Task<string> ProvisionAsync(PartyDirectory parties, NewParty party, CancellationToken cancel)
    {
        if (party.Kind == "client")
        {
            var id = "client:" + party.Name;
            await parties.EnsureBootstrapAsync(id, FirstUnit(), cancel).ConfigureAwait(false);
            return id;
        }
        var person = "person:" + Guid.CreateVersion7(TimeProvider.System.GetUtcNow()).ToString("N");
        await parties.EnsureFirstAdministratorAsync(person, party.Name, FirstUnit(), cancel).ConfigureAwait(false);
        return person;
    }

    private static Task OpenRecordsAsync(IServiceProvider services, CancellationToken cancel) => services.GetRequiredService<RecordsStartup>().OpenAsync(cancel);

    /// <summary>
    /// Opens what is kept, in order, before anything is served; a ledger that is not what was signed stops the start. Not a hosted service: the host would log
    /// the failure at length before whoever started the node can say it in one sentence.
    /// </summary>
    private sealed class RecordsStartup(
        World world, PolicyEpoch epoch, TerritoryStore territory, Catalog catalog, RecordStore records, Fold fold, Compaction compaction, KeyIndex keys, KeyMerge merge,
        Erasures erasures, Sequencer sequencer, SegmentSweep sweep, NodeWriter writer, Machines machines, IServiceProvider services)
    {
        public async Task OpenAsync(CancellationToken cancel)
        {
            var readOnly = writer.Gate.Shut is not null;
            if (world.Shared)
            {
                // From here on what others change is applied to what is read now.
                await writer.Feed.CurrentAsync(cancel).ConfigureAwait(false);
                epoch.Follow(writer.Feed);
                if (!readOnly)
                    await machines.EnterAsync(records.Segments.Run!, services.GetRequiredService<Orleans.Runtime.ILocalSiloDetails>().SiloAddress.ToParsableString(), cancel).ConfigureAwait(false);
            }
            using (var connection = NodeDatabase.OpenReader(world))
                epoch.Load(connection);
            territory.Open();
            catalog.Open();
            await records.OpenAsync(cancel).ConfigureAwait(false);
            _ = fold;
            // Before the keys, which are made from the rows that stay.
            if (!world.Shared && !readOnly)
                await erasures.OpenAsync(cancel).ConfigureAwait(false);
            _ = compaction;
            _ = merge;
            _ = sweep;
            // Keys are needed by contributions alone.
            if (!readOnly)
                await keys.OpenAsync(catalog, cancel).ConfigureAwait(false);
            if (world.Shared)
                sequencer.Follow(writer.Feed);
            else if (!readOnly)
                sequencer.Start();
        }
    }
}
