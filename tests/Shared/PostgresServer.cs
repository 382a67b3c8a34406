using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Gongzhi.Tests.Shared;

/// <summary>
/// A PostgreSQL cluster of the tests' own: made in a temporary directory, started on a free port of the loopback address, stopped and removed again.
/// One is shared by all tests of a process (<see cref="Shared"/>); each takes a database of its own.
/// </summary>
public sealed class PostgresServer : IAsyncDisposable
{
    // Nobody is left to dispose what a whole process shares: whoever watches it (Watch) stops the server once the process is gone. Not in the process's own exit, which a test runner
    // ends by force, as a failure, when removing hundreds of databases takes it more than ten seconds.
    private static readonly Lazy<Task<PostgresServer>> Kept = new(() => Task.Run(() => StartAsync(durable: false)));

    private const int CopiesMax = 3;

    private static readonly string? Programs = Find();
    private const int PortsTried = 5;

    private readonly string _root, _settings;
    private int _databases;

    private PostgresServer(string root, bool durable, string addresses)
    {
        _root = root;
        _settings = string.Join(' ', new[]
        {
            "listen_addresses=" + addresses, "unix_socket_directories=" + root,
            durable ? "fsync=on" : "fsync=off", "synchronous_commit=on", "shared_buffers=128MB", "max_connections=400",
        }.Select(s => "-c " + s));
    }

    /// <summary>Why the tests that need it are skipped; null when it is installed.</summary>
    public static string? Missing => Programs is null ? "PostgreSQL is not installed (Debian's package: postgresql)." : null;

    /// <summary>The one that the tests of this process share; do not stop it.</summary>
    public static Task<PostgresServer> Shared => Kept.Value;

    public int Port { get; private set; }

    private string Data => Path.Combine(_root, "data");

