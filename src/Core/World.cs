using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Core;

/// <summary>What kind of universe of facts a node serves. A drill and a test never count as the real one.</summary>
public enum WorldKind { Real, Drill, Test }

/// <summary>
/// One universe of facts. Everything that could let two universes meet on one machine hangs on it: the data directory, the
/// cookie and data-protection names, the ledger's origin, and whether anything may leave. Two worlds never share any of these.
/// </summary>
public sealed record World
{
    /// <summary>Lower-case letters, digits and hyphens; part of cookie names and of the ledger origin.</summary>
    [RegularExpression("^[a-z][a-z0-9-]{0,31}$")]
    public required string Name { get; init; }

    public required WorldKind Kind { get; init; }

    /// <summary>Absolute path of the directory that holds everything this world owns.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>The ledger origin line; unique to the world, fixed at its first start.</summary>
    public required string LedgerOrigin { get; init; }

    /// <summary>Bytes that contributions leave free on the disk, so that readings, small changes and the ledger can go on when it fills.</summary>
    public long FreeBytesMin { get; init; }

    /// <summary>The PostgreSQL database that the world's machines share; null when it has a file of its own (<see cref="DatabasePath"/>).</summary>
    public Storage.PostgresAddress? Database { get; init; }

    /// <summary>Whether several machines work on the world at once, on one <see cref="Database"/> and one store of segments.</summary>
    public bool Shared { get; init; }

    /// <summary>Set where the world's machines share their keys: these are then in <see cref="Database"/>; null when they are files of the key directory.</summary>
    public Storage.ClusterSecret? Secret { get; init; }

    /// <summary>A checkpoint of this world's log that somebody else has kept: a file to compare what is stored with at the start. Absent: only what this machine has kept itself.</summary>
    public string? RetainedCheckpoint { get; init; }

    /// <summary>Where the segments are kept; its secret is never printed.</summary>
    public SegmentPlace Segments { get; init; } = SegmentPlace.Own;

    /// <summary>Set by tests alone, for one world: is given the name and the action of each durable step, and may fail it before or after.</summary>
    internal Action<string, Action>? Interposed { get; init; }

    public string DatabasePath => Path.Combine(DataDirectory, "node.db");

    /// <summary>Segments of a world that keeps them itself. What reads or writes segments goes through its <see cref="ISegmentStore"/>.</summary>
    public string SegmentDirectory => Path.Combine(DataDirectory, "segments");

    /// <summary>Copies of segments that an object storage keeps.</summary>
    public string SegmentCacheDirectory => Path.Combine(DataDirectory, "segment-cache");
    public string LedgerDirectory => Path.Combine(DataDirectory, "ledger");
    public string SpoolDirectory => Path.Combine(DataDirectory, "spool");

    /// <summary>Sorted hashes of keys; derived from the records.</summary>
    public string KeyRunDirectory => Path.Combine(DataDirectory, "key-runs");

    /// <summary>Where DuckDB puts what does not fit into memory while a query runs.</summary>
    public string SpillDirectory => Path.Combine(SpoolDirectory, "duckdb");
    public string RejectDirectory => Path.Combine(DataDirectory, "rejects");
    public string KeyDirectory => Path.Combine(DataDirectory, "keys");

    /// <summary>
    /// Tells this world from every other, also from one of the same name beside it on the machine: the name, and the beginning of a hash of the ledger
    /// origin, which is drawn at random at the first start.
    /// </summary>
    public string Mark => $"{Name}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(LedgerOrigin)))[..12]}";

    /// <summary>Cookies ignore ports, so their names carry the world.</summary>
    public string CookieName(string purpose) => $"gz.{Mark}.{purpose}";

    /// <summary>Takes one step that has to be on the disk before the next may follow.</summary>
    internal void Durably(string step, Action action)
    {
        if (Interposed is null)
            action();
        else
            Interposed(step, action);
    }

    /// <summary>The same for a step that waits for another machine.</summary>
    internal async ValueTask DurablyAsync(string step, Func<Task> action)
    {
        if (Interposed is null)
            await action().ConfigureAwait(false);
        else
            Interposed(step, () => action().GetAwaiter().GetResult());
    }

    /// <summary>Only the real world may send anything outside (e-mail, peers, alerts).</summary>
    public bool MayReachOut => Kind == WorldKind.Real;
}
