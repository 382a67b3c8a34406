using System.Text.Json;
using Gongzhi.Core.Storage.Copying;

namespace Gongzhi.Node.Backup;

/// <summary>A file of a backup: where below its directory, how long, and its SHA-256 in hexadecimal digits.</summary>
public sealed record BackupFile(string Path, long Bytes, string Sha256);

/// <summary>A table of a backup whose state is in PostgreSQL.</summary>
public sealed record BackupTable(string Path, string Name, IReadOnlyList<TableColumn> Columns, long Rows, string Digest);

/// <summary>What one backup holds. Written last: a directory without it is no backup.</summary>
/// <param name="Format">1.</param>
/// <param name="Origin">The world's ledger origin.</param>
/// <param name="Taken">The moment of the state.</param>
/// <param name="Postgres">Whether the state is tables for PostgreSQL, or one SQLite file.</param>
/// <param name="Ledger">The directory of the log's copy, below the repository's <c>ledger</c>.</param>
/// <param name="Entries">Entries of the log that the state has.</param>
/// <param name="Segments">Names of its segments, below the repository's <c>segments</c>.</param>
/// <param name="Tables">Of a state in PostgreSQL.</param>
/// <param name="Files">Everything else in the backup's directory.</param>
/// <param name="Keys">Whether the keys are in it, sealed under a passphrase.</param>
public sealed record BackupManifest(
    int Format, string Origin, DateTimeOffset Taken, bool Postgres, string Ledger, long Entries, IReadOnlyList<string> Segments, IReadOnlyList<BackupTable> Tables, IReadOnlyList<BackupFile> Files, bool Keys)
{
    /// <summary>The name of its file.</summary>
    public const string Name = "manifest.json";

    private const int BytesMax = 256 << 20;

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true };

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <exception cref="InvalidDataException">It is no manifest that this program can read.</exception>
    public static BackupManifest Read(string directory)
    {
        var path = Path.Combine(directory, Name);
        try
        {
            if (new FileInfo(path).Length <= BytesMax && JsonSerializer.Deserialize<BackupManifest>(File.ReadAllBytes(path), Json) is { Format: 1, Origin: not null, Ledger: not null, Segments: not null, Tables: not null, Files: not null } manifest
                && manifest.Segments.All(IsName) && IsName(manifest.Ledger) && manifest.Files.Select(f => f.Path).Concat(manifest.Tables.Select(t => t.Path)).All(IsBelow))
                return manifest;
        }
        catch (JsonException)
        {
            // Said below.
        }
        throw new InvalidDataException($"{path} is not a manifest that this program can read.");
    }

    private static bool IsName(string name) => name.Length is > 0 and <= 128 && name.All(c => char.IsAsciiHexDigitLower(c) || c == '-');

    /// <summary>No path leads out of the directory.</summary>
    private static bool IsBelow(string path) => path.Length is > 0 and <= 300 && !Path.IsPathRooted(path) && !path.Split('/', '\\').Any(p => p is "" or "." or "..");
}
