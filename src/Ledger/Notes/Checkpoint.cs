using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>The body of a C2SP tlog-checkpoint: which log, how many entries, which root.</summary>
/// <param name="Origin">The log's identity, by default also its key name.</param>
/// <param name="Size">The number of entries.</param>
/// <param name="Root">The RFC 6962 root over them, 32 bytes.</param>
public sealed record Checkpoint(string Origin, long Size, ReadOnlyMemory<byte> Root)
{
    /// <summary>The longest checkpoint body read, in bytes, extension lines included.</summary>
    public const int TextBytesMax = 8 * 1024;

    /// <summary>Lines after the root, opaque and not auditable; ours writes none.</summary>
    public IReadOnlyList<string> Extensions { get; init; } = [];

    /// <summary>Reads a checkpoint body (a note's text). Nothing in it may be believed before the note's signature is verified.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, [NotNullWhen(true)] out Checkpoint? checkpoint)
    {
        checkpoint = null;
        if (text.Length is 0 or > TextBytesMax || text[^1] != (byte)'\n') return false;
        if (!System.Text.Unicode.Utf8.IsValid(text)) return false;
        var lines = Encoding.UTF8.GetString(text[..^1]).Split('\n');
        if (lines.Length < 3 || lines.Any(line => line.Length == 0)) return false;
        if (!TryParseNumber(lines[1], out var size)) return false;
        var root = StrictBase64.Decode(Encoding.UTF8.GetBytes(lines[2]), MerkleTree.HashBytes);
        if (root is not { Length: MerkleTree.HashBytes }) return false;
        if (size == 0 && !root.AsSpan().SequenceEqual(MerkleTree.EmptyRoot)) return false;
        checkpoint = new Checkpoint(lines[0], size, root) { Extensions = lines[3..] };
        return true;
    }

    /// <summary>
    /// Opens a signed checkpoint: parses the note, verifies the log's signature, and demands that the origin be the key's name
    /// (or <paramref name="origin"/> where a log signs under another).
    /// </summary>
    public static bool TryOpen(
        ReadOnlySpan<byte> note, NoteVerifier log, [NotNullWhen(true)] out Checkpoint? checkpoint, string? origin = null)
    {
        ArgumentNullException.ThrowIfNull(log);
        checkpoint = null;
        if (!SignedNote.TryParse(note, out var signed) || !signed.IsSignedBy(log)) return false;
        if (!TryParse(signed.Text.Span, out var parsed) || parsed.Origin != (origin ?? log.Name)) return false;
        checkpoint = parsed;
        return true;
    }

    /// <summary>The note text.</summary>
    /// <exception cref="InvalidOperationException">A field cannot be written as a line.</exception>
    public byte[] Encode()
    {
        var text = new StringBuilder()
            .Append(Origin).Append('\n')
            .Append(Size.ToString(CultureInfo.InvariantCulture)).Append('\n')
            .Append(Convert.ToBase64String(Root.Span)).Append('\n');
        foreach (var line in Extensions) text.Append(line).Append('\n');
        var bytes = Encoding.UTF8.GetBytes(text.ToString());
        if (!TryParse(bytes, out var again) || again.Origin != Origin || again.Extensions.Count != Extensions.Count)
            throw new InvalidOperationException("These fields do not make a checkpoint.");
        return bytes;
    }

    /// <summary>A decimal number as C2SP writes it: ASCII digits, no sign, no leading zero, below 2^63.</summary>
    internal static bool TryParseNumber(ReadOnlySpan<char> digits, out long number)
    {
        number = 0;
        return digits.Length is > 0 and <= 19 && !digits.ContainsAnyExceptInRange('0', '9')
            && (digits[0] != '0' || digits.Length == 1)
            && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
