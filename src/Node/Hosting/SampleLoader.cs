using System.Security.Cryptography;
using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Territory;
using Gongzhi.Node.Identity;
using Gongzhi.SampleCity;
using Microsoft.AspNetCore.Identity;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// Fills an empty node with the made-up city by the same road as everyone: places, units, definitions, contributions. Each dataset is
/// contributed under a fixed idempotency key, so a load that was interrupted goes on where it stopped.
/// </summary>
internal static class SampleLoader
{
    private const string Loader = "client:sample-city";

    /// <summary>A person who can sign in to look round.</summary>
    public sealed record DemoAccount(string Name, string Password, string Role, string Unit);

    private static readonly (string Name, string Zh, string Role, string Unit)[] People =
    [
        ("steward", "数据管理员（演示）", Roles.Steward, "city-environment"),
        ("contributor", "报送人员（演示）", Roles.Contributor, "city-environment"),
        ("reader", "查询人员（演示）", Roles.Reader, "city-data-bureau"),
        ("duty", "值班指挥（演示）", Roles.DutyOfficer, "city-emergency"),
        ("sysadmin", "系统管理员（演示）", Roles.SystemAdministrator, "node"),
        ("secadmin", "安全管理员（演示）", Roles.SecurityAdministrator, "node"),
        ("auditor", "审计管理员（演示）", Roles.AuditAdministrator, "node"),
    ];

    /// <summary>Loads what is missing and answers the demo accounts. A node that holds other datasets is left alone.</summary>
    public static async Task<IReadOnlyList<DemoAccount>> LoadAsync(IServiceProvider services, Action<string> progress, CancellationToken cancel)
    {
        var catalog = services.GetRequiredService<Catalog>();
        var city = City.Generate();
        if (catalog.All.Any() && catalog.Find(city.Datasets[0].Id) is null)
            return [];
        var parties = services.GetRequiredService<PartyDirectory>();
        await parties.EnsureBootstrapAsync(Loader, NodeHost.FirstUnit(), cancel).ConfigureAwait(false);
        var territory = services.GetRequiredService<TerritoryStore>();
        if (!territory.Knows(city.Places[0].Code))
        {
            progress("places");
            if ((await territory.ImportAsync([.. city.Places.Select(ToPlace)], Loader, cancel).ConfigureAwait(false)).Problem is { } refused)
                throw new InvalidOperationException($"The sample city's places were refused: {refused.Detail}");
            await DrawAsync(territory, city, cancel).ConfigureAwait(false);
        }
        var loader = parties.Resolve(Loader)!;
        foreach (var unit in city.Units.Where(u => parties.Unit(u.Id) is null))
        {
            Demand(await parties.CreateUnitAsync(loader, new Core.Parties.Unit
            {
                Id = unit.Id,
                NameZh = unit.NameZh,
                NameEn = unit.NameEn,
                Place = unit.Place,
                Level = (int)unit.Level + 1,
                Parent = unit.Parent ?? "node",
                Kind = unit.Kind.ToString().ToLowerInvariant(),
            }, cancel).ConfigureAwait(false));
        }
        var elements = services.GetRequiredService<Elements>();
        foreach (var element in SampleElements.All.Where(e => elements.Find(e.Id) is null))
        {
            var defined = await elements.DefineAsync(loader, ToElement(element), cancel).ConfigureAwait(false);
            if (!defined.Ok)
                throw new InvalidOperationException($"The sample element {element.Id} was refused: {defined.Problem.Detail}");
        }
        foreach (var sample in city.Datasets)
        {
            progress(sample.Id);
            await ContributeAsync(services, catalog, sample, cancel).ConfigureAwait(false);
        }
        return await AccountsAsync(services, parties, loader, cancel).ConfigureAwait(false);
    }

    /// <summary>The drawn outlines go through GeoJSON, as everybody's do.</summary>
    private static async Task DrawAsync(TerritoryStore territory, City city, CancellationToken cancel)
    {
        var drawn = new System.Buffers.ArrayBufferWriter<byte>();
        GeoJson.Write(drawn, city.Places.Where(p => p.Ring.Count > 0));
        using var json = JsonDocument.Parse(drawn.WrittenMemory, new JsonDocumentOptions { MaxDepth = PlaceShapes.DepthMax });
        var read = PlaceShapes.Read(json.RootElement, CoordinateSystem.Wgs84, territory.Index.IsKnown);
        if (!read.Ok)
            throw new InvalidOperationException($"The sample city's outlines were refused: {read.Errors[0].Sentence}");
        await territory.ImportShapesAsync(read.Shapes, Loader, cancel).ConfigureAwait(false);
    }

