using System.Globalization;
using Gongzhi.Core;
using Gongzhi.Node.Cluster;
using Gongzhi.Node.Hosting;
using Gongzhi.Tests.Shared;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Runtime;

namespace Gongzhi.Tests.Cluster;

/// <summary>The whole node with its silo: alone by default, refused in one sentence when its cluster cannot be.</summary>
public sealed class NodeTests : IDisposable
{
    private const string Secret = "a secret of the tests' own, of no use elsewhere";

    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private readonly DirectoryInfo _place = Directory.CreateTempSubdirectory("gongzhi-cluster-");

    public void Dispose()
    {
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        _place.Delete(recursive: true);
    }

    [Fact]
    public async Task Two_worlds_on_one_machine_with_default_settings_never_meet()
    {
        var before = ListeningSockets();
        var works = new[] { new CountingWork(), new CountingWork() };
        await using var one = await StartAsync("one", works[0]);
        await using var two = await StartAsync("two", works[1]);
        // Each does its own seat's work, since for neither is there another.
        await Task.WhenAll(works.Select(w => w.Began.WaitAsync(Soon)));
        foreach (var node in new[] { one, two })
        {
            var silo = node.Services.GetRequiredService<ILocalSiloDetails>();
            Assert.Equal(node.Services.GetRequiredService<World>().Mark, silo.ClusterId);
            Assert.Equal([silo.SiloAddress], node.Services.GetRequiredService<IClusterMembershipService>().CurrentSnapshot.Members.Keys);
            Assert.Equal(silo.SiloAddress.ToParsableString(), await node.Services.GetRequiredService<IGrainFactory>().GetGrain<ISeatGrain>("counting").KeepAsync());
        }
        Assert.NotEqual(one.Services.GetRequiredService<ILocalSiloDetails>().ClusterId, two.Services.GetRequiredService<ILocalSiloDetails>().ClusterId);
        // And they could not: the only doors are those for HTTP.
        if (OperatingSystem.IsLinux())
            Assert.Equal(before + one.Urls.Count + two.Urls.Count, ListeningSockets());
        await one.StopAsync();
        await two.StopAsync();
        Assert.All(works, w => Assert.Equal((1, 1), (w.Starts, w.Stops)));
    }

    [Fact]
    public async Task A_node_joins_its_cluster_through_PostgreSQL()
    {
        var database = await MembershipTests.DatabaseAsync();
        await using var one = await StartAsync("one", new CountingWork(), o => o with { Cluster = database, Segments = Path.Combine(_place.FullName, "segments"), ClusterSecret = Secret });
        await using var two = await StartAsync("two", new CountingWork(), o => o with { Cluster = database, Segments = Path.Combine(_place.FullName, "segments"), ClusterSecret = Secret });
        var holders = await Task.WhenAll(new[] { one, two }.Select(n => n.Services.GetRequiredService<IGrainFactory>().GetGrain<ISeatGrain>("counting").KeepAsync()));
        Assert.Single(holders.Distinct());
        await two.StopAsync();
        await one.StopAsync();
    }

    [Fact]
    public async Task A_start_that_cannot_be_is_one_sentence_with_its_exit_code()
    {
        MembershipTests.SkipWithoutPostgres();
        var server = await PostgresServer.Shared;
        var (exit, error) = await ServedNode.RunAsync(("Cluster", await server.NewDatabaseAsync()), ("Segments", Path.Combine(_place.FullName, "segments")), ("ClusterSecret", Secret), ("SiloAddress", "10.1.2.3"));
        Assert.Equal((1, 1), (exit, error.Count));
        Assert.Contains("silos without certificates", error[0], StringComparison.Ordinal);

        (exit, error) = await ServedNode.RunAsync(("Cluster", server.ConnectionString("no_such_database")), ("Segments", Path.Combine(_place.FullName, "segments")), ("ClusterSecret", Secret));
        Assert.Equal((1, 1), (exit, error.Count));
        Assert.Contains("no_such_database", error[0], StringComparison.Ordinal);

        (exit, error) = await ServedNode.RunAsync(("Cluster", await server.NewDatabaseAsync()));
        Assert.Equal((1, 1), (exit, error.Count));
        Assert.Contains("needs Segments", error[0], StringComparison.Ordinal);

        (exit, error) = await ServedNode.RunAsync(("Cluster", await server.NewDatabaseAsync()), ("Segments", Path.Combine(_place.FullName, "segments")));
        Assert.Equal((1, 1), (exit, error.Count));
        Assert.Contains("ClusterSecret", error[0], StringComparison.Ordinal);

        // Nobody listens there: trying again may help, which is another exit code.
        (exit, error) = await ServedNode.RunAsync(("Cluster", "Host=127.0.0.1;Port=1;Database=d;Username=x;Password=hidden-word"), ("Segments", Path.Combine(_place.FullName, "segments")), ("ClusterSecret", Secret));
        Assert.Equal((3, 1), (exit, error.Count));
        Assert.Contains("PostgreSQL cannot be reached", error[0], StringComparison.Ordinal);
        Assert.DoesNotContain("hidden-word", error[0], StringComparison.Ordinal);
    }

    private async Task<WebApplication> StartAsync(string name, ISeatWork work, Func<NodeOptions, NodeOptions>? change = null)
    {
        var options = new NodeOptions { Data = Path.Combine(_place.FullName, name), Kind = WorldKind.Test, Urls = "http://127.0.0.1:0" };
        var app = await NodeHost.BuildAsync(change?.Invoke(options) ?? options, extend: b => b.Services.AddSingleton(work));
        await app.StartAsync();
        return app;
    }

    /// <summary>How many sockets of this process listen.</summary>
    private static int ListeningSockets()
    {
        if (!OperatingSystem.IsLinux())
            return 0;
        var own = Directory.GetFiles("/proc/self/fd").Select(f => new FileInfo(f).LinkTarget ?? "").Where(t => t.StartsWith("socket:[", StringComparison.Ordinal)).ToHashSet();
        return new[] { "/proc/self/net/tcp", "/proc/self/net/tcp6" }.Where(File.Exists).SelectMany(f => File.ReadLines(f).Skip(1))
            .Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Count(l => l[3] == "0A" && own.Contains(string.Create(CultureInfo.InvariantCulture, $"socket:[{l[9]}]")));
    }

    private sealed class CountingWork : ISeatWork
    {
        private readonly TaskCompletionSource _began = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string Kind => "counting";

        public int Starts { get; private set; }

        public int Stops { get; private set; }

        public Task Began => _began.Task;

        public async Task RunAsync(CancellationToken cancel)
        {
            Starts++;
            _began.TrySetResult();
            await Task.Delay(Timeout.Infinite, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Stops++;
        }
    }
}
