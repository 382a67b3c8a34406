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
        app.MapGet("/ledger/tile/{**path}", (string path, World world, HttpContext http) =>
        {
            // Only what parses as a tile's path is looked for, so no path leads out of the directory.
            var name = "tile/" + path;
            if (!TilePath.TryParse(name, out _) || Path.Combine(world.LedgerDirectory, name) is not { } file || !File.Exists(file))
                return HostProblems.Unknown.ToResult();
            http.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
            return Results.File(file, "application/octet-stream");
        }).WithName("ledgerTile").AllowAnonymous();
    }
}
