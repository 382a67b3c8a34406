using System.Globalization;
using System.Text;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Records;

/// <summary>The keys that a world's log is and was signed with: the first, and one more after each succession.</summary>
public static class LedgerKeys
{
    /// <summary>The key's name after so many successions.</summary>
    internal static string Name(int successions) => successions == 0 ? "ledger.skey" : string.Create(CultureInfo.InvariantCulture, $"ledger-{successions + 1}.skey");

    /// <summary>The key that the log is signed with now, made at the first start.</summary>
    /// <exception cref="LedgerCorruptException">It cannot be read.</exception>
    internal static NoteSigner Load(World world, int successions)
    {
        var kept = successions > 0
            ? WorldKeys.Find(world, Name(successions)) ?? throw Unreadable(successions)
            : WorldKeys.GetOrMake(world, Name(0), () => Bytes(NoteSigner.Generate(world.LedgerOrigin)));
        return NoteSigner.TryParse(Encoding.UTF8.GetString(kept).Trim(), out var signer) ? signer : throw Unreadable(successions);
    }

    /// <summary>The public key that the log is signed with now; null when it is missing or cannot be read. Makes nothing.</summary>
    public static NoteVerifier? Look(World world)
    {
        try
        {
            if (WorldKeys.Find(world, Name(Count(world))) is not { } kept || !NoteSigner.TryParse(Encoding.UTF8.GetString(kept).Trim(), out var signer))
                return null;
            using (signer)
                return signer.Verifier;
        }
        catch (Exception e) when (e is WorldKeyException or LedgerCorruptException)
        {
            return null;
        }
    }

    /// <summary>How many successions there were: as the state says, and where it cannot be read, as the keys do.</summary>
    private static int Count(World world)
    {
        try
        {
            if (SqlStore.Of(world).IsThere(world))
            {
                using var connection = SqlStore.Of(world).OpenReadOnly(world);
                return LedgerEvents.List(connection, null).Count(e => e.Kind == LedgerEventKind.Succession);
            }
        }
        catch (System.Data.Common.DbException e) when (StoreFaults.IsDamaged(e))
        {
            // A check goes on and says so.
        }
        var count = 0;
        while (WorldKeys.Find(world, Name(count + 1)) is not null)
            count++;
        return count;
    }

    /// <summary>The next key, for a succession that is being made; the same one when that was interrupted.</summary>
    internal static NoteSigner Next(World world, int successions, string origin)
    {
        var kept = WorldKeys.GetOrMake(world, Name(successions + 1), () => Bytes(NoteSigner.Generate(origin)));
        return NoteSigner.TryParse(Encoding.UTF8.GetString(kept).Trim(), out var signer) ? signer : throw Unreadable(successions + 1);
    }

    /// <summary>
    /// Completes a succession between its commit and its first checkpoint: the checkpoint that the old key signed last is replaced by the same one under the new key. Does nothing where that was done.
    /// </summary>
    internal static async Task TakeOverAsync(World world, NoteSigner signer, IReadOnlyList<Succession> successions, CancellationToken cancel)
    {
        if (successions.Count == 0)
            return;
        var last = successions[^1];
        if (last.New.ToString() != signer.Verifier.ToString())
            throw new LedgerCorruptException("keys/" + Name(successions.Count), "is not the key that the last succession names.");
        var files = LedgerFiles.Open(world);
        var note = await files.ReadAsync(TilePath.Checkpoint, SignedNote.BytesMax, cancel).ConfigureAwait(false);
        if (note is null || !Checkpoint.TryOpen(note, last.Old, out var checkpoint))
            return;
        if (checkpoint.Size != last.Size || !checkpoint.Root.Span.SequenceEqual(last.Root.Span))
            throw new LedgerCorruptException(TilePath.Checkpoint, "is not the one at which the last succession ends the old log.");
        var text = new Checkpoint(signer.Verifier.Name, last.Size, last.Root).Encode();
        await LedgerFiles.ReplaceCheckpointAsync(world, note, SignedNote.Create(text, signer.Sign(text)).Encode(), cancel).ConfigureAwait(false);
    }

    private static byte[] Bytes(NoteSigner made)
    {
        using (made)
            return Encoding.UTF8.GetBytes(made.ExportPrivateKey() + "\n");
    }

    private static LedgerCorruptException Unreadable(int successions) =>
        new("keys/" + Name(successions), "The ledger's key cannot be read. Restore it from a backup: without it this log cannot go on.");
}
