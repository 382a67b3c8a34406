using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Intake.Formats;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Gongzhi.Ui;
using Gongzhi.Ui.Views;

namespace Gongzhi.Node.Pages;

/// <summary>The pages of those who are signed in: their roles, and sending in data.</summary>
internal static class WorkPages
{
    /// <summary>Bytes of a file sent by form: forms are buffered on disk before they are read. Larger files go through the command line.</summary>
    private const long FileBytesMax = 100L << 20;

    private const long FormOverhead = 64L << 10;
    private const int RejectsShown = 50;
    private static readonly TimeSpan ProofWait = TimeSpan.FromSeconds(3);

    public static void MapWorkPages(this IEndpointRouteBuilder pages, NodeOptions options)
    {
        pages.MapGet("/me", Mine).WithName("page-me").RequireCaller();
        pages.MapGet("/upload", (string? dataset, HttpContext http, Catalog catalog, CallerAccessor callers, PolicyEngine policy, TimeProvider clock) =>
            Portal.Page<UploadView>(http, Shown.Ready(Form(catalog, callers.Required, policy, clock.GetUtcNow(), options, dataset, partial: false)))).WithName("page-upload").RequireCaller(Roles.Contributor, Roles.Steward);
        pages.MapPost("/upload", UploadAsync).WithName("page-upload-form").RequireCaller(Roles.Contributor, Roles.Steward)
            .AcceptsUpload(new UploadLimits(options.UploadBytesMax)).AcceptsBody(MaxOf(options) + FormOverhead).AddEndpointFilter(PageForms.RequireToken);
        pages.MapLiveUploads();
    }

    /// <summary>Whether the caller may send in data at all; which datasets, the policy decides.</summary>
    public static bool MayContribute(Caller? caller) => caller is not null && (caller.Has(Roles.Contributor) || caller.Has(Roles.Steward));

    private static long MaxOf(NodeOptions options) => Math.Min(options.UploadBytesMax, FileBytesMax);

    private static IResult Mine(
        HttpContext http, CallerAccessor callers, PartyDirectory parties, TerritoryStore territory, Grants grants, Catalog catalog, TimeProvider clock)
    {
        var caller = callers.Required;
        var now = clock.GetUtcNow();
        var held = parties.Holdings(caller, now);
        var roles = held.Select(h => new RoleItem(
            PageText.Find("Role." + h.Role) ?? h.Role, CataloguePages.UnitName(h.Unit, parties), parties.Unit(h.Unit)?.Place is { Length: > 0 } place ? Portal.PlaceName(territory, place) : PageText.Of("Place.All"),
            (PageText.Find("May." + h.Role) ?? "").Split('|', StringSplitOptions.RemoveEmptyEntries), h.Until)).ToList();
        var mine = grants.List(caller)
            .Where(g => g.RevokedAt is null && g.ValidFrom <= now && now < g.ValidUntil && IsFor(g, caller, held))
            .Select(g => new MyGrantItem(
                catalog.Find(g.Dataset) is { } dataset ? PageText.Pick(dataset.Title, dataset.Id) : g.Dataset, "/data/" + g.Dataset,
                string.Join(PageText.Of("Comma"), g.Purposes.EnumerateArray().Select(p => p.GetString())),
                PageText.Of("Grant.Fields", g.Fields.EnumerateObject().Count()), g.ValidUntil)).ToList();
        return Portal.Page<RolesView>(http, Shown.Ready(new RolesModel(
            Portal.NameOf(parties, caller), roles, mine, [new Choice("/account/security", PageText.Of("Account.Security"))])));
    }

    /// <summary>A steward sees every grant of a dataset; this page shows those given to the reader.</summary>
    private static bool IsFor(GrantView grant, Caller caller, IReadOnlyList<RoleHolding> held)
    {
        var (party, unit, role) = (grant.Grantee.GetValueOrDefault("party"), grant.Grantee.GetValueOrDefault("unit"), grant.Grantee.GetValueOrDefault("role"));
        return (party is null || party == caller.Party)
            && ((unit is null && role is null) || held.Any(h => (unit is null || h.Unit == unit) && h.Role == (role ?? Roles.Reader)));
    }

