using System.Globalization;

namespace Gongzhi.Node.Hosting;

/// <summary>An organisation's own OpenID Connect provider, at which people may sign in; from the settings <c>Oidc…</c>.</summary>
/// <param name="Authority">Where its discovery document is, and what it must call itself.</param>
/// <param name="ClientId">This node's id there.</param>
/// <param name="ClientSecret">This node's secret there.</param>
/// <param name="NameEn">What the button says in English.</param>
/// <param name="NameZh">What it says in Chinese.</param>
internal sealed record ExternalProvider(Uri Authority, string ClientId, string ClientSecret, string NameEn, string NameZh)
{
    private const int SecretBytesMax = 4_096;

    /// <summary>Its name in the reader's language.</summary>
    public string Name => CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "zh" ? NameZh : NameEn;

    /// <summary>The provider as it is set up, or null when there is none.</summary>
    /// <exception cref="StartRefusedException">Only a part of it is set, or its address is not one to send people to.</exception>
    public static ExternalProvider? Of(NodeOptions options)
    {
        var needed = new[] { options.OidcAuthority, options.OidcClientId, options.OidcClientSecret ?? options.OidcClientSecretFile };
        if (needed.All(n => n is null) && options.OidcName is null && options.OidcNameZh is null)
            return null;
        if (needed.Any(string.IsNullOrWhiteSpace))
            throw new StartRefusedException("A provider to sign in at needs all of OidcAuthority, OidcClientId and OidcClientSecret (or OidcClientSecretFile); one of them is missing.");
        var authority = AuthorityOf(options.OidcAuthority!);
        var english = Named(options.OidcName) ?? authority.Host;
        return new ExternalProvider(authority, options.OidcClientId!, SecretOf(options), english, Named(options.OidcNameZh) ?? english);
    }

    /// <summary>Whether what is sent to an address stays between it and us: TLS, or this machine.</summary>
    public static bool IsPrivate(Uri address) => address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && address.IsLoopback);

    private static Uri AuthorityOf(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var uri) || uri.UserInfo.Length > 0 || uri.Query.Length > 0 || uri.Fragment.Length > 0)
            throw new StartRefusedException("OidcAuthority must be the provider's address (its issuer), such as https://login.example.org/realm, without query, fragment or user.");
        return IsPrivate(uri) ? uri
            : throw new StartRefusedException("OidcAuthority must be an https address; http is taken only for a provider on this machine.");
    }

    private static string SecretOf(NodeOptions options)
    {
        if (options.OidcClientSecretFile is not { } file)
            return options.OidcClientSecret!;
        if (options.OidcClientSecret is not null)
            throw new StartRefusedException("Give OidcClientSecret or OidcClientSecretFile, not both.");
        string secret;
        try
        {
            if (new FileInfo(file).Length > SecretBytesMax)
                throw new StartRefusedException($"The file {file} is too long for a client's secret.");
            secret = File.ReadAllText(file).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartRefusedException($"The secret for the provider cannot be read: {e.Message}");
        }
        return secret.Length > 0 ? secret : throw new StartRefusedException($"The file {file} holds no secret.");
    }

    private static string? Named(string? name) => string.IsNullOrWhiteSpace(name) ? null
        : name.Any(char.IsControl) ? throw new StartRefusedException("OidcName and OidcNameZh are names to show: no control characters.") : name.Trim();
}
