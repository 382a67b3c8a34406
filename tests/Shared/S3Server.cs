using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Gongzhi.Tests.Shared;

/// <summary>
/// A server that speaks S3 (npm's s3rver) on a free port of the loopback address, with its objects in a temporary directory. One is shared by all tests of a process;
/// each takes a prefix of its own. Installed into a temporary directory at the first use where npm and a registry are at hand.
/// </summary>
public sealed class S3Server : IDisposable
{
    private const string Package = "s3rver@3.7.1";
    private static readonly string Home = Path.Combine(Path.GetTempPath(), "gongzhi-s3rver-3.7.1");
    private static readonly string Script = Path.Combine(Home, "node_modules", "s3rver", "bin", "s3rver.js");

    private static readonly Lazy<string?> Reason = new(Install);

    private static readonly Lazy<S3Server> Kept = new(() =>
    {
        S3Server server;
        try
        {
            server = new S3Server();
        }
        catch (InvalidOperationException)
        {
            // Somebody else took its port first.
            server = new S3Server();
        }
        AppDomain.CurrentDomain.ProcessExit += (_, _) => server.Dispose();
        return server;
    });

    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-s3-").FullName;
    private readonly Process _process;

    private S3Server()
    {
        // It ends with whoever holds the other end of its input, also when that one is killed.
        var watch = Path.Combine(_root, "watch.js");
        File.WriteAllText(watch, "process.stdin.on('close', () => process.exit(0)); process.stdin.resume();");
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            Port = ((IPEndPoint)free.LocalEndpoint).Port;
        }
        // Its page tokens use a cipher that newer OpenSSL calls legacy.
        _process = Start("node", "--openssl-legacy-provider", "--require", watch, Script, "-d", Path.Combine(_root, "objects"), "-a", "127.0.0.1", "-p", Port.ToString(CultureInfo.InvariantCulture), "-s", "--configure-bucket", Bucket);
        _ = _process.StandardError.ReadToEndAsync();
        string? line;
        while ((line = _process.StandardOutput.ReadLine()) is not null && !line.Contains("listening", StringComparison.OrdinalIgnoreCase))
        {
        }
        if (line is null)
            throw new InvalidOperationException("The server that speaks S3 did not start.");
        _ = _process.StandardOutput.ReadToEndAsync();
    }

    /// <summary>Why the tests that need it are skipped, with what would help; null when it is installed.</summary>
    public static string? Missing => Reason.Value;

    /// <summary>The one that the tests of this process share.</summary>
    public static S3Server Shared => Kept.Value;

    public const string Bucket = "segments";

    /// <summary>The key that it takes, and its secret.</summary>
    public const string Key = "S3RVER";
    public const string Secret = "S3RVER";

    public int Port { get; }

    /// <summary>Where it keeps its objects.</summary>
    public string Objects => Path.Combine(_root, "objects", Bucket);

    public string Url(string prefix) => string.Create(CultureInfo.InvariantCulture, $"s3://{Bucket}/{prefix}?endpoint=http://127.0.0.1:{Port}&region=us-east-1&path-style=true");

    /// <summary>The file that holds an object's bytes.</summary>
    public string FileOf(string key) => Path.Combine(Objects, key + "._S3rver_object");

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }
        _process.Dispose();
        if (Directory.Exists(_root))
            Directory.Delete(_root, recursive: true);
    }

    private static string? Install()
    {
        if (File.Exists(Script))
            return null;
        // Beside it first: another test run may be doing the same, and finds all of it or nothing.
        var beside = Directory.CreateTempSubdirectory("gongzhi-s3rver-").FullName;
        try
        {
            using var npm = Start("npm", "install", "--no-audit", "--no-fund", "--prefix", beside, Package);
            var (output, errors) = (npm.StandardOutput.ReadToEndAsync(), npm.StandardError.ReadToEndAsync());
            if (!npm.WaitForExit(TimeSpan.FromMinutes(2)))
                npm.Kill(entireProcessTree: true);
            Task.WaitAll(output, errors);
            if (npm.ExitCode == 0)
                Directory.Move(beside, Home);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            // No npm here, or somebody else was first.
        }
        finally
        {
            if (Directory.Exists(beside))
                Directory.Delete(beside, recursive: true);
        }
        return File.Exists(Script) ? null : $"No server that speaks S3 is installed: npm install --prefix {Home} {Package}";
    }

    private static Process Start(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }
}
