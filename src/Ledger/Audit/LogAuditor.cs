namespace Gongzhi.Ledger;

/// <summary>Where an audit failed: the first file, in the order of the log, that does not agree with the others.</summary>
/// <param name="File">A tlog-tiles path, <c>checkpoint</c>, or <c>from</c> for the caller's older checkpoint.</param>
/// <param name="Reason">What is wrong with it.</param>
public sealed record LogBreak(string File, string Reason);

/// <summary>The outcome of an audit.</summary>
/// <param name="Size">Size of the audited checkpoint; 0 when it could not be opened.</param>
/// <param name="Root">Its root; empty when it could not be opened.</param>
/// <param name="FromSize">Size of the older checkpoint, or null when none was given.</param>
/// <param name="EntriesHashed">How many entries were read and hashed.</param>
/// <param name="Break">The first break, or null when everything agrees.</param>
public sealed record AuditReport(long Size, ReadOnlyMemory<byte> Root, long? FromSize, long EntriesHashed, LogBreak? Break)
{
    /// <summary>Every entry, tile and root agrees with the signed checkpoints.</summary>
    public bool Ok => Break is null;
}

/// <summary>
/// Recomputes a whole log from its entries: every bundle, every tile, the root of its checkpoint, and the root of an older checkpoint
/// on the way. Trusts the key and nothing else. Memory stays small whatever the log's size.
/// </summary>
public static class LogAuditor
{
    /// <summary>Audits the log that <paramref name="source"/> serves.</summary>
    /// <param name="source">A directory or a URL.</param>
    /// <param name="key">The log's key.</param>
    /// <param name="from">A signed checkpoint seen earlier, which this log must extend; empty for none.</param>
    /// <param name="cancel">Stops the audit.</param>
    /// <exception cref="IOException">The source could not be read (as opposed to: what it holds is wrong).</exception>
    public static Task<AuditReport> AuditAsync(
        ITileSource source, NoteVerifier key, ReadOnlyMemory<byte> from = default, CancellationToken cancel = default) =>
        AuditAsync(source, key, from, default, cancel);

