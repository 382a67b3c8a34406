using System.Text.Json;
using Gongzhi.Core;
using Gongzhi.Core.Storage;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// The mark of a world that came back from a backup, until somebody who would know has said that nothing newer was signed: a file of the data directory, and where the state is in PostgreSQL a row there, since any machine may
/// be the first to start.
/// </summary>
/// <param name="Backup">The backup's name.</param>
/// <param name="Origin">The world's ledger origin.</param>
/// <param name="Taken">The moment of the state.</param>
/// <param name="Entries">Entries that the state had.</param>
/// <param name="Size">Entries that the restored log has.</param>
/// <param name="Root">Their root, in base64.</param>
/// <param name="Known">How many entries the log is known to have had: those that were restored, or those of the checkpoint that the restore was shown. Only who has seen as many can say that there were no more.</param>
internal sealed record RestoredWorld(string Backup, string Origin, DateTimeOffset Taken, long Entries, long Size, string Root, long Known)
{
    private const string Mark = "restored.json";

    /// <summary>How large the log is known to have been; null when the world did not come back from a backup, or was allowed to go on since.</summary>
    public static long? KnownSize(World world)
    {
        if (world.Database is not null)
            return NodeDatabase.Restored(world);
        if (!File.Exists(PathOf(world)))
            return null;
        try
        {
            return JsonSerializer.Deserialize<RestoredWorld>(File.ReadAllBytes(PathOf(world)), JsonSerializerOptions.Web)?.Known ?? 0;
        }
        catch (JsonException)
        {
            // Marked all the same.
            return 0;
        }
    }

    /// <summary>Marks the directory. A database is marked where its copy is finished, in one transaction.</summary>
    public void Write(World world)
    {
        if (world.Database is null)
            PrivateFile.Write(PathOf(world), JsonSerializer.SerializeToUtf8Bytes(this, JsonSerializerOptions.Web));
    }

    /// <summary>Somebody who would know has said that nothing newer was signed.</summary>
    public static void Forget(World world)
    {
        if (world.Database is not null)
            NodeDatabase.ForgetRestored(world);
        File.Delete(PathOf(world));
    }

    /// <summary>What was signed beyond the state has been given up by a succession; whether the state may go on is still to be asked.</summary>
    public static void GiveUpMissing(World world)
    {
        if (KnownSize(world) is null)
            return;
        if (world.Database is not null)
            NodeDatabase.GiveUpMissing(world);
        else
            PrivateFile.Write(PathOf(world), "{}"u8);
    }

    private static string PathOf(World world) => Path.Combine(world.DataDirectory, Mark);
}
