using System.Globalization;

namespace Gongzhi.Perf;

/// <summary>Machines of one world as processes of this one, on a database of the peer's own server and one directory of segments.</summary>
internal sealed class BenchCluster : IDisposable
{
    private static int _made;
    private readonly Bench _bench;
    private readonly string _place;
    private readonly List<ServerProcess> _machines = [];

    private BenchCluster(Bench bench, string place, string database) => (_bench, _place, Database) = (bench, place, database);

    /// <summary>Connection string of the database that the machines share.</summary>
    public string Database { get; }

    public string Segments => Path.Combine(_place, "segments");

    public IReadOnlyList<ServerProcess> Machines => _machines;

    public const string Secret = "a-cluster-secret-for-benchmarks-only";

    /// <param name="bench">Whose PostgreSQL it is on.</param>
    /// <param name="machines">How many to start; more may join by <see cref="Database"/> and <see cref="Segments"/>.</param>
    public static async Task<BenchCluster> StartAsync(Bench bench, int machines)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"cluster{Interlocked.Increment(ref _made)}");
        var postgres = await bench.PostgresAsync();
        await postgres.ExecuteAsync("CREATE DATABASE " + name);
        var cluster = new BenchCluster(bench, bench.File(name), postgres.ConnectionStringOf(name));
        try
        {
            for (var i = 0; i < machines; i++)
                await cluster.AddAsync();
            return cluster;
        }
        catch
        {
            cluster.Dispose();
            throw;
        }
    }

    public async Task AddAsync() => _machines.Add(await ServerProcess.NodeAsync(
        Path.Combine(_place, string.Create(CultureInfo.InvariantCulture, $"machine-{_machines.Count + 1}")),
        [("World", "bench"), ("Kind", "Test"), ("ClusterSecret", Secret)],
        "--cluster", Database, "--segments", Segments, "--bootstrap-client", $"{ServerProcess.Client}:{ServerProcess.Secret}"));

    public void Dispose()
    {
        _machines.ForEach(m => m.Dispose());
        if (Directory.Exists(_place))
            Directory.Delete(_place, recursive: true);
    }
}
