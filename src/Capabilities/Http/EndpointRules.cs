using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Gongzhi.Capabilities.Http;

/// <summary>The largest contribution of records this node takes, as its operator set it.</summary>
public sealed record UploadLimits(long BytesMax);

/// <summary>The roles of which a route wants one; none: whoever is signed in.</summary>
public sealed record CallerRoles(IReadOnlyList<string> Roles);

/// <summary>The body a route reads itself, for the description of the interface. <see cref="Stream"/>: bytes.</summary>
public sealed record BodyShape(Type Shape, IReadOnlyList<string> ContentTypes);

/// <summary>What a route says about itself; a test demands these of every route.</summary>
public static class EndpointRules
{
    public const string UploadTimeout = "upload";

    /// <summary>Signed in (token or session), the party still there, and holding one of <paramref name="roles"/> if any are named.</summary>
    public static T RequireCaller<T>(this T builder, params string[] roles) where T : IEndpointConventionBuilder
    {
        builder.WithMetadata(new CallerRoles(roles));
        builder.RequireAuthorization(policy => policy.RequireAuthenticatedUser().RequireAssertion(context =>
        {
            if (context.Resource is not HttpContext http)
                return false;
            var caller = http.RequestServices.GetRequiredService<CallerAccessor>().Current;
            return caller is not null && (roles.Length == 0 || roles.Any(caller.Has));
        }));
        return builder;
    }

    /// <summary>For every caller, and for a client that is suspended; the handler says what the latter may do.</summary>
    public static T RequireCallerOrSuspendedClient<T>(this T builder) where T : IEndpointConventionBuilder
    {
        builder.WithMetadata(new CallerRoles([]));
        builder.RequireAuthorization(policy => policy.RequireAuthenticatedUser().RequireAssertion(context =>
            context.Resource is HttpContext http && http.RequestServices.GetRequiredService<CallerAccessor>() is var callers && (callers.Current ?? callers.Suspended) is not null));
        return builder;
    }

    /// <summary>The largest body this route takes, in bytes. Every route that changes something states one.</summary>
    public static T AcceptsBody<T>(this T builder, long bytesMax) where T : IEndpointConventionBuilder =>
        builder.WithMetadata(new BodyLimit(bytesMax));

    /// <summary>A route that takes a stream of records: the large limit, the long time-out, and a slower pace than forms must keep.</summary>
    public static T AcceptsUpload<T>(this T builder, UploadLimits limits) where T : IEndpointConventionBuilder =>
        builder.WithMetadata(new BodyLimit(limits.BytesMax), new SlowBody(), new RequestTimeoutAttribute(UploadTimeout));

    /// <summary>What the body of a route is that reads it itself. It is described and not enforced: the handler refuses what it cannot read, by name.</summary>
    public static T TakesBody<T>(this T builder, Type shape, params string[] contentTypes) where T : IEndpointConventionBuilder =>
        builder.WithMetadata(new BodyShape(shape, contentTypes.Length == 0 ? ["application/json"] : contentTypes));

    /// <summary>A route that answers with a stream (a download): the long time-out.</summary>
    public static T AnswersLong<T>(this T builder) where T : IEndpointConventionBuilder =>
        builder.WithMetadata(new RequestTimeoutAttribute(UploadTimeout));

    /// <summary>An upload over a poor line may pause: 240 bytes a second after a minute's grace, against 240 after 5 s elsewhere.</summary>
    public static IApplicationBuilder UseSlowBodies(this IApplicationBuilder app) => app.Use((http, next) =>
    {
        if (http.GetEndpoint()?.Metadata.GetMetadata<SlowBody>() is not null && http.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
            rate.MinDataRate = new Microsoft.AspNetCore.Server.Kestrel.Core.MinDataRate(240, TimeSpan.FromMinutes(1));
        return next(http);
    });

    private sealed class SlowBody;

    private sealed record BodyLimit(long? MaxRequestBodySize) : IRequestSizeLimitMetadata;
}
