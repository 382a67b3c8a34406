using NSec.Cryptography;

namespace Gongzhi.Ledger;

/// <summary>Ed25519 (RFC 8032) verification as this ledger practises it; docs/contracts/ledger.md lists the edge cases.</summary>
public static class Ed25519Signature
{
    /// <summary>Bytes in a public key.</summary>
    public const int KeyBytes = 32;

    /// <summary>Bytes in a signature.</summary>
    public const int SignatureBytes = 64;

    /// <summary>Whether <paramref name="signature"/> is the key's over <paramref name="message"/>. Never throws.</summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        if (publicKey.Length != KeyBytes || signature.Length != SignatureBytes) return false;
        return PublicKey.TryImport(SignatureAlgorithm.Ed25519, publicKey, KeyBlobFormat.RawPublicKey, out var key)
            && SignatureAlgorithm.Ed25519.Verify(key!, message, signature);
    }
}
