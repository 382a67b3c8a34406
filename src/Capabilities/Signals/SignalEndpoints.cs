using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Signals;

namespace Gongzhi.Capabilities.Signals;

/// <summary><c>/api/v1/signals</c>: for stewards those about their units' datasets, for audit administrators all. <c>/api/v1/analyses</c>: how far each is.</summary>
internal static class SignalEndpoints
{
    public static void MapSignalRoutes(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/signals", List).WithName("listSignals").RequireCaller().Produces<SignalList>().ProducesProblem(400);
        app.MapGet("/api/v1/analyses", Progress).WithName("listAnalyses").RequireCaller(Core.Parties.Roles.AuditAdministrator, Core.Parties.Roles.SystemAdministrator).Produces<AnalysisList>().ProducesProblem(403);
    }

    private static IResult List(
        string? dataset, string? analysis, string? state, string? severity, Guid? cursor, int? limit, Core.Signals.Signals signals, CallerAccessor callers, HttpContext http)
    {
        var most = Paging.Limit(limit, Core.Signals.Signals.PageDefault, Core.Signals.Signals.PageMax);
        if (!most.Ok)
            return most.Problem.ToResult();
        if (state is not (null or "open" or "ended"))
            return Problem.BadRequest("signals.filter", "The state is open or ended.").ToResult();
        SignalSeverity? least = severity switch { null => null, "notice" => SignalSeverity.Notice, "warning" => SignalSeverity.Warning, "alarm" => SignalSeverity.Alarm, _ => 0 };
        if (least == 0)
            return Problem.BadRequest("signals.filter", "The severity is notice, warning or alarm.").ToResult();
        var page = signals.List(callers.Required, new SignalFilter(dataset, analysis, state is null ? null : state == "open", least, cursor, most.Value));
        Guid? next = page.Count == most.Value ? page[^1].Signal.Id : null;
        if (next is { } more)
            Paging.LinkNext(http, more.ToString());
        return Results.Json(new SignalList([.. page.Select(Listed)], next));
    }

    private static IResult Progress(AnalysisRunner runner, Sequencer sequencer) =>
        Results.Json(new AnalysisList(sequencer.Log.Head.Size, [.. runner.Progress().Select(p => new ListedAnalysis(p.Analysis, p.Shard, p.Version, p.Next, p.Parked))]));

    private static ListedSignal Listed(SignalView view)
    {
        var (signal, words) = (view.Signal, SignalWords.Of(view.Signal));
        using var json = JsonDocument.Parse(view.Content);
        return new(
            signal.Id, signal.Analysis, signal.Kind, signal.Severity, view.Dataset, signal.Unit, signal.Place, words.Chinese, words.English, signal.FirstIndex, signal.LastIndex, signal.Raised, signal.Ended,
            view.Entry, json.RootElement.Clone(), Convert.ToBase64String(view.Salt));
    }

    /// <param name="Signals">The newest first.</param>
    /// <param name="Next">The cursor of the next page.</param>
    internal sealed record SignalList(IReadOnlyList<ListedSignal> Signals, Guid? Next);

    /// <param name="Entry">Index of the ledger entry that commits to <paramref name="Content"/> with <paramref name="Salt"/>.</param>
    internal sealed record ListedSignal(
        Guid Id, string Analysis, string Kind, SignalSeverity Severity, string Dataset, string? Unit, string? Place, string Zh, string En, long FirstIndex, long LastIndex, DateTimeOffset Raised,
        DateTimeOffset? Ended, long? Entry, JsonElement Content, string Salt);

    /// <param name="Size">Entries of the log.</param>
    internal sealed record AnalysisList(long Size, IReadOnlyList<ListedAnalysis> Analyses);

    /// <param name="Next">Entries below this were taken in. It is written at the latest when 10,000 more entries were looked at, so it may lag behind.</param>
    internal sealed record ListedAnalysis(string Analysis, int Shard, int Version, long Next, string? Parked);
}
