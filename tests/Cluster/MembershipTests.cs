using System.Net;
using Gongzhi.Node.Cluster;
using Gongzhi.Tests.Shared;
using Npgsql;
using Orleans.Runtime;

namespace Gongzhi.Tests.Cluster;

/// <summary>The table of members, by the contract that Orleans gives: the same answers from the one in PostgreSQL and the one of a silo that is alone.</summary>
public sealed class MembershipTests
{
    private static readonly DateTime Then = new(2026, 3, 4, 5, 6, 7, DateTimeKind.Utc);

    [Theory, InlineData(true), InlineData(false)]
    public async Task What_is_kept_is_what_is_read(bool postgres)
    {
        var table = await TableAsync(postgres);
        var entry = Entry(1);
        entry.SuspectTimes = [Tuple.Create(Address(7), Then.AddTicks(12_345_670)), Tuple.Create(Address(8), Then)];
        Assert.True(await table.InsertRowAsync(entry, (await table.ReadAllAsync(default)).Version.Next(), default));
        var (read, _) = Assert.Single((await table.ReadAllAsync(default)).Members);
        Assert.Equal(
            (entry.SiloAddress, entry.Status, entry.SiloName, entry.HostName, entry.ProxyPort, entry.StartTime, entry.IAmAliveTime),
            (read.SiloAddress, read.Status, read.SiloName, read.HostName, read.ProxyPort, read.StartTime, read.IAmAliveTime));
        Assert.Equal(entry.SuspectTimes, read.SuspectTimes);
        Assert.Equal(DateTimeKind.Utc, read.StartTime.Kind);
        Assert.Single((await table.ReadRowAsync(entry.SiloAddress, default)).Members);
        Assert.Empty((await table.ReadRowAsync(Address(2), default)).Members);
        Assert.Equal(1, (await table.ReadRowAsync(Address(2), default)).Version.Version);
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_silo_is_inserted_once_and_only_from_the_version_that_stands(bool postgres)
    {
        var table = await TableAsync(postgres);
        var first = (await table.ReadAllAsync(default)).Version;
        Assert.True(await table.InsertRowAsync(Entry(1), first.Next(), default));
        Assert.False(await table.InsertRowAsync(Entry(2), first.Next(), default));
        var second = (await table.ReadAllAsync(default)).Version;
        Assert.True(second.Version > first.Version);
        Assert.NotEqual(first.VersionEtag, second.VersionEtag);
        Assert.False(await table.InsertRowAsync(Entry(1), second.Next(), default));
        // What was refused left nothing behind.
        var (members, version) = ((await table.ReadAllAsync(default)).Members, (await table.ReadAllAsync(default)).Version);
        Assert.Single(members);
        Assert.Equal(second.Version, version.Version);
        Assert.True(await table.InsertRowAsync(Entry(2), second.Next(), default));
        Assert.False(await table.InsertRowAsync(Entry(3), new TableVersion(9, "never handed out"), default));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_silo_is_updated_only_from_the_etag_and_the_version_that_stand(bool postgres)
    {
        var table = await TableAsync(postgres);
        Assert.True(await table.InsertRowAsync(Entry(1), (await table.ReadAllAsync(default)).Version.Next(), default));
        Assert.True(await table.InsertRowAsync(Entry(2), (await table.ReadAllAsync(default)).Version.Next(), default));
        var before = await table.ReadAllAsync(default);
        var etag = Of(before, 1).Item2;
        Assert.False(await table.UpdateRowAsync(Entry(3), etag, before.Version.Next(), default));
        Assert.False(await table.UpdateRowAsync(Entry(1), Of(before, 2).Item2, before.Version.Next(), default));
        Assert.True(await table.UpdateRowAsync(Entry(1, SiloStatus.Dead), etag, before.Version.Next(), default));
        Assert.False(await table.UpdateRowAsync(Entry(1), etag, before.Version.Next(), default));
        var after = await table.ReadAllAsync(default);
        Assert.False(await table.UpdateRowAsync(Entry(1), etag, after.Version.Next(), default));
        Assert.Equal((before.Version.Version + 1, SiloStatus.Dead), (after.Version.Version, Of(after, 1).Item1.Status));
        Assert.NotEqual(etag, Of(after, 1).Item2);
        Assert.Equal(Of(before, 2).Item2, Of(after, 2).Item2);
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_sign_of_life_gets_in_nobodys_way(bool postgres)
    {
        var table = await TableAsync(postgres);
        Assert.True(await table.InsertRowAsync(Entry(1), (await table.ReadAllAsync(default)).Version.Next(), default));
        var before = await table.ReadAllAsync(default);
        await table.UpdateIAmAliveAsync(new MembershipEntry { SiloAddress = Address(1), IAmAliveTime = Then.AddHours(1) }, default);
        await table.UpdateIAmAliveAsync(new MembershipEntry { SiloAddress = Address(9), IAmAliveTime = Then.AddHours(1) }, default);
        var after = await table.ReadAllAsync(default);
        Assert.Equal((before.Version.Version, Of(before, 1).Item2), (after.Version.Version, Of(after, 1).Item2));
        Assert.Equal(Then.AddHours(1), Of(after, 1).Item1.IAmAliveTime);
        Assert.True(await table.UpdateRowAsync(Entry(1), Of(before, 1).Item2, before.Version.Next(), default));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task Cleaning_up_forgets_the_long_dead_and_nobody_else(bool postgres)
    {
        var table = await TableAsync(postgres);
        foreach (var (number, status, alive) in new[] { (1, SiloStatus.Dead, Then), (2, SiloStatus.Dead, Then.AddDays(2)), (3, SiloStatus.Active, Then), (4, SiloStatus.Joining, Then) })
        {
            var entry = Entry(number, status);
            entry.IAmAliveTime = alive;
            Assert.True(await table.InsertRowAsync(entry, (await table.ReadAllAsync(default)).Version.Next(), default));
        }
        await table.CleanupDefunctSiloEntriesAsync(new DateTimeOffset(Then.AddDays(1)), default);
        var left = await table.ReadAllAsync(default);
        Assert.Equal([Address(2), Address(3), Address(4)], left.Members.Select(m => m.Item1.SiloAddress).Order());
        Assert.Equal(4, left.Version.Version);
        await table.DeleteMembershipTableEntriesAsync(TestSilo.World(TestSilo.Options("")).Mark, default);
        var gone = await table.ReadAllAsync(default);
        Assert.Empty(gone.Members);
        Assert.True(gone.Version.Version > left.Version.Version);
    }

    [Fact]
    public async Task Of_writers_at_the_same_version_exactly_one_wins_and_all_come_in_when_they_try_again()
    {
        var database = await DatabaseAsync();
        const int Writers = 8;
        // Each begins with making the tables, as silos that start together do.
        var tables = await Task.WhenAll(Enumerable.Range(0, Writers).Select(async _ =>
        {
            var table = new PostgresMembership(database, "c");
            await table.InitializeMembershipTableAsync(true, default);
            return table;
        }));
        var same = (await tables[0].ReadAllAsync(default)).Version.Next();
        var wins = await Task.WhenAll(tables.Select((table, i) => table.InsertRowAsync(Entry(100 + i), same, default)));
        Assert.Single(wins, true);
        Assert.Equal(1, (await tables[0].ReadAllAsync(default)).Version.Version);

        await Task.WhenAll(tables.Select(async (table, i) =>
        {
            while (!await table.InsertRowAsync(Entry(i), (await table.ReadAllAsync(default)).Version.Next(), default))
            {
            }
        }));
        var all = await tables[0].ReadAllAsync(default);
        Assert.Equal((1 + Writers, 1 + Writers), (all.Members.Count, all.Version.Version));

        var one = Of(all, 3);
        wins = await Task.WhenAll(tables.Select(table => table.UpdateRowAsync(Entry(3, SiloStatus.Dead), one.Item2, all.Version.Next(), default)));
        Assert.Single(wins, true);
        Assert.Equal(all.Version.Version + 1, (await tables[0].ReadAllAsync(default)).Version.Version);
    }

    [Fact]
    public async Task Clusters_in_one_database_do_not_see_each_other()
    {
        var database = await DatabaseAsync();
        var (one, two) = (new PostgresMembership(database, "one"), new PostgresMembership(database, "two"));
        await one.InitializeMembershipTableAsync(true, default);
        await two.InitializeMembershipTableAsync(true, default);
        Assert.True(await one.InsertRowAsync(Entry(1), (await one.ReadAllAsync(default)).Version.Next(), default));
        Assert.Empty((await two.ReadAllAsync(default)).Members);
        Assert.Equal(0, (await two.ReadAllAsync(default)).Version.Version);
        await two.DeleteMembershipTableEntriesAsync("two", default);
        Assert.Single((await one.ReadAllAsync(default)).Members);
    }

    [Fact]
    public async Task A_row_that_somebody_holds_locked_is_a_conflict_and_not_a_wait_for_ever()
    {
        var database = await DatabaseAsync();
        var table = new PostgresMembership(database, "c");
        await table.InitializeMembershipTableAsync(true, default);
        await using var holder = new NpgsqlConnection(database + ";Pooling=false");
        await holder.OpenAsync();
        await using var transaction = await holder.BeginTransactionAsync();
        await using (var hold = new NpgsqlCommand("SELECT * FROM cluster_version FOR UPDATE", holder, transaction))
            await hold.ExecuteNonQueryAsync();
        Assert.False(await table.InsertRowAsync(Entry(1), (await table.ReadAllAsync(default)).Version.Next(), default).WaitAsync(PostgresMembership.OperationLimit));
        await transaction.RollbackAsync();
        Assert.True(await table.InsertRowAsync(Entry(1), (await table.ReadAllAsync(default)).Version.Next(), default));
    }

    [Theory, InlineData("fast"), InlineData("immediate")]
    public async Task It_survives_a_restart_of_the_server(string mode)
    {
        SkipWithoutPostgres();
        await using var server = await PostgresServer.StartAsync();
        var table = new PostgresMembership(await server.NewDatabaseAsync(), "c");
        await table.InitializeMembershipTableAsync(true, default);
        Assert.True(await table.InsertRowAsync(Entry(1), (await table.ReadAllAsync(default)).Version.Next(), default));
        var before = await table.ReadAllAsync(default);
        await server.StopAsync(mode);
        // Not there is an exception, at once or within the limit; never an empty cluster.
        await Assert.ThrowsAnyAsync<NpgsqlException>(() => table.ReadAllAsync(default).WaitAsync(PostgresMembership.OperationLimit + TimeSpan.FromSeconds(1)));
        await Assert.ThrowsAnyAsync<NpgsqlException>(() => table.UpdateRowAsync(Entry(1), Of(before, 1).Item2, before.Version.Next(), default));
        await server.StartAgainAsync();
        var after = await table.ReadAllAsync(default);
        Assert.Equal((before.Version.Version, Of(before, 1).Item2), (after.Version.Version, Of(after, 1).Item2));
        Assert.True(await table.UpdateRowAsync(Entry(1, SiloStatus.Dead), Of(after, 1).Item2, after.Version.Next(), default));
    }

    internal static void SkipWithoutPostgres() => Assert.SkipWhen(PostgresServer.Missing is not null, PostgresServer.Missing ?? "");

    internal static async Task<string> DatabaseAsync()
    {
        SkipWithoutPostgres();
        return await (await PostgresServer.Shared).NewDatabaseAsync();
    }

    private static async Task<IMembershipTable> TableAsync(bool postgres)
    {
        IMembershipTable table = postgres ? new PostgresMembership(await DatabaseAsync(), TestSilo.World(TestSilo.Options("")).Mark) : new LoneMembership();
        await table.InitializeMembershipTableAsync(true, default);
        return table;
    }

    private static Tuple<MembershipEntry, string> Of(MembershipTableData data, int number) => data.TryGet(Address(number)) ?? throw new Xunit.Sdk.XunitException($"There is no silo {number}.");

    private static SiloAddress Address(int number) => SiloAddress.New(IPAddress.Loopback, 20_000 + number, 1_000 + number);

    private static MembershipEntry Entry(int number, SiloStatus status = SiloStatus.Active) => new()
    {
        SiloAddress = Address(number), Status = status, SiloName = $"silo {number}", HostName = "host", ProxyPort = 0, StartTime = Then.AddDays(-1), IAmAliveTime = Then, SuspectTimes = [],
    };
}
