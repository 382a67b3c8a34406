using System.Globalization;
using System.Threading.RateLimiting;
using Gongzhi.Capabilities.Http;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity.External;
using Gongzhi.Node.Tokens;
using Microsoft.AspNetCore.RateLimiting;

namespace Gongzhi.Node.Web;

/// <summary>
/// Token buckets in two places: before anyone is known, by address, strict where passwords and secrets are tried; and once a
/// caller is known, by party. Numbers come from <see cref="NodeOptions"/> and stand in docs/contracts/configuration.md.
/// </summary>
internal static class RateLimits
{
    /// <summary>Before authentication: tries of secrets by address.</summary>
    public static RateLimiterOptions ForSecrets(NodeOptions options) => Make(http =>
    {
        var path = http.Request.Path;
        var address = ReaderAddress.Of(http);
        // What the provider's answer carries is tried like a password, although it comes by GET.
        if (path.StartsWithSegments(ExternalSetup.CallbackPath))
            return PerMinute("sign-in " + address, options.SignInsPerMinute);
        if (!HttpMethods.IsPost(http.Request.Method))
            return Unlimited();
        if (path.StartsWithSegments("/account"))
            return PerMinute("sign-in " + address, options.SignInsPerMinute);
        return path.StartsWithSegments("/connect") ? PerMinute("token " + address, options.TokensPerMinute) : Unlimited();
    });

    /// <summary>After authentication: a signed-in party by itself, everyone else by address.</summary>
    public static RateLimiterOptions ForCallers(NodeOptions options) => Make(http =>
    {
        if (http.Request.Path.StartsWithSegments("/health"))
            return Unlimited();
        return http.User.FindFirst(PartyClaims.Party)?.Value is { } party
            ? PerSecond("party " + party, options.CallerRequestsPerSecond)
            : PerSecond("address " + ReaderAddress.Of(http), options.AddressRequestsPerSecond);
    });

    private static RateLimiterOptions Make(Func<HttpContext, RateLimitPartition<string>> partition) => new()
    {
        GlobalLimiter = PartitionedRateLimiter.Create(partition),
        OnRejected = async (context, _) =>
        {
            var wait = context.Lease.TryGetMetadata(MetadataName.RetryAfter, out var after) ? Math.Max(1, (int)Math.Ceiling(after.TotalSeconds)) : 1;
            context.HttpContext.Response.Headers.RetryAfter = wait.ToString(CultureInfo.InvariantCulture);
            await ProblemWriting.WriteAsync(context.HttpContext, HostProblems.RateLimited).ConfigureAwait(false);
        },
    };

    private static RateLimitPartition<string> Unlimited() => RateLimitPartition.GetNoLimiter("");

    private static RateLimitPartition<string> PerMinute(string key, int perMinute) => perMinute == 0 ? Unlimited()
        : RateLimitPartition.GetTokenBucketLimiter(key, _ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = perMinute,
            TokensPerPeriod = perMinute,
            ReplenishmentPeriod = TimeSpan.FromMinutes(1),
            QueueLimit = 0,
        });

    private static RateLimitPartition<string> PerSecond(string key, int perSecond) => perSecond == 0 ? Unlimited()
        : RateLimitPartition.GetTokenBucketLimiter(key, _ => new TokenBucketRateLimiterOptions
        {
            TokenLimit = perSecond * 2,
            TokensPerPeriod = perSecond,
            ReplenishmentPeriod = TimeSpan.FromSeconds(1),
            QueueLimit = 0,
        });
}