    private static UploadModel Form(Catalog catalog, Caller caller, PolicyEngine policy, DateTimeOffset now, NodeOptions options, string? dataset, bool partial)
    {
        var choices = catalog.All.Where(d => policy.DecideContribution(caller, d, now).Allowed).Select(d => new Choice(d.Id, PageText.Pick(d.Title, d.Id))).ToList();
        return new UploadModel("/upload", choices, choices.Any(c => c.Value == dataset) ? dataset : choices.FirstOrDefault()?.Value, partial, MaxOf(options));
    }

    private static async Task<IResult> UploadAsync(
        HttpContext http, Guid? live, Catalog catalog, CallerAccessor callers, PolicyEngine policy, IntakeService intake, World world, NodeOptions options, RecordStore records,
        Sequencer sequencer, LiveUploads uploads, TimeProvider clock, CancellationToken cancel)
    {
        var caller = callers.Required;
        var watched = live is { } upload ? uploads.Find(caller.Party, upload) : null;
        try
        {
            return await ReceiveAsync(http, caller, watched, catalog, policy, intake, world, options, records, sequencer, clock, cancel).ConfigureAwait(false);
        }
        finally
        {
            watched?.Finish();
        }
    }

    private static async Task<IResult> ReceiveAsync(
        HttpContext http, Caller caller, LiveUploads.Watched? watched, Catalog catalog, PolicyEngine policy, IntakeService intake, World world, NodeOptions options,
        RecordStore records, Sequencer sequencer, TimeProvider clock, CancellationToken cancel)
    {
        var form = await http.Request.ReadFormAsync(cancel).ConfigureAwait(false);
        var partial = form["mode"] == "partial";
        var model = Form(catalog, caller, policy, clock.GetUtcNow(), options, form["dataset"], partial);
        if (catalog.Find(form["dataset"].ToString()) is not { } dataset || !policy.DecideContribution(caller, dataset, clock.GetUtcNow()).Allowed)
            return Wrong(http, model, "dataset", PageText.Of("Upload.NoDataset"));
        if (form.Files["file"] is not { Length: > 0 } file)
            return Wrong(http, model, "file", PageText.Of("Upload.NoFile"));
        if (file.Length > MaxOf(options))
            return Wrong(http, model, "file", PageText.Of("Upload.TooLarge", MaxOf(options) >> 20));

        watched?.Say(e => new(e.Field is null ? PageText.Of("Upload.Row", e.Row) : PageText.Of("Upload.RowField", e.Row, e.Field), e.Message));
        var sent = await SendAsync(file, dataset, caller, partial, watched, intake, world, cancel).ConfigureAwait(false);
        var name = file.FileName.Length <= 200 ? file.FileName : file.FileName[..200];
        var title = PageText.Pick(dataset.Title, dataset.Id);
        if (!sent.Ok)
        {
            // Refused for its rows: the report names them. Refused as a whole: the sentence belongs to the file.
            if (sent.Problem.Extensions.GetValueOrDefault("errors") is not IReadOnlyList<RowError> errors)
                return Wrong(http, model, "file", ProblemWriting.Translate(sent.Problem, CultureInfo.CurrentUICulture).Detail);
            long Count(string what) => sent.Problem.Extensions.GetValueOrDefault(what) as long? ?? 0;
            var refused = new UploadReport(
                name, title, partial, Count("rowCount") - Count("rejectedCount"), Count("rejectedCount"), 0, Rejects(errors, RejectsShown), RejectsFile(errors), null, null,
                clock.GetUtcNow(), null, Faults: Count("errorCount"));
            return Portal.Page<UploadView>(http, Shown.Ready(model with { Report = refused }), StatusCodes.Status422UnprocessableEntity);
        }
        var batch = sent.Value.Batch;
        await WaitForProofAsync(sequencer, batch, cancel).ConfigureAwait(false);
        var size = sequencer.Log.Head.Size;
        var seal = records.LedgerIndex(batch.Entry) is { } index && index < size
            ? new SealModel(SealSubject.Batch, index, size, null, Convert.ToBase64String(batch.Root), 0, "/ledger/proof/" + index.ToString(CultureInfo.InvariantCulture))
            : new SealModel(SealSubject.Batch, null);
        var receipt = $"/api/v1/receipts/{batch.Id}";
        var report = new UploadReport(
            name, title, partial, batch.Rows, batch.Rejected, batch.Rows, Rejects(sent.Value.Errors, RejectsShown), batch.Rejected > 0 ? receipt + "/rejects" : null,
            batch.Id.ToString(), receipt, batch.Received, seal, sent.Value.Repeated, sent.Value.ErrorCount, "/data/" + dataset.Id);
        return Portal.Page<UploadView>(http, Shown.Ready(model with { Report = report }));
    }

