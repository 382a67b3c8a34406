namespace Gongzhi.Ledger;

/// <summary>Where a log is read from: its own directory, another node's URL, an auditor's copy.</summary>
public interface ITileSource
{
    /// <summary>The whole file at a tlog-tiles path, or null when there is none.</summary>
    /// <param name="path"><see cref="TilePath.Checkpoint"/> or a tile's path.</param>
    /// <param name="bytesMax">A longer file is refused with <see cref="InvalidDataException"/>.</param>
    /// <param name="cancel">Stops the reading.</param>
    ValueTask<byte[]?> ReadAsync(string path, int bytesMax, CancellationToken cancel = default);
}

/// <summary>One file of a log, to be written whole.</summary>
/// <param name="Path">A tlog-tiles path.</param>
/// <param name="Content">All of its bytes.</param>
public readonly record struct TileFile(string Path, ReadOnlyMemory<byte> Content);

/// <summary>Where a log's own tiles and checkpoint are kept.</summary>
public interface ITileStore : ITileSource
{
    /// <summary>
    /// Writes each file so that it is either absent, old or whole, and durable once this returns. On failure any of the files may
    /// or may not have been written.
    /// </summary>
    ValueTask WriteAsync(IReadOnlyList<TileFile> files, CancellationToken cancel = default);

    /// <summary>Drops the partial versions of a tile whose full version exists. Need not be durable.</summary>
    ValueTask DeletePartialsAsync(string fullTilePath, CancellationToken cancel = default);
}
