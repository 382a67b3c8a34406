namespace Gongzhi.Ledger;

/// <summary>A log directory, read only: <c>checkpoint</c> and <c>tile/…</c> exactly as C2SP tlog-tiles serves them.</summary>
public class DirectoryTileSource : ITileSource
{
    /// <summary>The log under <paramref name="directory"/>, which may be served over HTTP as it is.</summary>
    public DirectoryTileSource(string directory) => Root = Path.GetFullPath(directory);

    /// <summary>The log's directory, absolute.</summary>
    public string Root { get; }

    /// <inheritdoc />
    public ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        return ValueTask.FromResult(DurableFiles.ReadOrNull(FileOf(path), bytesMax));
    }

    /// <summary>Only the log's own paths become files, so that nothing can be read or written beside it.</summary>
    protected string FileOf(string path) => path == TilePath.Checkpoint || TilePath.TryParse(path, out _)
        ? Path.Combine(Root, path.Replace('/', Path.DirectorySeparatorChar))
        : throw new ArgumentException($"Not a path of a tiled log: {path}", nameof(path));
}

/// <summary>A log directory that is written to: every file by temporary name, fsync, rename, fsync of the directory.</summary>
public sealed class FileTileStore : DirectoryTileSource, ITileStore
{
    private readonly string _temporary;
    private readonly DurableFiles _files;

    /// <summary>Opens the directory, creating it when there is none.</summary>
    public FileTileStore(string directory) : this(directory, new DurableFiles())
    {
    }

    internal FileTileStore(string directory, DurableFiles files) : base(directory)
    {
        _files = files;
        _temporary = Path.Combine(Root, ".tmp");
        _files.CreateDirectory(Root);
        DurableFiles.Sweep(_temporary);
    }

    /// <inheritdoc />
    public ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        cancel.ThrowIfCancellationRequested();
        _files.Write(_temporary, [.. files.Select(file => (FileOf(file.Path), file.Content))]);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc />
    public ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default)
    {
        cancel.ThrowIfCancellationRequested();
        var directory = FileOf(fullTilePath) + ".p";
        _files.Forget(directory);
        if (Directory.Exists(directory)) Directory.Delete(directory, recursive: true);
        return ValueTask.CompletedTask;
    }
}
