using System.Globalization;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>A tile of hashes, or (level −1) a bundle of entries.</summary>
/// <param name="Level">0 to 63, or <see cref="TilePath.EntriesLevel"/>.</param>
/// <param name="Index">The tile's number within its level.</param>
/// <param name="Width">1 to 256 hashes or entries; below 256 the tile is partial.</param>
public readonly record struct TileId(int Level, long Index, int Width)
{
    /// <summary>Where C2SP tlog-tiles puts it: <c>tile/0/x001/x234/067.p/8</c>.</summary>
    public override string ToString() => TilePath.Format(this);
}

/// <summary>Paths of C2SP tlog-tiles, both as URL paths under the log's prefix and as files under its directory.</summary>
public static class TilePath
{
    /// <summary>Hashes in a full tile, entries in a full bundle.</summary>
    public const int FullWidth = 256;

    /// <summary>The <see cref="TileId.Level"/> of entry bundles.</summary>
    public const int EntriesLevel = -1;

    /// <summary>The signed checkpoint's path.</summary>
    public const string Checkpoint = "checkpoint";

    private const int LevelMax = 63;

    /// <summary>The path of a tile of hashes.</summary>
    public static string Tile(int level, long index, int width = FullWidth) => Format(new TileId(level, index, width));

    /// <summary>The path of a bundle of entries.</summary>
    public static string Entries(long index, int width = FullWidth) => Format(new TileId(EntriesLevel, index, width));

    /// <summary>Reads a path as strictly as it is written; there is one spelling for each tile.</summary>
    public static bool TryParse(string? path, out TileId tile)
    {
        tile = default;
        if (path is null || path.Length > 128 || !path.StartsWith("tile/", StringComparison.Ordinal)) return false;
        var parts = path.Split('/');
        var level = EntriesLevel;
        if (parts[1] != "entries")
        {
            if (parts[1].Length > 2 || !Ledger.Checkpoint.TryParseNumber(parts[1], out var number) || number > LevelMax) return false;
            level = (int)number;
        }
        var end = parts.Length;
        var width = FullWidth;
        if (end >= 4 && parts[end - 2].EndsWith(".p", StringComparison.Ordinal))
        {
            if (!Ledger.Checkpoint.TryParseNumber(parts[end - 1], out var w) || w is < 1 or >= FullWidth) return false;
            width = (int)w;
            end--;
            parts[end - 1] = parts[end - 1][..^2];
        }
        long index = 0;
        if (end is < 3 or > 8) return false;
        for (var i = 2; i < end; i++)
        {
            var digits = parts[i].AsSpan();
            if (i < end - 1)
            {
                if (digits.Length == 0 || digits[0] != 'x') return false;
                digits = digits[1..];
            }
            if (digits.Length != 3 || digits.ContainsAnyExceptInRange('0', '9')) return false;
            index = (index * 1000) + int.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);
        }
        tile = new TileId(level, index, width);
        return Format(tile) == path;
    }

    internal static string Format(TileId tile)
    {
        if (tile.Level is < EntriesLevel or > LevelMax || tile.Index < 0 || tile.Width is < 1 or > FullWidth)
            throw new ArgumentOutOfRangeException(nameof(tile), $"No such tile: level {tile.Level}, index {tile.Index}, width {tile.Width}.");
        var path = new StringBuilder("tile/");
        if (tile.Level == EntriesLevel) path.Append("entries");
        else path.Append(CultureInfo.InvariantCulture, $"{tile.Level}");
        Span<int> groups = stackalloc int[7];
        var count = 0;
        var rest = tile.Index;
        do
        {
            groups[count++] = (int)(rest % 1000);
            rest /= 1000;
        }
        while (rest > 0);
        for (var i = count - 1; i >= 0; i--) path.Append(CultureInfo.InvariantCulture, $"/{(i > 0 ? "x" : "")}{groups[i]:d3}");
        if (tile.Width < FullWidth) path.Append(CultureInfo.InvariantCulture, $".p/{tile.Width}");
        return path.ToString();
    }
}
