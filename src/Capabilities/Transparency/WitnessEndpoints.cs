using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Witnessing;
using Gongzhi.Ledger;

namespace Gongzhi.Capabilities.Transparency;

/// <summary>This node as a witness of other nodes' logs (C2SP tlog-witness), and what its own witnesses have cosigned.</summary>
internal static class WitnessEndpoints
{
    public static void MapWitness(this IEndpointRouteBuilder app)
    {
        app.MapPost("/witness/add-checkpoint", async Task<IResult> (HttpContext http, Witness witness, CancellationToken cancel) =>
        {
            using var body = new MemoryStream();
            await http.Request.Body.CopyToAsync(body, cancel);
            var answer = await witness.AddCheckpointAsync(body.ToArray(), cancel);
            return answer.Outcome switch
            {
                WitnessOutcome.Cosigned => Results.Text(answer.Body),
                WitnessOutcome.Conflict => Results.Text(answer.Body, WitnessRequest.SizeMediaType, statusCode: StatusCodes.Status409Conflict),
                WitnessOutcome.UnknownLog => WitnessProblems.UnknownLog.ToResult(),
                WitnessOutcome.NotSigned => WitnessProblems.NotSigned.ToResult(),
                WitnessOutcome.NotContinued => WitnessProblems.NotContinued.ToResult(),
                _ => HostProblems.Malformed.ToResult(),
            };
        }).WithName("witnessAddCheckpoint").AcceptsBody(WitnessRequest.BytesMax).TakesBody(typeof(Stream), "text/plain").AllowAnonymous();
        app.MapGet("/witness/vkey", (Witness witness) => Results.Text(witness.Verifier + "\n")).WithName("witnessKey").AllowAnonymous();
        app.MapGet("/witness/{folder}/checkpoint", async Task<IResult> (string folder, Witness witness, WitnessedLogs logs, HttpContext http, CancellationToken cancel) =>
        {
            if (witness.Origins.FirstOrDefault(origin => WitnessRequest.Folder(origin) == folder) is not { } followed || await logs.FindAsync(followed, cancel) is not { } note)
                return HostProblems.Unknown.ToResult();
            http.Response.Headers.CacheControl = "no-cache";
            return Results.Bytes(note, "text/plain; charset=utf-8");
        }).WithName("witnessCheckpoint").AllowAnonymous();
        app.MapGet("/ledger/witnessed", (CosignedCheckpoint cosigned, HttpContext http) =>
        {
            http.Response.Headers.CacheControl = "no-cache";
            return cosigned.Find() is { } found ? Results.Bytes(found.Note, "text/plain; charset=utf-8") : HostProblems.Unknown.ToResult();
        }).WithName("ledgerWitnessed").AllowAnonymous();
    }
}

/// <summary>Why a checkpoint is not cosigned; the statuses are the protocol's.</summary>
public static class WitnessProblems
{
    public static readonly Problem UnknownLog = new("witness.unknownLog", 404, "This node is no witness of a log of that origin.");
    public static readonly Problem NotSigned = new("witness.notSigned", 403, "The checkpoint is not signed by the key under which this log is known here.");
    public static readonly Problem NotContinued = new("witness.notContinued", 422, "The proof does not show that the checkpoint continues the newest one that was cosigned.");
}
