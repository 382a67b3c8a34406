using System.Text;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Witnessing;

/// <summary>The key with which this node cosigns others' checkpoints; made when it is first asked for.</summary>
public static class WitnessKey
{
    /// <summary>Its file among the world's keys.</summary>
    public const string Name = "witness.skey";

    /// <summary>Gives the key up with what was cosigned under it: the next one is another witness, that those whose logs it follows have to be told of.</summary>
    public static void Forget(World world)
    {
        ArgumentNullException.ThrowIfNull(world);
        WorldKeys.Remove(world, Name);
        using var connection = SqlStore.Of(world).OpenWriter(world);
        using var transaction = SqlStore.Of(world).BeginWrite(connection);
        using (var command = connection.Command("DELETE FROM witnessed_log", transaction))
            command.ExecuteNonQuery();
        transaction.Commit();
    }

    /// <exception cref="LedgerCorruptException">It cannot be read.</exception>
    /// <exception cref="ReadOnlyException">There is none yet, and the node takes no changes.</exception>
    public static NoteSigner Load(World world, WriteGate gate)
    {
        ArgumentNullException.ThrowIfNull(world);
        ArgumentNullException.ThrowIfNull(gate);
        var kept = WorldKeys.GetOrMake(world, Name, () =>
        {
            gate.Demand();
            using var made = NoteSigner.Generate(world.LedgerOrigin + "/witness", NoteKeyType.CosignatureV1);
            return Encoding.UTF8.GetBytes(made.ExportPrivateKey() + "\n");
        });
        return NoteSigner.TryParse(Encoding.UTF8.GetString(kept).Trim(), out var signer) && signer.Verifier.Type == NoteKeyType.CosignatureV1 ? signer
            : throw new LedgerCorruptException("keys/witness.skey", "cannot be read. Restore it from a backup.");
    }
}
