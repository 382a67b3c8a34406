using System.Diagnostics;
using System.Globalization;

namespace Gongzhi.Tests.Cluster.Faults;

/// <summary>A network namespace with a cable to this machine that can be cut. Needs the rights of root and the program <c>ip</c>.</summary>
internal sealed class Namespace : IAsyncDisposable
{
    private readonly string _name, _cable;
    private readonly int _net;

    private Namespace(string name, int net) => (_name, _cable, _net) = (name, name + "h", net);

    /// <summary>This machine's end.</summary>
    public string Host => string.Create(CultureInfo.InvariantCulture, $"10.253.{_net}.1");

    /// <summary>The namespace's end.</summary>
    public string Inside => string.Create(CultureInfo.InvariantCulture, $"10.253.{_net}.2");

    public string Network => string.Create(CultureInfo.InvariantCulture, $"10.253.{_net}.0/24");

    /// <summary>What goes before a command that is to run inside.</summary>
    public string[] Enter => ["ip", "netns", "exec", _name];

    /// <summary>Makes one; null where that is not allowed.</summary>
    public static async Task<Namespace?> TryMakeAsync()
    {
        var net = Environment.ProcessId % 250 + 1;
        var made = new Namespace(string.Create(CultureInfo.InvariantCulture, $"gz{Environment.ProcessId % 100_000}"), net);
        if (!File.Exists("/usr/sbin/ip") && !File.Exists("/sbin/ip") || await RunAsync("netns", "add", made._name) != 0)
            return null;
        foreach (var command in new[]
        {
            $"link add {made._cable} type veth peer name inner netns {made._name}", $"addr add {made.Host}/24 dev {made._cable}", $"link set {made._cable} up",
            $"-n {made._name} addr add {made.Inside}/24 dev inner", $"-n {made._name} link set inner up", $"-n {made._name} link set lo up",
        })
        {
            if (await RunAsync(command.Split(' ')) == 0)
                continue;
            await made.DisposeAsync();
            return null;
        }
        return made;
    }

    public async Task CutAsync() => Assert.Equal(0, await RunAsync("link", "set", _cable, "down"));

    public async Task MendAsync() => Assert.Equal(0, await RunAsync("link", "set", _cable, "up"));

    public async ValueTask DisposeAsync() => await RunAsync("netns", "del", _name);

    private static async Task<int> RunAsync(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
        await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode;
    }
}
