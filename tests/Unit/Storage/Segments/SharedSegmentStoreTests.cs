using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Tests.Unit.Storage.Segments;

public sealed class SharedDirectorySegmentStoreTests() : SharedSegmentStoreTests(SegmentPlaceKind.SharedDirectory)
{
    [Fact]
    public async Task An_announcement_of_nobody_known_counts_for_a_day_by_the_clock_of_the_store()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        await using var two = await places.OpenAsync(2);
        var (name, _) = await StorePlaces.PublishAsync(one, StorePlaces.Content(1));
        var mark = Assert.Single(places.Marks());
        File.SetLastWriteTimeUtc(mark, TimeProvider.System.GetUtcNow().UtcDateTime - SegmentClaims.IntentAge + TimeSpan.FromMinutes(5));
        Assert.Empty(await two.OrphansAsync(() => new HashSet<string>(), false, Cancel));
        File.SetLastWriteTimeUtc(mark, TimeProvider.System.GetUtcNow().UtcDateTime - SegmentClaims.IntentAge - TimeSpan.FromMinutes(5));
        Assert.Equal([name], await two.OrphansAsync(() => new HashSet<string>(), false, Cancel));
        await two.DeleteAsync(name, Cancel);
        Assert.Empty(places.Segments());
    }

    [Fact]
    public async Task A_file_that_another_machine_is_writing_stays()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        var (temporary, _) = StorePlaces.Write(one, StorePlaces.Content(2));
        await using (var two = await places.OpenAsync(2))
            await two.OrphansAsync(() => new HashSet<string>(), false, Cancel);
        Assert.True(File.Exists(temporary));
        // A machine that never came back.
        File.SetLastWriteTimeUtc(temporary, TimeProvider.System.GetUtcNow().UtcDateTime - SegmentClaims.IntentAge - TimeSpan.FromHours(1));
        await using (var two = await places.OpenAsync(2))
            await two.OrphansAsync(() => new HashSet<string>(), false, Cancel);
        Assert.False(File.Exists(temporary));
    }
}

/// <summary>What stores that several machines use do besides.</summary>
public abstract class SharedSegmentStoreTests(SegmentPlaceKind kind) : SegmentStoreTests(kind)
{
    [Fact]
    public async Task A_segment_that_another_machine_is_about_to_list_is_never_swept()
    {
        using var places = Places();
        var one = await places.OpenAsync(1);
        await using var two = await places.OpenAsync(2);
        var content = StorePlaces.Content(1);
        var (name, promise) = await StorePlaces.PublishAsync(one, content);
        await SweepAsync(places, two);
        await Assert.ThrowsAsync<SegmentStoreException>(() => two.DeleteAsync(name, Cancel));
        Assert.Equal([name], places.Segments());

        // Listed and told so: the other machine reads it.
        promise!.Kept();
        await one.DisposeAsync();
        Assert.Empty(places.Marks());
        await SweepAsync(places, two, name);
        using (await two.FetchAsync([name], Cancel))
            Assert.Equal(content, await File.ReadAllBytesAsync(two.PathOf(name), Cancel));

        // Taken from the list: two looks, an hour apart.
        Assert.Empty(await two.OrphansAsync(() => new HashSet<string>(), false, Cancel));
        Assert.Empty(await two.OrphansAsync(() => new HashSet<string>(), false, Cancel));
        places.Clock.Ahead += SegmentClaims.LooksApart;
        Assert.Equal([name], await two.OrphansAsync(() => new HashSet<string>(), false, Cancel));
        await two.DeleteAsync(name, Cancel);
        Assert.Empty(places.Segments());
    }

