using System.Net;
using Gongzhi.Core.Query;
using Gongzhi.Core.Records;
using Gongzhi.Node.Hosting;
using Gongzhi.Tests.Shared;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.Extensions.DependencyInjection;

namespace Gongzhi.Tests.Http;

/// <summary>Two machines of one world, one after the other: what the first has signed, enciphered or given out is the second's too.</summary>
public sealed class SharedKeysTests : IDisposable
{
    private const string Secret = "a secret of the cluster, long enough";
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-machines-");

    [Fact]
    public async Task Another_machine_has_the_keys_of_the_first()
    {
        Assert.SkipUnless(PostgresServer.Missing is null, PostgresServer.Missing ?? "");
        string token, sealedText, key, checkpoint;
        byte[] cursor;
        Uri address;
        await using (var one = await StartAsync("one"))
        {
            address = one.Address;
            token = await one.TokenAsync();
            sealedText = Protector(one).Protect("a session");
            cursor = one.App.Services.GetRequiredService<CursorKey>().Bytes.ToArray();
            using var http = one.NewClient();
            key = await http.GetStringAsync("/ledger/vkey");
            await one.App.Services.GetRequiredService<Sequencer>().DisposeAsync();
            checkpoint = await http.GetStringAsync("/ledger/checkpoint");
        }
        Assert.Equal(["seen-checkpoint"], new DirectoryInfo(Path.Combine(_root.FullName, "one", "keys")).GetFiles().Select(f => f.Name));

        foreach (var (wrong, sentence) in new[] { (Secret + "!", "ClusterSecret"), (null, "ClusterSecretFile") })
        {
            var refused = await Assert.ThrowsAsync<StartRefusedException>(() => StartAsync("two", wrong));
            Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
        }

        var file = Path.Combine(_root.FullName, "secret");
        await File.WriteAllTextAsync(file, Secret + "\n", TestContext.Current.CancellationToken);
        await using var two = await TestNode.StartAsync(o => Options(o, "two") with { ClusterSecretFile = file, Urls = address.ToString() }, ownsDirectory: false);
        Assert.Equal("a session", Protector(two).Unprotect(sealedText));
        Assert.Equal(cursor, two.App.Services.GetRequiredService<CursorKey>().Bytes.ToArray());
        using var client = two.NewClient();
        Assert.Equal(key, await client.GetStringAsync("/ledger/vkey"));
        Assert.Equal(checkpoint, await client.GetStringAsync("/ledger/checkpoint"));
        using var answer = await client.SendAsync(new HttpRequestMessage(HttpMethod.Get, "/api/test/whoami").WithToken(token));
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    public void Dispose()
    {
        TestStore.Drop(_root.FullName);
        _root.Delete(recursive: true);
    }

    private Task<TestNode> StartAsync(string machine, string? secret = Secret) => TestNode.StartAsync(o => Options(o, machine) with { ClusterSecret = secret }, ownsDirectory: false);

    private NodeOptions Options(NodeOptions options, string machine)
    {
        Directory.Delete(options.Data);
        return options with { Data = Path.Combine(_root.FullName, machine), Database = TestStore.Postgres(_root.FullName).ConnectionString };
    }

    private static IDataProtector Protector(TestNode node) => node.App.Services.GetRequiredService<IDataProtectionProvider>().CreateProtector("test");
}
