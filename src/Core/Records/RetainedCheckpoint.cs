using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>
/// The highest checkpoint this machine has signed or seen, in a file of its key directory, which a backup of the database does not bring back: a database that is older, or another,
/// is then refused before anything is signed on it. Only where the state is in PostgreSQL; a world in one directory is copied back whole, and this file would go with it.
/// </summary>
/// <remarks>Written at most once a second, and at the end: what was published in the last second before a crash may be missing in it.</remarks>
/// <param name="key">The key that the log is signed with now.</param>
/// <param name="before">The keys that it was signed with before.</param>
/// <param name="succeeded">At which size the last of those ended.</param>
internal sealed class RetainedCheckpoint(World world, NoteVerifier key, IReadOnlyList<NoteVerifier> before, long succeeded, TimeProvider clock)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private readonly string _path = Path.Combine(world.KeyDirectory, "seen-checkpoint");
    private readonly Lock _turn = new();
    // Under _turn.
    private long _size = -1;
    private long? _at;

    /// <exception cref="LedgerDivergedException">The log does not continue what was kept here, or what the operator has given.</exception>
    public async Task DemandContinuedAsync(TileLog log, CancellationToken cancel)
    {
        if (SqlStore.Of(world).IsElsewhere && File.Exists(_path))
            await DemandAsync(log, _path, cancel).ConfigureAwait(false);
        if (world.RetainedCheckpoint is { } given)
            await DemandAsync(log, given, cancel).ConfigureAwait(false);
        Keep(log, last: true);
    }

    public void Keep(TileLog log, bool last)
    {
        if (!SqlStore.Of(world).IsElsewhere || log.Corrupt is not null)
            return;
        lock (_turn)
        {
            var note = log.CurrentCheckpoint;
            if (!Checkpoint.TryOpen(note.Span, key, out var checkpoint) || checkpoint.Size <= _size || (!last && _at is { } at && clock.GetElapsedTime(at) < Interval))
                return;
            Directory.CreateDirectory(world.KeyDirectory);
            var temporary = _path + ".tmp";
            using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
            {
                file.Write(note.Span);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, _path, overwrite: true);
            DurableFile.FlushDirectory(world.KeyDirectory);
            (_size, _at) = (checkpoint.Size, clock.GetTimestamp());
        }
    }

    /// <summary>How many entries the checkpoint in a file has, which <see cref="DemandContinuedAsync"/> has compared with the log.</summary>
    public static async Task<long> SizeAsync(string path, CancellationToken cancel) =>
        SignedNote.TryParse(await File.ReadAllBytesAsync(path, cancel).ConfigureAwait(false), out var note) && Checkpoint.TryParse(note.Text.Span, out var kept) ? kept.Size : -1;

    private async Task DemandAsync(TileLog log, string path, CancellationToken cancel)
    {
        byte[] note;
        try
        {
            if (new FileInfo(path).Length > SignedNote.BytesMax)
                throw new LedgerCorruptException(path, "is too long for a checkpoint.");
            note = await File.ReadAllBytesAsync(path, cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LedgerCorruptException(path, $"cannot be read, so the log cannot be compared with it: {e.Message}");
        }
        if (!Checkpoint.TryOpen(note, key, out var kept))
        {
            foreach (var old in before)
            {
                if (Checkpoint.TryOpen(note, old, out kept))
                    break;
            }
            if (kept is null)
                throw new LedgerCorruptException(path, "is not a checkpoint signed by this log's key.");
            // What the old key signed beyond is what the succession has given up, and says so.
            if (kept.Size > succeeded)
                return;
        }
        var head = log.Head;
        if (head.Size < kept.Size)
            throw new LedgerDivergedException(path, $"is of size {kept.Size}, but the log that is stored has {head.Size} entries: an older state has been put in its place.", kept.Size);
        var proof = await log.ProveConsistencyAsync(kept.Size, head.Size, cancel).ConfigureAwait(false);
        if (!MerkleTree.VerifyConsistency(kept.Size, head.Size, kept.Root.Span, head.Root.Span, proof))
            throw new LedgerDivergedException(path, $"of size {kept.Size} is not what the log that is stored, of size {head.Size}, continues: it is another history.", kept.Size);
    }
}
