using System.Security.Cryptography;

namespace Gongzhi.Node.Web;

/// <summary>Headers every answer carries. The policy lets pages load only what this node serves and run no inline script.</summary>
public static class SecurityHeaders
{
    private static readonly object NonceKey = new();

    /// <summary>A page that must carry one inline script (the API reference) marks it with this; new for each request.</summary>
    public static string Nonce(HttpContext http)
    {
        if (http.Items[NonceKey] is not string nonce)
            http.Items[NonceKey] = nonce = Convert.ToBase64String(RandomNumberGenerator.GetBytes(16));
        return nonce;
    }

    internal static IApplicationBuilder UseSecurityHeaders(this IApplicationBuilder app) => app.Use((http, next) =>
    {
        Apply(http);
        return next(http);
    });

    internal static void Apply(HttpContext http)
    {
        var path = http.Request.Path;
        var headers = http.Response.Headers;
        var script = path.StartsWithSegments("/docs/api") ? $"'self' 'nonce-{Nonce(http)}'" : "'self'";
        // Browsers hold a form's redirects to form-action as well, and signing in for another site's client ends in a redirect there.
        var forms = path.StartsWithSegments("/account") || path.StartsWithSegments("/connect") ? "" : " form-action 'self';";
        headers.ContentSecurityPolicy =
            $"default-src 'self'; script-src {script}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
            + $"object-src 'none'; base-uri 'self';{forms} frame-ancestors 'none'";
        headers.XContentTypeOptions = "nosniff";
        headers.XFrameOptions = "DENY";
        headers["Referrer-Policy"] = "same-origin";
        headers["Permissions-Policy"] = "camera=(), microphone=(), payment=(), usb=(), geolocation=(self)";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        if (path.StartsWithSegments("/api") || path.StartsWithSegments("/account") || path.StartsWithSegments("/connect"))
            headers.CacheControl = "no-store";
        if (http.Request.IsHttps)
            headers.StrictTransportSecurity = "max-age=31536000";
    }
}
