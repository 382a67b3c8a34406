using Microsoft.Data.Sqlite;

namespace Gongzhi.Core.Storage;

/// <summary>
/// The disk has no room. Contributions stop while <see cref="World.FreeBytesMin"/> is still free; what remains is for readings (which leave an
/// Access), small changes and the ledger's steps, and when that is used up too, every store says so in its own words.
/// </summary>
public static class StorageFull
{
    /// <summary>507 is HTTP's own word for it (RFC 4918, section 11.5).</summary>
    public static readonly Problem Problem = new("storage.full", 507, "The disk of the node is full; nothing was kept. Try again when the operator has made room.");

    private const int SqliteFull = 13;
    private const int NoSpace = 28;

    /// <summary>The WAL's index could not grow: SQLITE_IOERR_SHMSIZE, which only a full disk causes.</summary>
    private const int SqliteIndexCannotGrow = 10 | (19 << 8);

    /// <summary>Bytes free to this process where a directory lies.</summary>
    public static long FreeBytes(string directory) => new DriveInfo(directory).AvailableFreeSpace;

    /// <summary>Whether contributions must wait for room.</summary>
    public static bool Reached(World world) => world.FreeBytesMin > 0 && FreeBytes(world.DataDirectory) < world.FreeBytesMin;

    /// <summary>What a contribution that is already under way ends with.</summary>
    internal static IOException Exception() => new("The disk is nearly full.", NoSpace);

    /// <summary>Whether a failure, or what caused it, is that the disk is full.</summary>
    public static bool Is(Exception? e) => e switch
    {
        null => false,
        SqliteException { SqliteErrorCode: SqliteFull } or SqliteException { SqliteExtendedErrorCode: SqliteIndexCannotGrow } => true,
        Npgsql.PostgresException { SqlState: Npgsql.PostgresErrorCodes.DiskFull } => true,
        // ENOSPC, EDQUOT; ERROR_DISK_FULL and ERROR_HANDLE_DISK_FULL as HRESULTs.
        IOException { HResult: NoSpace or 122 or unchecked((int)0x80070070) or unchecked((int)0x80070027) } => true,
        AggregateException many => many.InnerExceptions.Any(Is),
        // Arrow and DuckDB are native and hand the system's sentence on.
        _ => e.Message.Contains("No space left on device", StringComparison.Ordinal) || Is(e.InnerException),
    };
}
