using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Gongzhi.Node.Hosting;

namespace Gongzhi.Tests.Cluster;

/// <summary>A certificate authority of the test's own, with its files.</summary>
internal sealed class Authority : IDisposable
{
    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-authority-");
    private readonly X509Certificate2 _root;
    private int _made;

    public Authority()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        var now = TimeProvider.System.GetUtcNow();
        _root = request.CreateSelfSigned(now.AddDays(-2), now.AddDays(2));
        File = Write("authority.pem", _root.ExportCertificatePem());
    }

    public string File { get; }

    /// <summary>The options with a new certificate of this authority.</summary>
    public NodeOptions Certify(NodeOptions options, string[]? uses = null, int daysLeft = 1)
    {
        var (certificate, key) = Issue(uses, daysLeft);
        return options with { SiloCertificate = certificate, SiloKey = key, SiloAuthority = File };
    }

    /// <summary>The files of a new certificate and its key.</summary>
    public (string Certificate, string Key) Issue(string[]? uses = null, int daysLeft = 1)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=a silo", key, HashAlgorithmName.SHA256);
        var purposes = new OidCollection();
        foreach (var use in uses ?? ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"])
            purposes.Add(new Oid(use));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(purposes, false));
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.Create(_root, now.AddDays(-1.5), now.AddDays(daysLeft), RandomNumberGenerator.GetBytes(8));
        var number = ++_made;
        return (Write($"{number}.pem", certificate.ExportCertificatePem()), Write($"{number}.key", key.ExportPkcs8PrivateKeyPem()));
    }

    public void Dispose()
    {
        _root.Dispose();
        _place.Delete(recursive: true);
    }

    private string Write(string name, string content)
    {
        var path = Path.Combine(_place.FullName, name);
        System.IO.File.WriteAllText(path, content);
        return path;
    }
}