    /// <summary>Makes a cluster and starts it.</summary>
    /// <param name="durable">Whether its commits outlast a crash of the machine; without it tests that make a thousand databases take half the time.</param>
    /// <param name="network">A further address to listen on, with the network that may connect to it; null for loopback alone.</param>
    public static async Task<PostgresServer> StartAsync(bool durable = true, (string Address, string Network)? network = null)
    {
        var root = Directory.CreateTempSubdirectory("gongzhi-pg-").FullName;
        // The server refuses to run as root; Debian's package brings the user it should run as.
        if (Environment.UserName == "root")
            await RunAsync("chown", "postgres", root).ConfigureAwait(false);
        var server = new PostgresServer(root, durable, network is { } more ? "127.0.0.1," + more.Address : "127.0.0.1");
        await AsOwnerAsync("initdb", "-D", server.Data, "-U", "gongzhi", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").ConfigureAwait(false);
        if (network is not null)
            await File.AppendAllTextAsync(Path.Combine(server.Data, "pg_hba.conf"), $"host all all {network.Value.Network} trust\n").ConfigureAwait(false);
        await server.StartFirstAsync().ConfigureAwait(false);
        server.Watch();
        return server;
    }

    /// <summary>A streaming replica of this server, which answers readings and follows until it is promoted.</summary>
    public async Task<PostgresServer> ReplicaAsync()
    {
        var root = Directory.CreateTempSubdirectory("gongzhi-pg-").FullName;
        if (Environment.UserName == "root")
            await RunAsync("chown", "postgres", root).ConfigureAwait(false);
        var replica = new PostgresServer(root, durable: true, "127.0.0.1");
        await AsOwnerAsync("pg_basebackup", "-h", "127.0.0.1", "-p", Port.ToString(CultureInfo.InvariantCulture), "-U", "gongzhi", "-D", replica.Data, "-R", "-X", "stream", "-c", "fast").ConfigureAwait(false);
        await replica.StartFirstAsync().ConfigureAwait(false);
        replica.Watch();
        return replica;
    }

    /// <summary>Waits until this replica has replayed what the primary has committed by now.</summary>
    public async Task CaughtUpAsync(PostgresServer primary)
    {
        var target = await ScalarAsync(primary, "SELECT pg_current_wal_lsn()::text").ConfigureAwait(false);
        while (await ScalarAsync(this, $"SELECT (pg_last_wal_replay_lsn() >= '{target}'::pg_lsn)::text").ConfigureAwait(false) != "true")
            await Task.Delay(20).ConfigureAwait(false);
    }

    /// <summary>Makes this replica a server of its own as it stands: what its primary committed and it never received is lost.</summary>
    public Task PromoteAsync() => AsOwnerAsync("pg_ctl", "-D", Data, "-w", "promote");

    private static async Task<string?> ScalarAsync(PostgresServer server, string sql)
    {
        await using var connection = new NpgsqlConnection(server.ConnectionString("postgres") + ";Pooling=false");
        await connection.OpenAsync().ConfigureAwait(false);
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync().ConfigureAwait(false) as string;
    }

    /// <summary>A test run that is killed disposes nothing: a shell of its own waits for this process to be gone, stops what is left and removes it.</summary>
    private void Watch()
    {
        var start = new ProcessStartInfo("setsid") { WorkingDirectory = "/" };
        foreach (var argument in (string[])["-f", "sh", "-c", """
            exec >/dev/null 2>&1 </dev/null
            while [ -d "/proc/$1" ] && [ -d "$2" ]; do sleep 1; done
            [ -f "$2/data/postmaster.pid" ] && kill -QUIT "$(head -1 "$2/data/postmaster.pid")" && sleep 2
            rm -rf "$2"
            """, "sh", Environment.ProcessId.ToString(CultureInfo.InvariantCulture), _root])
        {
            start.ArgumentList.Add(argument);
        }
        using var process = System.Diagnostics.Process.Start(start)!;
        process.WaitForExit();
    }

    /// <summary>A new database: empty, or a copy of another that nobody is connected to.</summary>
    /// <returns>Its connection string.</returns>
    public async Task<string> NewDatabaseAsync(string? template = null)
    {
        var name = "w" + Interlocked.Increment(ref _databases).ToString(CultureInfo.InvariantCulture);
        for (var tries = 0; ; tries++)
        {
            try
            {
                await ExecuteAsync($"CREATE DATABASE {name} TEMPLATE {template ?? "template0"}").ConfigureAwait(false);
                return ConnectionString(name);
            }
            catch (PostgresException e) when (e.SqlState == PostgresErrorCodes.ObjectInUse && tries < CopiesMax)
            {
                // The server notices a closed connection a little later than its client, and waits five seconds for it itself.
            }
        }
    }

    public string ConnectionString(string database, string address = "127.0.0.1") =>
        string.Create(CultureInfo.InvariantCulture, $"Host={address};Port={Port};Username=gongzhi;Database={database}");

    /// <summary>Runs a statement in the maintenance database.</summary>
    public async Task ExecuteAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(ConnectionString("postgres") + ";Pooling=false");
        await connection.OpenAsync().ConfigureAwait(false);
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    /// <summary>Stops the server: <c>fast</c> breaks its connections off, <c>immediate</c> is a crash that the next start recovers from.</summary>
    public Task StopAsync(string mode = "fast") => AsOwnerAsync("pg_ctl", "-D", Data, "-m", mode, "-w", "stop");

    /// <summary>Starts it on the same port after <see cref="StopAsync"/>.</summary>
    public Task StartAgainAsync() => AsOwnerAsync("pg_ctl", "-D", Data, "-o", _settings + " -c port=" + Port.ToString(CultureInfo.InvariantCulture), "-l", Path.Combine(_root, "log"), "-w", "start");

    /// <summary>On a port that is free now; somebody else may take it first.</summary>
    private async Task StartFirstAsync()
    {
        for (var tried = 1; ; tried++)
        {
            Port = FreePort();
            try
            {
                await StartAgainAsync().ConfigureAwait(false);
                return;
            }
            catch (InvalidOperationException) when (tried < PortsTried)
            {
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (File.Exists(Path.Combine(Data, "postmaster.pid")))
            await StopAsync("immediate").ConfigureAwait(false);
        Directory.Delete(_root, recursive: true);
    }

    private static string? Find() => Directory.Exists("/usr/lib/postgresql")
        ? Directory.GetDirectories("/usr/lib/postgresql").OrderBy(d => int.TryParse(Path.GetFileName(d), out var version) ? version : 0)
            .Select(d => Path.Combine(d, "bin")).LastOrDefault(d => File.Exists(Path.Combine(d, "initdb")))
        : null;

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private static Task AsOwnerAsync(string program, params string[] arguments)
    {
        var path = Path.Combine(Programs ?? throw new InvalidOperationException(Missing), program);
        return Environment.UserName == "root" ? RunAsync("runuser", ["-u", "postgres", "--", path, .. arguments]) : RunAsync(path, arguments);
    }

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
            using var process = System.Diagnostics.Process.Start(start)!;
            await process.WaitForExitAsync().ConfigureAwait(false);
            if (process.ExitCode != 0)
                throw new InvalidOperationException($"{Path.GetFileName(program)} failed: {await File.ReadAllTextAsync(log).ConfigureAwait(false)}");
        }
        finally
        {
            File.Delete(log);
        }
    }
}
