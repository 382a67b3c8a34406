namespace Gongzhi.Ledger;

/// <summary>
/// The right edge of a growing tree: per level the hashes of the tile not yet full. All that is needed to append and to know the
/// root; at most 255 hashes a level.
/// </summary>
internal sealed class TreeEdge
{
    private const int TileBytes = TilePath.FullWidth * MerkleTree.HashBytes;
    private readonly List<byte[]> _levels = [];
    private readonly List<int> _widths = [];

    public long Size { get; private set; }

    public TreeEdge Clone()
    {
        var clone = new TreeEdge { Size = Size };
        foreach (var level in _levels) clone._levels.Add((byte[])level.Clone());
        clone._widths.AddRange(_widths);
        return clone;
    }

    /// <summary>An edge of a known size from its partial tiles, level by level (empty where the level has none).</summary>
    public static TreeEdge From(long size, IReadOnlyList<byte[]> partialTiles)
    {
        var edge = new TreeEdge { Size = size };
        foreach (var tile in partialTiles)
        {
            var level = new byte[TileBytes];
            tile.CopyTo(level, 0);
            edge._levels.Add(level);
            edge._widths.Add(tile.Length / MerkleTree.HashBytes);
        }
        return edge;
    }

    public ReadOnlySpan<byte> Partial(int level) =>
        level < _levels.Count ? _levels[level].AsSpan(0, _widths[level] * MerkleTree.HashBytes) : default;

    /// <summary>How many levels a tree of this size has tiles on.</summary>
    public static int LevelCount(long size)
    {
        var levels = 0;
        for (; size > 0; size >>= 8) levels++;
        return levels;
    }

    /// <summary>Hashes in the partial tile at a level, 0 when the last one there is full.</summary>
    public static int PartialWidth(long size, int level) => (int)((size >> (8 * level)) & 0xFF);

    /// <summary>Appends leaf hashes; every tile that thereby changes is added to <paramref name="written"/>, partial ones last.</summary>
    public void Append(ReadOnlySpan<byte> leafHashes32, List<(TileId Tile, byte[] Hashes)>? written)
    {
        var before = Size;
        Push(0, before, leafHashes32, written);
        Size = before + (leafHashes32.Length / MerkleTree.HashBytes);
        if (written is null) return;
        for (var level = 0; level < _levels.Count; level++)
        {
            // A level whose count did not grow keeps the tile it has.
            if (_widths[level] == 0 || before >> (8 * level) == Size >> (8 * level)) continue;
            written.Add((new TileId(level, Size >> (8 * (level + 1)), _widths[level]), Partial(level).ToArray()));
        }
    }

    public byte[] Root()
    {
        var right = Array.Empty<byte>();
        for (var level = 0; level < _levels.Count; level++)
        {
            // What lies right of the last full child is one incomplete child, promoted as it is.
            byte[] row = [.. Partial(level), .. right];
            if (row.Length > 0) right = MerkleRoot.Compute(row);
        }
        return right.Length == 0 ? MerkleTree.EmptyRoot.ToArray() : right;
    }

    private void Push(int level, long countBefore, ReadOnlySpan<byte> hashes, List<(TileId, byte[])>? written)
    {
        if (level == _levels.Count)
        {
            _levels.Add(new byte[TileBytes]);
            _widths.Add(0);
        }
        var index = countBefore >> 8;
        var parents = new List<byte>();
        while (!hashes.IsEmpty)
        {
            var taken = hashes[..Math.Min(hashes.Length, TileBytes - (_widths[level] * MerkleTree.HashBytes))];
            taken.CopyTo(_levels[level].AsSpan(_widths[level] * MerkleTree.HashBytes));
            _widths[level] += taken.Length / MerkleTree.HashBytes;
            hashes = hashes[taken.Length..];
            if (_widths[level] < TilePath.FullWidth) break;
            written?.Add((new TileId(level, index++, TilePath.FullWidth), (byte[])_levels[level].Clone()));
            parents.AddRange(MerkleRoot.Compute(_levels[level]));
            _widths[level] = 0;
        }
        if (parents.Count > 0) Push(level + 1, countBefore >> 8, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(parents), written);
    }
}