    /// <summary>Audits the log up to a checkpoint that was kept, whatever has been added and published since.</summary>
    /// <param name="source">A directory or a URL.</param>
    /// <param name="key">The log's key.</param>
    /// <param name="from">A signed checkpoint seen earlier, which the log must extend; empty for none.</param>
    /// <param name="to">The signed checkpoint to audit up to; empty for the one the source publishes.</param>
    /// <param name="cancel">Stops the audit.</param>
    /// <exception cref="IOException">The source could not be read (as opposed to: what it holds is wrong).</exception>
    public static async Task<AuditReport> AuditAsync(
        ITileSource source, NoteVerifier key, ReadOnlyMemory<byte> from, ReadOnlyMemory<byte> to, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(source);
        Checkpoint? older = null;
        if (!from.IsEmpty && !Checkpoint.TryOpen(from.Span, key, out older))
            return new AuditReport(0, default, null, 0, new LogBreak("from", "the older checkpoint is not signed by this key."));
        Checkpoint? head;
        if (!to.IsEmpty)
        {
            return Checkpoint.TryOpen(to.Span, key, out head)
                ? await AuditAsync(source, head, older, "to", cancel).ConfigureAwait(false)
                : new AuditReport(0, default, older?.Size, 0, new LogBreak("to", "the checkpoint to audit up to is not signed by this key."));
        }
        byte[]? published;
        try
        {
            published = await source.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false);
        }
        catch (InvalidDataException)
        {
            return new AuditReport(0, default, older?.Size, 0, new LogBreak(TilePath.Checkpoint, "is longer than any checkpoint may be."));
        }
        if (published is null) return new AuditReport(0, default, older?.Size, 0, new LogBreak(TilePath.Checkpoint, "is missing."));
        return Checkpoint.TryOpen(published, key, out head)
            ? await AuditAsync(source, head, older, TilePath.Checkpoint, cancel).ConfigureAwait(false)
            : new AuditReport(0, default, older?.Size, 0, new LogBreak(TilePath.Checkpoint, "is not a checkpoint signed by this key."));
    }

    private static async Task<AuditReport> AuditAsync(ITileSource source, Checkpoint head, Checkpoint? older, string named, CancellationToken cancel)
    {
        var hashed = 0L;
        LogBreak? broken;
        try
        {
            if (older is not null && older.Size > head.Size)
                throw new LedgerCorruptException(named, $"is of size {head.Size}, smaller than the older one's {older.Size}: the log went back.");
            await foreach (var count in WalkAsync(source, head, older, cancel).ConfigureAwait(false)) hashed += count;
            broken = null;
        }
        catch (LedgerCorruptException corrupt)
        {
            broken = new LogBreak(corrupt.File, corrupt.Reason);
        }
        return new AuditReport(head.Size, head.Root, older?.Size, hashed, broken);
    }

    private static async IAsyncEnumerable<long> WalkAsync(
        ITileSource source, Checkpoint head, Checkpoint? older, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        var edge = new TreeEdge();
        var changed = new List<(TileId Tile, byte[] Hashes)>();
        CheckOlder(edge, older);
        for (long bundle = 0; bundle << 8 < head.Size; bundle++)
        {
            // A reader of its own per bundle, so that nothing piles up.
            var reader = new TileReader(source, head.Size);
            var entries = await reader.EntriesAsync(bundle, cancel).ConfigureAwait(false);
            var hashes = MerkleTree.LeafHashes(entries);
            var leaves = await reader.TileAsync(0, bundle, cancel).ConfigureAwait(false);
            if (!hashes.AsSpan().SequenceEqual(leaves)) throw await EntryBreakAsync(reader, head, edge, bundle, hashes, leaves, cancel).ConfigureAwait(false);
            changed.Clear();
            var split = older is null ? 0 : (int)Math.Clamp(older.Size - edge.Size, 0, entries.Count);
            if (split > 0)
            {
                edge.Append(hashes.AsSpan(0, split * MerkleTree.HashBytes), changed);
                CheckOlder(edge, older);
            }
            edge.Append(hashes.AsSpan(split * MerkleTree.HashBytes), changed);
            foreach (var (tile, computed) in changed.Where(tile => tile.Tile is { Level: > 0, Width: TilePath.FullWidth }))
                await CheckTileAsync(reader, tile, computed, cancel).ConfigureAwait(false);
            yield return entries.Count;
        }
        var last = new TileReader(source, head.Size);
        for (var level = 1; level < TreeEdge.LevelCount(head.Size); level++)
        {
            var width = TreeEdge.PartialWidth(head.Size, level);
            if (width > 0) await CheckTileAsync(last, new TileId(level, head.Size >> (8 * (level + 1)), width), edge.Partial(level).ToArray(), cancel).ConfigureAwait(false);
        }
        if (!edge.Root().AsSpan().SequenceEqual(head.Root.Span))
            throw new LedgerCorruptException(TilePath.Checkpoint, "its root is not that of the log's entries.");
    }

    private static void CheckOlder(TreeEdge edge, Checkpoint? older)
    {
        if (older is not null && edge.Size == older.Size && !edge.Root().AsSpan().SequenceEqual(older.Root.Span))
            throw new LedgerCorruptException("from", $"the log's first {older.Size} entries do not have the older checkpoint's root: history was rewritten.");
    }

    private static async Task CheckTileAsync(TileReader reader, TileId tile, byte[] computed, CancellationToken cancel)
    {
        var stored = await reader.TileAsync(tile.Level, tile.Index, cancel).ConfigureAwait(false);
        if (!stored.AsSpan().SequenceEqual(computed)) throw new LedgerCorruptException(tile.ToString(), "does not hold the hashes of the tiles below it.");
    }

    /// <summary>
    /// Bundle and tile disagree. Which of the two was changed is told by what stands above both: the hash of the tile one level up, or
    /// the signed root where the tile is the last.
    /// </summary>
    private static async Task<LedgerCorruptException> EntryBreakAsync(
        TileReader reader, Checkpoint head, TreeEdge edge, long bundle, byte[] hashes, byte[] leaves, CancellationToken cancel)
    {
        var width = leaves.Length / MerkleTree.HashBytes;
        var at = hashes.AsSpan().CommonPrefixLength(leaves) / MerkleTree.HashBytes;
        var (tile, entries) = (TilePath.Tile(0, bundle, width), TilePath.Entries(bundle, width));
        return await EntriesLeadUpAsync(reader, head, edge, bundle, hashes, cancel).ConfigureAwait(false)
            ? new LedgerCorruptException(tile, $"does not hold the hash of entry {(bundle << 8) + at} of {entries}, which leads to the hashes above.")
            : new LedgerCorruptException(entries, $"entry {(bundle << 8) + at} does not hash to what {tile} holds.");
    }

    private static async Task<bool> EntriesLeadUpAsync(TileReader reader, Checkpoint head, TreeEdge edge, long bundle, byte[] hashes, CancellationToken cancel)
    {
        if (hashes.Length < TilePath.FullWidth * MerkleTree.HashBytes)
        {
            var last = edge.Clone();
            last.Append(hashes, null);
            return last.Root().AsSpan().SequenceEqual(head.Root.Span);
        }
        try
        {
            var above = await reader.TileAsync(1, bundle >> 8, cancel).ConfigureAwait(false);
            return MerkleRoot.Compute(hashes).AsSpan().SequenceEqual(above.AsSpan((int)(bundle & 0xFF) * MerkleTree.HashBytes, MerkleTree.HashBytes));
        }
        catch (LedgerCorruptException)
        {
            // The tile above is broken too; then the entries are named, as what can be told without it.
            return false;
        }
    }
}
