using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Gongzhi.Node.Cli;
using Gongzhi.Node.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime;

namespace Gongzhi.Tests.Cluster;

/// <summary>Between silos there is TLS with certificates on both sides; without them a silo is only for its own machine.</summary>
public sealed class CertificateTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Silos_of_one_authority_are_one_cluster_and_strangers_are_refused()
    {
        var database = await MembershipTests.DatabaseAsync();
        using var authority = new Authority();
        using var other = new Authority();
        await using var a = await TestSilo.StartAsync(authority.Certify(TestSilo.Options(database)));
        await using (var b = await TestSilo.StartAsync(authority.Certify(TestSilo.Options(database))))
        {
            await a.SeesAsync(2, Soon);
            await b.SeesAsync(2, Soon);
        }
        await a.SeesAsync(1, Soon);

        var segments = Directory.CreateTempSubdirectory("gongzhi-segments-");
        // Whole nodes that know the database, one with certificates of another authority and one with none. They are voted out while they join, or give up, and end by themselves; the cluster goes on.
        var strangers = await Task.WhenAll(new[] { other.Certify(TestSilo.Options(database)), TestSilo.Options(database) }.Select(o => ServedNode.RunAsync(
            ("Cluster", o.Cluster), ("Segments", segments.FullName), ("ClusterSecret", "a secret of the tests' own, of no use elsewhere"), ("LedgerOrigin", o.LedgerOrigin), ("SiloCertificate", o.SiloCertificate), ("SiloKey", o.SiloKey), ("SiloAuthority", o.SiloAuthority))));
        Assert.All(strangers, s => Assert.Equal(ExitCode.Unavailable, s.Exit));
        // The log is written by a thread of its own, so the sentence need not be the last line.
        Assert.All(strangers, s => Assert.Contains(s.Error, line => line.StartsWith("The node could not join its cluster", StringComparison.Ordinal) || line.Contains("declared this one dead", StringComparison.Ordinal)));
        segments.Delete(recursive: true);
        await a.SeesAsync(1, Soon);
        Assert.False(a.Lost.IsCompleted);
    }

    [Theory, InlineData("none"), InlineData("another authority's"), InlineData("own")]
    public async Task A_connection_without_a_certificate_of_the_authority_is_closed(string shown)
    {
        var database = await MembershipTests.DatabaseAsync();
        using var authority = new Authority();
        using var other = new Authority();
        await using var silo = await TestSilo.StartAsync(authority.Certify(TestSilo.Options(database)));
        var address = silo.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress.Endpoint;
        using var tcp = new TcpClient(address.AddressFamily);
        await tcp.ConnectAsync(address);
        await using var tls = new SslStream(tcp.GetStream());
        var (certificate, key) = (shown == "own" ? authority : other).Issue();
        using var file = X509Certificate2.CreateFromPemFile(certificate, key);
        using var end = new CancellationTokenSource(Soon);
        var closed = false;
        try
        {
            await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "silo",
                // What the silo shows is checked by the other silos; here it is asked whom the silo lets in.
                RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null,
                ClientCertificates = shown == "none" ? null : [file],
                LocalCertificateSelectionCallback = shown == "none" ? null : (_, _, _, _, _) => file,
            }, end.Token);
            // With TLS 1.3 the other side's verdict comes with the first read. Whoever is let in is waited for: a silo speaks when it was spoken to.
            using var wait = CancellationTokenSource.CreateLinkedTokenSource(end.Token);
            if (shown == "own")
                wait.CancelAfter(TimeSpan.FromSeconds(2));
            closed = await tls.ReadAsync(new byte[1], wait.Token) == 0;
        }
        catch (OperationCanceledException) when (shown == "own")
        {
        }
        catch (Exception e) when (e is IOException or AuthenticationException or SocketException)
        {
            closed = true;
        }
        Assert.Equal(shown != "own", closed);
    }

    [Fact]
    public void An_address_that_others_can_reach_needs_certificates()
    {
        var refused = Refused(TestSilo.Options("Host=127.0.0.1") with { SiloAddress = "10.1.2.3" });
        Assert.Contains("Set SiloCertificate, SiloKey and SiloAuthority", refused, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused);
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    [InlineData("this-machine")]
    public void The_address_must_be_one(string address) =>
        Assert.Contains("the one address of this machine", Refused(TestSilo.Options("Host=127.0.0.1") with { SiloAddress = address }), StringComparison.Ordinal);

    [Fact]
    public void Certificates_that_the_others_would_refuse_stop_the_start()
    {
        using var authority = new Authority();
        using var other = new Authority();
        var options = TestSilo.Options("Host=127.0.0.1");
        var good = authority.Certify(options);
        Assert.Contains("belong together", Refused(good with { SiloKey = null }), StringComparison.Ordinal);
        Assert.Contains("is not signed by the authority", Refused(good with { SiloAuthority = other.File }), StringComparison.Ordinal);
        Assert.Contains("cannot be read", Refused(good with { SiloKey = authority.Issue().Key }), StringComparison.Ordinal);
        Assert.Contains("cannot be read", Refused(good with { SiloCertificate = "/nowhere" }), StringComparison.Ordinal);
        Assert.Contains("not now", Refused(authority.Certify(options, daysLeft: -1)), StringComparison.Ordinal);
        Assert.Contains("for servers and for clients", Refused(authority.Certify(options, ["1.3.6.1.5.5.7.3.1"])), StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_that_would_do_nothing_or_keep_machines_apart_stop_the_start()
    {
        Assert.Contains("Cluster is not set", Refused(new NodeOptions { SiloPort = 9_000 }), StringComparison.Ordinal);
        Assert.Contains("not a PostgreSQL connection string", Refused(TestSilo.Options("Nonsense=1")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_that_is_taken_stops_the_start()
    {
        using var taken = new TcpListener(System.Net.IPAddress.Loopback, 0);
        taken.Start();
        Assert.Contains("cannot listen on", Refused(TestSilo.Options("Host=127.0.0.1") with { SiloPort = ((System.Net.IPEndPoint)taken.LocalEndpoint).Port }), StringComparison.Ordinal);
    }

    private static string Refused(NodeOptions options) => Assert.Throws<StartRefusedException>(() => TestSilo.Builder(options)).Message;
}
