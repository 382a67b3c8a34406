using System.Data.Common;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>What a recovery has brought back.</summary>
/// <param name="From">Entries that the state had.</param>
/// <param name="Size">Entries that it has now.</param>
/// <param name="Known">How many of those that came back were still waiting here, with what they speak of.</param>
public sealed record LedgerRecovery(long From, long Size, long Known);

/// <summary>
/// What can be done when a state has come back that is older than what the log has signed: take the missing entries from a copy of the log, or end the log where the state is and go on under a new key.
/// Both on a world that nobody serves, both to be called again after an interruption, and both leave a public entry in the log.
/// </summary>
public static class LedgerMending
{
    private const int EntriesAtOnce = 4_096;

    /// <summary>
    /// Brings the log up to a copy of it that has more. The entries come back and bind the log as before; what they speak of does not, unless it is still here. So no receipt or proof that was ever
    /// given is contradicted.
    /// </summary>
    /// <param name="world">Whose state is too old.</param>
    /// <param name="source">A copy of the log: a mirror, another machine's directory; null for the world's own directory, where only the database came back.</param>
    /// <param name="clock">For the entry that says so.</param>
    /// <param name="progress">Told how many entries the log has by now.</param>
    /// <param name="cancel">Gives up; call it again.</param>
    /// <exception cref="LedgerDivergedException">The copy does not continue what is stored here, or is not newer.</exception>
    /// <exception cref="LedgerCorruptException">The copy, or what is stored, is broken; names the file.</exception>
    public static async Task<LedgerRecovery> RecoverAsync(World world, ITileSource? source, TimeProvider clock, IProgress<long>? progress, CancellationToken cancel)
    {
        var key = LedgerKeys.Look(world) ?? throw new LedgerCorruptException("keys", "The ledger's key is missing or cannot be read.");
        var store = LedgerFiles.Open(world);
        var before = Head(world);
        LedgerRecovery? done = null;
        if (source is not null)
        {
            await DemandPrefixAsync(source, key, before, cancel).ConfigureAwait(false);
            await LogMirror.UpdateAsync(source, store, key, (head, token) =>
            {
                done = Take(world, store, before, head, clock, token);
                return Task.CompletedTask;
            }, progress, cancel).ConfigureAwait(false);
            if (done is not null)
                return done;
        }
        // The log is here, and only the database is older.
        return Take(world, store, before, await DemandPrefixAsync(store, key, before, cancel).ConfigureAwait(false), clock, cancel);
    }

