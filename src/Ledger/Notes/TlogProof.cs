using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>A C2SP tlog-proof: an entry's index, its inclusion path, and the signed checkpoint it leads to, in one text file.</summary>
/// <param name="Index">The entry's zero-based index in the log.</param>
/// <param name="Path">The inclusion proof, the leaf's sibling first.</param>
/// <param name="CheckpointNote">The signed checkpoint, byte for byte as the log published it.</param>
/// <param name="Extra">Opaque data carried along; never authenticated.</param>
public sealed record TlogProof(long Index, IReadOnlyList<byte[]> Path, ReadOnlyMemory<byte> CheckpointNote, ReadOnlyMemory<byte> Extra = default)
{
    /// <summary>The longest proof read, in bytes: the longest note, the longest path and the longest extra.</summary>
    public const int BytesMax = SignedNote.BytesMax + (128 * 1024);

    /// <summary>The most extra data read, in bytes.</summary>
    public const int ExtraBytesMax = 64 * 1024;

    private static readonly byte[] Header = "c2sp.org/tlog-proof@v1\n"u8.ToArray();

    /// <summary>The proof as a text file.</summary>
    public byte[] Encode()
    {
        var text = new StringBuilder();
        if (!Extra.IsEmpty) text.Append("extra ").Append(Convert.ToBase64String(Extra.Span)).Append('\n');
        text.Append("index ").Append(Index.ToString(CultureInfo.InvariantCulture)).Append('\n');
        foreach (var hash in Path) text.Append(Convert.ToBase64String(hash)).Append('\n');
        text.Append('\n');
        return [.. Header, .. Encoding.ASCII.GetBytes(text.ToString()), .. CheckpointNote.Span];
    }

    /// <summary>Reads a proof file; malformed or oversized ones are refused. Nothing is verified here.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out TlogProof? proof)
    {
        proof = null;
        if (bytes.Length > BytesMax || !bytes.StartsWith(Header)) return false;
        var rest = bytes[Header.Length..];
        if (!TryLine(ref rest, out var line)) return false;
        byte[] extra = [];
        if (line.StartsWith("extra "u8))
        {
            if (StrictBase64.Decode(line[6..], ExtraBytesMax) is not { Length: > 0 } decoded) return false;
            extra = decoded;
            if (!TryLine(ref rest, out line)) return false;
        }
        if (!line.StartsWith("index "u8) || line.Length > 32) return false;
        if (!Checkpoint.TryParseNumber(Encoding.Latin1.GetString(line[6..]), out var index)) return false;
        var path = new List<byte[]>();
        while (true)
        {
            if (!TryLine(ref rest, out line)) return false;
            if (line.IsEmpty) break;
            if (path.Count == MerkleTree.ProofHashesMax) return false;
            if (StrictBase64.Decode(line, MerkleTree.HashBytes) is not { Length: MerkleTree.HashBytes } hash) return false;
            path.Add(hash);
        }
        if (!SignedNote.TryParse(rest, out _)) return false;
        proof = new TlogProof(index, path, rest.ToArray(), extra);
        return true;
    }

    /// <summary>
    /// Whether the entry with this leaf hash is in the log that <paramref name="log"/> signs for: the checkpoint is signed by it and
    /// the path leads from the leaf to the checkpoint's root. Never throws.
    /// </summary>
    public bool Verify(ReadOnlySpan<byte> leafHash, NoteVerifier log, [NotNullWhen(true)] out Checkpoint? checkpoint) =>
        Checkpoint.TryOpen(CheckpointNote.Span, log, out checkpoint)
        && MerkleTree.VerifyInclusion(leafHash, Index, checkpoint.Size, Path, checkpoint.Root.Span);

    private static bool TryLine(ref ReadOnlySpan<byte> rest, out ReadOnlySpan<byte> line)
    {
        var end = rest.IndexOf((byte)'\n');
        line = end < 0 ? default : rest[..end];
        if (end >= 0) rest = rest[(end + 1)..];
        return end >= 0;
    }
}
