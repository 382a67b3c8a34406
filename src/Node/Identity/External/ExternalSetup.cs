using System.Globalization;
using System.Net;
using System.Security.Claims;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Node.Hosting;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.OpenIdConnect;
using Microsoft.AspNetCore.Identity;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.Configuration;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;
using Microsoft.IdentityModel.Tokens;

namespace Gongzhi.Node.Identity.External;

/// <summary>
/// The node as a client of an organisation's provider: code flow with PKCE, state and nonce in cookies of the browser, protected by the keys that all machines of a cluster share. What comes
/// back is who somebody is there, and nothing else of it is used or kept.
/// </summary>
internal static class ExternalSetup
{
    public const string Scheme = "provider";

    /// <summary>Where the provider sends the browser back to; this is what is registered there.</summary>
    public const string CallbackPath = "/account/external/callback";

    public const string DonePath = "/account/external/done";

    // A provider's documents and tokens are a few kilobytes.
    private const long AnswerBytesMax = 1L << 20;

    /// <summary>How long somebody may take at the provider.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(15);

    /// <summary>How long one answer of the provider may take; a person waits for it.</summary>
    private static readonly TimeSpan AnswerWait = TimeSpan.FromSeconds(10);

    // Signatures only the provider can make. An HMAC, whose key we hold too, is none.
    private static readonly string[] Algorithms =
    [
        SecurityAlgorithms.RsaSha256, SecurityAlgorithms.RsaSha384, SecurityAlgorithms.RsaSha512, SecurityAlgorithms.RsaSsaPssSha256, SecurityAlgorithms.RsaSsaPssSha384,
        SecurityAlgorithms.RsaSsaPssSha512, SecurityAlgorithms.EcdsaSha256, SecurityAlgorithms.EcdsaSha384, SecurityAlgorithms.EcdsaSha512,
    ];

    public static void AddExternalSignIn(this AuthenticationBuilder authentication, NodeOptions options, World world)
    {
        if (ExternalProvider.Of(options) is not { } provider)
            return;
        authentication.Services.AddSingleton(provider);
        authentication.AddOpenIdConnect(Scheme, null, o => Configure(o, provider, options, world));
    }

