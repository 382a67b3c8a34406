namespace Gongzhi.Core.Storage.Segments;

/// <summary>
/// Keeps segments: immutable files, each named by the lower-case hex SHA-256 of its content. SQL says which of them are part of the world; a file may be
/// listed there once <see cref="PublishAsync"/> has returned, and is read from one local directory, so that DuckDB needs to reach nothing else.
/// For any thread.
/// </summary>
public interface ISegmentStore : IAsyncDisposable
{
    /// <summary>The one local directory in which segments are read and written. Absolute.</summary>
    string Directory { get; }

    /// <summary>Whether other machines use the store too.</summary>
    bool Shared { get; }

    /// <summary>By what this process marks what it is about to list; null where the store is one machine's.</summary>
    string? Run { get; }

    /// <summary>Where machines that share the store keep further files; null where it is one machine's.</summary>
    ISharedFiles? Files { get; }

    /// <summary>Where a segment is read, once it was fetched.</summary>
    string PathOf(string name) => Path.Combine(Directory, name + Extension);

    /// <summary>What every segment's file name ends in.</summary>
    const string Extension = ".parquet";

    /// <summary>Before anything else: makes sure that the store is this world's and holds what SQL lists, and removes what a crash left on this machine.</summary>
    /// <param name="listed">The segments that SQL names.</param>
    /// <param name="sweep">False to leave everything where it is: what SQL does not name may be named by a newer state of it.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="InvalidDataException">A listed segment is missing. Nothing was changed.</exception>
    /// <exception cref="SegmentStoreException">The store belongs to another world, or cannot be reached. Nothing was changed.</exception>
    Task OpenAsync(IReadOnlySet<string> listed, bool sweep, CancellationToken cancel);

    /// <summary>The path for a new file, which does not exist yet.</summary>
    string CreateTemporary();

    /// <summary>Gives a whole, flushed file its name. When this returns it is durable and may be listed, until the promise ends; the temporary file is gone.</summary>
    /// <param name="temporary">From <see cref="CreateTemporary"/>.</param>
    /// <param name="name">The hash of its content.</param>
    /// <param name="cancel">Gives up; what was stored by then is swept later.</param>
    /// <returns>How long it may be listed; null where that does not matter.</returns>
    ValueTask<SegmentPromise?> PublishAsync(string temporary, string name, CancellationToken cancel);

    /// <summary>Makes the files readable at <see cref="PathOf"/> until the answer is disposed.</summary>
    /// <exception cref="SegmentStoreException">The store cannot be reached, or does not have one of them.</exception>
    /// <exception cref="SegmentCorruptException">The content is not the one it is named by.</exception>
    ValueTask<IDisposable> FetchAsync(IEnumerable<string> names, CancellationToken cancel);

    /// <summary>Bytes of segments that are best fetched at one time, where not all of them lie here already.</summary>
    long FetchBytesMax { get; }

    /// <summary>Removes a segment that no list names and that nobody reads, and this machine's copy of it. One that is not there is no error.</summary>
    Task DeleteAsync(string name, CancellationToken cancel);

    /// <summary>Removes this machine's copy alone, when it is nobody's to read any more.</summary>
    Task DropAsync(string name);

    /// <summary>The bytes as the store itself has them, unverified and from no cache; null when it has none. Dispose it after.</summary>
    Task<StoredFile?> OpenStoredAsync(string name, CancellationToken cancel);

    /// <summary>Segments that no list names and that nobody is about to list.</summary>
    /// <param name="listed">Reads SQL's list: asked after the store was looked at, never before.</param>
    /// <param name="atOnce">Also those that were not seen to be left over some time ago: an erasure leaves none.</param>
    /// <param name="cancel">Gives up.</param>
    Task<IReadOnlyList<string>> OrphansAsync(Func<IReadOnlySet<string>> listed, bool atOnce, CancellationToken cancel);
}

/// <summary>A file to look at; <see cref="Dispose"/> removes it if it is a copy made for this.</summary>
public sealed class StoredFile(string path, bool copy) : IDisposable
{
    public string Path { get; } = path;

    public void Dispose()
    {
        if (copy)
            File.Delete(Path);
    }
}

/// <summary>
/// The time within which a published segment must be listed. A machine that announced a segment and was then stopped for longer must not list it, since
/// others may have taken it for left over by then.
/// </summary>
public sealed class SegmentPromise(string name, DateTimeOffset until, TimeProvider clock, Action kept)
{
    /// <summary>Inside the transaction that lists the segment.</summary>
    /// <exception cref="SegmentStoreException">It is too late; the file must be written anew.</exception>
    public void Check()
    {
        if (clock.GetUtcNow() > until)
            throw new SegmentStoreException($"The segment {name} was stored too long ago to be listed now; nothing was kept.");
    }

    /// <summary>After the commit that lists it.</summary>
    public void Kept() => kept();
}

/// <summary>The segment store cannot do what it was asked. The message is for the operator and holds no credentials.</summary>
public sealed class SegmentStoreException(string message, Exception? inner = null) : IOException(message, inner)
{
    /// <summary>What readers and contributors are told.</summary>
    public static readonly Problem Problem = new("storage.unreachable", 503, "The store that holds the files of the records cannot be reached at the moment; nothing was done. Try again shortly.")
    {
        Extensions = new Dictionary<string, object?> { ["retryAfterSeconds"] = 5 },
    };
}

/// <summary>A segment's content is not the one that it is named by. The message names it.</summary>
public sealed class SegmentCorruptException(string message) : Exception(message);
