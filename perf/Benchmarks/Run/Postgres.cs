using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Gongzhi.Perf;

/// <summary>
/// A PostgreSQL cluster of the benchmark's own: made, started on a free port of the loopback address, stopped and removed again. Commits are
/// durable (fsync and synchronous_commit on); memory and journal are set as its manual advises for loading, so that it shows what it can.
/// </summary>
internal sealed class Postgres : IAsyncDisposable
{
    /// <summary>Settings beside the defaults, named in the results.</summary>
    public const string Settings = "fsync=on synchronous_commit=on shared_buffers=1GB max_wal_size=8GB checkpoint_timeout=30min work_mem=256MB max_connections=200 max_parallel_workers_per_gather=2 jit=on";

    private readonly string _programs;
    private readonly string _directory;
    private readonly string _options;

    private Postgres(string programs, string directory, int port, string options)
    {
        (_programs, _directory, _options) = (programs, directory, options);
        ConnectionString = string.Create(CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={port};Username=bench;Database=postgres;Command Timeout=600;Maximum Pool Size=100");
        Source = NpgsqlDataSource.Create(ConnectionString);
    }

    public string ConnectionString { get; }
    public NpgsqlDataSource Source { get; }

    /// <summary>The same server, another database.</summary>
    public string ConnectionStringOf(string database) => new NpgsqlConnectionStringBuilder(ConnectionString) { Database = database }.ToString();

    public static async Task<Postgres> StartAsync(string programs)
    {
        var root = System.IO.Directory.CreateTempSubdirectory("gongzhi-bench-pg-").FullName;
        var data = Path.Combine(root, "data");
        // The server refuses to run as root; Debian's package brings the user it should run as.
        if (Environment.UserName == "root")
            await RunAsync("chown", "postgres", root);
        await AsOwnerAsync(Path.Combine(programs, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-locale");
        int port;
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }
        var options = string.Join(' ', Settings.Split(' ').Append("listen_addresses=127.0.0.1").Append("unix_socket_directories=" + root)
            .Append("port=" + port.ToString(CultureInfo.InvariantCulture)).Select(s => "-c " + s));
        await AsOwnerAsync(Path.Combine(programs, "pg_ctl"), "-D", data, "-o", options, "-l", Path.Combine(root, "log"), "-w", "start");
        return new Postgres(programs, root, port, options);
    }

    /// <summary>Processor seconds of the server and of all its sessions, also those that have ended.</summary>
    public double CpuSeconds()
    {
        var server = File.ReadLines(Path.Combine(_directory, "data", "postmaster.pid")).First().Trim();
        var children = Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(p => p!.All(char.IsAsciiDigit)).Select(Ticks).OfType<(string Id, string Parent, long Own, long Ended)>().ToList();
        return children.Sum(p => p.Id == server ? p.Own + p.Ended : p.Parent == server ? p.Own : 0) / 100.0;

        static (string, string, long, long)? Ticks(string? id)
        {
            try
            {
                // After the name, which may hold anything: state, parent, …, own time in user and system, that of ended children.
                var fields = File.ReadAllText($"/proc/{id}/stat").Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries);
                return (id!, fields[1], long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture), long.Parse(fields[13], CultureInfo.InvariantCulture) + long.Parse(fields[14], CultureInfo.InvariantCulture));
            }
            catch (IOException)
            {
                // It has ended meanwhile.
                return null;
            }
        }
    }

    public async Task ExecuteAsync(string sql)
    {
        await using var command = Source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var command = Source.CreateCommand(sql);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    /// <summary>Stops the server as a crash would, and starts it again on the same port; it recovers from its journal first.</summary>
    public async Task CrashAsync()
    {
        var data = Path.Combine(_directory, "data");
        await AsOwnerAsync(Path.Combine(_programs, "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop");
        await AsOwnerAsync(Path.Combine(_programs, "pg_ctl"), "-D", data, "-o", _options, "-l", Path.Combine(_directory, "log"), "-w", "start");
        // Connections that were kept are of the server before.
        Source.Clear();
    }

    /// <summary>Stops the server by the process id that stands in its data directory, then removes the directory.</summary>
    public async ValueTask DisposeAsync()
    {
        await Source.DisposeAsync();
        await AsOwnerAsync(Path.Combine(_programs, "pg_ctl"), "-D", Path.Combine(_directory, "data"), "-m", "immediate", "-w", "stop");
        System.IO.Directory.Delete(_directory, recursive: true);
    }

    private static Task AsOwnerAsync(string program, params string[] arguments) =>
        Environment.UserName == "root" ? RunAsync("runuser", ["-u", "postgres", "--", program, .. arguments]) : RunAsync(program, arguments);

    private static async Task RunAsync(string program, params string[] arguments)
    {
        // Nothing is read through pipes: the server would inherit them and keep them open.
        var start = new ProcessStartInfo("sh") { WorkingDirectory = "/" };
        var log = Path.GetTempFileName();
        try
        {
            start.ArgumentList.Add("-c");
            start.ArgumentList.Add("log=$1; shift; exec \"$@\" >\"$log\" 2>&1 </dev/null");
            start.ArgumentList.Add("sh");
            start.ArgumentList.Add(log);
            start.ArgumentList.Add(program);
            foreach (var argument in arguments)
                start.ArgumentList.Add(argument);
            using var process = Process.Start(start)!;
            await process.WaitForExitAsync();
            if (process.ExitCode != 0)
                throw new InvalidOperationException($"{Path.GetFileName(program)} failed: {await File.ReadAllTextAsync(log)}");
        }
        finally
        {
            File.Delete(log);
        }
    }
}
