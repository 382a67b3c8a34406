using System.Globalization;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;
using Gongzhi.Core.Signals;
using Gongzhi.Core.Witnessing;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Gongzhi.Ui;
using Gongzhi.Ui.Components;
using Gongzhi.Ui.Views;

namespace Gongzhi.Node.Pages;

/// <summary>The first page, the catalogue, a dataset's page and its download.</summary>
internal static class CataloguePages
{
    private const int PageSize = 20;
    private const int QueryLengthMax = 200;
    private const int SignalsMax = 20, SignalsEndedMax = 5;

    public static void MapCataloguePages(this IEndpointRouteBuilder pages)
    {
        pages.MapGet("/", Home).WithName("page-home").AllowAnonymous();
        pages.MapGet("/data", List).WithName("page-catalogue").AllowAnonymous();
        pages.MapGet("/data/{id}", One).WithName("page-dataset").AllowAnonymous();
        pages.MapGet("/data/{id}/download.csv", DownloadAsync).WithName("page-download").AllowAnonymous().AnswersLong();
    }

    private static IResult Home(HttpContext http, Catalog catalog, RecordStore records, Sequencer sequencer, CosignedCheckpoint cosigned, CallerAccessor callers)
    {
        var all = catalog.All.ToList();
        IReadOnlyList<HomeTask>? tasks = null;
        if (WorkPages.MayContribute(callers.Current))
        {
            tasks =
            [
                new(IconName.Upload, PageText.Of("Task.Upload"), PageText.Of("Task.UploadText"), "/upload", PageText.Of("Task.UploadAction")),
                new(IconName.Seal, PageText.Of("Task.Check"), PageText.Of("Task.CheckText"), "/ledger#check", PageText.Of("Task.CheckAction")),
            ];
        }
        return Portal.Page<HomeView>(http, Shown.Ready(new HomeModel(
            all.Count, all.Sum(d => records.Manifest(d.Number).Rows), all.Count(PolicyEngine.IsOpen), LedgerPages.Latest(sequencer, cosigned), tasks)));
    }

