using System.Security.Cryptography;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>A shared store belongs to one world: what another world's list does not name, it would sweep.</summary>
internal static class SegmentOwner
{
    public static string Of(World world) => $"gongzhi segments\n{world.LedgerOrigin}\n";

    public static void Check(World world, string found)
    {
        if (found != Of(world))
            throw new SegmentStoreException($"The segment store {world.Segments} belongs to another world ({(found.Split('\n') is [_, var origin, ..] ? origin : "unknown")}). Give each world a place of its own; nothing was changed.");
    }
}

/// <summary>Tells this machine, as the owner of a data directory, from the others that use the same store.</summary>
internal static class MachineMark
{
    /// <summary>Drawn at random once and kept in the data directory, which one process uses at a time.</summary>
    public static string Of(World world)
    {
        var path = Path.Combine(world.DataDirectory, "machine");
        if (!File.Exists(path))
            DurableFile.WriteOnce(path, System.Text.Encoding.ASCII.GetBytes(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))));
        return Read(path);
    }

    private static string Read(string path) =>
        File.ReadAllText(path) is { Length: 16 } mark && mark.All(char.IsAsciiHexDigitLower) ? mark : throw new InvalidDataException($"{path} is not the mark of a machine.");
}
