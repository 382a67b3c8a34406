using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>
/// Segments as objects of S3-compatible storage, with a cache of whole files on this machine's disk that DuckDB reads. A segment is written here first, hashed and flushed,
/// then stored and verified, and only then may SQL list it. What is fetched is hashed before anybody reads it.
/// </summary>
public sealed class S3SegmentStore : ISegmentStore
{
    /// <summary>Files fetched at one time.</summary>
    public const int FetchesMax = 4;

    private readonly World _world;
    private readonly SegmentPlace _place;
    private readonly S3Objects _objects;
    private readonly SegmentClaims _claims;
    private readonly SegmentCache _cache;
    private readonly SemaphoreSlim _fetches = new(FetchesMax);
    private readonly CancellationTokenSource _stop = new();

    public S3SegmentStore(World world, ISegmentPeers peers, TimeProvider clock, ILogger log)
    {
        (_world, _place, Directory) = (world, world.Segments, world.SegmentCacheDirectory);
        _objects = new S3Objects(_place, clock, log);
        _claims = new SegmentClaims(_objects, world, peers, clock, log);
        _cache = new SegmentCache(Directory, _place.CacheBytesMax);
        Files = new S3Files(_objects, clock);
    }

    public string Directory { get; }

    public bool Shared => true;

    public string? Run => _claims.Run;

    public ISharedFiles? Files { get; }

    public long FetchBytesMax => Math.Max(1, _place.CacheBytesMax / 2);

    /// <summary>Bytes of segments on this machine's disk.</summary>
    public long CacheBytes => _cache.Bytes;

    public async Task OpenAsync(IReadOnlySet<string> listed, bool sweep, CancellationToken cancel)
    {
        await _objects.CheckAsync(cancel).ConfigureAwait(false);
        SegmentOwner.Check(_world, await _objects.OwnAsync(SegmentOwner.Of(_world), cancel).ConfigureAwait(false));
        var stored = await StoredAsync(cancel).ConfigureAwait(false);
        foreach (var name in listed)
        {
            if (!stored.Contains(name))
                throw new InvalidDataException($"The segment {name} is listed but missing in {_place}. Restore it from a backup; nothing was changed.");
        }
        _cache.Open(listed);
    }

    public string CreateTemporary()
    {
        System.IO.Directory.CreateDirectory(Directory);
        return Path.Combine(Directory, $"{Path.GetRandomFileName()}.tmp");
    }

    public async ValueTask<SegmentPromise?> PublishAsync(string temporary, string name, CancellationToken cancel)
    {
        using var turn = await _claims.EnterAsync(name, cancel).ConfigureAwait(false);
        SegmentPromise? promise = null;
        try
        {
            await _world.DurablyAsync("announce segment", async () => promise = await _claims.AnnounceAsync(name, cancel).ConfigureAwait(false)).ConfigureAwait(false);
            await _world.DurablyAsync("upload segment", () => _objects.UploadAsync(KeyOf(name), temporary, Convert.FromHexString(name), cancel)).ConfigureAwait(false);
            _cache.Adopt(temporary, name);
            return promise;
        }
        catch
        {
            // An object that was stored all the same is swept: another machine may list the same by now.
            if (promise is not null)
                await _claims.GiveUpAsync(name).ConfigureAwait(false);
            throw;
        }
    }

    public async ValueTask<IDisposable> FetchAsync(IEnumerable<string> names, CancellationToken cancel) =>
        await _cache.HoldAsync(names, FetchAsync, cancel).ConfigureAwait(false);

    public async Task DeleteAsync(string name, CancellationToken cancel)
    {
        using var turn = await _claims.EnterAsync(name, cancel).ConfigureAwait(false);
        await _claims.DeleteAsync(name, () => _objects.DeleteAsync(KeyOf(name), cancel), cancel).ConfigureAwait(false);
        await _cache.DropAsync(name).WaitAsync(cancel).ConfigureAwait(false);
    }

    public Task DropAsync(string name) => _cache.DropAsync(name);

    public async Task<StoredFile?> OpenStoredAsync(string name, CancellationToken cancel)
    {
        System.IO.Directory.CreateDirectory(_world.SpoolDirectory);
        var path = Path.Combine(_world.SpoolDirectory, $"{name}.{Path.GetRandomFileName()}.check");
        try
        {
            if (await _objects.DownloadAsync(KeyOf(name), path, cancel).ConfigureAwait(false) is not null)
                return new StoredFile(path, copy: true);
            File.Delete(path);
            return null;
        }
        catch
        {
            File.Delete(path);
            throw;
        }
    }

    public async Task<IReadOnlyList<string>> OrphansAsync(Func<IReadOnlySet<string>> listed, bool atOnce, CancellationToken cancel) =>
        await _claims.OrphansAsync(await StoredAsync(cancel).ConfigureAwait(false), listed, atOnce, cancel).ConfigureAwait(false);

    public async ValueTask DisposeAsync()
    {
        await _claims.DisposeAsync().ConfigureAwait(false);
        await _stop.CancelAsync().ConfigureAwait(false);
        _objects.Dispose();
    }

    private static string KeyOf(string name) => name + ISegmentStore.Extension;

    private async Task<HashSet<string>> StoredAsync(CancellationToken cancel) =>
        [.. (await _objects.ListAsync("", flat: true, cancel).ConfigureAwait(false)).Where(o => o.Key.EndsWith(ISegmentStore.Extension, StringComparison.Ordinal)).Select(o => Path.GetFileNameWithoutExtension(o.Key))];

    /// <summary>Brings one file: a temporary one, its hash compared with its name, then the name.</summary>
    private async Task<long> FetchAsync(string name)
    {
        await _fetches.WaitAsync(_stop.Token).ConfigureAwait(false);
        var temporary = CreateTemporary();
        try
        {
            while (StorageFull.Reached(_world) && _cache.EvictOne())
            {
            }
            if (await _objects.DownloadAsync(KeyOf(name), temporary, _stop.Token).ConfigureAwait(false) is not { } came)
                throw new SegmentStoreException($"The segment {name} is not in {_place}.");
            if (Convert.ToHexStringLower(came.Sha256) != name)
                throw new SegmentCorruptException($"The segment {name} in {_place} was changed: its content is not the one that it is named by. It is not read.");
            File.Move(temporary, _cache.PathOf(name), overwrite: true);
            return came.Length;
        }
        finally
        {
            File.Delete(temporary);
            _fetches.Release();
        }
    }
}
