using System.Text;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Records.Keys;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Core.Territory;
using Gongzhi.Ledger;
using Gongzhi.Tests.Shared;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Unit.Records;

/// <summary>A real node core over a directory of its own: database, segments, ledger. Reopening is a new fixture on the same directory.</summary>
internal sealed class CoreFixture : IAsyncDisposable
{
    private readonly bool _ownsDirectory;
    private bool _compactionStopped;

    private CoreFixture(string directory, bool ownsDirectory, Action<string, Action>? interposed, TimeProvider clock, Func<World, ITileStore?> tiles, SegmentPlace segments, ISegmentPeers peers, PostgresAddress? shared, bool postgres, TimeProvider time)
    {
        _ownsDirectory = ownsDirectory;
        World = new World { Name = "test", Kind = WorldKind.Test, DataDirectory = directory, LedgerOrigin = "test.gongzhi.example/log", Interposed = interposed, Segments = segments, Database = shared ?? (interposed is not null ? TestStore.Of(directory) : TestStore.Of(directory, "core", at => Prepare(new World { Name = "test", Kind = WorldKind.Test, DataDirectory = directory, LedgerOrigin = "test.gongzhi.example/log", Database = at }, new PolicyEpoch()), postgres)), Shared = shared is not null, Secret = shared is null ? null : new ClusterSecret("a secret of the tests' own, of no use elsewhere", "test.gongzhi.example/log") };
        var epoch = new PolicyEpoch();
        Prepare(World, epoch);
        Writer = new NodeWriter(World, Open, NullLogger<NodeWriter>.Instance);
        Epoch = epoch;
        Writer.Feed.CurrentAsync(CancellationToken.None).GetAwaiter().GetResult();
        epoch.Follow(Writer.Feed);
        Catalog = new Core.Catalog.Catalog(World, Writer, epoch, time);
        Catalog.Open();
        Segments = SegmentStores.Make(World, peers, TimeProvider.System, NullLogger.Instance);
        Store = new RecordStore(World, Writer, Segments, peers);
        Store.OpenAsync(CancellationToken.None).GetAwaiter().GetResult();
        Sequencer = new Sequencer(World, Writer, clock, NullLogger<Sequencer>.Instance) { Tiles = tiles(World) };
        Territory = new TerritoryStore(World, Writer, epoch, TimeProvider.System, TimeZoneInfo.FindSystemTimeZoneById("Asia/Shanghai"));
        Territory.Open();
        Keys = new KeyIndex(World, Writer, Store);
        KeyMerge = new KeyMerge(World, Keys, Writer, NullLogger<KeyMerge>.Instance);
        Intake = new IntakeService(Store, World, new IntakeRules { Places = KnownPlace, ElementTypes = ElementChecks.Find }, Keys, time);
        Engine = new Core.Query.DuckEngine(new() { SegmentsDirectory = Segments.Directory, TempDirectory = Path.Combine(World.SpoolDirectory, "duckdb"), MemoryMegabytes = 512, Threads = 2 }, TimeProvider.System, Segments);
        Tails = new TailTables(Engine, Store, Catalog);
        Versions = new RecordVersions(World, Store);
        Erasures = new Erasures(World, Store, Catalog, Writer, Tails, Engine, new SubjectKey(World), TimeProvider.System);
        Fold = new Fold(World, Store, Catalog, Writer, NullLogger<Fold>.Instance);
        Compaction = new Compaction(World, Store, Catalog, Writer, NullLogger<Compaction>.Instance);
        Proofs = new ProofService(Catalog, Store, Sequencer);
        Parties = new PartyDirectory(Writer, Open, epoch, time);
    }

    public World World { get; }
    public NodeWriter Writer { get; }
    public PolicyEpoch Epoch { get; }
    public Core.Catalog.Catalog Catalog { get; }
    public ISegmentStore Segments { get; }
    public RecordStore Store { get; }
    public Sequencer Sequencer { get; }
    public IntakeService Intake { get; }
    public ProofService Proofs { get; }
    public Fold Fold { get; }
    public Compaction Compaction { get; }
    public KeyIndex Keys { get; }
    public KeyMerge KeyMerge { get; }

    /// <summary>How many datasets' keys were made anew when this core was opened.</summary>
    public int KeysRebuilt { get; private set; }
    public Core.Query.DuckEngine Engine { get; }
    public TailTables Tails { get; }
    public RecordVersions Versions { get; }
    public Erasures Erasures { get; }
    public TerritoryStore Territory { get; }
    public PartyDirectory Parties { get; }

