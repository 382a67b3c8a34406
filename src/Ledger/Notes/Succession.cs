using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace Gongzhi.Ledger;

/// <summary>
/// A signed statement that a log goes on under another key: the new one continues the old one's first <see cref="Size"/> entries, and the old one ends there, whatever it may have signed beyond. Signed by both
/// keys, so that whoever trusted the old one can follow.
/// </summary>
/// <param name="Old">The key that ends.</param>
/// <param name="Size">Entries that the new log has in common with the old.</param>
/// <param name="Root">The RFC 6962 root over them, 32 bytes.</param>
/// <param name="New">The key that goes on; its name is the new log's origin.</param>
/// <param name="Time">When it was signed, to the second.</param>
/// <param name="Reason">One line for those who read it.</param>
public sealed record Succession(NoteVerifier Old, long Size, ReadOnlyMemory<byte> Root, NoteVerifier New, DateTimeOffset Time, string Reason)
{
    /// <summary>The longest reason, in characters.</summary>
    public const int ReasonMax = 500;

    private const string Header = "gongzhi/succession/v1";
    private const string Timestamp = "yyyy-MM-dd'T'HH:mm:ss'Z'";

    /// <summary>The statement under both signatures, as a signed note.</summary>
    /// <exception cref="ArgumentException">The reason is not one line of text.</exception>
    public byte[] Sign(NoteSigner old, NoteSigner next)
    {
        ArgumentNullException.ThrowIfNull(old);
        ArgumentNullException.ThrowIfNull(next);
        if (!IsReason(Reason)) throw new ArgumentException($"A reason is one line of 1 to {ReasonMax} characters.");
        var text = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
            $"{Header}\nold {Old}\nsize {Size}\nroot {Convert.ToBase64String(Root.Span)}\nnew {New}\ntime {Time.UtcDateTime.ToString(Timestamp, CultureInfo.InvariantCulture)}\nreason {Reason}\n"));
        return SignedNote.Create(text, old.Sign(text), next.Sign(text)).Encode();
    }

    /// <summary>Reads a statement and verifies both signatures by the keys that it names; that the old one is the one to be trusted is for the caller to see.</summary>
    public static bool TryOpen(ReadOnlySpan<byte> note, [NotNullWhen(true)] out Succession? succession)
    {
        succession = null;
        if (!SignedNote.TryParse(note, out var signed)) return false;
        var lines = Encoding.UTF8.GetString(signed.Text.Span[..^1]).Split('\n');
        string[] names = ["old ", "size ", "root ", "new ", "time ", "reason "];
        if (lines.Length != names.Length + 1 || lines[0] != Header) return false;
        for (var i = 0; i < names.Length; i++)
        {
            if (!lines[i + 1].StartsWith(names[i], StringComparison.Ordinal)) return false;
            lines[i + 1] = lines[i + 1][names[i].Length..];
        }
        if (!NoteVerifier.TryParse(lines[1], out var old) || old.Type != NoteKeyType.Ed25519
            || !NoteVerifier.TryParse(lines[4], out var next) || next.Type != NoteKeyType.Ed25519
            || !Checkpoint.TryParseNumber(lines[2], out var size)
            || StrictBase64.Decode(Encoding.UTF8.GetBytes(lines[3]), MerkleTree.HashBytes) is not { Length: MerkleTree.HashBytes } root
            || !DateTimeOffset.TryParseExact(lines[5], Timestamp, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            || !IsReason(lines[6]) || !signed.IsSignedBy(old) || !signed.IsSignedBy(next))
            return false;
        succession = new Succession(old, size, root, next, time, lines[6]);
        return true;
    }

    private static bool IsReason(string reason) => reason.Length is > 0 and <= ReasonMax && !reason.Any(char.IsControl);
}
