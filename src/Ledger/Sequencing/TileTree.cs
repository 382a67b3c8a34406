namespace Gongzhi.Ledger;

/// <summary>
/// The stored tree of one sequencer: its edge, the entries of its last bundle, and the published checkpoint. Takes one step at a
/// time; <see cref="TileLog"/> sees to that.
/// </summary>
internal sealed class TileTree
{
    private readonly NoteSigner _signer;
    private readonly ITileStore _store;
    private readonly StoredTree _tree;

    private TileTree(NoteSigner signer, ITileStore store, StoredTree tree) => (_signer, _store, _tree) = (signer, store, tree);

    public TreeHead Head => _tree.Head;

    /// <summary>The signed note that was published for this head; empty until it has been.</summary>
    public ReadOnlyMemory<byte> Note { get; private init; }

    /// <summary>
    /// Reads the tree back, completes a step that a crash left between commit and publication, and re-verifies what is stored.
    /// </summary>
    /// <param name="complete">False to leave such a step to whoever appends: the tree is then the published one, and nothing is signed but
    /// the checkpoint of an empty log.</param>
    /// <param name="seen">What this process has seen published; a tree that does not continue it is refused before anything is signed.</param>
    /// <exception cref="LedgerCorruptException">State, tiles and published checkpoint do not agree.</exception>
    public static async Task<TileTree> ReopenAsync(NoteSigner signer, ITreeState state, ITileStore store, bool complete, TreeHead? seen, CancellationToken cancel)
    {
        // The checkpoint first: another sequencer may publish at any moment, and only a state that is read later is sure to be as far on.
        var (published, note) = await ReadPublishedAsync(signer, store, cancel).ConfigureAwait(false);
        var step = await state.LoadAsync(cancel).ConfigureAwait(false);
        if (published is null && step is not null)
        {
            // The first checkpoint is published before the first step: if both came since, it is there now. In the same order again.
            (published, note) = await ReadPublishedAsync(signer, store, cancel).ConfigureAwait(false);
            step = await state.LoadAsync(cancel).ConfigureAwait(false);
        }
        var head = step?.After ?? TreeHead.Empty;
        if (published is null && step is not null) throw new LedgerCorruptException(TilePath.Checkpoint, "is missing.");
        if (published is not null && published.Size > head.Size)
            throw new LedgerDivergedException(TilePath.Checkpoint, $"is of size {published.Size}, ahead of the committed {head.Size}: the state is older than the log.", published.Size);

        if (published is not null && published.Size == head.Size)
        {
            if (!published.Root.Span.SequenceEqual(head.Root.Span))
                throw new LedgerCorruptException(TilePath.Checkpoint, $"has another root than the one committed at size {head.Size}.");
            var current = await OfPublishedAsync(signer, store, published, note, cancel).ConfigureAwait(false);
            if (seen is not null) await current.DemandContinuesAsync(seen, cancel).ConfigureAwait(false);
            return current;
        }

        var before = step?.Before ?? TreeHead.Empty;
        if (published is not null) await CheckPublishedAsync(store, before, published, cancel).ConfigureAwait(false);
        var tree = new TileTree(signer, store, await StoredTree.LoadAsync(store, before, cancel).ConfigureAwait(false));
        if (step is null) return await tree.PublishAsync(cancel).ConfigureAwait(false);
        var (after, files, full) = tree.Plan(step.Entries);
        if (!after.Head.Equals(head)) throw new LedgerCorruptException("state/tree", "its entries do not lead to the root it holds.");
        if (seen is not null && !seen.Equals(head))
        {
            // Whatever was published was a head that steps led from and to, so it does not lie within this one.
            if (seen.Size > before.Size) throw WentBack(head.Size, seen.Size);
            await tree.DemandContinuesAsync(seen, cancel).ConfigureAwait(false);
        }
        if (complete) return await after.CompleteAsync(files, full, cancel).ConfigureAwait(false);
        return await OfPublishedAsync(signer, store, published!, note, cancel).ConfigureAwait(false);
    }

    /// <summary>The tree that is published now, when it is another than this; null when it is this one. Signs and writes nothing.</summary>
    /// <exception cref="LedgerCorruptException">It does not continue this one, or its tiles do not lead to its root.</exception>
    public async Task<TileTree?> FollowAsync(CancellationToken cancel)
    {
        var (published, note) = await ReadPublishedAsync(_signer, _store, cancel).ConfigureAwait(false);
        if (published is null) throw new LedgerCorruptException(TilePath.Checkpoint, "is missing.");
        if (published.Size == Head.Size && published.Root.Span.SequenceEqual(Head.Root.Span)) return null;
        var tree = await OfPublishedAsync(_signer, _store, published, note, cancel).ConfigureAwait(false);
        await tree.DemandContinuesAsync(Head, cancel).ConfigureAwait(false);
        return tree;
    }