    /// <summary>Rows of a dataset's field as a query sees them now, sorted.</summary>
    public async Task<List<string>> ReadAsync(Dataset dataset, string field, RecordSnapshot? snapshot = null)
    {
        using var own = snapshot is null ? Tails.Open(dataset, 0) : null;
        var permit = new ReadPermit { Grant = "g", Dataset = dataset.Id, Purpose = "p", Fields = dataset.Fields.ToDictionary(f => f.Name, _ => FieldTransform.Plain) };
        var request = new Core.Query.QueryRequest { Dataset = dataset.Id, Purpose = "p", Fields = [field], Format = Core.Query.QueryFormat.Ndjson };
        var compiled = Core.Query.QueryCompiler.Compile(request, permit, snapshot ?? own!, _ => []);
        Assert.True(compiled.Ok, compiled.Problem?.Detail);
        var run = await Engine.RunAsync(compiled.Value, TestContext.Current.CancellationToken);
        Assert.True(run.Ok, run.Problem?.Detail);
        using var reader = run.Value;
        using var output = new MemoryStream();
        await Core.Query.QueryWriter.WriteAsync(reader, output, Core.Query.QueryFormat.Ndjson, "", false, TestContext.Current.CancellationToken);
        return [.. Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement.GetProperty(field).ToString()).Order(StringComparer.Ordinal)];
    }

    public static Caller Steward { get; } = new() { Party = "steward", Units = ["office"], Roles = new HashSet<string> { Roles.Steward } };

    /// <param name="directory">Outlives the fixture; null for one of its own.</param>
    /// <param name="interposed">Fails durable steps.</param>
    /// <param name="clock">What the sequencer waits by.</param>
    /// <param name="tiles">Where the log's files go.</param>
    /// <param name="segments">Where the segments are kept; the directory's own if left out.</param>
    /// <param name="peers">Other machines that use the same place.</param>
    /// <param name="shared">A database that other cores use at the same time, as machines of a cluster do.</param>
    /// <param name="postgres">On PostgreSQL, whatever the run's store is.</param>
    /// <param name="time">What contributions and definitions are dated by.</param>
    public static async Task<CoreFixture> OpenAsync(
        string? directory = null, Action<string, Action>? interposed = null, TimeProvider? clock = null, Func<World, ITileStore?>? tiles = null,
        SegmentPlace? segments = null, ISegmentPeers? peers = null, PostgresAddress? shared = null, bool postgres = false, TimeProvider? time = null)
    {
        var fixture = new CoreFixture(
            directory ?? Directory.CreateTempSubdirectory("gongzhi-test-").FullName, directory is null, interposed, clock ?? TimeProvider.System, tiles ?? (_ => null),
            segments ?? SegmentPlace.Own, peers ?? NoSegmentPeers.Instance, shared, postgres, time ?? TimeProvider.System);
        try
        {
            await fixture.Erasures.OpenAsync(TestContext.Current.CancellationToken);
            fixture.KeysRebuilt = await fixture.Keys.OpenAsync(fixture.Catalog, TestContext.Current.CancellationToken);
            await fixture.Sequencer.OpenAsync(TestContext.Current.CancellationToken);
            // Of several machines one appends, and which is not the core's to say.
            if (shared is null)
                fixture.Sequencer.Start();
            return fixture;
        }
        catch
        {
            await fixture.DisposeAsync();
            throw;
        }
    }

    public async Task<Dataset> DefineAsync(string id, string definition)
    {
        using var json = JsonDocument.Parse(definition);
        var put = await Catalog.PutAsync(Steward, id, json.RootElement, null, TestContext.Current.CancellationToken);
        Assert.True(put.Ok, put.Problem?.Detail);
        return put.Value.Dataset;
    }

    public async Task<Result<IntakeReceipt>> ContributeAsync(Dataset dataset, string csv, IntakeMode mode = IntakeMode.All, string? key = null, Func<Batch, Problem?>? maySupersede = null)
    {
        await using var source = await CsvSource.OpenAsync(new MemoryStream(Encoding.UTF8.GetBytes(csv)), new SourceOptions { CollectFaults = mode == IntakeMode.Partial });
        return await Intake.ContributeAsync(new Contribution
        {
            Dataset = dataset,
            Contributor = "contributor",
            Source = source,
            Mode = mode,
            IdempotencyKey = key,
            MaySupersede = maySupersede ?? (_ => null),
            Origin = "test text/csv",
        }, TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await Fold.DisposeAsync();
        await StopCompactionAsync();
        await KeyMerge.DisposeAsync();
        Engine.Dispose();
        await Sequencer.DisposeAsync();
        await Writer.DisposeAsync();
        await Segments.DisposeAsync();
        TestStore.Release();
        if (_ownsDirectory)
        {
            TestStore.Drop(World.DataDirectory);
            Directory.Delete(World.DataDirectory, recursive: true);
        }
    }

    /// <summary>From here on nothing is merged but by the test itself.</summary>
    public async Task StopCompactionAsync()
    {
        if (!_compactionStopped)
            await Compaction.DisposeAsync();
        _compactionStopped = true;
    }

    /// <summary>The model of this core, which has fewer parts than a node's.</summary>
    public Microsoft.EntityFrameworkCore.Metadata.IModel Model
    {
        get
        {
            using var db = Open();
            return db.Model;
        }
    }

    private static void Prepare(World world, PolicyEpoch epoch)
    {
        using var db = Open(world);
        NodeDatabase.Prepare(world, db, [new RecordSchema(), new KeySchema(), new ErasureSchema(), new LogStateSchema(), new PlaceSchema(), new Core.Signals.SignalSchema(), epoch]);
    }

    private NodeDb Open() => Open(World);

    private static NodeDb Open(World world)
    {
        var options = new DbContextOptionsBuilder<NodeDb>();
        NodeDatabase.Configure(options, world);
        return new NodeDb(options.Options, [new CatalogModel(), new PartiesModel()]);
    }

    private static bool KnownPlace(ReadOnlySpan<byte> code, Span<byte> stripped, out int length, out IReadOnlyList<Place> dated)
    {
        (length, dated) = (0, []);
        return Core.Territory.PlaceCode.TryParse(code, out var place) && place.TryFormat(stripped, out length);
    }
}
