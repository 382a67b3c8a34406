using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Gongzhi.Node.Backup;

/// <summary>
/// A world's key files under a passphrase: PBKDF2-HMAC-SHA256 with 16 bytes of salt, AES-256-GCM. The file: <c>GZKEYS1\n</c>, the rounds (4 bytes), salt (16), nonce (12), tag (16), and enciphered the JSON object of
/// names and base64 contents. What comes before the tag is authenticated with it.
/// </summary>
internal static class KeySeal
{
    public const string Name = "keys.sealed";

    /// <summary>A passphrase is what stands between whoever has the backups and signing in the city's name.</summary>
    public const int PassphraseMin = 12;

    // OWASP's figure for PBKDF2-HMAC-SHA256 (Password Storage Cheat Sheet, 2023).
    private const int Rounds = 600_000, RoundsMax = 20_000_000;
    private const int HeadBytes = 8 + 4 + 16 + 12;

    private static readonly byte[] Magic = Encoding.ASCII.GetBytes("GZKEYS1\n");

    public static byte[] Seal(IReadOnlyDictionary<string, byte[]> keys, string passphrase)
    {
        var plain = JsonSerializer.SerializeToUtf8Bytes(keys);
        var result = new byte[HeadBytes + 16 + plain.Length];
        Magic.CopyTo(result, 0);
        BinaryPrimitives.WriteInt32BigEndian(result.AsSpan(8), Rounds);
        RandomNumberGenerator.Fill(result.AsSpan(12, 28));
        using var aes = new AesGcm(Derive(passphrase, result.AsSpan(12, 16), Rounds), 16);
        aes.Encrypt(result.AsSpan(28, 12), plain, result.AsSpan(HeadBytes + 16), result.AsSpan(HeadBytes, 16), result.AsSpan(0, HeadBytes));
        CryptographicOperations.ZeroMemory(plain);
        return result;
    }

    /// <exception cref="InvalidDataException">Another passphrase, or the file was changed.</exception>
    public static IReadOnlyDictionary<string, byte[]> Open(byte[] content, string passphrase)
    {
        var rounds = content.Length < HeadBytes + 16 || !content.AsSpan().StartsWith(Magic) ? 0 : BinaryPrimitives.ReadInt32BigEndian(content.AsSpan(8));
        if (rounds is < 1 or > RoundsMax)
            throw new InvalidDataException("The keys' file is not one.");
        var plain = new byte[content.Length - HeadBytes - 16];
        try
        {
            using var aes = new AesGcm(Derive(passphrase, content.AsSpan(12, 16), rounds), 16);
            aes.Decrypt(content.AsSpan(28, 12), content.AsSpan(HeadBytes + 16), content.AsSpan(HeadBytes, 16), plain, content.AsSpan(0, HeadBytes));
            return JsonSerializer.Deserialize<Dictionary<string, byte[]>>(plain) ?? throw new InvalidDataException("The keys' file is empty.");
        }
        catch (AuthenticationTagMismatchException)
        {
            throw new InvalidDataException("The keys cannot be opened with this passphrase, or their file was changed.");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(plain);
        }
    }

    private static byte[] Derive(string passphrase, ReadOnlySpan<byte> salt, int rounds) => Rfc2898DeriveBytes.Pbkdf2(passphrase, salt, rounds, HashAlgorithmName.SHA256, 32);
}