    /// <summary>
    /// Refuses a tree that is not the continuation of one that this process has seen published: what is stored was replaced by an older
    /// state (a backup, a replica that missed commits), and appending to it would make a second history.
    /// </summary>
    /// <exception cref="LedgerCorruptException">It is not.</exception>
    private async Task DemandContinuesAsync(TreeHead seen, CancellationToken cancel)
    {
        if (Head.Equals(seen)) return;
        if (Head.Size < seen.Size) throw WentBack(Head.Size, seen.Size);
        var proof = await new TileReader(_store, Head.Size).RangesAsync(ProofRanges.Consistency(seen.Size, Head.Size), cancel).ConfigureAwait(false);
        if (!MerkleTree.VerifyConsistency(seen.Size, Head.Size, seen.Root.Span, Head.Root.Span, proof))
            throw new LedgerDivergedException(TilePath.Checkpoint, $"of size {Head.Size} does not continue what was published at size {seen.Size}.", seen.Size);
    }

    private static LedgerDivergedException WentBack(long size, long seen) =>
        new(TilePath.Checkpoint, $"is of size {size}, but {seen} was published before: an older state has been put in its place.", seen);

    /// <summary>The tree that is published, whatever the state says.</summary>
    /// <exception cref="LedgerCorruptException">There is none, or its tiles do not lead to its root.</exception>
    public static async Task<TileTree> OfPublishedAsync(NoteSigner signer, ITileStore store, CancellationToken cancel)
    {
        var (published, note) = await ReadPublishedAsync(signer, store, cancel).ConfigureAwait(false);
        return await OfPublishedAsync(signer, store, published ?? throw new LedgerCorruptException(TilePath.Checkpoint, "is missing."), note, cancel).ConfigureAwait(false);
    }

    private static async Task<TileTree> OfPublishedAsync(NoteSigner signer, ITileStore store, Checkpoint published, byte[] note, CancellationToken cancel)
    {
        var tree = await StoredTree.LoadAsync(store, new TreeHead(published.Size, published.Root), cancel).ConfigureAwait(false);
        return new TileTree(signer, store, tree) { Note = note };
    }

    /// <summary>What appending these entries would make, and the files that it changes. Touches nothing.</summary>
    public (TileTree After, List<TileFile> Files, List<TileId> FilledTiles) Plan(IReadOnlyList<PendingEntry> entries)
    {
        var (after, files, filled) = _tree.Plan([.. entries.Select(entry => entry.Entry)]);
        return (new TileTree(_signer, _store, after), files, filled);
    }

    /// <summary>Writes the tiles of a committed step, then signs and publishes. Only for a head that the state has made current.</summary>
    public async Task<TileTree> CompleteAsync(List<TileFile> files, List<TileId> filled, CancellationToken cancel)
    {
        await _store.WriteAsync(files, cancel).ConfigureAwait(false);
        var published = await PublishAsync(cancel).ConfigureAwait(false);
        foreach (var tile in filled)
        {
            try
            {
                await _store.DeletePartialsAsync(tile.ToString(), cancel).ConfigureAwait(false);
            }
            catch (IOException)
            {
                // Superfluous files are harmless and the step is already published; it must not fail for them.
            }
        }
        return published;
    }

    private async Task<TileTree> PublishAsync(CancellationToken cancel)
    {
        // Another sequencer over the same state may have gone further; a published checkpoint never goes back.
        var (published, _) = await ReadPublishedAsync(_signer, _store, cancel).ConfigureAwait(false);
        var text = new Checkpoint(_signer.Verifier.Name, Head.Size, Head.Root).Encode();
        var note = SignedNote.Create(text, _signer.Sign(text)).Encode();
        if (published is null || published.Size < Head.Size)
            await _store.WriteAsync([new TileFile(TilePath.Checkpoint, note)], cancel).ConfigureAwait(false);
        return new TileTree(_signer, _store, _tree) { Note = note };
    }

    private static async Task<(Checkpoint? Checkpoint, byte[] Note)> ReadPublishedAsync(NoteSigner signer, ITileStore store, CancellationToken cancel)
    {
        byte[]? note;
        try
        {
            note = await store.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false);
        }
        catch (InvalidDataException tooLong)
        {
            throw new LedgerCorruptException(TilePath.Checkpoint, tooLong.Message);
        }
        if (note is null) return (null, []);
        return Checkpoint.TryOpen(note, signer.Verifier, out var checkpoint)
            ? (checkpoint, note)
            : throw new LedgerCorruptException(TilePath.Checkpoint, "is not a checkpoint signed by this log's key.");
    }

    private static async Task CheckPublishedAsync(ITileStore store, TreeHead before, Checkpoint published, CancellationToken cancel)
    {
        if (published.Size > before.Size)
            throw new LedgerCorruptException(TilePath.Checkpoint, $"is of size {published.Size}, which no step led to.");
        var root = await new TileReader(store, before.Size).RangeAsync(0, published.Size, cancel).ConfigureAwait(false);
        if (!root.AsSpan().SequenceEqual(published.Root.Span) && published.Size == before.Size && before.Root.Span.SequenceEqual(root))
            throw new LedgerCorruptException(TilePath.Checkpoint, $"has another root than the tree at size {published.Size}.");
        if (published.Size < before.Size && !root.AsSpan().SequenceEqual(published.Root.Span))
            throw new LedgerCorruptException(TilePath.Checkpoint, $"has another root than the tiles at size {published.Size}.");
        // Equal sizes with tiles of another root: the tiles broke, and loading the edge names which.
    }
}
