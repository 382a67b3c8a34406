using System.Text;
using Gongzhi.Core.Storage;
using Gongzhi.Ledger;

namespace Gongzhi.Core.Witnessing;

/// <summary>The key with which this node cosigns others' checkpoints; made when it is first asked for.</summary>
public static class WitnessKey
{
    /// <exception cref="LedgerCorruptException">It cannot be read.</exception>
    public static NoteSigner Load(World world)
    {
        ArgumentNullException.ThrowIfNull(world);
        var kept = WorldKeys.GetOrMake(world, "witness.skey", () =>
        {
            using var made = NoteSigner.Generate(world.LedgerOrigin + "/witness", NoteKeyType.CosignatureV1);
            return Encoding.UTF8.GetBytes(made.ExportPrivateKey() + "\n");
        });
        return NoteSigner.TryParse(Encoding.UTF8.GetString(kept).Trim(), out var signer) && signer.Verifier.Type == NoteKeyType.CosignatureV1 ? signer
            : throw new LedgerCorruptException("keys/witness.skey", "cannot be read. Restore it from a backup.");
    }
}
