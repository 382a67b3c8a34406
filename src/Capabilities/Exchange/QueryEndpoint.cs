using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Query;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>POST /api/v1/query</c>: governed reading. Open to callers without an account for open data.</summary>
internal static class QueryEndpoint
{
    public static void MapQuery(this IEndpointRouteBuilder app) =>
        app.MapPost("/api/v1/query", QueryAsync).WithName("query").AllowAnonymous().AcceptsBody(QueryRequest.MaxBytes).AnswersLong().DisableAntiforgery();

    private static async Task QueryAsync(HttpContext http, GovernedQuery query, CallerAccessor callers, CancellationToken cancel)
    {
        var accept = http.Request.Headers.Accept.ToString();
        QueryFormat? format = accept switch
        {
            "" or "*/*" => QueryFormat.Json,
            _ when accept.Contains("application/x-ndjson", StringComparison.OrdinalIgnoreCase) => QueryFormat.Ndjson,
            _ when accept.Contains("text/csv", StringComparison.OrdinalIgnoreCase) => QueryFormat.Csv,
            _ when accept.Contains("application/vnd.apache.arrow.stream", StringComparison.OrdinalIgnoreCase) => QueryFormat.Arrow,
            _ when accept.Contains("application/vnd.apache.parquet", StringComparison.OrdinalIgnoreCase) => QueryFormat.Parquet,
            _ when accept.Contains("json", StringComparison.OrdinalIgnoreCase) || accept.Contains("*/*", StringComparison.Ordinal) => QueryFormat.Json,
            _ => null,
        };
        if (format is not { } chosen)
        {
            await HostProblems.NotAcceptable.ToResult().ExecuteAsync(http).ConfigureAwait(false);
            return;
        }
        var request = await QueryRequest.ParseAsync(http.Request.Body, chosen, cancel).ConfigureAwait(false);
        if (!request.Ok)
        {
            await request.Problem.ToResult().ExecuteAsync(http).ConfigureAwait(false);
            return;
        }
        var caller = callers.Current ?? Caller.Nobody;
        var answer = await query.RunAsync(caller, request.Value, cancel, http.Connection.RemoteIpAddress?.ToString()).ConfigureAwait(false);
        if (!answer.Ok)
        {
            await answer.Problem.ToResult().ExecuteAsync(http).ConfigureAwait(false);
            return;
        }
        using (answer.Value)
        {
            http.Response.ContentType = QueryWriter.MediaType(chosen);
            http.Response.Headers.CacheControl = "no-store";
            http.Response.Headers["Gongzhi-Access"] = answer.Value.Access.ToString();
            http.Response.Headers["Gongzhi-Grant"] = answer.Value.Grant;
            var spreadsheet = http.Request.Query["for"] == "spreadsheet";
            await QueryWriter.WriteAsync(answer.Value.Reader, http.Response.Body, chosen, answer.Value.Access.ToString(), spreadsheet, cancel).ConfigureAwait(false);
        }
    }
}
