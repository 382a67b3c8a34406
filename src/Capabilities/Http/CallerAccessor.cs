using System.Globalization;
using System.Security.Claims;
using Gongzhi.Core.Parties;

namespace Gongzhi.Capabilities.Http;

/// <summary>Finds the party behind a token or a session, as it stands now; null when it no longer exists or may no longer act.</summary>
/// <param name="party">Id of the party.</param>
/// <param name="renewal">For a client's token: the renewal of its secret that the token was given for.</param>
public delegate Caller? PartyLookup(string party, int? renewal);

/// <summary>Finds a suspended client, as a caller without roles; null for everybody else.</summary>
/// <param name="party">Id of the party.</param>
/// <param name="renewal">The renewal of its secret that the token was given for.</param>
public delegate Caller? SuspendedLookup(string party, int? renewal);

/// <summary>Claims that carry a party; shared by tokens and sessions.</summary>
public static class PartyClaims
{
    public const string Party = "party";
    public const string Role = "role";
    public const string Unit = "unit";

    /// <summary>In a client's token: for which renewal of the party its secret was made.</summary>
    public const string Renewal = "renewal";

    /// <summary>Every role there is, for a bootstrap client.</summary>
    public static readonly IReadOnlyList<string> AllRoles =
    [
        Roles.SystemAdministrator, Roles.SecurityAdministrator, Roles.AuditAdministrator, Roles.Steward, Roles.Contributor, Roles.Reader,
    ];
}

/// <summary>Who is asking in this request. Scoped; handlers take it and never look at claims.</summary>
public sealed class CallerAccessor(IHttpContextAccessor http, PartyLookup? lookup = null, SuspendedLookup? suspended = null)
{
    private Caller? _caller;
    private bool _resolved;

    /// <summary>The caller, or null when nobody signed in or the party is gone.</summary>
    public Caller? Current
    {
        get
        {
            // Nothing is kept before somebody is authenticated: an early look must not hide a later sign-in.
            if (!_resolved && http.HttpContext?.User is { Identity.IsAuthenticated: true } user)
            {
                _caller = Resolve(user);
                _resolved = true;
            }
            return _caller;
        }
    }

    /// <summary>The caller on a route that requires one (<c>RequireCaller</c>).</summary>
    public Caller Required => Current ?? throw new InvalidOperationException("This route has no caller; it must be mapped with RequireCaller().");

    /// <summary>A suspended client, which is no caller; only on a route that asks for it (<c>RequireCallerOrSuspendedClient</c>).</summary>
    public Caller? Suspended =>
        http.HttpContext?.User is { Identity.IsAuthenticated: true } user && user.FindFirst(PartyClaims.Party)?.Value is { Length: > 0 } party ? suspended?.Invoke(party, RenewalOf(user)) : null;

    /// <summary>For which renewal a client's token was given; null when it does not say.</summary>
    public static int? RenewalOf(ClaimsPrincipal user) =>
        int.TryParse(user.FindFirst(PartyClaims.Renewal)?.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var renewal) ? renewal : null;

    /// <summary>Finds the caller for a principal outside a request's own scope.</summary>
    public Caller? Resolve(ClaimsPrincipal user)
    {
        if (user.FindFirst(PartyClaims.Party)?.Value is not { Length: > 0 } party)
            return null;
        if (lookup is not null)
            return lookup(party, RenewalOf(user));
        return new Caller
        {
            Party = party,
            Units = [.. user.FindAll(PartyClaims.Unit).Select(c => c.Value)],
            Roles = user.FindAll(PartyClaims.Role).Select(c => c.Value).ToHashSet(StringComparer.Ordinal),
        };
    }
}
