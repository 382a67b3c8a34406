using System.Diagnostics.CodeAnalysis;

namespace Gongzhi.Ledger;

/// <summary>A public key that verifies note signatures: what an auditor is given, and all an auditor has to trust.</summary>
public sealed class NoteVerifier
{
    private readonly byte[] _publicKey;

    /// <summary>A verifier from its parts; the key id follows from them.</summary>
    /// <exception cref="ArgumentException">The name is not a key name, or the key is not 32 bytes.</exception>
    public NoteVerifier(string name, ReadOnlySpan<byte> publicKey, NoteKeyType type = NoteKeyType.Ed25519)
    {
        NoteKey.DemandName(name);
        if (publicKey.Length != Ed25519Signature.KeyBytes) throw new ArgumentException("An Ed25519 public key is 32 bytes.", nameof(publicKey));
        _publicKey = publicKey.ToArray();
        Name = name;
        Type = type;
        KeyId = NoteKey.Id(name, type, publicKey);
    }

    /// <summary>The key's name; for a log, its origin.</summary>
    public string Name { get; }

    /// <summary>The first four bytes of a hash of name, type and key: an identifier, not a proof of anything.</summary>
    public uint KeyId { get; }

    /// <summary>Which signatures this key makes.</summary>
    public NoteKeyType Type { get; }

    /// <summary>The 32 bytes of the public key.</summary>
    public ReadOnlyMemory<byte> PublicKey => _publicKey;

    /// <summary>Reads a one-line verifier key (vkey): <c>name+hex(id)+base64(type ‖ key)</c>. The id must be the key's own.</summary>
    public static bool TryParse([NotNullWhen(true)] string? vkey, [NotNullWhen(true)] out NoteVerifier? verifier)
    {
        verifier = null;
        if (vkey is null || !NoteKey.TryDecode(vkey, out var name, out var id, out var type, out var key)) return false;
        var parsed = new NoteVerifier(name, key, type);
        if (parsed.KeyId != id) return false;
        verifier = parsed;
        return true;
    }

    /// <summary>Whether the signature line is this key's and is valid over the note text. Never throws.</summary>
    public bool Verify(ReadOnlySpan<byte> text, NoteSignature signature)
    {
        if (signature is null || signature.Name != Name || signature.KeyId != KeyId) return false;
        var bytes = signature.Signature.Span;
        if (Type == NoteKeyType.Ed25519) return Ed25519Signature.Verify(_publicKey, text, bytes);
        return Cosignature.TrySplit(bytes, out var seconds, out var ed25519)
            && Ed25519Signature.Verify(_publicKey, Cosignature.Message(seconds, text), ed25519);
    }

    /// <summary>The one-line encoding (vkey).</summary>
    public override string ToString() => NoteKey.Encode("", Name, KeyId, Type, _publicKey);
}
