using Gongzhi.Ledger;


namespace Gongzhi.Core.Records;

/// <summary>What one contribution appended.</summary>
public sealed record Batch
{
    public required Guid Id { get; init; }
    public required string Dataset { get; init; }
    public required int SchemaVersion { get; init; }
    public required string Contributor { get; init; }
    public required DateTimeOffset Received { get; init; }
    public required long Rows { get; init; }
    public required long Rejected { get; init; }

    /// <summary>RFC 6962 root over the rows' leaves, 32 bytes.</summary>
    public required byte[] Root { get; init; }

    /// <summary>Id of the ledger entry that commits to this batch.</summary>
    public required Guid Entry { get; init; }
    public required byte[] SubjectSalt { get; init; }

    /// <summary>Hashes of the batch tree at level 8 (each over 256 rows), 32 bytes each.</summary>
    public required byte[] Tree { get; init; }
    public string? Request { get; init; }
    public byte[]? RequestDigest { get; init; }
    public required string Source { get; init; }
}

/// <summary>The Merkle tree of one batch, cut at level 8 so that a proof needs only 256 rows and a small blob.</summary>
public static class BatchTree
{
    /// <summary>Rows under one kept hash. An RFC 6962 tree splits at powers of two, so runs of 256 leaves are whole subtrees.</summary>
    public const int Span = 256;

    public static byte[] Root(ReadOnlySpan<byte> level8) => MerkleRoot.Compute(level8);

    /// <summary>The inclusion path of leaf <paramref name="index"/>: inside its run, then among the runs.</summary>
    /// <param name="runLeaves">The leaves of the run that holds the index, 32 bytes each.</param>
    public static byte[][] Path(ReadOnlySpan<byte> runLeaves, ReadOnlySpan<byte> level8, long index) =>
        [.. MerkleTree.InclusionProof(runLeaves, index % Span), .. MerkleTree.InclusionProof(level8, index / Span)];
}

/// <summary>Takes leaves in order and keeps only the level-8 hashes, so that a batch of any size needs little memory.</summary>
public sealed class BatchTreeBuilder
{
    private const int RunBytes = BatchTree.Span * 32;
    // Both grow: most batches are a row or a few.
    private byte[] _run = [];
    private byte[] _level8 = [];
    private int _runLength, _level8Length;

    public void Append(ReadOnlySpan<byte> leaves)
    {
        while (!leaves.IsEmpty)
        {
            if (_runLength == 0 && leaves.Length >= RunBytes)
            {
                Keep(leaves[..RunBytes]);
                leaves = leaves[RunBytes..];
                continue;
            }
            var take = Math.Min(RunBytes - _runLength, leaves.Length);
            if (_run.Length < _runLength + take)
                Array.Resize(ref _run, _runLength == 0 ? take : RunBytes);
            leaves[..take].CopyTo(_run.AsSpan(_runLength));
            _runLength += take;
            leaves = leaves[take..];
            if (_runLength == RunBytes)
            {
                Keep(_run);
                _runLength = 0;
            }
        }
    }

    /// <summary>The level-8 hashes of everything appended.</summary>
    public byte[] Finish()
    {
        if (_runLength > 0)
            Keep(_run.AsSpan(0, _runLength));
        _runLength = 0;
        return _level8[.._level8Length];
    }

    private void Keep(ReadOnlySpan<byte> run)
    {
        if (_level8Length == _level8.Length)
            Array.Resize(ref _level8, Math.Max(32, _level8.Length * 2));
        MerkleRoot.Compute(run).CopyTo(_level8.AsSpan(_level8Length));
        _level8Length += 32;
    }
}
