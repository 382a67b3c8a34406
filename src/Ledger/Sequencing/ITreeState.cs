namespace Gongzhi.Ledger;

/// <summary>How large the tree is and what its root is.</summary>
/// <param name="Size">Number of entries.</param>
/// <param name="Root">RFC 6962 root over them, 32 bytes.</param>
public sealed record TreeHead(long Size, ReadOnlyMemory<byte> Root)
{
    /// <summary>The tree before its first entry.</summary>
    public static TreeHead Empty { get; } = new(0, MerkleTree.EmptyRoot.ToArray());

    /// <summary>Same size, same root.</summary>
    public bool Equals(TreeHead? other) => other is not null && Size == other.Size && Root.Span.SequenceEqual(other.Root.Span);

    /// <inheritdoc />
    public override int GetHashCode() => Size.GetHashCode();
}

/// <summary>An entry on its way into the log.</summary>
/// <param name="Id">Unique for ever and chosen by the caller: the same id is the same entry, whatever its bytes.</param>
/// <param name="Entry">At most <see cref="EntryBundle.EntryBytesMax"/> bytes.</param>
public readonly record struct PendingEntry(Guid Id, ReadOnlyMemory<byte> Entry);

/// <summary>One step of the tree: from which head to which, by which entries. Entry i gets index <c>Before.Size + i</c>.</summary>
/// <param name="Before">The head the step was computed on.</param>
/// <param name="After">The head with the entries appended.</param>
/// <param name="Entries">At least one.</param>
public sealed record TreeStep(TreeHead Before, TreeHead After, IReadOnlyList<PendingEntry> Entries);

/// <summary>
/// The one commit point of a log: which head is current. Nothing is signed that has not been made current here, so two sequencers
/// over one state cannot fork the log.
/// </summary>
public interface ITreeState
{
    /// <summary>The last step taken, with its entries (a crash may have left their tiles unwritten); null before the first.</summary>
    /// <exception cref="LedgerCorruptException">The state does not read back as it was written.</exception>
    ValueTask<TreeStep?> LoadAsync(CancellationToken cancel = default);

    /// <summary>
    /// In one atomic and durable action: if the current head is <c>step.Before</c>, keeps the step and makes <c>step.After</c>
    /// current. False, and nothing changed, when the head is another. After an exception either may have happened.
    /// </summary>
    ValueTask<bool> TryAdvanceAsync(TreeStep step, CancellationToken cancel = default);

    /// <summary>
    /// The indexes of those ids that are in the tree. Looks back over at least the last <see cref="TileLogOptions.IdWindow"/>
    /// entries; older ids need not be found.
    /// </summary>
    ValueTask<IReadOnlyDictionary<Guid, long>> FindAsync(IReadOnlyCollection<Guid> ids, CancellationToken cancel = default);
}
