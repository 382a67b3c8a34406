using System.Collections.Immutable;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.RegularExpressions;
using Gongzhi.Tests.Shared;
using Npgsql;

namespace Gongzhi.Tests.Cluster.Faults;

/// <summary>Three whole nodes as processes of this machine, on one PostgreSQL whose commits are durable and one directory of segments.</summary>
internal sealed partial class FaultCluster : IAsyncDisposable
{
    public const string Dataset = "reports";

    /// <summary>Datasets whose ids begin so promise news each minute, and have some once, each a little later than the one before.</summary>
    public const string Quiet = "quiet-";

    public const int QuietCount = 10;

    // Their silences fall due one after another over twice this times their number, so that a fault comes in between.
    private static readonly TimeSpan BetweenQuiet = TimeSpan.FromMilliseconds(500);

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-faults-");
    private readonly Namespace? _apart;
    private readonly Authority? _authority;
    private string _database = "";
    private readonly Dictionary<RunningNode, string> _numbers = [];
    private int _started;

    private FaultCluster(PostgresServer postgres, Namespace? apart)
    {
        (Postgres, _apart) = (postgres, apart);
        _authority = apart is null ? null : new Authority();
    }

    public PostgresServer Postgres { get; }

    private (string Name, string Value)[] Settings { get; init; } = [];

    /// <summary>The build that machines are started with.</summary>
    private string Program { get; set; } = CurrentProgram;

    private static string CurrentProgram => Path.Combine(AppContext.BaseDirectory, "gongzhi.dll");

    /// <summary>Those that clients ask: another list after each change, since they look while it changes.</summary>
    public ImmutableList<RunningNode> Machines { get; set; } = [];

    /// <summary>The one in a network namespace of its own, where there is one.</summary>
    public RunningNode? Apart { get; private set; }

    /// <param name="apart">A namespace for the third machine; the others are on its host's end of the cable.</param>
    /// <param name="settings">Further settings of all machines.</param>
    public static Task<FaultCluster> StartAsync(Namespace? apart = null, params (string Name, string Value)[] settings) => StartAsync(apart, null, settings);

    /// <param name="apart">A namespace for the third machine.</param>
    /// <param name="program">Another build of the program that the first three are started with; null for this one.</param>
    /// <param name="settings">Further settings of all machines.</param>
    public static async Task<FaultCluster> StartAsync(Namespace? apart, string? program, params (string Name, string Value)[] settings)
    {
        var cluster = new FaultCluster(await PostgresServer.StartAsync(network: apart is null ? null : (apart.Host, apart.Network)), apart) { Settings = settings, Program = program ?? CurrentProgram };
        try
        {
            cluster._database = await cluster.Postgres.NewDatabaseAsync();
            for (var i = 0; i < 3; i++)
                await cluster.AddAsync(apartFromOthers: apart is not null && i == 2);
            await cluster.Machines[0].DefineAsync(Dataset, personal: false, ("v", "string"));
            for (var i = 0; i < QuietCount; i++)
            {
                var id = string.Create(CultureInfo.InvariantCulture, $"{Quiet}{i}");
                using var quiet = await cluster.Machines[0].Http.PutAsJsonAsync("/api/v1/datasets/" + id, new { title = new { en = id }, owner = "node", expectedEvery = "PT1M", schema = new { fields = new[] { new { name = "v", type = "string" } } } });
                Assert.True(quiet.IsSuccessStatusCode, await quiet.Content.ReadAsStringAsync());
                using var news = new StringContent("v\nonce\n", null, "text/csv");
                Assert.Equal(201, (await cluster.Machines[0].ContributeAsync(id, news)).Status);
                await Task.Delay(BetweenQuiet, TimeProvider.System);
            }
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts another machine, with a data directory of its own.</summary>
    public Task<RunningNode> AddAsync(bool apartFromOthers = false) => StartMachineAsync((++_started).ToString(CultureInfo.InvariantCulture), 0, apartFromOthers);

    /// <summary>Stops a machine in order, and starts this program on its directory and its port.</summary>
    public async Task ReplaceAsync(RunningNode old)
    {
        var (number, port) = (_numbers[old], old.Http.BaseAddress!.Port);
        Machines = Machines.Remove(old);
        await old.TerminateAsync();
        Assert.Equal(0, await old.ExitAsync().WaitAsync(TimeSpan.FromSeconds(60)));
        _numbers.Remove(old);
        old.Dispose();
        Program = CurrentProgram;
        await StartMachineAsync(number, port, apartFromOthers: false);
    }

    private async Task<RunningNode> StartMachineAsync(string number, int port, bool apartFromOthers)
    {
        var address = _apart is null ? "127.0.0.1" : apartFromOthers ? _apart.Inside : _apart.Host;
        var database = new NpgsqlConnectionStringBuilder(_database) { Host = address == "127.0.0.1" ? address : _apart!.Host }.ToString();
        List<(string, string)> settings =
        [
            ("Cluster", database), ("Segments", Path.Combine(_root.FullName, "segments")), ("ClusterSecret", "a secret of the tests' own, of no use elsewhere"), ("World", "faults"), ("Kind", "Test"),
            ("AddressRequestsPerSecond", "0"), ("CallerRequestsPerSecond", "0"), ("SiloAddress", address), .. Settings,
        ];
        if (_authority?.Issue() is var (certificate, key))
            settings.AddRange([("SiloCertificate", certificate), ("SiloKey", key), ("SiloAuthority", _authority.File), ("AllowPlainHttp", "true"), ("MetricsToken", MetricsToken)]);
        var node = RunningNode.Spawn(apartFromOthers ? _apart!.Enter : [], address, port, Program, Path.Combine(_root.FullName, "machine-" + number), [], [.. settings]);
        try
        {
            Assert.True(await node.ListeningAsync(), $"Machine {number} did not start:\n{node.Said}");
            await node.SignInAsync();
        }
        catch
        {
            node.Dispose();
            throw;
        }
        Machines = Machines.Add(node);
        _numbers.Add(node, number);
        if (apartFromOthers)
            Apart = node;
        return node;
    }

    private const string MetricsToken = "metrics-of-the-tests";

    /// <summary>The machine that holds a seat, as each says of itself.</summary>
    public async Task<RunningNode> HolderAsync(string kind, TimeSpan limit)
    {
        var clock = TimeProvider.System;
        var began = clock.GetTimestamp();
        while (clock.GetElapsedTime(began) < limit)
        {
            foreach (var machine in Machines.Where(m => !m.HasExited))
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, "/metrics");
                if (_apart is not null)
                    request.Headers.Authorization = new("Bearer", MetricsToken);
                using var answer = await machine.Http.SendAsync(request);
                if (SeatHeld().Matches(await answer.Content.ReadAsStringAsync()).Any(m => m.Groups["kind"].Value == kind && m.Groups["held"].Value == "1"))
                    return machine;
            }
            await Task.Delay(TimeSpan.FromMilliseconds(200), clock);
        }
        throw new Xunit.Sdk.XunitException($"No machine says that it holds the seat {kind}.");
    }

