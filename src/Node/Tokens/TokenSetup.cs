using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Hosting;
using Microsoft.AspNetCore;
using OpenIddict.Server;
using OpenIddict.Server.AspNetCore;
using OpenIddict.Validation.AspNetCore;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Node.Tokens;

/// <summary>The node as an OpenID Connect issuer, and as the judge of its own access tokens.</summary>
internal static class TokenSetup
{
    /// <summary>Who an access token is for. Carries the world, so that a token of one is refused by another whatever the keys.</summary>
    public static string Audience(World world) => "gongzhi:" + world.Mark;

    public static void AddNodeTokens(this IServiceCollection services, NodeOptions options, World world)
    {
        services.AddOpenIddict()
            .AddCore(core => core.UseEntityFrameworkCore().UseDbContext<NodeDb>())
            .AddServer(server =>
            {
                server.SetAuthorizationEndpointUris("connect/authorize")
                    .SetTokenEndpointUris("connect/token")
                    .SetDeviceAuthorizationEndpointUris("connect/device")
                    .SetEndUserVerificationEndpointUris("connect/verify")
                    .SetUserInfoEndpointUris("connect/userinfo")
                    .SetRevocationEndpointUris("connect/revoke")
                    .SetJsonWebKeySetEndpointUris(".well-known/jwks");
                server.AllowAuthorizationCodeFlow().RequireProofKeyForCodeExchange()
                    .AllowClientCredentialsFlow()
                    .AllowDeviceAuthorizationFlow()
                    .AllowRefreshTokenFlow();
                server.RegisterScopes(Scopes.OpenId, Scopes.Profile, Scopes.OfflineAccess);
                server.RegisterClaims(PartyClaims.Party);
                server.SetAccessTokenLifetime(TimeSpan.FromMinutes(options.AccessTokenMinutes))
                    .SetRefreshTokenLifetime(TimeSpan.FromHours(options.SessionHours))
                    .SetDeviceCodeLifetime(TimeSpan.FromMinutes(10))
                    .SetUserCodeLifetime(TimeSpan.FromMinutes(10));
                // Looking whether a request is for one of these addresses compares whole URLs, which costs as much as a small report.
                server.AddEventHandler<OpenIddictServerEvents.ProcessRequestContext>(handler => handler.SetOrder(int.MinValue).UseInlineHandler(context =>
                {
                    var path = context.Transaction.GetHttpRequest()?.Path;
                    if (path is { } asked && !asked.StartsWithSegments("/connect") && !asked.StartsWithSegments("/.well-known"))
                        context.SkipRequest();
                    return default;
                }));
                server.AddSigningKey(TokenKeys.Signing(world)).AddEncryptionKey(TokenKeys.Encryption(world));
                server.DisableAccessTokenEncryption();
                if (options.PublicUrl is not null)
                    server.SetIssuer(new Uri(options.PublicUrl, UriKind.Absolute));
                var host = server.UseAspNetCore()
                    .EnableAuthorizationEndpointPassthrough()
                    .EnableTokenEndpointPassthrough()
                    .EnableEndUserVerificationEndpointPassthrough()
                    .EnableUserInfoEndpointPassthrough();
                if (options.AllowPlainHttp || NodeAddresses.AllLoopback(options.Urls))
                    host.DisableTransportSecurityRequirement();
            })
            .AddValidation(validation =>
            {
                validation.UseLocalServer();
                validation.UseAspNetCore();
                validation.AddAudiences(Audience(world));
            });
        services.AddSingleton<KeptTokens>();
        services.AddAuthentication().AddScheme<Microsoft.AspNetCore.Authentication.AuthenticationSchemeOptions, KeptTokenHandler>(KeptTokens.Scheme, null);
        services.AddHostedService<TokenPruning>();
        services.AddHttpContextAccessor();
        services.AddScoped(provider => new CallerAccessor(
            provider.GetRequiredService<IHttpContextAccessor>(), provider.GetService<PartyLookup>(), provider.GetService<SuspendedLookup>()));
    }

    /// <summary>A bearer token when one is sent, else the session cookie.</summary>
    public static string SchemeFor(HttpContext http) =>
        http.Request.Headers.Authorization.ToString().StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)
            ? KeptTokens.Scheme
            : Microsoft.AspNetCore.Identity.IdentityConstants.ApplicationScheme;
}
