using System.CommandLine;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Tokens;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi login</c>: the device flow, and the refresh token it leaves in ~/.config/gongzhi (mode 0600), one file a node.</summary>
internal static class KeptLogin
{
    public static Command Create()
    {
        var url = NodeClient.UrlOption();
        var command = new Verb("login", "Sign in through a browser; later commands then act for you.", "通过浏览器登录，之后的命令以您的身份执行。", "login", "login --url https://data.example.org") { url };
        command.SetAction((parsed, cancel) => NodeClient.RunAsync(() => LoginAsync(parsed.GetValue(url)!, cancel)));
        return command;
    }

    /// <summary>A fresh access token from the kept refresh token, or null when nobody logged in to this node.</summary>
    public static async Task<string?> TokenAsync(NodeClient node, CancellationToken cancel)
    {
        var path = PathFor(node.Url);
        if (!File.Exists(path))
            return null;
        var refresh = JsonSerializer.Deserialize<Kept>(await File.ReadAllBytesAsync(path, cancel).ConfigureAwait(false))?.RefreshToken ?? "";
        var (ok, body) = await node.FormAsync("connect/token", new Dictionary<string, string>
        {
            ["grant_type"] = "refresh_token",
            ["client_id"] = BootstrapClient.CommandLine,
            ["refresh_token"] = refresh,
        }, cancel).ConfigureAwait(false);
        if (!ok)
            throw new CliException(ExitCode.Refused, Say.In("The login has ended; run gongzhi login again.", "登录已失效，请重新运行 gongzhi login。"));
        Keep(path, body);
        return body.GetProperty("access_token").GetString();
    }

    private static async Task<int> LoginAsync(string url, CancellationToken cancel)
    {
        using var node = NodeClient.Anonymous(url);
        var (ok, start) = await node.FormAsync("connect/device", new Dictionary<string, string>
        {
            ["client_id"] = BootstrapClient.CommandLine,
            ["scope"] = "offline_access",
        }, cancel).ConfigureAwait(false);
        if (!ok)
            throw new CliException(ExitCode.Refused, Say.In("The node does not offer signing in from a command line.", "该节点不支持从命令行登录。"));
        var page = start.TryGetProperty("verification_uri_complete", out var whole) ? whole.GetString() : start.GetProperty("verification_uri").GetString();
        await Console.Error.WriteLineAsync(Say.In($"Open {page} and allow the code {start.GetProperty("user_code")}", $"打开 {page} 并确认代码 {start.GetProperty("user_code")}")).ConfigureAwait(false);
        var wait = TimeSpan.FromSeconds(start.TryGetProperty("interval", out var interval) ? Math.Clamp(interval.GetInt32(), 1, 60) : 5);
        while (true)
        {
            await Task.Delay(wait, TimeProvider.System, cancel).ConfigureAwait(false);
            var (done, body) = await node.FormAsync("connect/token", new Dictionary<string, string>
            {
                ["grant_type"] = "urn:ietf:params:oauth:grant-type:device_code",
                ["client_id"] = BootstrapClient.CommandLine,
                ["device_code"] = start.GetProperty("device_code").GetString()!,
            }, cancel).ConfigureAwait(false);
            if (done)
            {
                Keep(PathFor(node.Url), body);
                await Console.Error.WriteLineAsync(Say.In("Signed in.", "已登录。")).ConfigureAwait(false);
                return ExitCode.Ok;
            }
            switch (body.GetProperty("error").GetString())
            {
                case "authorization_pending":
                    break;
                case "slow_down":
                    wait += TimeSpan.FromSeconds(5);
                    break;
                default:
                    throw new CliException(ExitCode.Refused, Say.In("Signing in was refused or took too long.", "登录被拒绝或超时。"));
            }
        }
    }

    private static void Keep(string path, JsonElement body)
    {
        if (!body.TryGetProperty("refresh_token", out var refresh))
            return;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        PrivateFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(new Kept(refresh.GetString()!)));
    }

    private static string PathFor(Uri node) => Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.ApplicationData, Environment.SpecialFolderOption.DoNotVerify), "gongzhi",
        "login-" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(node.AbsoluteUri)))[..16] + ".json");

    private sealed record Kept(string RefreshToken);
}
