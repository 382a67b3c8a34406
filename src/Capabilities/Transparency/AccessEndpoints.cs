using System.Text.Json;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;

namespace Gongzhi.Capabilities.Transparency;

/// <summary><c>/api/v1/accesses</c>: who read what. Readers see their own, stewards those of their units' datasets, audit administrators all.</summary>
internal static class AccessEndpoints
{
    public static void MapAccesses(this IEndpointRouteBuilder app)
    {
        app.MapGet("/api/v1/accesses", List).WithName("listAccesses").RequireCaller().Produces<AccessList>().ProducesProblem(400);
        app.MapGet("/api/v1/accesses/{id:guid}", OneAsync).WithName("getAccess").RequireCaller().Produces<Opened>().ProducesProblem(404);
    }

    private static IResult List(
        string? dataset, string? reader, DateTimeOffset? from, DateTimeOffset? to, Guid? before, Guid? cursor, int? limit, Accesses accesses, CallerAccessor callers, HttpContext http)
    {
        var most = Paging.Limit(limit, Accesses.PageDefault, Accesses.PageMax);
        if (!most.Ok)
            return most.Problem.ToResult();
        var page = accesses.List(callers.Required, new AccessFilter(dataset, reader, from, to, cursor ?? before, most.Value));
        Guid? next = page.Count == most.Value ? page[^1].Id : null;
        if (next is { } more)
            Paging.LinkNext(http, more.ToString());
        return Results.Json(new AccessList([.. page.Select(a => new ListedAccess(a.Id, a.Dataset, a.Reader, a.Time, a.Entry, a.Json()))], next));
    }

    /// <param name="Accesses">The newest first.</param>
    /// <param name="Next">The cursor of the next page.</param>
    internal sealed record AccessList(IReadOnlyList<ListedAccess> Accesses, Guid? Next);

    internal sealed record ListedAccess(Guid Id, string Dataset, string Reader, DateTimeOffset Time, long? Entry, JsonElement Content);

    private static async Task<IResult> OneAsync(Guid id, Accesses accesses, Sequencer sequencer, CallerAccessor callers, CancellationToken cancel) =>
        accesses.Find(callers.Required, id) is { } access
            ? Results.Json(await Opened.OfAsync(access.Content, access.Salt, access.Entry, sequencer, cancel).ConfigureAwait(false))
            : Problem.NotFound("access.unknown", "There is no access with this id, or it is not for you to see.").ToResult();

    /// <summary>A commitment of the ledger opened: SHA-256(0x00 ‖ content ‖ salt) stands in the entry, and the proof shows that the entry is in the log.</summary>
    internal sealed record Opened(string Content, string Salt, long? Index, string? Entry, string? TlogProof)
    {
        public static async Task<Opened> OfAsync(string content, byte[] salt, long? index, Sequencer sequencer, CancellationToken cancel)
        {
            if (index is not { } at || at >= sequencer.Log.Head.Size)
                return new(content, Convert.ToBase64String(salt), null, null, null);
            var entry = await sequencer.Log.ReadEntryAsync(at, cancel).ConfigureAwait(false);
            var proof = await sequencer.Log.ProveEntryAsync(at, cancel).ConfigureAwait(false);
            return new(content, Convert.ToBase64String(salt), at, Convert.ToBase64String(entry.Span), System.Text.Encoding.UTF8.GetString(proof.Encode()));
        }
    }
}
