using System.Security.Cryptography;
using Gongzhi.Core;
using Gongzhi.Core.Storage.Segments;
using Gongzhi.Tests.Shared;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Unit.Storage.Segments;

/// <summary>The places that segments can be kept in, each new and empty.</summary>
internal sealed class StorePlaces : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("gongzhi-store-").FullName;
    private readonly SegmentPlaceKind _kind;
    private readonly string _prefix = "t" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));

    /// <summary>Skips the test where the place cannot be had here.</summary>
    public StorePlaces(SegmentPlaceKind kind)
    {
        if (kind == SegmentPlaceKind.S3)
            Assert.SkipWhen(S3Server.Missing is not null, S3Server.Missing ?? "");
        _kind = kind;
        if (kind != SegmentPlaceKind.S3)
            return;
        // The server removes a directory with its last object, and falls over when another one is just put there.
        foreach (var folder in new[] { "intent", "deleting", "clock" })
        {
            var directory = Directory.CreateDirectory(Path.Combine(S3Server.Shared.Objects, _prefix, folder)).FullName;
            File.WriteAllText(Path.Combine(directory, Kept), "");
        }
    }

    private const string Kept = ".kept";

    public Impatient Clock { get; } = new();

    public SegmentPlace Place(long cacheBytesMax = SegmentPlace.CacheBytesDefault) => _kind switch
    {
        SegmentPlaceKind.Own => SegmentPlace.Own,
        SegmentPlaceKind.SharedDirectory => SegmentPlace.Parse(Shared),
        _ => SegmentPlace.Parse(S3Server.Shared.Url(_prefix), S3Server.Key, S3Server.Secret, cacheBytesMax),
    };

    public string Shared => Path.Combine(_root, "shared");

    /// <summary>The data directory of a machine.</summary>
    public string Data(int machine) => Path.Combine(_root, "machine" + machine);

    public World World(int machine = 1, Action<string, Action>? interposed = null, string origin = "test.gongzhi.example/log", long cacheBytesMax = SegmentPlace.CacheBytesDefault) => new()
    {
        Name = "test", Kind = WorldKind.Test, DataDirectory = Data(machine), LedgerOrigin = origin, Interposed = interposed, Segments = Place(cacheBytesMax),
    };

    public async Task<ISegmentStore> OpenAsync(int machine = 1, Action<string, Action>? interposed = null, ISegmentPeers? peers = null, string origin = "test.gongzhi.example/log",
        long cacheBytesMax = SegmentPlace.CacheBytesDefault, params string[] listed)
    {
        Directory.CreateDirectory(Data(machine));
        var store = SegmentStores.Make(World(machine, interposed, origin, cacheBytesMax), peers ?? NoSegmentPeers.Instance, Clock, NullLogger.Instance);
        await store.OpenAsync(listed.ToHashSet(), sweep: true, TestContext.Current.CancellationToken);
        return store;
    }

    /// <summary>The file in which the place itself has a segment's bytes.</summary>
    public string FileOf(string name) => _kind switch
    {
        SegmentPlaceKind.Own => Path.Combine(Data(1), "segments", name + ".parquet"),
        SegmentPlaceKind.SharedDirectory => Path.Combine(Shared, name + ".parquet"),
        _ => S3Server.Shared.FileOf($"{_prefix}/{name}.parquet"),
    };

    /// <summary>All files in which the place itself has anything.</summary>
    public IEnumerable<string> Files() => _kind switch
    {
        SegmentPlaceKind.Own => All(Path.Combine(Data(1), "segments")),
        SegmentPlaceKind.SharedDirectory => All(Shared),
        _ => All(Path.Combine(S3Server.Shared.Objects, _prefix)),
    };

    /// <summary>Names of the segments that the place has, by its files.</summary>
    public List<string> Segments() =>
        [.. Files().Select(f => Path.GetFileName(f)).Where(f => f.EndsWith(_kind == SegmentPlaceKind.S3 ? ".parquet._S3rver_object" : ".parquet", StringComparison.Ordinal)).Select(f => f[..f.IndexOf('.', StringComparison.Ordinal)]).Order(StringComparer.Ordinal)];

    /// <summary>Marks of what is announced or being deleted.</summary>
    public List<string> Marks() => [.. Files().Where(f => Path.GetFileName(f) != Kept && (f.Contains("/intent/", StringComparison.Ordinal) || f.Contains("/deleting/", StringComparison.Ordinal)) && !f.EndsWith(".md5", StringComparison.Ordinal) && !f.EndsWith(".json", StringComparison.Ordinal))];

    /// <summary>Puts a mark as another machine would.</summary>
    public void Mark(string key, TimeSpan age = default)
    {
        var path = _kind == SegmentPlaceKind.S3 ? S3Server.Shared.FileOf($"{_prefix}/{key}") : Path.Combine(Shared, key);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, "1");
        if (_kind == SegmentPlaceKind.S3)
        {
            File.WriteAllText(path + ".md5", "c4ca4238a0b923820dcc509a6f75849b");
            File.WriteAllText(path.Replace("._S3rver_object", "._S3rver_metadata.json", StringComparison.Ordinal), "{\"content-type\":\"text/plain\"}");
        }
        File.SetLastWriteTimeUtc(path, File.GetLastWriteTimeUtc(path) - age);
    }

    public void Unmark(string key)
    {
        var path = _kind == SegmentPlaceKind.S3 ? S3Server.Shared.FileOf($"{_prefix}/{key}") : Path.Combine(Shared, key);
        foreach (var part in Directory.GetFiles(Path.GetDirectoryName(path)!, Path.GetFileName(key) + "*"))
            File.Delete(part);
    }

    /// <summary>Writes a file as a segment's writer leaves it before it gets its name.</summary>
    public static (string Temporary, string Name) Write(ISegmentStore store, byte[] content)
    {
        var temporary = store.CreateTemporary();
        File.WriteAllBytes(temporary, content);
        return (temporary, Convert.ToHexStringLower(SHA256.HashData(content)));
    }

    public static async Task<(string Name, SegmentPromise? Promise)> PublishAsync(ISegmentStore store, byte[] content)
    {
        var (temporary, name) = Write(store, content);
        return (name, await store.PublishAsync(temporary, name, TestContext.Current.CancellationToken));
    }

    public static byte[] Content(int seed, int length = 10_000)
    {
        var content = new byte[length];
        new Random(seed).NextBytes(content);
        return content;
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static string[] All(string directory) => Directory.Exists(directory) ? Directory.GetFiles(directory, "*", SearchOption.AllDirectories) : [];
}

/// <summary>The system's time, some hours on if wanted, whose waits may be made shorter.</summary>
internal sealed class Impatient : TimeProvider
{
    public TimeSpan Ahead { get; set; }

    /// <summary>Waits are so many times as short.</summary>
    public int Hurry { get; init; } = 1;

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + Ahead;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => System.CreateTimer(callback, state, dueTime > TimeSpan.Zero ? dueTime / Hurry : dueTime, period);
}
