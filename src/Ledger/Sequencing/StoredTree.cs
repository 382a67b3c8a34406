namespace Gongzhi.Ledger;

/// <summary>What a stored tree is continued from: its edge and the entries of its last bundle. Needs no key.</summary>
internal sealed class StoredTree
{
    private readonly TreeEdge _edge;
    // The entries of the partial bundle, fewer than 256.
    private readonly IReadOnlyList<ReadOnlyMemory<byte>> _tail;

    private StoredTree(TreeEdge edge, IReadOnlyList<ReadOnlyMemory<byte>> tail, TreeHead head) => (_edge, _tail, Head) = (edge, tail, head);

    public TreeHead Head { get; }

    /// <summary>What appending these entries would make, and the files that it changes. Touches nothing.</summary>
    public (StoredTree After, List<TileFile> Files, List<TileId> FilledTiles) Plan(IReadOnlyList<ReadOnlyMemory<byte>> added)
    {
        var edge = _edge.Clone();
        var tiles = new List<(TileId Tile, byte[] Hashes)>();
        edge.Append(MerkleTree.LeafHashes(added), tiles);
        var files = tiles.Select(tile => new TileFile(tile.Tile.ToString(), tile.Hashes)).ToList();
        // The tile that was partial before and is full now leaves partial versions behind.
        var filled = tiles.Where(tile => tile.Tile.Width == TilePath.FullWidth).GroupBy(tile => tile.Tile.Level).Select(level => level.First().Tile).ToList();

        List<ReadOnlyMemory<byte>> pending = [.. _tail, .. added];
        var bundle = Head.Size >> 8;
        var at = 0;
        for (; pending.Count - at >= TilePath.FullWidth; at += TilePath.FullWidth)
        {
            var id = new TileId(TilePath.EntriesLevel, bundle++, TilePath.FullWidth);
            if (at == 0) filled.Add(id);
            files.Add(new TileFile(id.ToString(), EntryBundle.Encode(pending.GetRange(at, TilePath.FullWidth))));
        }
        var tail = pending.GetRange(at, pending.Count - at);
        if (tail.Count > 0) files.Add(new TileFile(TilePath.Entries(bundle, tail.Count), EntryBundle.Encode(tail)));
        // Not to keep a caller's larger buffers alive.
        tail = [.. tail.Select(entry => (ReadOnlyMemory<byte>)entry.ToArray())];
        return (new StoredTree(edge, tail, new TreeHead(edge.Size, edge.Root())), files, filled);
    }

    /// <summary>Reads the edge of a tree and verifies that it leads to the root.</summary>
    /// <exception cref="LedgerCorruptException">It does not; names the file.</exception>
    public static async Task<StoredTree> LoadAsync(ITileSource store, TreeHead head, CancellationToken cancel)
    {
        var reader = new TileReader(store, head.Size);
        var partials = new List<byte[]>();
        for (var level = 0; level < TreeEdge.LevelCount(head.Size); level++)
        {
            var width = TreeEdge.PartialWidth(head.Size, level);
            partials.Add(width == 0 ? [] : await reader.TileAsync(level, head.Size >> (8 * (level + 1)), cancel).ConfigureAwait(false));
        }
        var edge = TreeEdge.From(head.Size, partials);
        var tailWidth = TreeEdge.PartialWidth(head.Size, 0);
        IReadOnlyList<ReadOnlyMemory<byte>> tail = tailWidth == 0 ? [] : await reader.EntriesAsync(head.Size >> 8, cancel).ConfigureAwait(false);
        var tailHashes = MerkleTree.LeafHashes(tail);
        var rootHolds = edge.Root().AsSpan().SequenceEqual(head.Root.Span);
        if (rootHolds && tailHashes.AsSpan().SequenceEqual(edge.Partial(0))) return new StoredTree(edge, tail, head);
        if (rootHolds) throw new LedgerCorruptException(TilePath.Entries(head.Size >> 8, tailWidth), "its entries do not hash to their tile.");
        throw await NameBreakAsync(reader, head, partials, tailHashes, cancel).ConfigureAwait(false);
    }

    /// <summary>The root does not hold; recompute each partial tile from what lies under it to find the one that broke.</summary>
    private static async Task<LedgerCorruptException> NameBreakAsync(
        TileReader reader, TreeHead head, List<byte[]> partials, byte[] tailHashes, CancellationToken cancel)
    {
        for (var level = 0; level < partials.Count; level++)
        {
            if (partials[level].Length == 0) continue;
            var index = head.Size >> (8 * (level + 1));
            var path = TilePath.Tile(level, index, partials[level].Length / MerkleTree.HashBytes);
            if (level == 0)
            {
                if (!tailHashes.AsSpan().SequenceEqual(partials[0])) return new LedgerCorruptException(path, "does not hold the hashes of its entries.");
                continue;
            }
            for (var i = 0; i < partials[level].Length / MerkleTree.HashBytes; i++)
            {
                var child = await reader.TileAsync(level - 1, (index << 8) + i, cancel).ConfigureAwait(false);
                if (!MerkleRoot.Compute(child).AsSpan().SequenceEqual(partials[level].AsSpan(i * MerkleTree.HashBytes, MerkleTree.HashBytes)))
                    return new LedgerCorruptException(path, $"hash {i} is not that of {TilePath.Tile(level - 1, (index << 8) + i)}.");
            }
        }
        return new LedgerCorruptException("state/tree", $"its root at size {head.Size} is not that of the tiles.");
    }
}
