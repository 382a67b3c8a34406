using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Cluster;

/// <summary>
/// An nginx of the test's own on two free ports of the loopback address, with the block that the operator's guide gives: once as it stands, keeping each browser at one machine by a cookie, and once
/// without that, handing requests out in turn. Changed are addresses and what plain HTTP on a port of its own asks for.
/// </summary>
internal sealed class Balancer : IAsyncDisposable
{
    private static readonly string? Program = new[] { "/usr/sbin/nginx", "/usr/bin/nginx" }.FirstOrDefault(File.Exists);

    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-nginx-");
    private Process? _process;

    /// <summary>Why it cannot be tried here; null where it can.</summary>
    public static string? Missing => Program is null ? "nginx is not installed (Debian's package: nginx-light or nginx)." : null;

    /// <summary>Each request goes to the next machine.</summary>
    public Uri InTurn { get; } = new($"http://127.0.0.1:{FreePort()}");

    /// <summary>A browser stays at one machine.</summary>
    public Uri Sticky { get; } = new($"http://127.0.0.1:{FreePort()}");

    /// <summary>The header in which it says which machine has answered.</summary>
    public const string Machine = "X-Machine";

    /// <param name="machines">Host and port of each.</param>
    public static async Task<Balancer> StartAsync(IEnumerable<string> machines)
    {
        var balancer = new Balancer();
        var (place, names) = (balancer._place.FullName, machines.ToList());
        var sticky = Block(balancer.Sticky, names);
        var turn = Must(Must(sticky, "hash $route consistent; ", ""), balancer.Sticky.Authority, balancer.InTurn.Authority);
        // One map of the cookie is enough; the name of the machines' group is taken by the first.
        turn = Must(turn[..turn.IndexOf("map $cookie", StringComparison.Ordinal)] + turn[turn.IndexOf("server {\n", StringComparison.Ordinal)..], "gongzhi", "in_turn");
        await File.WriteAllTextAsync(Path.Combine(place, "nginx.conf"), $$"""
            daemon off; master_process off; pid {{place}}/pid; error_log {{place}}/error.log;
            events { worker_connections 256; }
            http {
                access_log off;
                client_body_temp_path {{place}}/body; proxy_temp_path {{place}}/proxy; fastcgi_temp_path {{place}}/f; uwsgi_temp_path {{place}}/u; scgi_temp_path {{place}}/s;
            {{sticky}}
            {{turn}}
            }
            """);
        balancer._process = Process.Start(new ProcessStartInfo(Program!, ["-c", Path.Combine(place, "nginx.conf"), "-p", place]) { RedirectStandardError = true })!;
        using var http = new HttpClient();
        for (var began = TimeProvider.System.GetTimestamp(); ;)
        {
            try
            {
                using var answer = await http.GetAsync(new Uri(balancer.InTurn, "/health/live"));
                return balancer;
            }
            catch (HttpRequestException)
            {
                var said = balancer._process.HasExited ? await balancer._process.StandardError.ReadToEndAsync() : "";
                Assert.True(TimeProvider.System.GetElapsedTime(began) < TimeSpan.FromSeconds(20) && !balancer._process.HasExited, "nginx did not start. " + said);
                await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is { HasExited: false })
            _process.Kill();
        if (_process is not null)
            await _process.WaitForExitAsync();
        _process?.Dispose();
        _place.Delete(recursive: true);
    }

    public static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    /// <summary>The guide's block under "Several machines", for these machines and this address.</summary>
    private static string Block(Uri address, List<string> machines)
    {
        var guide = File.ReadAllText(Path.Combine(Repository.Root, "docs", "guide", "operator.md"));
        var begin = guide.IndexOf("upstream gongzhi {", StringComparison.Ordinal);
        var lines = guide[begin..guide.IndexOf("```", begin, StringComparison.Ordinal)].Split('\n').Select(l => l.StartsWith("   ", StringComparison.Ordinal) ? l[3..] : l);
        var block = string.Join('\n', lines);
        for (var i = 0; i < machines.Count; i++)
            block = Must(block, string.Create(CultureInfo.InvariantCulture, $"10.0.0.{i + 1}:5080"), machines[i]);
        block = Must(block, "listen 443 ssl; server_name data.city.example;", $"listen {address.Authority};");
        block = Must(block, "proxy_pass http://gongzhi;", $"add_header {Machine} $upstream_addr always; proxy_pass http://gongzhi;");
        // The port is part of the address that the machines are to know, and a browser gives no secure cookie back to plain HTTP.
        return Must(Must(block, "proxy_set_header Host $host;", "proxy_set_header Host $http_host;"), " Secure;", "");
    }

    private static string Must(string text, string old, string replacement)
    {
        Assert.Contains(old, text, StringComparison.Ordinal);
        return text.Replace(old, replacement, StringComparison.Ordinal);
    }
}
