using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Storage.Copying;

namespace Gongzhi.Node.Backup;

/// <summary>A file of a backup: where below its directory, how long, and its SHA-256 in hexadecimal digits.</summary>
public sealed record BackupFile(string Path, long Bytes, string Sha256);

/// <summary>A table of a backup whose state is in PostgreSQL.</summary>
public sealed record BackupTable(string Path, string Name, IReadOnlyList<TableColumn> Columns, long Rows, string Digest);

/// <summary>The log's copy as a backup left it; later ones only add to it.</summary>
/// <param name="Directory">Below the repository's <c>ledger</c>.</param>
/// <param name="Key">The log's verifier key.</param>
/// <param name="Size">How many entries the copy had.</param>
/// <param name="Root">Their root, in base64.</param>
public sealed record BackupLog(string Directory, string Key, long Size, string Root);

/// <summary>What one backup holds. Written last: a directory without it is no backup.</summary>
/// <param name="Format">1.</param>
/// <param name="Origin">The world's ledger origin.</param>
/// <param name="Taken">The moment of the state.</param>
/// <param name="Postgres">Whether the state is tables for PostgreSQL, or one SQLite file.</param>
/// <param name="Log">The copy of the log.</param>
/// <param name="Entries">Entries of the log that the state has.</param>
/// <param name="Segments">Names of its segments, below the repository's <c>segments</c>.</param>
/// <param name="Tables">Of a state in PostgreSQL.</param>
/// <param name="Files">Everything else in the backup's directory.</param>
/// <param name="Keys">Whether the keys are in it, sealed under a passphrase.</param>
public sealed record BackupManifest(
    int Format, string Origin, DateTimeOffset Taken, bool Postgres, BackupLog Log, long Entries, IReadOnlyList<string> Segments, IReadOnlyList<BackupTable> Tables, IReadOnlyList<BackupFile> Files, bool Keys)
{
    /// <summary>The name of its file.</summary>
    public const string Name = "manifest.json";

    /// <summary>Its SHA-256, as <c>sha256sum -c</c> reads it: what names every other file must not change unseen either.</summary>
    public const string SumName = "manifest.sha256";

    /// <summary>Where keys are sealed: HMAC-SHA256 of the manifest under a key that is sealed with them, in hexadecimal. What names every other file cannot be made anew by who only writes where backups lie.</summary>
    public const string MacName = "manifest.mac";

    /// <summary>That key's name among the sealed ones.</summary>
    public const string MacKeyName = "manifest.mac-key";

    private const int BytesMax = 256 << 20, SumBytesMax = 200;

    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true };

    public byte[] Encode() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    internal static byte[] Sum(byte[] encoded) => Encoding.ASCII.GetBytes($"{Convert.ToHexStringLower(SHA256.HashData(encoded))}  {Name}\n");

    internal static byte[] Mac(byte[] encoded, byte[] key) => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(HMACSHA256.HashData(key, encoded)) + "\n");

    /// <exception cref="InvalidDataException">Somebody who does not know the passphrase has written it.</exception>
    public static void DemandMac(string directory, byte[] key)
    {
        var path = Path.Combine(directory, MacName);
        if (!File.Exists(path) || new FileInfo(path).Length > SumBytesMax || !CryptographicOperations.FixedTimeEquals(File.ReadAllBytes(path), Mac(File.ReadAllBytes(Path.Combine(directory, Name)), key)))
            throw new InvalidDataException($"{Path.Combine(directory, Name)} was not written by who sealed the keys of this backup: something of it was changed.");
    }

    /// <exception cref="InvalidDataException">It is missing, is not what was written, or is none that this program can read.</exception>
    public static BackupManifest Read(string directory)
    {
        var (path, sum) = (Path.Combine(directory, Name), Path.Combine(directory, SumName));
        if (!File.Exists(path) || !File.Exists(sum))
            throw new InvalidDataException($"{(File.Exists(path) ? sum : path)} is missing.");
        if (new FileInfo(path).Length > BytesMax || new FileInfo(sum).Length > SumBytesMax)
            throw new InvalidDataException($"{path} is too long for a manifest.");
        var bytes = File.ReadAllBytes(path);
        if (!File.ReadAllBytes(sum).AsSpan().SequenceEqual(Sum(bytes)))
            throw new InvalidDataException($"{path} is not what was written.");
        try
        {
            if (JsonSerializer.Deserialize<BackupManifest>(bytes, Json) is { Format: 1, Origin: not null, Log: { Directory: not null, Key: not null, Root: not null, Size: >= 0 }, Segments: not null, Tables: not null, Files: not null } manifest
                && manifest.Segments.All(IsName) && IsName(manifest.Log.Directory) && manifest.Files.Select(f => f.Path).Concat(manifest.Tables.Select(t => t.Path)).All(IsBelow))
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
