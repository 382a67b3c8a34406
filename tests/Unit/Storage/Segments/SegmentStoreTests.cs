using System.Collections.Concurrent;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Tests.Unit.Storage.Segments;

public sealed class OwnDirectorySegmentStoreTests() : SegmentStoreTests(SegmentPlaceKind.Own);

/// <summary>What every segment store does.</summary>
public abstract class SegmentStoreTests(SegmentPlaceKind kind)
{
    private protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private protected StorePlaces Places() => new(kind);

    [Fact]
    public async Task What_is_published_can_be_read_and_what_is_deleted_is_gone()
    {
        using var places = Places();
        await using var store = await places.OpenAsync();
        var content = StorePlaces.Content(1);
        var (name, promise) = await StorePlaces.PublishAsync(store, content);
        promise?.Check();
        Assert.Equal([name], places.Segments());
        Assert.Equal(content, await File.ReadAllBytesAsync(places.FileOf(name), Cancel));
        using (await store.FetchAsync([name], Cancel))
            Assert.Equal(content, await File.ReadAllBytesAsync(store.PathOf(name), Cancel));
        using (var stored = await store.OpenStoredAsync(name, Cancel))
            Assert.Equal(content, await File.ReadAllBytesAsync(stored!.Path, Cancel));
        Assert.Empty(Directory.GetFiles(store.Directory, "*.tmp"));

        await store.DeleteAsync(name, Cancel);
        await store.DeleteAsync(name, Cancel);
        Assert.Empty(places.Segments());
        Assert.Empty(places.Marks());
        Assert.False(File.Exists(store.PathOf(name)));
        Assert.Null(await store.OpenStoredAsync(name, Cancel));
        Assert.Empty(Directory.GetFiles(places.Data(1), "*.check", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Listed_segments_are_there_after_a_restart_and_a_missing_one_is_named()
    {
        using var places = Places();
        var content = StorePlaces.Content(2);
        string name;
        await using (var store = await places.OpenAsync())
        {
            (name, var promise) = await StorePlaces.PublishAsync(store, content);
            promise?.Kept();
        }
        await using (var store = await places.OpenAsync(listed: name))
        {
            Assert.Empty(await store.OrphansAsync(() => new HashSet<string> { name }, false, Cancel));
            using (await store.FetchAsync([name], Cancel))
                Assert.Equal(content, await File.ReadAllBytesAsync(store.PathOf(name), Cancel));
        }
        var missing = await Assert.ThrowsAsync<InvalidDataException>(() => places.OpenAsync(listed: [name, new string('a', 64)]));
        Assert.Contains(new string('a', 64), missing.Message, StringComparison.Ordinal);
        Assert.Equal([name], places.Segments());
        Assert.Empty(places.Marks());
    }

    [Fact]
    public async Task The_same_content_may_be_published_by_many_at_once()
    {
        using var places = Places();
        await using var store = await places.OpenAsync();
        var content = StorePlaces.Content(3, 200_000);
        var files = Enumerable.Range(0, 8).Select(_ => StorePlaces.Write(store, content)).ToList();
        var promises = await Task.WhenAll(files.Select(f => Task.Run(() => store.PublishAsync(f.Temporary, f.Name, Cancel).AsTask())));
        Assert.Equal([files[0].Name], places.Segments());
        using (await store.FetchAsync([files[0].Name], Cancel))
            Assert.Equal(content, await File.ReadAllBytesAsync(store.PathOf(files[0].Name), Cancel));
        foreach (var promise in promises)
            promise?.Kept();
        await store.DisposeAsync();
        Assert.Empty(places.Marks());
    }

    /// <summary>Each durable step fails, before or after it took effect; the next start leaves nothing of what was not listed, and the same can be published.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_step_that_fails_leaves_nothing_that_is_not_swept(bool persisted)
    {
        using var places = Places();
        var steps = new ConcurrentQueue<string>();
        await using (var store = await places.OpenAsync(interposed: (step, action) =>
        {
            steps.Enqueue(step);
            action();
        }))
        {
            await store.DeleteAsync((await StorePlaces.PublishAsync(store, StorePlaces.Content(4))).Name, Cancel);
        }
        Assert.Equal(kind switch
        {
            SegmentPlaceKind.Own => ["rename", "flush directory"],
            SegmentPlaceKind.SharedDirectory => ["announce segment", "rename", "flush directory"],
            _ => ["announce segment", "upload segment"],
        }, steps);
        foreach (var failing in steps)
        {
            await using (var store = await places.OpenAsync(interposed: (step, action) =>
            {
                if (persisted || step != failing)
                    action();
                if (step == failing)
                    throw new IOException("This step was made to fail.");
            }))
            {
                await Assert.ThrowsAsync<IOException>(() => StorePlaces.PublishAsync(store, StorePlaces.Content(4)));
            }
            await using (var store = await places.OpenAsync())
            {
                await SweepAsync(places, store);
                Assert.Empty(places.Segments());
                Assert.Empty(places.Marks());
                Assert.DoesNotContain(Directory.GetFiles(store.Directory), f => f.EndsWith(".parquet", StringComparison.Ordinal) || f.EndsWith(".tmp", StringComparison.Ordinal));
                var (name, promise) = await StorePlaces.PublishAsync(store, StorePlaces.Content(4));
                promise?.Kept();
                await store.DisposeAsync();
                Assert.Equal([name], places.Segments());
            }
            await using (var store = await places.OpenAsync())
            {
                await SweepAsync(places, store);
                Assert.Empty(places.Segments());
            }
        }
    }

    /// <summary>A process that was killed between the store and the commit: the next one of this machine knows that nobody will list what it left.</summary>
    [Fact]
    public async Task What_a_killed_process_did_not_list_is_swept_at_the_next_start()
    {
        using var places = Places();
        await using (var store = await places.OpenAsync())
        {
            await StorePlaces.PublishAsync(store, StorePlaces.Content(5));
            File.WriteAllText(store.CreateTemporary(), "half");
        }
        await using (var store = await places.OpenAsync())
        {
            foreach (var orphan in await store.OrphansAsync(() => new HashSet<string>(), false, Cancel))
                await store.DeleteAsync(orphan, Cancel);
            Assert.Empty(places.Segments());
            Assert.Empty(places.Marks());
            Assert.All(Directory.GetFiles(store.Directory), f => Assert.Equal("owner", Path.GetFileName(f)));
        }
    }

    /// <summary>Two looks, as far apart as they must be.</summary>
    internal static async Task SweepAsync(StorePlaces places, ISegmentStore store, params string[] listed)
    {
        for (var look = 0; look < 2; look++)
        {
            foreach (var orphan in await store.OrphansAsync(listed.ToHashSet, false, Cancel))
                await store.DeleteAsync(orphan, Cancel);
            places.Clock.Ahead += SegmentClaims.LooksApart;
        }
    }
}
