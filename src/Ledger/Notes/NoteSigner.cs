using System.Diagnostics.CodeAnalysis;
using NSec.Cryptography;

namespace Gongzhi.Ledger;

/// <summary>A private key that signs notes, for a log (<see cref="Sign"/>) or for a witness (<see cref="Cosign"/>).</summary>
public sealed class NoteSigner : IDisposable
{
    private const string Prefix = "PRIVATE+KEY+";
    private readonly Key _key;

    /// <summary>The signer whose Ed25519 private key is <paramref name="seed"/> (RFC 8032 section 5.1.5).</summary>
    /// <exception cref="ArgumentException">The name is not a key name, or the seed is not 32 bytes.</exception>
    public NoteSigner(string name, ReadOnlySpan<byte> seed, NoteKeyType type = NoteKeyType.Ed25519)
    {
        NoteKey.DemandName(name);
        if (seed.Length != Ed25519Signature.KeyBytes) throw new ArgumentException("An Ed25519 seed is 32 bytes.", nameof(seed));
        _key = Key.Import(SignatureAlgorithm.Ed25519, seed, KeyBlobFormat.RawPrivateKey,
            new KeyCreationParameters { ExportPolicy = KeyExportPolicies.AllowPlaintextExport });
        Verifier = new NoteVerifier(name, _key.PublicKey.Export(KeyBlobFormat.RawPublicKey), type);
    }

    /// <summary>The public half.</summary>
    public NoteVerifier Verifier { get; }

    /// <summary>A new random key.</summary>
    public static NoteSigner Generate(string name, NoteKeyType type = NoteKeyType.Ed25519) =>
        new(name, System.Security.Cryptography.RandomNumberGenerator.GetBytes(Ed25519Signature.KeyBytes), type);

    /// <summary>Reads <c>PRIVATE+KEY+name+hex(id)+base64(type ‖ seed)</c>, the form Go's note package writes.</summary>
    public static bool TryParse([NotNullWhen(true)] string? skey, [NotNullWhen(true)] out NoteSigner? signer)
    {
        signer = null;
        if (skey is null || !skey.StartsWith(Prefix, StringComparison.Ordinal)) return false;
        if (!NoteKey.TryDecode(skey[Prefix.Length..], out var name, out var id, out var type, out var seed)) return false;
        var parsed = new NoteSigner(name, seed, type);
        if (parsed.Verifier.KeyId != id)
        {
            parsed.Dispose();
            return false;
        }
        signer = parsed;
        return true;
    }

    /// <summary>The one-line private key, a secret: for the key file and nothing else.</summary>
    public string ExportPrivateKey() =>
        NoteKey.Encode(Prefix, Verifier.Name, Verifier.KeyId, Verifier.Type, _key.Export(KeyBlobFormat.RawPrivateKey));

    /// <summary>Signs a note text.</summary>
    /// <exception cref="InvalidOperationException">The key is a witness's.</exception>
    public NoteSignature Sign(ReadOnlySpan<byte> text)
    {
        if (Verifier.Type != NoteKeyType.Ed25519) throw new InvalidOperationException("A cosignature key signs with a time; use Cosign.");
        return new NoteSignature(Verifier.Name, Verifier.KeyId, SignatureAlgorithm.Ed25519.Sign(_key, text));
    }

    /// <summary>Cosigns a checkpoint text: "as of this time, the largest consistent tree I have seen". To the second.</summary>
    /// <exception cref="InvalidOperationException">The key is not of type <see cref="NoteKeyType.CosignatureV1"/>.</exception>
    /// <exception cref="ArgumentException">The text is not a checkpoint, or the time is before 1970.</exception>
    public NoteSignature Cosign(ReadOnlySpan<byte> checkpointText, DateTimeOffset time)
    {
        if (Verifier.Type != NoteKeyType.CosignatureV1) throw new InvalidOperationException("Only a cosignature key cosigns.");
        if (!Checkpoint.TryParse(checkpointText, out _)) throw new ArgumentException("Only a checkpoint can be cosigned.", nameof(checkpointText));
        var seconds = time.ToUnixTimeSeconds();
        if (seconds < 0) throw new ArgumentException("A cosignature's time is not before 1970.", nameof(time));
        var signature = SignatureAlgorithm.Ed25519.Sign(_key, Cosignature.Message(seconds, checkpointText));
        return new NoteSignature(Verifier.Name, Verifier.KeyId, Cosignature.Join(seconds, signature));
    }

    /// <summary>Forgets the private key.</summary>
    public void Dispose() => _key.Dispose();
}