    [Fact]
    public async Task The_list_is_asked_after_the_store_was_looked_at()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        await using var two = await places.OpenAsync(2);
        for (var look = 0; look < 2; look++)
        {
            // Stored, announced, listed and its mark taken away between the two looks of the other machine.
            var late = "";
            var orphans = await two.OrphansAsync(() =>
            {
                var (name, promise) = StorePlaces.PublishAsync(one, StorePlaces.Content(7)).GetAwaiter().GetResult();
                promise!.Kept();
                late = name;
                return new HashSet<string> { name };
            }, false, Cancel);
            Assert.DoesNotContain(late, orphans);
            places.Clock.Ahead += SegmentClaims.LooksApart;
        }
    }

    [Fact]
    public async Task What_a_machine_left_whose_end_is_known_is_swept_at_once()
    {
        using var places = Places();
        var peers = new Peers();
        await using (var one = await places.OpenAsync(1))
            await StorePlaces.PublishAsync(one, StorePlaces.Content(1));
        await using var two = await places.OpenAsync(2, peers: peers);
        Assert.Empty(await two.OrphansAsync(() => new HashSet<string>(), false, Cancel));
        peers.Ended = true;
        var orphan = Assert.Single(await two.OrphansAsync(() => new HashSet<string>(), false, Cancel));
        await two.DeleteAsync(orphan, Cancel);
        Assert.Empty(places.Segments());
        Assert.Empty(places.Marks());
    }

    [Fact]
    public async Task Who_writes_waits_for_whoever_is_deleting_the_same()
    {
        using var places = Places();
        await using var store = await places.OpenAsync(1);
        var (temporary, name) = StorePlaces.Write(store, StorePlaces.Content(1));
        places.Mark($"deleting/{name}.0123456789abcdef.0123456789abcdef");
        var publishing = store.PublishAsync(temporary, name, Cancel).AsTask();
        // It has announced itself, which comes right before it looks; what then does not end is waiting.
        Assert.True(SpinWait.SpinUntil(() => places.Marks().Any(m => m.Contains($"intent/{name}.", StringComparison.Ordinal)), TimeSpan.FromSeconds(30)));
        await Assert.ThrowsAsync<TimeoutException>(() => publishing.WaitAsync(TimeSpan.FromMilliseconds(300), Cancel));
        Assert.Empty(places.Segments());
        places.Unmark($"deleting/{name}.0123456789abcdef.0123456789abcdef");
        await publishing.WaitAsync(TimeSpan.FromSeconds(30), Cancel);
        Assert.Equal([name], places.Segments());
    }

    [Fact]
    public async Task A_deletion_that_an_earlier_process_of_this_machine_began_holds_nobody_up_for_long()
    {
        using var places = Places();
        await using var store = await places.OpenAsync(1);
        // Its mark is made when it is first needed.
        await StorePlaces.PublishAsync(store, StorePlaces.Content(2));
        var machine = await File.ReadAllTextAsync(Path.Combine(places.Data(1), "machine"), Cancel);
        var (temporary, name) = StorePlaces.Write(store, StorePlaces.Content(1));
        places.Mark($"deleting/{name}.{machine}.0123456789abcdef", age: TimeSpan.FromSeconds(40));
        await store.PublishAsync(temporary, name, Cancel).AsTask().WaitAsync(TimeSpan.FromSeconds(20), Cancel);
        Assert.Contains(name, places.Segments());
    }

    /// <summary>One machine deletes what another publishes anew, again and again: what was published is there, whoever was first.</summary>
    [Fact]
    public async Task Of_a_deletion_and_a_publication_at_once_the_published_file_stays()
    {
        using var places = Places();
        await using var one = await places.OpenAsync(1);
        await using var two = await places.OpenAsync(2);
        for (var round = 0; round < 25; round++)
        {
            var content = StorePlaces.Content(round % 3);
            var deleting = Task.Run(() => one.DeleteAsync(StorePlaces.Write(one, content).Name, Cancel), Cancel);
            var (name, promise) = await StorePlaces.PublishAsync(two, content);
            await deleting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            Assert.Contains(name, places.Segments());
            promise!.Check();
            await two.DeleteAsync(name, Cancel);
            Assert.DoesNotContain(name, places.Segments());
        }
    }

    [Fact]
    public async Task A_segment_that_was_stored_too_long_ago_is_not_listed()
    {
        using var places = Places();
        await using var store = await places.OpenAsync();
        var (_, promise) = await StorePlaces.PublishAsync(store, StorePlaces.Content(1));
        places.Clock.Ahead += SegmentClaims.ListWithin - TimeSpan.FromMinutes(1);
        promise!.Check();
        places.Clock.Ahead += TimeSpan.FromMinutes(2);
        Assert.Throws<SegmentStoreException>(promise.Check);
    }

    [Fact]
    public async Task A_store_belongs_to_one_world()
    {
        using var places = Places();
        await using (await places.OpenAsync())
        {
        }
        var refused = await Assert.ThrowsAsync<SegmentStoreException>(() => places.OpenAsync(2, origin: "other.example/log"));
        Assert.Contains("another world (test.gongzhi.example/log)", refused.Message, StringComparison.Ordinal);
        await using (await places.OpenAsync(2))
        {
        }
    }

    private sealed class Peers : ISegmentPeers
    {
        public bool Ended { get; set; }

        public Task ReleaseAsync(string name, CancellationToken cancel) => Task.CompletedTask;

        public ValueTask<bool> HasEndedAsync(string machine, string run, CancellationToken cancel) => ValueTask.FromResult(Ended);
    }
}
