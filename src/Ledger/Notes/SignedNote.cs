using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Unicode;

namespace Gongzhi.Ledger;

/// <summary>One signature line of a note: who, which key, and the bytes after the four of the key id.</summary>
/// <param name="Name">The key name as it stands on the line.</param>
/// <param name="KeyId">The key id, as an unsigned number.</param>
/// <param name="Signature">What follows the key id; its shape depends on the key's type.</param>
public sealed record NoteSignature(string Name, uint KeyId, ReadOnlyMemory<byte> Signature)
{
    /// <summary>The line as it stands in a note, with its newline.</summary>
    public override string ToString()
    {
        var bytes = new byte[4 + Signature.Length];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, KeyId);
        Signature.Span.CopyTo(bytes.AsSpan(4));
        return $"— {Name} {Convert.ToBase64String(bytes)}\n";
    }
}

/// <summary>A C2SP signed note: text that must be ignored until a trusted key's signature on it has been verified.</summary>
public sealed class SignedNote
{
    /// <summary>The longest note read, in bytes: room for 16 post-quantum signatures of 5 kB (the specification's floor) and more.</summary>
    public const int BytesMax = 256 * 1024;

    /// <summary>The most signature lines read; the specification asks for at least 16.</summary>
    public const int SignaturesMax = 64;

    private readonly byte[] _text;

    private SignedNote(byte[] text, IReadOnlyList<NoteSignature> signatures) => (_text, Signatures) = (text, signatures);

    /// <summary>The signed text, ending in its newline.</summary>
    public ReadOnlyMemory<byte> Text => _text;

    /// <summary>The signature lines, in the order they stand; not verified.</summary>
    public IReadOnlyList<NoteSignature> Signatures { get; }

    /// <summary>A note over <paramref name="text"/> carrying the signatures given.</summary>
    /// <exception cref="ArgumentException">The text is not a note's, or there is no signature or too many.</exception>
    public static SignedNote Create(ReadOnlySpan<byte> text, params IReadOnlyList<NoteSignature> signatures)
    {
        ArgumentNullException.ThrowIfNull(signatures);
        if (!IsText(text)) throw new ArgumentException("A note's text is UTF-8 without control characters, ending in a newline.", nameof(text));
        if (signatures.Count is 0 or > SignaturesMax) throw new ArgumentException($"A note carries 1 to {SignaturesMax} signatures.", nameof(signatures));
        return new SignedNote(text.ToArray(), [.. signatures]);
    }

    /// <summary>Reads a note; anything malformed or beyond the limits is refused whole. Signatures are not verified here.</summary>
    public static bool TryParse(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out SignedNote? note)
    {
        note = null;
        if (bytes.Length is 0 or > BytesMax || bytes[^1] != (byte)'\n') return false;
        var split = bytes.LastIndexOf("\n\n"u8);
        if (split < 0 || !IsText(bytes)) return false;
        var text = bytes[..(split + 1)];
        var rest = bytes[(split + 2)..];
        var signatures = new List<NoteSignature>();
        while (!rest.IsEmpty)
        {
            var end = rest.IndexOf((byte)'\n');
            if (signatures.Count == SignaturesMax || ParseLine(rest[..end]) is not { } signature) return false;
            signatures.Add(signature);
            rest = rest[(end + 1)..];
        }
        if (signatures.Count == 0) return false;
        note = new SignedNote(text.ToArray(), signatures);
        return true;
    }

    /// <summary>
    /// Whether the key signed this text: at least one line bears its name and id, and every such line verifies, as the
    /// specification demands of known keys.
    /// </summary>
    public bool IsSignedBy(NoteVerifier verifier)
    {
        ArgumentNullException.ThrowIfNull(verifier);
        var found = false;
        foreach (var signature in Signatures)
        {
            if (signature.Name != verifier.Name || signature.KeyId != verifier.KeyId) continue;
            if (!verifier.Verify(_text, signature)) return false;
            found = true;
        }
        return found;
    }

    /// <summary>The same note with one more signature, as when a witness's cosignature arrives.</summary>
    /// <exception cref="ArgumentException">The note is full.</exception>
    public SignedNote With(NoteSignature signature) => Create(_text, [.. Signatures, signature]);

    /// <summary>The note as it is stored and served.</summary>
    public byte[] Encode()
    {
        var lines = string.Concat(Signatures.Select(signature => signature.ToString()));
        return [.. _text, (byte)'\n', .. Encoding.UTF8.GetBytes(lines)];
    }

    private static bool IsText(ReadOnlySpan<byte> bytes) =>
        bytes.Length > 0 && bytes[^1] == (byte)'\n' && Utf8.IsValid(bytes)
        && bytes.IndexOfAnyInRange((byte)0x00, (byte)0x09) < 0 && bytes.IndexOfAnyInRange((byte)0x0B, (byte)0x1F) < 0;

    private static NoteSignature? ParseLine(ReadOnlySpan<byte> line)
    {
        var dash = "— "u8;
        if (!line.StartsWith(dash)) return null;
        line = line[dash.Length..];
        var space = line.IndexOf((byte)' ');
        if (space <= 0) return null;
        var name = Encoding.UTF8.GetString(line[..space]);
        var bytes = StrictBase64.Decode(line[(space + 1)..], BytesMax);
        if (!NoteKey.IsName(name) || bytes is not { Length: > 4 }) return null;
        return new NoteSignature(name, BinaryPrimitives.ReadUInt32BigEndian(bytes), bytes.AsMemory(4));
    }
}
