using System.Text.Json;
using OpenIddict.Abstractions;
using static OpenIddict.Abstractions.OpenIddictConstants;

namespace Gongzhi.Node.Tokens;

/// <summary>
/// What a client may do. Without redirect URIs it acts for itself, with a secret (client credentials). With them people sign in through it (authorization
/// code with PKCE), and it acts for them; a public one, which cannot keep a secret, does nothing else.
/// </summary>
internal static class ClientRegistration
{
    public const int RedirectUrisMax = 10, RedirectUriLengthMax = 1_000;

    /// <summary>What is wrong with these redirect URIs, in English and Chinese; null when nothing is. They are compared as written later, so nothing is mended here.</summary>
    public static (string English, string Chinese)? Fault(IReadOnlyList<string> redirectUris, bool isPublic)
    {
        if (isPublic && redirectUris.Count == 0)
            return ("A public client needs a redirect URI: it can only sign people in.", "公开客户端须有重定向地址：它只能用于人员登录。");
        if (redirectUris.Count > RedirectUrisMax)
            return ($"A client has at most {RedirectUrisMax} redirect URIs.", $"一个客户端至多有 {RedirectUrisMax} 个重定向地址。");
        foreach (var text in redirectUris)
        {
            if (text is not { Length: > 0 and <= RedirectUriLengthMax } || !text.All(c => c is > ' ' and < '\u007f') || text.Contains('*', StringComparison.Ordinal)
                || text.Contains('#', StringComparison.Ordinal) || text.Contains('\\', StringComparison.Ordinal)
                || !Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.UserInfo.Length > 0 || text.Contains('@', StringComparison.Ordinal)
                || !(uri.Scheme == Uri.UriSchemeHttps || (uri.Scheme == Uri.UriSchemeHttp && uri.IsLoopback))
                // What is kept and compared is the form that the parser gives back.
                || uri.AbsoluteUri != text)
            {
                return ($"A redirect URI is an https address, or http on this machine (127.0.0.1, [::1], localhost), written out in full: no wildcard, fragment or user; {Shown(text)} is not.",
                    $"重定向地址须为 https 地址，或本机（127.0.0.1、[::1]、localhost）的 http 地址，并须完整写出，不含通配符、片段或用户名；{Shown(text)} 不符合。");
            }
        }
        return null;
    }

    /// <param name="id">The client's id, already checked.</param>
    /// <param name="displayName">To show.</param>
    /// <param name="secret">Null for a public client.</param>
    /// <param name="redirectUris">Already checked by <see cref="Fault"/>.</param>
    /// <param name="renewal">The renewal of its party that the secret is made for.</param>
    public static OpenIddictApplicationDescriptor Describe(string id, string displayName, string? secret, IReadOnlyList<string> redirectUris, int renewal)
    {
        var descriptor = new OpenIddictApplicationDescriptor
        {
            ClientId = id,
            ClientSecret = secret,
            ClientType = secret is null ? ClientTypes.Public : ClientTypes.Confidential,
            // An administrator has registered it, and so trusts it.
            ConsentType = ConsentTypes.Implicit,
            DisplayName = displayName,
            Permissions = { Permissions.Endpoints.Token },
        };
        if (secret is not null)
        {
            descriptor.Permissions.Add(Permissions.GrantTypes.ClientCredentials);
            descriptor.Properties[BootstrapClient.PartyProperty] = JsonSerializer.SerializeToElement(PartyOf(id));
            descriptor.Properties[BootstrapClient.RenewalProperty] = JsonSerializer.SerializeToElement(renewal);
        }
        if (redirectUris.Count > 0)
        {
            descriptor.Permissions.UnionWith([
                Permissions.Endpoints.Authorization, Permissions.Endpoints.Revocation, Permissions.ResponseTypes.Code, Permissions.GrantTypes.AuthorizationCode,
                Permissions.GrantTypes.RefreshToken, Permissions.Scopes.Profile,
            ]);
            descriptor.Requirements.Add(Requirements.Features.ProofKeyForCodeExchange);
            descriptor.RedirectUris.UnionWith(redirectUris.Select(u => new Uri(u, UriKind.Absolute)));
        }
        return descriptor;
    }

    public static string PartyOf(string id) => "client:" + id;

    private static string Shown(string? text) => text is null ? "null" : text.Length <= 100 ? text : text[..100] + "…";
}