    /// <summary>The first number that a question of SQL answers, read beside the program.</summary>
    public async Task<long> ScalarAsync(string sql)
    {
        await using var connection = new NpgsqlConnection(_database + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return Convert.ToInt64(await command.ExecuteScalarAsync(), CultureInfo.InvariantCulture);
    }

    /// <summary>Rows of the reports' newest day, as the volume analysis has counted them and as the batches hold them.</summary>
    public async Task<(long Counted, long Kept)> CountedAsync()
    {
        await using var connection = new NpgsqlConnection(_database + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand($"SELECT state FROM analysis_state WHERE analysis = 'volume' AND part LIKE '{Dataset}/%'", connection);
        if (await command.ExecuteScalarAsync() is not byte[] state)
            return (-1, 0);
        using var reader = new BinaryReader(new MemoryStream(state));
        // As the analysis writes it: its form, what is open, the first and the last index, and then the volume.
        Assert.Equal(1, reader.ReadByte());
        _ = (reader.ReadString(), reader.ReadInt64(), reader.ReadInt64());
        var volume = Gongzhi.Analysis.DailyVolume.Read(reader);
        var day = new DateTimeOffset(DateOnly.FromDayNumber(volume.Today!.Value).ToDateTime(TimeOnly.MinValue), TimeSpan.FromHours(8)).ToUnixTimeMilliseconds() * 1_000;
        return (volume.Rows, await ScalarAsync($"SELECT sum(b.rows)::bigint FROM batch b JOIN dataset d ON d.number = b.dataset WHERE d.id = '{Dataset}' AND b.received >= {day.ToString(CultureInfo.InvariantCulture)}"));
    }

    public async ValueTask DisposeAsync()
    {
        // Also those that were taken out of turn, frozen perhaps.
        foreach (var machine in _numbers.Keys)
            machine.Dispose();
        await Postgres.DisposeAsync();
        _authority?.Dispose();
        _root.Delete(recursive: true);
    }

    [GeneratedRegex("""^gongzhi_cluster_seat\{[^}]*kind="(?<kind>[^"]*)"[^}]*\} (?<held>[01])""", RegexOptions.Multiline)]
    private static partial Regex SeatHeld();
}
