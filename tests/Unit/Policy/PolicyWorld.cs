using System.Data.Common;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Query;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;
using Gongzhi.Tests.Shared;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gongzhi.Tests.Unit.Policy;

/// <summary>A clock that stands until it is moved.</summary>
public sealed class SetClock : TimeProvider
{
    public DateTimeOffset Now { get; set; } = new(2026, 11, 1, 0, 0, 0, TimeSpan.Zero);
    public override DateTimeOffset GetUtcNow() => Now;
}

/// <summary>A real node database in a directory of its own, with parties, postures, grants and the engine on it.</summary>
public sealed class PolicyWorld : IAsyncDisposable
{
    public const string Bootstrap = "setup";
    private readonly IModelPart[] _parts = [new PartiesModel(), new PostureModel(), new GrantModel()];

    public PolicyWorld()
    {
        var directory = Directory.CreateTempSubdirectory("gz-policy-").FullName;
        World = new World { Name = "test", Kind = WorldKind.Test, DataDirectory = directory, LedgerOrigin = "test.example/log" };
        World = World with
        {
            Database = TestStore.Of(directory, "policy", at =>
            {
                using var db = Open(World with { Database = at });
                Prepare(World with { Database = at }, db, new PolicyEpoch());
            }),
        };
        using (var db = Open())
            Prepare(db);
        Writer = new NodeWriter(World, Open, NullLogger<NodeWriter>.Instance);
        Territory = new TerritoryStore(World, Writer, Epoch, Clock, TimeZoneInfo.FindSystemTimeZoneById("Asia/Shanghai"));
        Territory.Open();
        Datasets["cards"] = Cards;
        Parties = new PartyDirectory(Writer, Open, Epoch, Clock);
        Postures = new Postures(Writer, Open, Epoch, Parties, Clock, PlaceKnown);
        Grants = new Grants(Writer, Open, Epoch, Parties, Clock, id => Datasets.GetValueOrDefault(id), PlaceKnown);
        Engine = new PolicyEngine(Grants, Postures, Parties, Epoch, place => GovernedQuery.Ranges(Territory, place), () => Territory.NextReform);
    }

    public World World { get; }
    public SetClock Clock { get; } = new();
    public PolicyEpoch Epoch { get; } = new();
    public NodeWriter Writer { get; }
    public PartyDirectory Parties { get; }
    public Postures Postures { get; }
    public Grants Grants { get; }
    public PolicyEngine Engine { get; }
    public TerritoryStore Territory { get; }
    public Dictionary<string, Dataset> Datasets { get; } = [];
    public Caller Setup => Parties.Resolve(Bootstrap)!;

    public static Dataset Cards { get; } = new()
    {
        Id = "cards", Version = 1, Number = 1, Owner = "finance", PlaceField = "place", TimeField = "date",
        Fields =
        [
            new() { Name = "amount", Type = FieldType.Decimal, Scale = 2 }, new() { Name = "merchant", Type = FieldType.String },
            new() { Name = "card", Type = FieldType.String }, new() { Name = "date", Type = FieldType.Date }, new() { Name = "place", Type = FieldType.Place },
        ],
    };

    /// <summary>Makes the schema, or brings an older one to what the world needs.</summary>
    public void Prepare(NodeDb db) => Prepare(World, db, Epoch);

    private static void Prepare(World world, NodeDb db, PolicyEpoch epoch) => NodeDatabase.Prepare(world, db, [epoch, new PlaceSchema(), new Core.Due.DueSchema()]);

    public NodeDb Open() => Open(World);

    private NodeDb Open(World world)
    {
        var options = new DbContextOptionsBuilder<NodeDb>();
        NodeDatabase.Configure(options, world);
        return new NodeDb(options.Options, _parts);
    }

    /// <summary>City with finance and audit below it; a steward and a reader of finance, a reader of audit, three administrators, a duty officer.</summary>
    public async Task FoundAsync()
    {
        await Parties.EnsureBootstrapAsync(Bootstrap, Unit("city", null));
        await MustAsync(Parties.CreateUnitAsync(Setup, Unit("finance", "city")));
        await MustAsync(Parties.CreateUnitAsync(Setup, Unit("audit", "city")));
        await HireAsync("steward", Roles.Steward, "finance");
        await HireAsync("own-reader", Roles.Reader, "finance");
        await HireAsync("auditor", Roles.Reader, "audit");
        await HireAsync("system", Roles.SystemAdministrator, "city");
        await HireAsync("security", Roles.SecurityAdministrator, "city");
        await HireAsync("audit-admin", Roles.AuditAdministrator, "city");
        await HireAsync("duty", Roles.DutyOfficer, "city");
    }

    public async Task HireAsync(string party, string role, string unit)
    {
        await MustAsync(Parties.CreatePartyAsync(Setup, party, PartyKind.Person, party));
        await MustAsync(Parties.GiveRoleAsync(Setup, party, role, unit));
    }

    public Caller As(string party) => Parties.Resolve(party)!;

    public Decision Decide(string party, string purpose = "audit", string? grant = null) => Engine.Decide(As(party), Datasets["cards"], purpose, Clock.Now, grant);

    public async Task<string> GrantAsync(string changes = "", string by = "steward")
    {
        var created = await Grants.CreateAsync(As(by), Body(changes));
        Assert.True(created.Ok, created.Problem is { } p ? p.Detail + JsonSerializer.Serialize(p.Extensions) : "");
        return created.Value.Id;
    }

    /// <summary>A valid grant to the audit unit; members given replace its own.</summary>
    public static JsonElement Body(string changes = "")
    {
        var node = System.Text.Json.Nodes.JsonNode.Parse("""
            {"dataset":"cards","grantee":{"unit":"audit"},"purposes":["audit"],"fields":{"amount":"plain","merchant":{"mask":"name"},"card":"pseudonym"},
             "rows":{"placeWithin":"1201","timeFrom":"2010-01-01","timeTo":null,"filter":null},"posture":null,"validUntil":"2027-01-01T00:00:00Z"}
            """)!.AsObject();
        if (changes.Length > 0)
        {
            foreach (var (name, value) in System.Text.Json.Nodes.JsonNode.Parse("{" + changes + "}")!.AsObject())
                node[name] = value?.DeepClone();
        }
        return JsonDocument.Parse(node.ToJsonString()).RootElement.Clone();
    }

    public DbConnection Connect() => NodeDatabase.OpenWriter(World);

    public async ValueTask DisposeAsync()
    {
        await Writer.DisposeAsync();
        TestStore.Release();
        TestStore.Drop(World.DataDirectory);
        Directory.Delete(World.DataDirectory, recursive: true);
    }

    public static async Task MustAsync<T>(Task<Result<T>> doing)
    {
        var result = await doing;
        Assert.True(result.Ok, result.Problem?.Detail);
    }

    public static Core.Parties.Unit Unit(string id, string? parent) => new() { Id = id, NameZh = id, NameEn = id, Place = "12", Level = 1, Parent = parent, Kind = "government" };

    private static bool PlaceKnown(string code) => code.StartsWith("12", StringComparison.Ordinal) && code.All(char.IsAsciiDigit);
}
