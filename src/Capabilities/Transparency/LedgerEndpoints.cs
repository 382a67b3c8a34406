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
        app.MapGet("/ledger/tile/{**path}", async Task<IResult> (string path, World world, ITileSource files, HttpContext http, CancellationToken cancel) =>
        {
            // Only what parses as a tile's path is looked for, so no path leads out of the directory.
            var name = "tile/" + path;
            if (!TilePath.TryParse(name, out _))
                return HostProblems.Unknown.ToResult();
            var file = world.Database is null ? Path.Combine(world.LedgerDirectory, name) : null;
            var content = file is null ? await files.ReadAsync(name, EntryBundle.BytesMax, cancel) : null;
            if (file is null ? content is null : !File.Exists(file))
                return HostProblems.Unknown.ToResult();
            http.Response.Headers.CacheControl = "public, max-age=31536000, immutable";
            return file is null ? Results.Bytes(content!, "application/octet-stream") : Results.File(file, "application/octet-stream");
        }).WithName("ledgerTile").AllowAnonymous();
    }
}