    /// <summary>
    /// Ends the log where its checkpoint stands, and goes on under a new key: the new log has the same entries so far, and whatever the old key signed beyond is given up, which the statement says. The old
    /// private key is deleted.
    /// </summary>
    /// <param name="world">Whose log goes on.</param>
    /// <param name="origin">The new log's origin; null for the old one's with a number.</param>
    /// <param name="reason">One line, public.</param>
    /// <param name="clock">For the statement's time.</param>
    /// <param name="cancel">Gives up; call it again.</param>
    /// <exception cref="LedgerDivergedException">The log has more entries than the state: nothing needs to be given up, since a recovery brings them back.</exception>
    /// <exception cref="LedgerCorruptException">What is stored is not what was signed.</exception>
    /// <exception cref="ArgumentException">Origin or reason cannot be used.</exception>
    public static async Task<Succession> SucceedAsync(World world, string? origin, string reason, TimeProvider clock, CancellationToken cancel)
    {
        var successions = LedgerEvents.Successions(world);
        if (LedgerEvents.List(world) is [.., { Kind: LedgerEventKind.Succession, Index: null }])
        {
            await FinishAsync(world, successions, cancel).ConfigureAwait(false);
            return successions[^1];
        }
        using var old = LedgerKeys.Load(world, successions.Count);
        await LedgerKeys.TakeOverAsync(world, old, successions, cancel).ConfigureAwait(false);
        var store = LedgerFiles.Open(world);
        var note = await store.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false);
        if (note is null || !Checkpoint.TryOpen(note, old.Verifier, out var checkpoint))
            throw new LedgerCorruptException(TilePath.Checkpoint, "is missing or not signed by this log's key.");
        var state = Head(world);
        if (checkpoint.Size > state.Size)
            throw new LedgerDivergedException(TilePath.Checkpoint, $"is of size {checkpoint.Size}, and the state has {state.Size} entries. The log itself is here, so nothing has to be given up: recover it.", checkpoint.Size);
        using var next = LedgerKeys.Next(world, successions.Count, origin ?? $"{world.LedgerOrigin}/{successions.Count + 2}");
        if (origin is not null && next.Verifier.Name != origin)
            throw new ArgumentException($"A succession under the origin {next.Verifier.Name} was begun; go on without naming another.", nameof(origin));
        var succession = new Succession(old.Verifier, checkpoint.Size, checkpoint.Root, next.Verifier, clock.GetUtcNow(), reason);
        var statement = succession.Sign(old, next);
        Write(world, (connection, transaction) =>
            LedgerEvents.Add(connection, transaction, Guid.CreateVersion7(clock.GetUtcNow()), LedgerEventKind.Succession, statement, lost: null));
        await FinishAsync(world, [.. successions, succession], cancel).ConfigureAwait(false);
        return succession;
    }

    private static async Task FinishAsync(World world, IReadOnlyList<Succession> successions, CancellationToken cancel)
    {
        using var signer = LedgerKeys.Load(world, successions.Count);
        await LedgerKeys.TakeOverAsync(world, signer, successions, cancel).ConfigureAwait(false);
        WorldKeys.Remove(world, LedgerKeys.Name(successions.Count - 1));
    }

    /// <summary>How many entries the state has.</summary>
    public static long Size(World world) => Head(world).Size;

    private static TreeHead Head(World world)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("SELECT size, root FROM log_state WHERE one = 1");
        using var reader = command.ExecuteReader();
        return reader.Read() ? new TreeHead(reader.GetInt64(0), (byte[])reader[1]) : TreeHead.Empty;
    }

    /// <summary>The head that the copy has published, of which the state must be a beginning.</summary>
    private static async Task<TreeHead> DemandPrefixAsync(ITileSource source, NoteVerifier key, TreeHead state, CancellationToken cancel)
    {
        var note = await source.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false);
        if (note is null || !Checkpoint.TryOpen(note, key, out var checkpoint))
            throw new LedgerCorruptException(TilePath.Checkpoint, "of the copy is missing, or not signed by this log's key.");
        if (checkpoint.Size < state.Size || (checkpoint.Size == state.Size && state.Size == 0))
            throw new LedgerDivergedException(TilePath.Checkpoint, $"of the copy is of size {checkpoint.Size}; the state has {state.Size} entries, so there is nothing to take from it.", state.Size);
        var root = await LogMirror.RootAsync(source, checkpoint.Size, state.Size, cancel).ConfigureAwait(false);
        return root.AsSpan().SequenceEqual(state.Root.Span) ? new TreeHead(checkpoint.Size, checkpoint.Root)
            : throw new LedgerDivergedException(TilePath.Checkpoint, $"of the copy, of size {checkpoint.Size}, does not continue the {state.Size} entries of the state: they are two histories, and only a succession helps.", checkpoint.Size);
    }

    /// <summary>In one transaction: the entries with their indexes, the head, and the entry that says so.</summary>
    private static LedgerRecovery Take(World world, ITileStore store, TreeHead before, TreeHead head, TimeProvider clock, CancellationToken cancel)
    {
        // A call before this one ended between its commit and the checkpoint.
        if (head.Equals(before))
            return new LedgerRecovery(before.Size, head.Size, 0);
        long known = 0;
        Write(world, (connection, transaction) =>
        {
            using var find = connection.Command("SELECT log_index, entry FROM ledger_pending WHERE id = @id", transaction);
            using var insert = connection.Command("INSERT INTO ledger_pending(id, entry, created, log_index) VALUES (@id, @entry, @created, NULL)", transaction);
            using var place = connection.Command("UPDATE ledger_pending SET log_index = @index WHERE id = @id AND log_index IS NULL", transaction);
            for (var at = before.Size; at < head.Size; at += EntriesAtOnce)
            {
                var count = (int)Math.Min(EntriesAtOnce, head.Size - at);
                var entries = LogMirror.EntriesAsync(store, head.Size, at, count, cancel).AsTask().GetAwaiter().GetResult();
                for (var i = 0; i < count; i++)
                {
                    cancel.ThrowIfCancellationRequested();
                    var entry = entries[i].ToArray();
                    var id = EntryBytes.Id(entry) is { } found && found.Version == 7 ? found : throw new LedgerCorruptException(TilePath.Entries(at + i >> 8), $"entry {at + i} is not one that a node of this program makes.");
                    known += Keep(id, entry, at + i) ? 1 : 0;
                }
            }
            using (var state = connection.Command("""
                INSERT INTO log_state(one, size, root, before_size, before_root) VALUES (1, @size, @root, @size, @root)
                ON CONFLICT (one) DO UPDATE SET size = excluded.size, root = excluded.root, before_size = excluded.before_size, before_root = excluded.before_root
                """, transaction).Set("@size", head.Size).Set("@root", head.Root.ToArray()))
                state.ExecuteNonQuery();
            var now = clock.GetUtcNow();
            LedgerEvents.Add(connection, transaction, Guid.CreateVersion7(now), LedgerEventKind.Recovery, LedgerEvents.RecoveryContent(before.Size, head.Size, now), (before.Size, head.Size));

            bool Keep(Guid id, byte[] entry, long index)
            {
                find.Set("@id", RecordId.Bytes(id));
                bool there;
                using (var reader = find.ExecuteReader())
                {
                    there = reader.Read();
                    if (there && (!reader.IsDBNull(0) || !entry.AsSpan().SequenceEqual((byte[])reader[1])))
                        throw new LedgerCorruptException("node.db ledger_pending", $"The entry {id} is not the one that the log has at {index}.");
                }
                if (!there)
                    insert.Set("@id", RecordId.Bytes(id)).Set("@entry", entry).Set("@created", PendingEntries.Created(id)).ExecuteNonQuery();
                place.Set("@id", RecordId.Bytes(id)).Set("@index", index).ExecuteNonQuery();
                return there;
            }
        });
        return new LedgerRecovery(before.Size, head.Size, known);
    }

    private static void Write(World world, Action<DbConnection, DbTransaction> work)
    {
        using var connection = NodeDatabase.OpenWriter(world);
        using var transaction = SqlStore.Of(world).BeginWrite(connection);
        work(connection, transaction);
        world.Durably("commit", transaction.Commit);
    }
}