    /// <summary>The ledger takes entries in within moments; waiting for it shows the proof with the receipt instead of asking people to come back.</summary>
    private static async Task WaitForProofAsync(Sequencer sequencer, Batch batch, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(ProofWait);
        try
        {
            await sequencer.WaitAsync(batch.Entry, limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            // The records are kept; the page says that the proof is still to come.
        }
    }

    private static async Task<Result<IntakeReceipt>> SendAsync(
        IFormFile file, Dataset dataset, Caller caller, bool partial, LiveUploads.Watched? watched, IntakeService intake, World world, CancellationToken cancel)
    {
        // The same file sent twice (an impatient second tap, a reload) answers the first receipt.
        byte[] digest;
        var whole = file.OpenReadStream();
        await using (whole.ConfigureAwait(false))
            digest = await SHA256.HashDataAsync(whole, cancel).ConfigureAwait(false);
        ICellSource source;
        try
        {
            source = await CellSources.OpenAsync(file.OpenReadStream(), file.ContentType, file.FileName, RowReader.ColumnsOf(dataset), world.SpoolDirectory,
                new SourceOptions { CollectFaults = partial, FreeBytesMin = world.FreeBytesMin, Workbooks = intake.Workbooks }, cancel).ConfigureAwait(false);
        }
        catch (SourceFormatException e)
        {
            return e.ToProblem();
        }
        catch (IntakeBusyException)
        {
            return IntakeBusyException.Problem;
        }
        await using (source.ConfigureAwait(false))
        {
            return await intake.ContributeAsync(new Contribution
            {
                Dataset = dataset,
                Contributor = caller.Party,
                Source = source,
                Mode = partial ? IntakeMode.Partial : IntakeMode.All,
                IdempotencyKey = $"page:{dataset.Id}:{(partial ? "partial" : "all")}:{Convert.ToHexStringLower(digest)[..40]}",
                Origin = "page",
                Progress = watched,
            }, cancel).ConfigureAwait(false);
        }
    }

    private static IReadOnlyList<RejectItem> Rejects(IReadOnlyList<RowError> errors, int most) =>
        [.. errors.Take(most).Select(e => new RejectItem(e.Row, e.Field, e.Code, e.Message))];

    /// <summary>The faults of a file that was refused as a whole. Nothing of it is kept on the node, so the list travels inside the page.</summary>
    private static string RejectsFile(IReadOnlyList<RowError> errors)
    {
        // The byte order mark makes spreadsheet programs read the file as UTF-8.
        var text = new StringBuilder("\uFEFFrow,field,code,message\r\n");
        foreach (var e in Rejects(errors, int.MaxValue))
            text.Append(CultureInfo.InvariantCulture, $"{e.Row},{Quoted(e.Field)},{e.Code},{Quoted(e.Message)}\r\n");
        return "data:text/csv;charset=utf-8;base64," + Convert.ToBase64String(Encoding.UTF8.GetBytes(text.ToString()));
    }

    private static string Quoted(string? text) => "\"" + (text ?? "").Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";

    private static IResult Wrong(HttpContext http, UploadModel model, string field, string message) =>
        Portal.Page<UploadView>(http, Shown.Ready(model with { Errors = [new FieldError(field, message)] }), StatusCodes.Status422UnprocessableEntity);
}
