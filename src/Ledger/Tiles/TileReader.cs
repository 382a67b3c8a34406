namespace Gongzhi.Ledger;

/// <summary>
/// Reads one tree of a known size from its tiles; keeps what it has read, so make one for one question. The hashes are as the
/// source gave them: a caller checks the result against a root it trusts.
/// </summary>
internal sealed class TileReader(ITileSource source, long size)
{
    private const int TilesKeptMax = 4096;
    private readonly Dictionary<(int, long), byte[]> _tiles = [];

    /// <summary>The hashes of a tile as wide as this tree has it.</summary>
    /// <exception cref="LedgerCorruptException">The tile is missing or not as long as it must be.</exception>
    public async ValueTask<byte[]> TileAsync(int level, long index, CancellationToken cancel)
    {
        if (_tiles.TryGetValue((level, index), out var known)) return known;
        var width = (int)Math.Min(TilePath.FullWidth, (size >> (8 * level)) - (index * TilePath.FullWidth));
        var hashes = await ReadAsync(source, new TileId(level, index, width), TilePath.FullWidth * MerkleTree.HashBytes, cancel).ConfigureAwait(false);
        if (_tiles.Count < TilesKeptMax) _tiles[(level, index)] = hashes;
        return hashes;
    }

    /// <summary>The entries of a bundle as many as this tree has of it.</summary>
    /// <exception cref="LedgerCorruptException">The bundle is missing or malformed.</exception>
    public async ValueTask<IReadOnlyList<ReadOnlyMemory<byte>>> EntriesAsync(long index, CancellationToken cancel)
    {
        var width = (int)Math.Min(TilePath.FullWidth, size - (index * TilePath.FullWidth));
        var tile = new TileId(TilePath.EntriesLevel, index, width);
        var (path, bytes) = await FindAsync(source, tile, EntryBundle.BytesMax, cancel).ConfigureAwait(false);
        var exact = path == tile.ToString();
        return EntryBundle.TryDecode(bytes, width, out var entries, exact)
            ? entries
            : throw new LedgerCorruptException(path, "is not a bundle of entries.");
    }

    /// <summary>MTH of leaves start to end; start is where RFC 6962 would begin a subtree of that many leaves.</summary>
    public async ValueTask<byte[]> RangeAsync(long start, long end, CancellationToken cancel)
    {
        if (start == end) return MerkleTree.EmptyRoot.ToArray();
        var nodes = new List<byte[]>();
        while (start < end)
        {
            var height = System.Numerics.BitOperations.Log2((ulong)(end - start));
            nodes.Add(await NodeAsync(height, start >> height, cancel).ConfigureAwait(false));
            start += 1L << height;
        }
        var hash = nodes[^1];
        for (var i = nodes.Count - 2; i >= 0; i--) hash = MerkleTree.NodeHash(nodes[i], hash);
        return hash;
    }

    public async ValueTask<byte[][]> RangesAsync(List<(long Start, long End)> ranges, CancellationToken cancel)
    {
        var hashes = new byte[ranges.Count][];
        for (var i = 0; i < hashes.Length; i++) hashes[i] = await RangeAsync(ranges[i].Start, ranges[i].End, cancel).ConfigureAwait(false);
        return hashes;
    }

    private async ValueTask<byte[]> NodeAsync(int height, long index, CancellationToken cancel)
    {
        var level = height / 8;
        var first = index << (height % 8);
        var tile = await TileAsync(level, first >> 8, cancel).ConfigureAwait(false);
        var row = tile.AsMemory((int)(first & 0xFF) * MerkleTree.HashBytes, MerkleTree.HashBytes << (height % 8));
        return MerkleRoot.Compute(row.Span);
    }

    private static async ValueTask<byte[]> ReadAsync(ITileSource source, TileId tile, int bytesMax, CancellationToken cancel)
    {
        var (path, bytes) = await FindAsync(source, tile, bytesMax, cancel).ConfigureAwait(false);
        var full = path != tile.ToString();
        if (bytes.Length != (full ? TilePath.FullWidth : tile.Width) * MerkleTree.HashBytes)
            throw new LedgerCorruptException(path, $"is {bytes.Length} bytes, which is not a tile of its width.");
        return bytes[..(tile.Width * MerkleTree.HashBytes)];
    }

    // A partial tile may be gone once the full one is there.
    private static async ValueTask<(string Path, byte[] Bytes)> FindAsync(ITileSource source, TileId tile, int bytesMax, CancellationToken cancel)
    {
        var path = tile.ToString();
        try
        {
            if (await source.ReadAsync(path, bytesMax, cancel).ConfigureAwait(false) is { } bytes) return (path, bytes);
            if (tile.Width < TilePath.FullWidth)
            {
                var full = (tile with { Width = TilePath.FullWidth }).ToString();
                if (await source.ReadAsync(full, bytesMax, cancel).ConfigureAwait(false) is { } all) return (full, all);
            }
        }
        catch (InvalidDataException tooLong)
        {
            throw new LedgerCorruptException(path, tooLong.Message);
        }
        throw new LedgerCorruptException(path, "is missing.");
    }
}
