using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Gongzhi.Core;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Tests.Shared;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Unit.Storage.Segments;

public sealed class S3SegmentStoreTests() : SharedSegmentStoreTests(SegmentPlaceKind.S3)
{
    [Fact]
    public async Task A_file_that_is_not_here_is_fetched_once_and_verified()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        var content = StorePlaces.Content(1, 3_000_000);
        var (name, _) = await StorePlaces.PublishAsync(one, content);
        await using var two = await places.OpenAsync(2);
        Assert.False(File.Exists(two.PathOf(name)));
        var held = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => two.FetchAsync([name], Cancel).AsTask()));
        Assert.Equal(content, await File.ReadAllBytesAsync(two.PathOf(name), Cancel));
        Assert.Equal(content.Length, ((S3SegmentStore)two).CacheBytes);
        foreach (var reader in held)
            reader.Dispose();
        Assert.True(File.Exists(two.PathOf(name)));

        // Somebody made room by hand.
        File.Delete(two.PathOf(name));
        using (await two.FetchAsync([name], Cancel))
            Assert.Equal(content, await File.ReadAllBytesAsync(two.PathOf(name), Cancel));
        Assert.Equal(content.Length, ((S3SegmentStore)two).CacheBytes);

        // The next process of the machine has it already.
        await two.DisposeAsync();
        await using var three = await places.OpenAsync(2, listed: name);
        Assert.Equal(content.Length, ((S3SegmentStore)three).CacheBytes);
        await three.DisposeAsync();

        // What no list names any more is not kept.
        await using var four = await places.OpenAsync(2);
        Assert.Equal(0, ((S3SegmentStore)four).CacheBytes);
        Assert.False(File.Exists(four.PathOf(name)));
    }

    [Fact]
    public async Task Content_that_is_not_what_it_is_named_by_is_refused_and_named()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        var (name, _) = await StorePlaces.PublishAsync(one, StorePlaces.Content(1));
        var good = await File.ReadAllBytesAsync(places.FileOf(name), Cancel);
        var bad = good.ToArray();
        bad[5_000] ^= 1;
        await File.WriteAllBytesAsync(places.FileOf(name), bad, Cancel);
        await using var two = await places.OpenAsync(2);
        var refused = await Assert.ThrowsAsync<SegmentCorruptException>(() => two.FetchAsync([name], Cancel).AsTask());
        Assert.Contains(name, refused.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(two.Directory));
        using (var stored = await two.OpenStoredAsync(name, Cancel))
            Assert.Equal(bad, await File.ReadAllBytesAsync(stored!.Path, Cancel));
        await File.WriteAllBytesAsync(places.FileOf(name), good, Cancel);
        using (await two.FetchAsync([name], Cancel))
            Assert.Equal(good, await File.ReadAllBytesAsync(two.PathOf(name), Cancel));
    }

    [Fact]
    public async Task The_cache_keeps_what_is_read_and_lets_go_what_was_read_longest_ago()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        var names = new List<string>();
        for (var i = 0; i < 6; i++)
            names.Add((await StorePlaces.PublishAsync(one, StorePlaces.Content(i))).Name);
        await using var store = (S3SegmentStore)await places.OpenAsync(2, cacheBytesMax: 30_000);
        bool Here(int i) => File.Exists(((ISegmentStore)store).PathOf(names[i]));
        (await store.FetchAsync(names[..3], Cancel)).Dispose();
        (await store.FetchAsync([names[0]], Cancel)).Dispose();
        using (await store.FetchAsync([names[3]], Cancel))
            Assert.Equal((true, false, true, true), (Here(0), Here(1), Here(2), Here(3)));

        // What is read at one time is all kept, beyond the limit, until it is read.
        var all = await store.FetchAsync(names, Cancel);
        Assert.All(Enumerable.Range(0, 6), i => Assert.True(Here(i)));
        Assert.Equal(60_000, store.CacheBytes);
        using (await store.FetchAsync([names[5]], Cancel))
        {
            all.Dispose();
            Assert.Equal(30_000, store.CacheBytes);
            Assert.True(Here(5));
        }
        Assert.Equal(3, Directory.GetFiles(store.Directory).Length);
    }

    [Fact]
    public async Task Readers_of_every_file_are_never_without_it_while_the_cache_is_far_too_small()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        var contents = Enumerable.Range(0, 5).Select(i => StorePlaces.Content(i)).ToList();
        var names = new List<string>();
        foreach (var content in contents)
            names.Add((await StorePlaces.PublishAsync(one, content)).Name);
        await using var two = await places.OpenAsync(2, cacheBytesMax: 12_000);
        await Parallel.ForEachAsync(Enumerable.Range(0, 120), new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = Cancel }, async (i, cancel) =>
        {
            var (a, b) = (i % 5, i * 7 % 5);
            using var held = await two.FetchAsync(((string[])[names[a], names[b]]).Distinct(), cancel);
            Assert.Equal(contents[a], await File.ReadAllBytesAsync(two.PathOf(names[a]), cancel));
            Assert.Equal(contents[b], await File.ReadAllBytesAsync(two.PathOf(names[b]), cancel));
        });
        Assert.True(((S3SegmentStore)two).CacheBytes <= 12_000);
    }

    [Fact]
    public async Task A_copy_that_is_read_goes_with_its_last_reader_when_it_is_dropped()
    {
        using var places = Places();
        await using var store = await places.OpenAsync();
        var (name, promise) = await StorePlaces.PublishAsync(store, StorePlaces.Content(1));
        promise!.Kept();
        var reader = await store.FetchAsync([name], Cancel);
        var dropping = store.DropAsync(name);
        Assert.False(dropping.IsCompleted);
        Assert.True(File.Exists(store.PathOf(name)));
        await Assert.ThrowsAsync<SegmentStoreException>(() => store.FetchAsync([name], Cancel).AsTask());
        reader.Dispose();
        await dropping.WaitAsync(TimeSpan.FromSeconds(10), Cancel);
        Assert.False(File.Exists(store.PathOf(name)));
        using (await store.FetchAsync([name], Cancel))
            Assert.True(File.Exists(store.PathOf(name)));
    }

    [Theory]
    [InlineData("closed")]
    [InlineData("silent")]
    [InlineData("broken")]
    public async Task A_server_that_does_not_answer_is_given_up(string way)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var accepted = 0;
        if (way == "closed")
        {
            listener.Stop();
        }
        else
        {
            _ = Task.Run(async () =>
            {
                while (true)
                {
                    var socket = await listener.AcceptSocketAsync(Cancel);
                    Interlocked.Increment(ref accepted);
                    if (way == "broken")
                        socket.Dispose();
                }
            }, Cancel);
        }
        var data = Directory.CreateTempSubdirectory("gongzhi-store-").FullName;
        var world = new World
        {
            Name = "test", Kind = WorldKind.Test, DataDirectory = data, LedgerOrigin = "test.gongzhi.example/log",
            Segments = SegmentPlace.Parse($"s3://bucket/p?endpoint=http://127.0.0.1:{port}&path-style=true", "access-key", "hidden-secret"),
        };
        await using (var store = SegmentStores.Make(world, NoSegmentPeers.Instance, new Impatient { Hurry = 50 }, NullLogger.Instance))
        {
            var began = Stopwatch.GetTimestamp();
            var failed = await Assert.ThrowsAsync<SegmentStoreException>(() => store.FetchAsync([new string('a', 64)], Cancel).AsTask());
            Assert.True(Stopwatch.GetElapsedTime(began) < TimeSpan.FromSeconds(30));
            Assert.Contains($"s3://bucket/p/ at http://127.0.0.1:{port}", failed.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("hidden-secret", failed.ToString(), StringComparison.Ordinal);
            Assert.Empty(Directory.GetFiles(store.Directory));
            if (way != "closed")
                Assert.True(accepted >= S3Objects.AttemptsMax, $"{accepted} attempts");
        }
        Directory.Delete(data, recursive: true);
    }

    [Fact]
    public async Task A_bucket_that_is_not_there_is_named()
    {
        using var places = Places();
        var world = places.World() with { Segments = SegmentPlace.Parse(S3Server.Shared.Url("p").Replace("s3://segments", "s3://nowhere", StringComparison.Ordinal), S3Server.Key, S3Server.Secret) };
        await using var store = SegmentStores.Make(world, NoSegmentPeers.Instance, places.Clock, NullLogger.Instance);
        var refused = await Assert.ThrowsAsync<SegmentStoreException>(() => store.OpenAsync(new HashSet<string>(), sweep: true, Cancel));
        Assert.Contains("the bucket does not exist", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task More_objects_than_one_answer_lists_are_all_seen()
    {
        using var places = Places();
        await using var store = await places.OpenAsync();
        var (name, promise) = await StorePlaces.PublishAsync(store, StorePlaces.Content(1));
        promise!.Kept();
        for (var i = 0; i < 1_100; i++)
            places.Mark($"{Convert.ToHexStringLower(SHA256.HashData(BitConverter.GetBytes(i)))}.parquet");
        await SweepFirstAsync();
        places.Clock.Ahead += SegmentClaims.LooksApart;
        Assert.Equal(1_100, (await store.OrphansAsync(() => new HashSet<string> { name }, false, Cancel)).Count);

        async Task SweepFirstAsync() => Assert.Empty(await store.OrphansAsync(() => new HashSet<string> { name }, false, Cancel));
    }
}
