using Gongzhi.Capabilities.Http;

namespace Gongzhi.Node.Web;

/// <summary>
/// Refuses changes asked for by another origin under a session cookie. SameSite=Lax alone is not enough: two nodes on one
/// machine are the same site to a browser (ports do not count), but never the same origin.
/// </summary>
internal static class SameOrigin
{
    public static IApplicationBuilder UseSameOrigin(this IApplicationBuilder app) => app.Use(async (http, next) =>
    {
        var request = http.Request;
        var safe = HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method);
        // A bearer token is never sent by a browser on its own, so such requests cannot be forged across sites.
        if (!safe && request.Headers.Cookie.Count > 0 && request.Headers.Authorization.Count == 0 && IsForeign(request))
        {
            await ProblemWriting.WriteAsync(http, HostProblems.CrossSite).ConfigureAwait(false);
            return;
        }
        await next(http).ConfigureAwait(false);
    });

    private static bool IsForeign(HttpRequest request)
    {
        var site = request.Headers["Sec-Fetch-Site"].ToString();
        if (site.Length > 0)
            return site is not ("same-origin" or "none");
        var origin = request.Headers.Origin.ToString();
        return origin.Length > 0 && !string.Equals(origin, $"{request.Scheme}://{request.Host}", StringComparison.OrdinalIgnoreCase);
    }
}