    private static void Configure(OpenIdConnectOptions o, ExternalProvider provider, NodeOptions options, World world)
    {
        o.Authority = provider.Authority.AbsoluteUri;
        o.ClientId = provider.ClientId;
        o.ClientSecret = provider.ClientSecret;
        o.ResponseType = OpenIdConnectResponseType.Code;
        // A form posted from the provider's site would come without cookies of ours that are SameSite.
        o.ResponseMode = OpenIdConnectResponseMode.Query;
        o.UsePkce = true;
        o.Scope.Clear();
        o.Scope.Add(OpenIdConnectScope.OpenId);
        o.MapInboundClaims = false;
        o.SaveTokens = false;
        o.GetClaimsFromUserInfoEndpoint = false;
        o.DisableTelemetry = true;
        o.RequireHttpsMetadata = !provider.Authority.IsLoopback;
        o.SignInScheme = IdentityConstants.ExternalScheme;
        o.CallbackPath = CallbackPath;
        // Signing out is this node's alone: no other site ends a session here by leading a browser to an address.
        o.RemoteSignOutPath = o.SignedOutCallbackPath = default;
        o.RemoteAuthenticationTimeout = Patience;
        o.ProtocolValidator.NonceLifetime = Patience;
        o.TokenValidationParameters.ValidAlgorithms = Algorithms;
        o.TokenValidationParameters.ClockSkew = TimeSpan.FromMinutes(1);
        Cookies(o, world);
        // Not through another address: a redirect could lead what is secret to one without TLS.
        o.Backchannel = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) })
        {
            Timeout = AnswerWait,
            MaxResponseContentBufferSize = AnswerBytesMax,
        };
        o.ConfigurationManager = new ConfigurationManager<OpenIdConnectConfiguration>(
            provider.Authority.AbsoluteUri.TrimEnd('/') + "/.well-known/openid-configuration", new OpenIdConnectConfigurationRetriever(),
            new HttpDocumentRetriever(o.Backchannel) { RequireHttps = !provider.Authority.IsLoopback }, new DocumentCheck(provider));
        o.Events.OnRedirectToIdentityProvider = context =>
        {
            if (options.PublicUrl is { } address)
                context.ProtocolMessage.RedirectUri = address.TrimEnd('/') + CallbackPath;
            context.ProtocolMessage.UiLocales = CultureInfo.CurrentUICulture.Name;
            return Task.CompletedTask;
        };
        o.Events.OnMessageReceived = context =>
        {
            if (!HttpMethods.IsGet(context.Request.Method))
                context.Fail("An answer of the provider comes by GET.");
            return Task.CompletedTask;
        };
        o.Events.OnTokenValidated = context =>
        {
            var whom = ProviderSubject.Of(context.SecurityToken.Issuer ?? "", context.SecurityToken.Subject ?? "");
            // The library takes an unsigned token when TLS alone vouches for it (OpenID Connect Core 3.1.3.7); here it must be signed too.
            if (context.TokenEndpointResponse?.IdToken is not { } token || token.EndsWith('.') || token.Count(c => c == '.') != 2)
                context.Fail("The token is not signed.");
            else if (!whom.IsWellFormed)
                context.Fail("The token names nobody, or somebody by a name that is too long.");
            else
                context.Principal = Principal(whom);
            return Task.CompletedTask;
        };
        o.Events.OnRemoteFailure = FailedAsync;
    }

    private static void Cookies(OpenIdConnectOptions o, World world)
    {
        o.CorrelationCookie.Name = world.CookieName("provider.state.");
        o.NonceCookie.Name = world.CookieName("provider.nonce.");
        foreach (var cookie in new[] { o.CorrelationCookie, o.NonceCookie })
        {
            cookie.HttpOnly = true;
            cookie.SameSite = SameSiteMode.Lax;
            cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
            cookie.Path = CallbackPath;
        }
    }

    // Names of our own: the handler drops what a token calls iss.
    private const string IssuerClaim = "gz_issuer", SubjectClaim = "gz_subject";

    /// <summary>The identity as the short-lived cookie between the provider's answer and <see cref="DonePath"/> holds it.</summary>
    private static ClaimsPrincipal Principal(ProviderSubject whom) => new(new ClaimsIdentity([new Claim(IssuerClaim, whom.Issuer), new Claim(SubjectClaim, whom.Subject)], Scheme));

    public static ProviderSubject? Whom(ClaimsPrincipal? principal) =>
        principal?.FindFirst(IssuerClaim)?.Value is { } issuer && principal.FindFirst(SubjectClaim)?.Value is { } subject ? new ProviderSubject(issuer, subject) : null;

    private static async Task FailedAsync(RemoteFailureContext context)
    {
        var problem = IsUnreachable(context.Failure) ? HostProblems.ProviderUnavailable : HostProblems.ProviderFailed;
        Log(context.HttpContext, context.Failure, problem);
        context.HandleResponse();
        await ProblemWriting.WriteAsync(context.HttpContext, problem).ConfigureAwait(false);
    }

    /// <summary>What the provider or the browser said is in the reason: one line of it, without what would make it two.</summary>
    public static void Log(HttpContext http, Exception? failure, Problem problem)
    {
        var reason = string.Concat((failure?.Message ?? "no reason").Where(c => !char.IsControl(c)));
        http.RequestServices.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(ExternalSetup)).LogWarning(
            "A sign-in at the provider was not completed ({Code}): {Reason}", problem.Code, reason.Length <= 400 ? reason : reason[..400]);
    }

    /// <summary>No answer, or none that can be used, as against an answer that refuses.</summary>
    public static bool IsUnreachable(Exception? failure)
    {
        for (var e = failure; e is not null; e = e.InnerException)
        {
            if (e is HttpRequestException or TaskCanceledException or IOException or System.Net.Sockets.SocketException or InvalidConfigurationException or System.Text.Json.JsonException)
                return true;
        }
        return false;
    }

    /// <summary>A provider that calls itself something else (OpenID Connect Discovery 4.3), or whose addresses are open to others on the way, is not used.</summary>
    private sealed class DocumentCheck(ExternalProvider provider) : IConfigurationValidator<OpenIdConnectConfiguration>
    {
        public ConfigurationValidationResult Validate(OpenIdConnectConfiguration configuration)
        {
            string? fault = null;
            if (configuration.Issuer?.TrimEnd('/') != provider.Authority.AbsoluteUri.TrimEnd('/'))
                fault = $"The provider at {provider.Authority} calls itself {configuration.Issuer}.";
            else if (new[] { configuration.AuthorizationEndpoint, configuration.TokenEndpoint, configuration.JwksUri }.Any(a => !Fits(a)))
                fault = $"The provider at {provider.Authority} names an address without TLS, or leaves one out.";
            else if (configuration.SigningKeys.Count == 0)
                fault = $"The provider at {provider.Authority} publishes no key.";
            return new ConfigurationValidationResult { Succeeded = fault is null, ErrorMessage = fault };
        }

        private bool Fits(string? address) =>
            Uri.TryCreate(address, UriKind.Absolute, out var uri) && (uri.Scheme == Uri.UriSchemeHttps || (provider.Authority.IsLoopback && ExternalProvider.IsPrivate(uri)));
    }
}
