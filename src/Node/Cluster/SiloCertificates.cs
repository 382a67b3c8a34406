using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gongzhi.Node.Hosting;
using Orleans.Connections.Security;

namespace Gongzhi.Node.Cluster;

/// <summary>
/// What silos know each other by: a certificate with its key, and the cluster's own authority. Both sides of a connection show one, and one of another authority is refused. Names are not
/// compared: every certificate of the authority is a silo's, so the authority must be made for this cluster and sign nothing else.
/// </summary>
internal sealed class SiloCertificates : IDisposable
{
    private const string ServerUse = "1.3.6.1.5.5.7.3.1", ClientUse = "1.3.6.1.5.5.7.3.2";

    private readonly X509Certificate2 _own;
    private readonly X509Certificate2Collection _authority;

    private SiloCertificates(X509Certificate2 own, X509Certificate2Collection authority) => (_own, _authority) = (own, authority);

    /// <summary>Reads the files that the options name; null when they name none.</summary>
    /// <param name="options">Where the files are.</param>
    /// <param name="clock">For a certificate that has run out.</param>
    /// <exception cref="StartRefusedException">They are not all there, do not belong together, or would be refused by the other silos.</exception>
    public static SiloCertificates? Load(NodeOptions options, TimeProvider clock)
    {
        if (options.SiloCertificate is null && options.SiloKey is null && options.SiloAuthority is null)
            return null;
        if (options is not { SiloCertificate: { } certificate, SiloKey: { } key, SiloAuthority: { } authority })
            throw new StartRefusedException("SiloCertificate, SiloKey and SiloAuthority belong together: give all three or none.");
        X509Certificate2? own = null;
        var trusted = new X509Certificate2Collection();
        try
        {
            own = X509Certificate2.CreateFromPemFile(certificate, key);
            trusted.ImportFromPemFile(authority);
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            own?.Dispose();
            throw new StartRefusedException($"The silo's certificate, key or authority cannot be read (PEM files {certificate}, {key}, {authority}): {e.Message}");
        }
        var loaded = new SiloCertificates(own, trusted);
        var now = clock.GetUtcNow();
        var reason = own.NotBefore > now || own.NotAfter < now ? $"{certificate} is good from {own.NotBefore:u} to {own.NotAfter:u}, not now."
            : own.Extensions.OfType<X509EnhancedKeyUsageExtension>().FirstOrDefault() is { } uses && !(Names(uses, ServerUse) && Names(uses, ClientUse))
                ? $"{certificate} must be for servers and for clients: silos are both."
            : !loaded.IsOurs(own) ? $"{certificate} is not signed by the authority in {authority}."
            : null;
        if (reason is null)
            return loaded;
        loaded.Dispose();
        throw new StartRefusedException(reason);
    }

    public void Configure(TlsOptions tls)
    {
        tls.LocalCertificate = _own;
        tls.LocalClientCertificateSelector = (_, _, _, _, _) => _own;
        tls.RemoteCertificateMode = RemoteCertificateMode.RequireCertificate;
        tls.ClientCertificateMode = RemoteCertificateMode.RequireCertificate;
        tls.RemoteCertificateValidation = (shown, _, _) => IsOurs(shown);
        // A name has to be asked for, and is not compared.
        tls.OnAuthenticateAsClient = (_, client) => client.TargetHost = "silo";
    }

    /// <summary>Whether the cluster's authority signed it and it is good now. Revocation lists are not asked: a private authority seldom has any.</summary>
    public bool IsOurs(X509Certificate2? shown)
    {
        if (shown is null)
            return false;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(_authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        // Nothing is fetched from addresses that a stranger's certificate names.
        chain.ChainPolicy.DisableCertificateDownloads = true;
        return chain.Build(shown);
    }

    public void Dispose()
    {
        _own.Dispose();
        foreach (var certificate in _authority)
            certificate.Dispose();
    }

    private static bool Names(X509EnhancedKeyUsageExtension uses, string use) => uses.EnhancedKeyUsages.Cast<Oid>().Any(o => o.Value == use);
}
