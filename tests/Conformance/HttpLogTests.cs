using System.Net;
using Gongzhi.Ledger;
using Xunit;

namespace Gongzhi.Tests.Conformance;

public sealed class HttpLogTests
{
    [Fact]
    public async Task A_log_is_audited_over_http_and_what_is_missing_or_endless_is_named()
    {
        await using var maker = new ProofMaker();
        await maker.MakeAsync(10, 4);
        var cancel = TestContext.Current.CancellationToken;
        var server = new FileServer(maker.LogDirectory);
        using var http = new HttpClient(server);
        foreach (var prefix in new[] { "http://city.example/ledger", "http://city.example/ledger/" })
        {
            var report = await LogAuditor.AuditAsync(new HttpTileSource(http, new Uri(prefix)), maker.Signer.Verifier, cancel: cancel);
            Assert.Null(report.Break);
            Assert.Equal(302, report.EntriesHashed);
        }
        var source = new HttpTileSource(http, new Uri("http://city.example/ledger"));
        server.Endless = "tile/entries/000";
        Assert.Equal("tile/entries/000", (await LogAuditor.AuditAsync(source, maker.Signer.Verifier, cancel: cancel)).Break?.File);
        server.Endless = null;
        File.Delete(Path.Combine(maker.LogDirectory, "tile/0/000"));
        Assert.Equal("tile/0/000", (await LogAuditor.AuditAsync(source, maker.Signer.Verifier, cancel: cancel)).Break?.File);
        server.Status = HttpStatusCode.InternalServerError;
        await Assert.ThrowsAsync<HttpRequestException>(() => LogAuditor.AuditAsync(source, maker.Signer.Verifier, cancel: cancel));
        Assert.Throws<ArgumentException>(() => new HttpTileSource(http, new Uri("file:///etc")));
    }

    /// <summary>Serves the directory under /ledger/, as a static web server would.</summary>
    private sealed class FileServer(string directory) : HttpMessageHandler
    {
        public string? Endless { get; set; }
        public HttpStatusCode Status { get; set; } = HttpStatusCode.OK;

        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var path = request.RequestUri!.AbsolutePath["/ledger/".Length..];
            var file = Path.Combine(directory, path);
            var response = new HttpResponseMessage(Status);
            if (path == Endless) response.Content = new ByteArrayContent(new byte[EntryBundle.BytesMax + 1]);
            else if (File.Exists(file)) response.Content = new ByteArrayContent(File.ReadAllBytes(file));
            else response.StatusCode = HttpStatusCode.NotFound;
            return Task.FromResult(response);
        }
    }
}
