using System.Text;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Unit.Storage;

/// <summary>Keys that machines share in one PostgreSQL database.</summary>
public sealed class WorldKeysTests : IDisposable
{
    private const string Secret = "a secret of the cluster, long enough";
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-keys-");

    [Fact]
    public void The_first_machine_makes_a_key_and_all_have_it()
    {
        var made = Enumerable.Range(0, 6).AsParallel().WithDegreeOfParallelism(6).Select(i => WorldKeys.GetOrMake(Machine(i), "some.key", () => Encoding.UTF8.GetBytes($"made by {i}"))).ToList();
        Assert.Single(made.Select(Encoding.UTF8.GetString).Distinct());
        Assert.Equal(made[0], WorldKeys.Find(Machine(9), "some.key"));
        Assert.Null(WorldKeys.Find(Machine(9), "other.key"));
        Assert.Equal(new SubjectKey(Machine(1)).Hash("cursor", []), new SubjectKey(Machine(2)).Hash("cursor", []));
        Assert.Empty(_root.GetFiles("*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Another_secret_or_none_or_a_changed_row_is_refused()
    {
        WorldKeys.Demand(Machine(0));
        WorldKeys.GetOrMake(Machine(0), "some.key", () => [1, 2, 3]);
        WorldKeys.GetOrMake(Machine(0), "other.key", () => [4, 5, 6]);
        WorldKeys.Demand(Machine(1));
        Assert.Throws<WorldKeyException>(() => WorldKeys.Demand(Machine(1, Secret + "!")));
        Assert.Throws<WorldKeyException>(() => WorldKeys.Demand(Machine(1) with { Secret = null }));
        Assert.Throws<WorldKeyException>(() => WorldKeys.Demand(Machine(1) with { Secret = new ClusterSecret(Secret, "another.example/log") }));
        // One key in the place of another: the name is authenticated with it.
        Assert.Equal(1, TestStore.Tamper(Machine(0), "UPDATE world_key SET content = (SELECT content FROM world_key WHERE name = 'other.key') WHERE name = 'some.key'"));
        Assert.Throws<WorldKeyException>(() => WorldKeys.Find(Machine(1), "some.key"));
        Assert.Equal([4, 5, 6], WorldKeys.Find(Machine(1), "other.key"));
    }

    [Fact]
    public void No_key_lies_open_in_the_database()
    {
        var key = Encoding.UTF8.GetBytes("a key that must not lie about");
        WorldKeys.GetOrMake(Machine(0), "some.key", () => key);
        Assert.Empty(TestStore.TablesHolding(Machine(0), key));
        Assert.DoesNotContain("cluster", Machine(0).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_machine_had_alone_is_taken_over()
    {
        var alone = Machine(0) with { Database = null, Secret = null };
        var before = new SubjectKey(alone).Hash("x", [1]);
        Assert.Equal(before, new SubjectKey(Machine(0)).Hash("x", [1]));
        Assert.Equal(before, new SubjectKey(Machine(1)).Hash("x", [1]));
    }

    [Fact]
    public void A_short_secret_is_refused() => Assert.Throws<ArgumentException>(() => new ClusterSecret("too short", "test.example/log"));

    public void Dispose()
    {
        TestStore.Drop(_root.FullName);
        _root.Delete(recursive: true);
    }

    private World Machine(int number, string secret = Secret)
    {
        Assert.SkipUnless(PostgresServer.Missing is null, PostgresServer.Missing ?? "");
        return new World
        {
            Name = "test", Kind = WorldKind.Test, LedgerOrigin = "test.example/log", DataDirectory = Path.Combine(_root.FullName, $"m{number}"),
            Database = TestStore.Postgres(_root.FullName), Secret = new ClusterSecret(secret, "test.example/log"),
        };
    }
}
