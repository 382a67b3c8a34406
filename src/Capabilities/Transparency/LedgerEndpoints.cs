using System.Text;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Ledger;

namespace Gongzhi.Capabilities.Transparency;

/// <summary>The public log as C2SP tlog-tiles: <c>/ledger/checkpoint</c>, <c>/ledger/tile/…</c>, and its key.</summary>
internal static class LedgerEndpoints
{
    public static void MapLedger(this IEndpointRouteBuilder app)
    {
        app.MapGet("/ledger/checkpoint", (Sequencer sequencer, HttpContext http) =>
        {
            http.Response.Headers.CacheControl = "no-cache";
            return Results.Bytes(sequencer.Log.CurrentCheckpoint, "text/plain; charset=utf-8");
        }).WithName("ledgerCheckpoint").AllowAnonymous();
        app.MapGet("/ledger/vkey", (Sequencer sequencer) => Results.Text(sequencer.Log.Verifier + "\n")).WithName("ledgerKey").AllowAnonymous();
        app.MapGet("/ledger/succession/{number:int:min(1)}", (int number, World world) =>
            LedgerEvents.List(world).Where(e => e.Kind == LedgerEventKind.Succession).ElementAtOrDefault(number - 1) is { } found
                ? Results.Bytes(found.Content, "text/plain; charset=utf-8") : HostProblems.Unknown.ToResult())
            .WithName("ledgerSuccession").AllowAnonymous();
        app.MapGet("/ledger/events", (World world) => new LedgerEventList([.. LedgerEvents.List(world).Select(e => new LedgerEventShape(e.Kind, e.Index, Encoding.UTF8.GetString(e.Content)))]))
            .WithName("ledgerEvents").AllowAnonymous();
        app.MapGet("/ledger/tile/{**path}", async Task<IResult> (string path, ITileSource files, HttpContext http, CancellationToken cancel) =>
        {
            // Only what parses as a tile's path is looked for, so no path leads out of the directory.
            var name = "tile/" + path;
            if (!TilePath.TryParse(name, out _))
                return HostProblems.Unknown.ToResult();
            if (await files.ReadAsync(name, EntryBundle.BytesMax, cancel) is not { } content)
                return HostProblems.Unknown.ToResult();
            http.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
            return Results.Bytes(content, "application/octet-stream");
        }).WithName("ledgerTile").AllowAnonymous();
    }
}

/// <summary>What was done to the log itself after a loss, oldest first.</summary>
internal sealed record LedgerEventList(IReadOnlyList<LedgerEventShape> Events);

/// <param name="Kind"><c>recovery</c> or <c>succession</c>.</param>
/// <param name="Index">The ledger entry that commits to <paramref name="Content"/>, without salt; null until it is in the log.</param>
/// <param name="Content">JSON of a recovery, the signed statement of a succession.</param>
internal sealed record LedgerEventShape(string Kind, long? Index, string Content);
