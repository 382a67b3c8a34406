using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Gongzhi.Tests.Process;

/// <summary>The node as a service: what it tells systemd, and what a container asks of it.</summary>
public sealed class ServiceTests : IDisposable
{
    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-service-");

    [Fact]
    public async Task It_says_that_it_is_ready_when_it_listens_and_that_it_stops_when_it_is_told_to()
    {
        var door = Path.Combine(_place.FullName, "notify");
        using var systemd = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        systemd.Bind(new UnixDomainSocketEndPoint(door));
        using var node = RunningNode.Spawn(["env", "NOTIFY_SOCKET=" + door], "127.0.0.1", Data(), []);
        Assert.Equal("READY=1", await SaidAsync(systemd));
        Assert.True(await node.ListeningAsync());
        Assert.True((await node.Http.GetAsync("/health/ready")).IsSuccessStatusCode);
        await node.TerminateAsync();
        // And how long that may take: what it took has half a minute, and so has what comes after.
        Assert.Equal("STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000", await SaidAsync(systemd));
        Assert.Equal(0, await node.ExitAsync());
    }

    [Fact]
    public async Task A_starter_that_does_not_listen_keeps_nobody_from_starting()
    {
        using var node = RunningNode.Spawn(["env", "NOTIFY_SOCKET=" + Path.Combine(_place.FullName, "nobody")], "127.0.0.1", Data(), []);
        Assert.True(await node.ListeningAsync(), node.Said);
        await node.TerminateAsync();
        Assert.Equal(0, await node.ExitAsync());
    }

    [Fact]
    public async Task The_containers_health_check_tells_a_node_that_lives_from_one_that_does_not()
    {
        using var node = await RunningNode.StartAsync(Data());
        var port = node.Http.BaseAddress!.Port.ToString(CultureInfo.InvariantCulture);
        Assert.Equal(0, await HealthyAsync(port));
        node.Kill();
        Assert.NotEqual(0, await HealthyAsync(port));
    }

    private string Data() => Path.Combine(_place.FullName, "data");

    private static async Task<string> SaidAsync(Socket socket)
    {
        var bytes = new byte[256];
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        return Encoding.UTF8.GetString(bytes, 0, await socket.ReceiveAsync(bytes, limit.Token));
    }

    private static async Task<int> HealthyAsync(string port)
    {
        var start = new ProcessStartInfo(Path.Combine(Repository.Root, "deploy", "container", "healthy")) { RedirectStandardError = true };
        start.ArgumentList.Add(port);
        using var process = System.Diagnostics.Process.Start(start)!;
        await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode;
    }

    public void Dispose() => _place.Delete(recursive: true);
}
