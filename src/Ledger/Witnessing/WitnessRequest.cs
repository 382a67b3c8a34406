using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>The body of C2SP tlog-witness <c>add-checkpoint</c>: a checkpoint, and the proof that it continues the one of <paramref name="OldSize"/> entries.</summary>
/// <param name="OldSize">What the sender takes for the newest that the witness has cosigned; 0 when it knows of none.</param>
/// <param name="Proof">RFC 6962 consistency proof from there, at most 63 hashes of 32 bytes.</param>
/// <param name="Checkpoint">The signed note, as it is.</param>
public sealed record WitnessRequest(long OldSize, IReadOnlyList<byte[]> Proof, ReadOnlyMemory<byte> Checkpoint)
{
    /// <summary>The most proof lines.</summary>
    public const int ProofHashesMax = 63;

    /// <summary>The longest body read, in bytes.</summary>
    public const int BytesMax = 64 * 1024;

    /// <summary>The media type of the answer that says which size the witness has.</summary>
    public const string SizeMediaType = "text/x.tlog.size";

    private static readonly UTF8Encoding Utf8 = new(false, throwOnInvalidBytes: true);

    /// <summary>Where a witness or a mirror serves what it has of a log, below its own prefix: the SHA-256 of the origin, in lower-case hexadecimal digits.</summary>
    public static string Folder(string origin) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(origin)));

    /// <summary>The body.</summary>
    public byte[] Encode()
    {
        var head = new StringBuilder().Append(CultureInfo.InvariantCulture, $"old {OldSize}\n");
        foreach (var hash in Proof) head.Append(Convert.ToBase64String(hash)).Append('\n');
        return [.. Encoding.ASCII.GetBytes(head.Append('\n').ToString()), .. Checkpoint.Span];
    }

    /// <summary>Reads a body; anything malformed or beyond the limits is refused whole. The checkpoint is only seen to be a signed note.</summary>
    public static bool TryParse(ReadOnlyMemory<byte> body, [NotNullWhen(true)] out WitnessRequest? request)
    {
        request = null;
        if (body.Length is 0 or > BytesMax) return false;
        var split = body.Span.IndexOf("\n\n"u8);
        if (split < 0) return false;
        string[] lines;
        try
        {
            lines = Utf8.GetString(body.Span[..split]).Split('\n');
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
        if (lines.Length - 1 > ProofHashesMax || !lines[0].StartsWith("old ", StringComparison.Ordinal)
            || !Ledger.Checkpoint.TryParseNumber(lines[0].AsSpan(4), out var old))
            return false;
        var proof = new List<byte[]>();
        foreach (var line in lines.Skip(1))
        {
            if (StrictBase64.Decode(Encoding.UTF8.GetBytes(line), MerkleTree.HashBytes) is not { Length: MerkleTree.HashBytes } hash) return false;
            proof.Add(hash);
        }
        var note = body[(split + 2)..];
        if (!SignedNote.TryParse(note.Span, out _)) return false;
        request = new WitnessRequest(old, proof, note);
        return true;
    }
}
