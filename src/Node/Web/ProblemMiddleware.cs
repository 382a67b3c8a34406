using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Microsoft.AspNetCore.Connections;

namespace Gongzhi.Node.Web;

/// <summary>
/// Turns whatever leaves the pipeline without a body, or by an exception, into a problem. Bad input is the caller's (4xx), a store
/// that cannot take changes is "try again" (503), and the rest is ours (500): logged in full, told in one sentence.
/// </summary>
internal sealed class ProblemMiddleware(RequestDelegate next, ILogger<ProblemMiddleware> log)
{
    public async Task InvokeAsync(HttpContext http)
    {
        try
        {
            await next(http).ConfigureAwait(false);
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            // Nobody is there any more to read an answer.
            return;
        }
        catch (Exception e)
        {
            var problem = From(e);
            if (problem.Status == 500)
                log.LogError(e, "A request to {Route} failed", http.GetEndpoint()?.DisplayName ?? "no route");
            else if (problem.Status is 503 or 507)
                log.LogWarning(e, "A request to {Route} could not be served", http.GetEndpoint()?.DisplayName ?? "no route");
            if (http.Response.HasStarted)
            {
                // Half an answer must not look like a whole one.
                http.Abort();
                return;
            }
            http.Response.Clear();
            SecurityHeaders.Apply(http);
            await ProblemWriting.WriteAsync(http, problem).ConfigureAwait(false);
            return;
        }

        var response = http.Response;
        if (response.StatusCode >= 400 && !response.HasStarted && response.ContentLength is null
            && string.IsNullOrEmpty(response.ContentType))
            await ProblemWriting.WriteAsync(http, HostProblems.For(response.StatusCode)).ConfigureAwait(false);
    }

    internal static Problem From(Exception e) => e switch
    {
        BadHttpRequestException bad => HostProblems.For(bad.StatusCode),
        not WriterStoppedException when StorageFull.Is(e) => HostProblems.StorageFull,
        ReadOnlyException => HostProblems.ReadOnly,
        StoreUnavailableException => HostProblems.StoreUnavailable,
        WriterStoppedException => HostProblems.NodeStopped,
        // Busy, locked, away: the library stores meet the same states as the writer.
        _ when StoreFaults.IsUnavailable(e) => HostProblems.StoreUnavailable,
        ConnectionAbortedException or ConnectionResetException => HostProblems.Malformed,
        RecordsCorruptException corrupt => new Problem("records.corrupt", 500, corrupt.Message),
        _ => HostProblems.Internal,
    };
}
