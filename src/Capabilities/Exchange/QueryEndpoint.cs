using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Query;

namespace Gongzhi.Capabilities.Exchange;

/// <summary><c>POST /api/v1/query</c>: governed reading. Open to callers without an account for open data.</summary>
internal static class QueryEndpoint
{
    public static void MapQuery(this IEndpointRouteBuilder app) =>
        app.MapPost("/api/v1/query", QueryAsync).WithName("query").AllowAnonymous().AcceptsBody(QueryRequest.MaxBytes).AnswersLong().TakesBody(typeof(QueryBody))
            .Produces<QueryAnswer>(200, "application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream",
                "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
            .ProducesProblem(400).ProducesProblem(403).ProducesProblem(406).ProducesProblem(422).ProducesProblem(503).DisableAntiforgery();

    private static readonly QueryFormat[] Formats = [QueryFormat.Json, QueryFormat.Ndjson, QueryFormat.Csv, QueryFormat.Parquet, QueryFormat.Arrow, QueryFormat.Xlsx];

    private static readonly string[] MediaTypes = [.. Formats.Select(f => QueryWriter.MediaType(f).Split(';')[0])];

    private static async Task QueryAsync(HttpContext http, GovernedQuery query, CallerAccessor callers, CancellationToken cancel)
    {
        var best = Accepted.Best(http.Request, MediaTypes);
        if (best is not { } at)
        {
            await HostProblems.NotAcceptable.ToResult().ExecuteAsync(http).ConfigureAwait(false);
            return;
        }
        var chosen = Formats[at];
        var request = await QueryRequest.ParseAsync(http.Request.Body, chosen, cancel).ConfigureAwait(false);
        if (!request.Ok)
        {
            await request.Problem.ToResult().ExecuteAsync(http).ConfigureAwait(false);
            return;
        }
        var caller = callers.Current ?? Caller.Nobody;
        var answer = await query.RunAsync(caller, request.Value, cancel, ReaderAddress.Of(http)).ConfigureAwait(false);
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
            try
            {
                await QueryWriter.WriteAsync(answer.Value.Reader, http.Response.Body, chosen, answer.Value.Access.ToString(), spreadsheet, cancel).ConfigureAwait(false);
            }
            catch (AnswerSpoolException e)
            {
                await e.Problem.ToResult().ExecuteAsync(http).ConfigureAwait(false);
            }
            catch (WorkbookCellException e)
            {
                await Problem.Invalid("query.cell", e.Message, $"{e.Column} 列中有文本超过工作簿单元格所能容纳的长度，请改用其他格式。").ToResult().ExecuteAsync(http).ConfigureAwait(false);
            }
        }
    }
}
