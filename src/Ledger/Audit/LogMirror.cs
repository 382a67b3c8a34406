namespace Gongzhi.Ledger;

/// <summary>What a mirror has taken up.</summary>
/// <param name="From">Entries that were there before.</param>
/// <param name="Size">Entries that are there now.</param>
/// <param name="Root">The root over them, 32 bytes.</param>
public sealed record MirrorReport(long From, long Size, ReadOnlyMemory<byte> Root);

/// <summary>
/// Brings a copy of a log up to what its source publishes. Only a log that continues the copy is taken up, every entry leads to the signed root before the checkpoint is
/// published, and an interrupted copy goes on from where its checkpoint stands. Memory stays small whatever the log's size.
/// </summary>
public static class LogMirror
{
    private const int BundlesAtOnce = 32;

    /// <param name="source">Where the log is served: a directory or a URL.</param>
    /// <param name="target">The copy, which may be empty.</param>
    /// <param name="key">The log's key.</param>
    /// <param name="publishing">Called when all entries up to this head are written and lead to its root, before the checkpoint is published; null for nothing.</param>
    /// <param name="progress">Told how many entries there are by now.</param>
    /// <param name="cancel">Gives up; a further call goes on.</param>
    /// <exception cref="LedgerDivergedException">The copy has had entries that the source does not continue.</exception>
    /// <exception cref="LedgerCorruptException">A file of the source or of the copy is missing, or is not what the key signed.</exception>
    /// <exception cref="IOException">The target cannot be written.</exception>
    public static async Task<MirrorReport> UpdateAsync(
        ITileSource source, ITileStore target, NoteVerifier key, Func<TreeHead, CancellationToken, Task>? publishing = null, IProgress<long>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(target);
        var (wanted, note) = await ReadAsync(source, key, cancel).ConfigureAwait(false)
            ?? throw new LedgerCorruptException(TilePath.Checkpoint, "is missing at the source.");
        var there = await ReadAsync(target, key, cancel).ConfigureAwait(false);
        var from = there is { } kept ? new TreeHead(kept.Checkpoint.Size, kept.Checkpoint.Root) : TreeHead.Empty;
        var head = new TreeHead(wanted.Size, wanted.Root);
        await DemandContinuesAsync(source, from, head, cancel).ConfigureAwait(false);
        if (from.Equals(head) && there is not null) return new MirrorReport(from.Size, head.Size, head.Root);

        var tree = await StoredTree.LoadAsync(target, from, cancel).ConfigureAwait(false);
        var filled = new List<TileId>();
        while (tree.Head.Size < head.Size)
        {
            var added = new List<ReadOnlyMemory<byte>>();
            var first = tree.Head.Size;
            for (var bundle = first >> 8; bundle << 8 < head.Size && bundle < (first >> 8) + BundlesAtOnce; bundle++)
            {
                // A reader of its own per bundle, so that nothing piles up.
                var entries = await new TileReader(source, head.Size).EntriesAsync(bundle, cancel).ConfigureAwait(false);
                added.AddRange(entries.Skip((int)Math.Max(0, first - (bundle << 8))));
            }
            var (after, files, full) = tree.Plan(added);
            await target.WriteAsync(files, cancel).ConfigureAwait(false);
            filled.AddRange(full);
            tree = after;
            progress?.Report(tree.Head.Size);
        }
        if (!tree.Head.Equals(head))
            throw new LedgerCorruptException(TilePath.Checkpoint, "of the source has another root than the entries that the source serves.");
        if (publishing is not null) await publishing(head, cancel).ConfigureAwait(false);
        await target.WriteAsync([new TileFile(TilePath.Checkpoint, note)], cancel).ConfigureAwait(false);
        foreach (var tile in filled) await target.DeletePartialsAsync(tile.ToString(), cancel).ConfigureAwait(false);
        return new MirrorReport(from.Size, head.Size, head.Root);
    }

    /// <summary>The root over the first entries of a larger log, from its tiles. The caller compares it with one that it trusts.</summary>
    /// <exception cref="LedgerCorruptException">A tile is missing or not of its width.</exception>
    public static async ValueTask<byte[]> RootAsync(ITileSource source, long size, long first, CancellationToken cancel = default) =>
        await new TileReader(source, size).RangeAsync(0, first, cancel).ConfigureAwait(false);

    /// <summary>Entries of a log of a known size, in order; the caller bounds the count, and answers for their having been verified.</summary>
    /// <exception cref="LedgerCorruptException">A bundle is missing or malformed.</exception>
    public static async ValueTask<IReadOnlyList<ReadOnlyMemory<byte>>> EntriesAsync(ITileSource source, long size, long start, int count, CancellationToken cancel = default)
    {
        var reader = new TileReader(source, size);
        var entries = new List<ReadOnlyMemory<byte>>(count);
        while (entries.Count < count)
        {
            var at = start + entries.Count;
            var bundle = await reader.EntriesAsync(at >> 8, cancel).ConfigureAwait(false);
            entries.AddRange(bundle.Skip((int)(at & 0xFF)).Take(count - entries.Count));
        }
        return entries;
    }

    private static async Task DemandContinuesAsync(ITileSource source, TreeHead from, TreeHead head, CancellationToken cancel)
    {
        if (from.Size > head.Size)
            throw new LedgerDivergedException(TilePath.Checkpoint, $"of the source is of size {head.Size}, but the copy has {from.Size} entries: the source went back.", from.Size);
        var proof = await new TileReader(source, head.Size).RangesAsync(ProofRanges.Consistency(from.Size, head.Size), cancel).ConfigureAwait(false);
        if (!MerkleTree.VerifyConsistency(from.Size, head.Size, from.Root.Span, head.Root.Span, proof))
            throw new LedgerDivergedException(TilePath.Checkpoint, $"of the source, of size {head.Size}, does not continue the copy, of size {from.Size}: they are two histories.", from.Size);
    }

    private static async Task<(Checkpoint Checkpoint, byte[] Note)?> ReadAsync(ITileSource source, NoteVerifier key, CancellationToken cancel)
    {
        byte[]? note;
        try
        {
            note = await source.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false);
        }
        catch (InvalidDataException tooLong)
        {
            throw new LedgerCorruptException(TilePath.Checkpoint, tooLong.Message);
        }
        if (note is null) return null;
        return Checkpoint.TryOpen(note, key, out var checkpoint)
            ? (checkpoint, note)
            : throw new LedgerCorruptException(TilePath.Checkpoint, "is not a checkpoint signed by this log's key.");
    }
}