    private static async Task ContributeAsync(IServiceProvider services, Catalog catalog, SampleCity.SampleDataset sample, CancellationToken cancel)
    {
        var owner = new Caller { Party = Loader, Units = [sample.Owner], Roles = new HashSet<string> { Roles.Steward } };
        if (catalog.Find(sample.Id) is not { } dataset)
        {
            using var definition = JsonDocument.Parse(sample.TableSchemaJson);
            var put = await catalog.PutAsync(owner, sample.Id, definition.RootElement, null, cancel).ConfigureAwait(false);
            dataset = put.Ok ? put.Value.Dataset : throw new InvalidOperationException($"The sample dataset {sample.Id} was refused: {put.Problem.Detail}");
        }
        using var csv = new MemoryStream();
        await sample.WriteCsvAsync(csv, cancel).ConfigureAwait(false);
        csv.Position = 0;
        var source = await CsvSource.OpenAsync(csv, cancel: cancel).ConfigureAwait(false);
        await using (source.ConfigureAwait(false))
        {
            var receipt = await services.GetRequiredService<IntakeService>().ContributeAsync(new Contribution
            {
                Dataset = dataset,
                Contributor = Loader,
                Source = source,
                IdempotencyKey = "sample-city/1/" + sample.Id,
                Origin = "sample city",
            }, cancel).ConfigureAwait(false);
            if (!receipt.Ok)
                throw new InvalidOperationException($"The sample dataset {sample.Id} was refused: {receipt.Problem.Detail} {JsonSerializer.Serialize(receipt.Problem.Extensions)}");
        }
    }

    /// <summary>Passwords are drawn once and kept in the data directory, readable by its owner alone; they are never the same on two nodes.</summary>
    private static async Task<IReadOnlyList<DemoAccount>> AccountsAsync(IServiceProvider services, PartyDirectory parties, Caller loader, CancellationToken cancel)
    {
        var path = Path.Combine(services.GetRequiredService<World>().DataDirectory, "demo-accounts.json");
        if (File.Exists(path))
            return JsonSerializer.Deserialize<DemoAccount[]>(await File.ReadAllTextAsync(path, cancel).ConfigureAwait(false))!;
        var scope = services.CreateAsyncScope();
        await using var _ = scope.ConfigureAwait(false);
        var users = scope.ServiceProvider.GetRequiredService<UserManager<Account>>();
        var accounts = new List<DemoAccount>();
        foreach (var (name, zh, role, unit) in People)
        {
            var party = "person:demo-" + name;
            if (parties.Party(party) is null)
                Demand(await parties.CreatePartyAsync(loader, party, PartyKind.Person, zh, cancel).ConfigureAwait(false));
            Demand(await parties.GiveRoleAsync(loader, party, role, unit, null, cancel).ConfigureAwait(false));
            var password = RandomNumberGenerator.GetString("abcdefghjkmnpqrstuvwxyz23456789", 16);
            if (await users.FindByNameAsync(name).ConfigureAwait(false) is { } left)
                await users.DeleteAsync(left).ConfigureAwait(false);
            var made = await users.CreateAsync(new Account { UserName = name, PartyId = party }, password).ConfigureAwait(false);
            if (!made.Succeeded)
                throw new InvalidOperationException($"The demo account {name} was refused: {string.Join(' ', made.Errors.Select(e => e.Description))}");
            accounts.Add(new DemoAccount(name, password, role, unit));
        }
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var file = new FileStream(path, options);
        await using (file.ConfigureAwait(false))
            await JsonSerializer.SerializeAsync(file, accounts, cancellationToken: cancel).ConfigureAwait(false);
        return accounts;
    }

    private static Element ToElement(SampleElement element) => new(
        element.Id, "city-data-bureau", element.Name.Zh, element.Name.En, element.Type, element.Unit,
        element.Sensitivity switch { Sensitivity.Public => "public", Sensitivity.Internal => "internal", Sensitivity.Personal => "personal", _ => "sensitive-personal" },
        element.CodeList is { } list ? [.. SampleElements.GetCodeList(list).Codes.Select(c => new ElementCode(c.Code, c.Name.Zh, c.Name.En))] : null);

    private static Core.Territory.Place ToPlace(SampleCity.Place place) => new()
    {
        Code = PlaceCode.Parse(place.Code),
        Name = place.NameZh,
        NameEn = place.NameEn,
        Centre = new Core.Territory.GeoPoint(place.Centre.Longitude, place.Centre.Latitude, CoordinateSystem.Wgs84),
    };

    private static void Demand(Result<string> result)
    {
        if (!result.Ok)
            throw new InvalidOperationException($"The sample city could not be made: {result.Problem.Detail}");
    }
}
