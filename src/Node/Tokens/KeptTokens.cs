using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;
using OpenIddict.Validation.AspNetCore;

namespace Gongzhi.Node.Tokens;

/// <summary>
/// Remembers for a minute that a token's signature, audience and issuer were good: checking an RSA signature costs more than taking a small
/// report. Nothing is remembered of what the party may do; that is looked up in each request.
/// </summary>
internal sealed class KeptTokens(TimeProvider clock)
{
    public const string Scheme = "gongzhi-token";

    /// <summary>Tokens kept; when there are more, all are forgotten and checked again.</summary>
    private const int TokensMax = 4_096;
    private static readonly TimeSpan KeptFor = TimeSpan.FromMinutes(1);
    private readonly ConcurrentDictionary<Key, (AuthenticationTicket Ticket, DateTimeOffset Until)> _tickets = new();

    private readonly record struct Key(UInt128 First, UInt128 Second);

    public AuthenticationTicket? Find(HttpRequest request) =>
        _tickets.TryGetValue(KeyOf(request), out var kept) && clock.GetUtcNow() < kept.Until ? kept.Ticket : null;

    /// <summary>Only a token that says when it ends is kept, and never beyond that.</summary>
    public void Keep(HttpRequest request, AuthenticationTicket ticket)
    {
        if (ticket.Properties.ExpiresUtc is not { } expires)
            return;
        if (_tickets.Count >= TokensMax)
            _tickets.Clear();
        var until = clock.GetUtcNow() + KeptFor;
        _tickets[KeyOf(request)] = (ticket, expires < until ? expires : until);
    }

    /// <summary>The issuer may be taken from the request's address, so what was good under one name is checked again under another. The token itself is not kept.</summary>
    private static Key KeyOf(HttpRequest request)
    {
        Span<byte> digest = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{request.Scheme}\n{request.Host}\n{request.PathBase}\n{request.Headers.Authorization}"), digest);
        return new(BitConverter.ToUInt128(digest), BitConverter.ToUInt128(digest[16..]));
    }
}

/// <summary>The scheme of requests with a bearer token: what is kept, else OpenIddict's own check.</summary>
internal sealed class KeptTokenHandler(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, KeptTokens kept)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    private const string Checked = OpenIddictValidationAspNetCoreDefaults.AuthenticationScheme;

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (kept.Find(Request) is { } ticket)
            return AuthenticateResult.Success(ticket);
        var result = await Context.AuthenticateAsync(Checked).ConfigureAwait(false);
        if (result.Succeeded)
            kept.Keep(Request, result.Ticket);
        return result;
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties) => Context.ChallengeAsync(Checked, properties);

    protected override Task HandleForbiddenAsync(AuthenticationProperties properties) => Context.ForbidAsync(Checked, properties);
}
