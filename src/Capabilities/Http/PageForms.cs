using Microsoft.AspNetCore.Antiforgery;

namespace Gongzhi.Capabilities.Http;

/// <summary>What every form of a page has in common.</summary>
public static class PageForms
{
    /// <summary>The form carries the token of a page we served, and is not larger than its route takes.</summary>
    public static async ValueTask<object?> RequireToken(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        if (!http.Request.HasFormContentType)
            return HostProblems.MediaType.ToResult();
        var limit = http.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpMaxRequestBodySizeFeature>()?.MaxRequestBodySize;
        if (http.Request.ContentLength > limit)
            return HostProblems.TooLarge.ToResult();
        try
        {
            // Read here, so that a body that is too large or broken is told apart from a token that is wrong.
            await http.Request.ReadFormAsync(http.RequestAborted).ConfigureAwait(false);
        }
        catch (InvalidDataException)
        {
            return HostProblems.Malformed.ToResult();
        }
        return await http.RequestServices.GetRequiredService<IAntiforgery>().IsRequestValidAsync(http).ConfigureAwait(false)
            ? await next(context).ConfigureAwait(false)
            : HostProblems.Antiforgery.ToResult();
    }
}
