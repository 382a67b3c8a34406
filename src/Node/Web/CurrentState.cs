using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Web;

/// <summary>Marks a route that answers from nothing that another machine could have changed.</summary>
internal sealed class AnswersAlone;

/// <summary>
/// On a machine of a cluster every request waits, before anything is decided, until what the other machines have committed is known here: whoever asks one machine after another sees what
/// he has been told, and a grant that was revoked anywhere is revoked everywhere. When the database cannot be asked the answer is 503, and not an old one.
/// </summary>
internal static class CurrentState
{
    public static void UseCurrentState(this IApplicationBuilder app)
    {
        var feed = app.ApplicationServices.GetRequiredService<NodeWriter>().Feed;
        if (!feed.Shared)
            return;
        app.Use(async (http, next) =>
        {
            if (http.GetEndpoint() is { } endpoint && endpoint.Metadata.GetMetadata<AnswersAlone>() is null)
                await feed.CurrentAsync(http.RequestAborted).ConfigureAwait(false);
            await next(http).ConfigureAwait(false);
        });
    }
}