    private static IResult List(
        string? q, string? opening, string? page, HttpContext http, Catalog catalog, RecordStore records, PartyDirectory parties, ReceivedBatches received)
    {
        q = q?.Trim() is { Length: > 0 } text ? text[..Math.Min(text.Length, QueryLengthMax)] : null;
        var filter = Enum.GetNames<Opening>().FirstOrDefault(n => n.Equals(opening, StringComparison.OrdinalIgnoreCase));
        var words = q?.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) ?? [];
        var found = catalog.All.Where(d => (filter is null || OpeningOf(d).ToString() == filter) && words.All(w => Mentions(d, w, parties))).ToList();
        var pages = Math.Max(1, (found.Count + PageSize - 1) / PageSize);
        var at = int.TryParse(page, NumberStyles.None, CultureInfo.InvariantCulture, out var asked) ? Math.Clamp(asked, 1, pages) : 1;
        var shown = found.Skip((at - 1) * PageSize).Take(PageSize).ToList();
        var last = received.Last(shown);
        string Link(int number) => "/data" + QueryString.Create(
            new Dictionary<string, string?> { ["q"] = q, ["opening"] = filter, ["page"] = number.ToString(CultureInfo.InvariantCulture) }.Where(p => p.Value is not null));
        var pager = new PagerModel(
            at > 1 ? Link(at - 1) : null, at < pages ? Link(at + 1) : null,
            pages > 1 ? ((at - 1) * PageSize) + 1 : 0, ((at - 1) * PageSize) + shown.Count, found.Count);
        return Portal.Page<CatalogueView>(http, Shown.Ready(new CatalogueModel([.. shown.Select(d => Item(d, records, parties, last))], q, filter, found.Count, pager)));
    }

    private static IResult One(
        string id, HttpContext http, Catalog catalog, RecordStore records, PartyDirectory parties, ReceivedBatches received, Sequencer sequencer,
        CallerAccessor callers, PolicyEngine policy, TimeProvider clock, Signals signals)
    {
        if (catalog.Find(id) is not { } dataset)
            return Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult();
        var sums = received.Of(dataset);
        var now = clock.GetUtcNow();
        var last = received.Last([dataset]);
        // Contributing parties may be persons, so only their units are named.
        var contributors = sums.ByContributor
            .GroupBy(c => UnitThen(c.Party, c.Last, dataset, parties))
            .Select(g => new ContributorItem(g.Key, g.Sum(c => c.Rows), g.Max(c => c.Last)))
            .OrderByDescending(c => c.Records).ToList();
        IReadOnlyList<DownloadItem> downloads = PolicyEngine.IsOpen(dataset)
            ?
            [
                new("CSV", $"/data/{dataset.Id}/download.csv", Note: PageText.Of("Download.Csv")),
                new(PageText.Of("Download.SheetName"), $"/data/{dataset.Id}/download.csv?for=spreadsheet", Note: PageText.Of("Download.Sheet")),
            ]
            : [];
        var history = sums.Versions.Select(v => new TimelineItem(
            v.Created, v.Version == 1 ? PageText.Of("History.Registered") : PageText.Of("History.Changed"), PageText.Of("History.Version", v.Version), Tone.Neutral)).ToList();
        var mayUpload = callers.Current is { } caller && WorkPages.MayContribute(caller) && policy.DecideContribution(caller, dataset, now).Allowed;
        var arrivals = sums.ByDay.Any(d => d.Rows > 0) ? sums.ByDay : [];
        return Portal.Page<DatasetView>(http, Shown.Ready(new DatasetModel(
            Item(dataset, records, parties, last), PageText.Pick(dataset.Description, "") is { Length: > 0 } text ? text : null, dataset.Version,
            [.. dataset.Fields.Select(f => Described(f, dataset))], contributors, downloads, null, $"/api/v1/datasets/{dataset.Id}", history,
            [.. arrivals.Select(d => (decimal)d.Rows)], [.. arrivals.Select(d => d.Day.ToString("d", CultureInfo.CurrentCulture))],
            mayUpload ? "/upload?dataset=" + dataset.Id : null, Seal(sums.Latest, records, sequencer),
            Expected: dataset.ExpectedEvery is { } every ? PageText.Of("Signal.Every", SignalWords.Duration(every).In(CultureInfo.CurrentUICulture)) : null,
            Signals: callers.Current is { } reader && signals.MaySee(reader, dataset) ? SignalsOf(reader, dataset, signals, parties) : null)));
    }

    /// <summary>What lasts, and the latest of what is over.</summary>
    private static List<SignalItem> SignalsOf(Caller reader, Dataset dataset, Signals signals, PartyDirectory parties) =>
    [
        .. signals.List(reader, new SignalFilter(dataset.Id, Open: true, Limit: SignalsMax))
            .Concat(signals.List(reader, new SignalFilter(dataset.Id, Open: false, Limit: SignalsEndedMax)))
            .Select(s => new SignalItem(
                SignalWords.Of(s.Signal).In(CultureInfo.CurrentUICulture), PageText.Of("Signal." + s.Signal.Severity),
                s.Signal.Ended is not null ? Tone.Neutral : s.Signal.Severity == SignalSeverity.Notice ? Tone.Accent : Tone.Warn,
                s.Signal.Unit is { } unit ? UnitName(unit, parties) : null, s.Signal.Raised, s.Signal.Ended)),
    ];

    private static async Task DownloadAsync(
        string id, HttpContext http, Catalog catalog, GovernedQuery query, CallerAccessor callers, CancellationToken cancel)
    {
        if (catalog.Find(id) is not { } dataset)
        {
            await Problem.NotFound("dataset.unknown", "There is no dataset with this id.").ToResult().ExecuteAsync(http).ConfigureAwait(false);
            return;
        }
        var answer = await query.RunAsync(
            callers.Current ?? Caller.Nobody,
            new QueryRequest { Dataset = dataset.Id, Purpose = PolicyEngine.OpenData, Format = QueryFormat.Csv }, cancel).ConfigureAwait(false);
        if (!answer.Ok)
        {
            await answer.Problem.ToResult().ExecuteAsync(http).ConfigureAwait(false);
            return;
        }
        using (answer.Value)
        {
            http.Response.ContentType = QueryWriter.MediaType(QueryFormat.Csv);
            http.Response.Headers.ContentDisposition = $"attachment; filename=\"{dataset.Id}.csv\"";
            http.Response.Headers.CacheControl = "no-store";
            await QueryWriter.WriteAsync(
                answer.Value.Reader, http.Response.Body, QueryFormat.Csv, answer.Value.Access.ToString(), http.Request.Query["for"] == "spreadsheet", cancel).ConfigureAwait(false);
        }
    }

    private static Opening OpeningOf(Dataset d) => (Opening)(int)d.Opening;

    private static bool Mentions(Dataset d, string word, PartyDirectory parties) =>
        d.Id.Contains(word, StringComparison.OrdinalIgnoreCase)
        || d.Title.Values.Concat(d.Description.Values).Any(t => t.Contains(word, StringComparison.OrdinalIgnoreCase))
        || (parties.Unit(d.Owner) is { } owner
            && (owner.NameZh.Contains(word, StringComparison.OrdinalIgnoreCase) || owner.NameEn.Contains(word, StringComparison.OrdinalIgnoreCase)));

    private static DatasetItem Item(Dataset d, RecordStore records, PartyDirectory parties, IReadOnlyDictionary<long, DateTimeOffset> last) => new(
        d.Id, PageText.Pick(d.Title, d.Id), UnitName(d.Owner, parties), "/data/" + d.Id, (Sharing)(int)d.Sharing, OpeningOf(d), (Ui.DataClass)(int)d.Class,
        d.Personal, PageText.Pick(d.Description, "") is { Length: > 0 } text ? text : null, records.Manifest(d.Number).Rows,
        last.TryGetValue(d.Number, out var at) ? at : null);

    public static string UnitName(string id, PartyDirectory parties) =>
        parties.Unit(id) is { } unit ? (PageText.Chinese ? unit.NameZh : unit.NameEn) : id;

    /// <summary>
    /// The unit a party contributed for at that moment: the dataset's own where it held a role there, else the only one it could have contributed for. Where
    /// it was in several, which one is not known, and none is credited.
    /// </summary>
    private static string UnitThen(string party, DateTimeOffset moment, Dataset dataset, PartyDirectory parties)
    {
        var units = parties.HeldAt(party, moment).Where(h => h.Role is Roles.Contributor or Roles.Steward).Select(h => h.Unit).Distinct().ToList();
        return units.Contains(dataset.Owner) ? UnitName(dataset.Owner, parties)
            : units is [var only] ? UnitName(only, parties)
            : PageText.Of(units.Count == 0 ? "Contributor.Former" : "Contributor.Several");
    }

    private static FieldItem Described(Field field, Dataset dataset) => new(
        field.Name, PageText.Pick(field.Title, "") is { Length: > 0 } title && title != field.Name ? title : null,
        FieldWords.Type(field), field.Element, null, [.. FieldWords.Limits(field)],
        field.Name == dataset.SubjectField || field.ElementType is "identity-number" ? FieldSensitivity.Identifying
            : dataset.Personal ? FieldSensitivity.Sensitive : FieldSensitivity.Plain,
        Meaning: PageText.Pick(field.Description, "") is { Length: > 0 } meaning ? meaning : null, Codes: field.Constraints.Enum);

    private static SealModel? Seal(Guid? latest, RecordStore records, Sequencer sequencer)
    {
        if (latest is not { } id || records.FindBatch(id) is not { } batch)
            return null;
        var size = sequencer.Log.Head.Size;
        return records.LedgerIndex(batch.Entry) is { } index && index < size
            ? new SealModel(SealSubject.Batch, index, size, null, Convert.ToBase64String(batch.Root), 0, "/ledger/proof/" + index.ToString(CultureInfo.InvariantCulture))
            : new SealModel(SealSubject.Batch, null);
    }
}
