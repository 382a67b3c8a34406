using DuckDB.NET.Data;
using Gongzhi.Core.Query;
using Xunit;

namespace Gongzhi.Tests.Unit.Query;

public sealed class DuckEngineTests : IDisposable
{
    private readonly QueryWorld _world = new(QueryWorld.Some(40, 1));

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData("SELECT * FROM read_csv('/etc/passwd')")]
    [InlineData("SELECT * FROM read_text('/etc/passwd')")]
    [InlineData("SELECT * FROM read_parquet('segments/../../../etc/passwd')")]
    [InlineData("SELECT * FROM glob('/etc/*')")]
    [InlineData("COPY (SELECT 1) TO '/tmp/gongzhi-escape.csv'")]
    [InlineData("ATTACH '/tmp/gongzhi-escape.db'")]
    [InlineData("EXPORT DATABASE '/tmp/gongzhi-escape'")]
    [InlineData("INSTALL httpfs")]
    [InlineData("LOAD httpfs")]
    [InlineData("SELECT * FROM read_parquet('https://127.0.0.1:1/x.parquet')")]
    [InlineData("SET enable_external_access = true")]
    [InlineData("SET threads = 64")]
    [InlineData("SET allowed_directories = ['/']")]
    [InlineData("RESET lock_configuration")]
    public void The_sandbox_holds(string sql)
    {
        Assert.Throws<DuckDBException>(() => _world.Engine.Execute(sql));
        _world.Engine.Execute("SELECT 1");
    }

    private CompiledQuery Heavy() => _world.Compile("{}", QueryWorld.Permit(), QueryFormat.Ndjson).Value! with { Sql = "SELECT sum(a.range * b.range) AS o0 FROM range(2000000) a, range(2000000) b", Parameters = [] };

    private DuckEngine Other(TimeSpan timeout) => new(new()
    {
        SegmentsDirectory = Path.Combine(_world.Root, "segments"), TempDirectory = Path.Combine(_world.Root, "tmp2"), Threads = 1, MemoryMegabytes = 128,
        ConcurrentQueries = 1, QueryTimeout = timeout, AdmissionWait = TimeSpan.FromMilliseconds(20),
    }, TimeProvider.System);

    [Fact]
    public async Task A_query_is_interrupted_at_its_time_limit_and_frees_its_place()
    {
        using var engine = Other(TimeSpan.FromMilliseconds(100));
        for (var i = 0; i < 3; i++)
            Assert.Equal("query.timeout", (await engine.RunAsync(Heavy(), TestContext.Current.CancellationToken)).Problem?.Code);
    }

    [Fact]
    public async Task A_query_stops_when_its_caller_leaves()
    {
        using var engine = Other(TimeSpan.FromMinutes(1));
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => engine.RunAsync(Heavy(), cancel.Token));
        engine.Execute("SELECT 1");
    }

    [Fact]
    public async Task Too_many_queries_are_told_to_come_back()
    {
        using var engine = Other(TimeSpan.FromMinutes(1));
        var light = Heavy() with { Sql = "SELECT 1 AS o0" };
        using (var first = (await engine.RunAsync(light, TestContext.Current.CancellationToken)).Value!)
        {
            var second = await engine.RunAsync(light, TestContext.Current.CancellationToken);
            Assert.Equal(("query.busy", 503), (second.Problem!.Code, second.Problem.Status));
        }
        using var third = (await engine.RunAsync(light, TestContext.Current.CancellationToken)).Value;
        Assert.NotNull(third);
    }
}
