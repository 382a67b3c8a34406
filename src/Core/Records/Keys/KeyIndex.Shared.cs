using System.Collections.Concurrent;
using System.Collections.Immutable;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core.Records.Keys;

/// <summary>The part of the index that several machines share: runs are stored beside the segments, and each machine has copies of those it reads, mapped into memory.</summary>
public sealed partial class KeyIndex
{
    private const string Folder = "keys";

    /// <summary>Times that a list is read again because a run of it was merged away meanwhile.</summary>
    private const int RefreshAttempts = 5;

    /// <summary>A stored run that no list names goes after this time: who stored it has listed it long before, or never will.</summary>
    private static readonly TimeSpan UnlistedAge = TimeSpan.FromHours(24);

    // Lists that another machine has changed: read when they are next used.
    private readonly ConcurrentDictionary<long, bool> _stale = new();
    private SemaphoreSlim Refreshing { get; } = new(1);

    private ISharedFiles? Files => store.Segments.Files;

    private string PathOf(string name) => Path.Combine(world.KeyRunDirectory, name + KeyRun.Extension);

    /// <summary>Before a run is listed: other machines find it.</summary>
    internal Task PublishAsync(string path, CancellationToken cancel) => Files?.PutAsync($"{Folder}/{Path.GetFileName(path)}", path, cancel) ?? Task.CompletedTask;

    /// <summary>A run that is listed no more, or never was. What cannot be removed now is swept at a start.</summary>
    internal void Forget(KeyRun run)
    {
        if (Files is { } files)
            _ = ForgetAsync(files, Path.GetFileName(run.Path));

        static async Task ForgetAsync(ISharedFiles files, string name) =>
            await files.RemoveAsync($"{Folder}/{name}", CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>A listed run, brought here if need be; null when it cannot be read.</summary>
    internal KeyRun? OpenListed(string name, long number, long sequence)
    {
        if (KeyRun.Open(PathOf(name), number, sequence) is { } here)
            return here;
        // In a transaction, so rarely: what was listed just before it began.
        return Files is { } files && FetchAsync(files, name, CancellationToken.None).GetAwaiter().GetResult() ? KeyRun.Open(PathOf(name), number, sequence) : null;
    }

    /// <summary>Brings the list of a dataset and its runs here, if another machine has changed them.</summary>
    internal async Task RefreshAsync(long dataset, CancellationToken cancel)
    {
        if (Files is not { } files)
            return;
        await Refreshing.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            for (var attempt = 1; _stale.TryRemove(dataset, out _); attempt++)
            {
                var done = false;
                try
                {
                    done = await ReadListAsync(files, dataset, cancel).ConfigureAwait(false);
                }
                finally
                {
                    if (!done)
                        _stale[dataset] = true;
                }
                if (!done && attempt == RefreshAttempts)
                    throw new SegmentStoreException("A file of sorted keys is listed and missing in the store of the segments; a start makes it anew from the records.");
            }
        }
        finally
        {
            Refreshing.Release();
        }
    }

    private async Task OpenSharedAsync(HashSet<string> listed, HashSet<long> broken, CancellationToken cancel)
    {
        if (Files is not { } files)
            return;
        writer.Feed.Follow(FeedTopic.Keys, Follow);
        foreach (var dataset in _lists.Keys.Except(broken).ToList())
        {
            _stale[dataset] = true;
            try
            {
                await RefreshAsync(dataset, cancel).ConfigureAwait(false);
            }
            catch (SegmentStoreException)
            {
                broken.Add(dataset);
            }
        }
        foreach (var name in await files.ListAsync(Folder, UnlistedAge, cancel).ConfigureAwait(false))
        {
            if (!listed.Contains(name))
                await files.RemoveAsync($"{Folder}/{name}", cancel).ConfigureAwait(false);
        }
    }

    /// <summary>What other machines committed: dataset, number of the commit within it, and whether runs changed and not only keys of small contributions.</summary>
    private void Follow(IReadOnlyList<long[]> changes)
    {
        foreach (var change in changes)
        {
            var (dataset, sequence) = (change[0], change[1]);
            lock (_lock)
            {
                var list = _lists.GetValueOrDefault(dataset, new KeyList([], 0));
                if (sequence >= 0 && sequence <= list.Sequence)
                    continue;
                if (change[2] != 0 || sequence != list.Sequence + 1)
                    _stale[dataset] = true;
                else if (!_stale.ContainsKey(dataset))
                    _lists[dataset] = list with { Sequence = sequence };
            }
            Listed?.Invoke(dataset);
        }
    }

    /// <summary>False when a run was merged away meanwhile, or this machine has listed something since.</summary>
    private async Task<bool> ReadListAsync(ISharedFiles files, long dataset, CancellationToken cancel)
    {
        List<(long Number, long Dataset, string Name, long Sequence)> runs;
        long sequence;
        using (var connection = NodeDatabase.OpenReader(world))
        {
            using var transaction = connection.BeginSnapshot();
            using (var state = connection.Command("SELECT sequence FROM key_state WHERE dataset = @dataset", transaction).Set("@dataset", dataset))
                sequence = state.ExecuteScalar() is long found ? found : 0;
            runs = Runs(connection, transaction, dataset, -1);
        }
        foreach (var run in runs)
        {
            if (!File.Exists(PathOf(run.Name)) && !await FetchAsync(files, run.Name, cancel).ConfigureAwait(false))
                return false;
        }
        lock (_lock)
        {
            var old = _lists.GetValueOrDefault(dataset, new KeyList([], 0));
            if (old.Sequence > sequence)
                return false;
            var kept = old.Runs.ToDictionary(r => r.Number);
            var opened = new List<KeyRun>();
            foreach (var run in runs.Where(r => !kept.ContainsKey(r.Number)))
            {
                if (KeyRun.Open(PathOf(run.Name), run.Number, run.Sequence) is { } fresh)
                {
                    opened.Add(fresh);
                    continue;
                }
                opened.ForEach(o => o.Dispose());
                return false;
            }
            var byNumber = opened.ToDictionary(r => r.Number);
            _lists[dataset] = new KeyList([.. runs.Select(r => kept.TryGetValue(r.Number, out var known) ? known : byNumber[r.Number])], sequence);
            foreach (var gone in old.Runs.Where(r => !runs.Exists(n => n.Number == r.Number)))
                gone.Retire();
            return true;
        }
    }

    private async Task<bool> FetchAsync(ISharedFiles files, string name, CancellationToken cancel)
    {
        var path = PathOf(name);
        if (await files.FetchAsync($"{Folder}/{name}{KeyRun.Extension}", path, cancel).ConfigureAwait(false) is not { } hash)
            return false;
        if (Convert.ToHexStringLower(hash) == name)
            return true;
        File.Delete(path);
        return false;
    }
}
