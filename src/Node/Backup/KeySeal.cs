using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using NSec.Cryptography;

namespace Gongzhi.Node.Backup;

/// <summary>
/// A world's key files under a passphrase: Argon2id, AES-256-GCM. The file: <c>GZKEYS2\n</c>, Argon2id's memory in KiB and its passes (4 bytes each), salt (16), nonce (12), tag (16), and enciphered the JSON object of
/// names and base64 contents. What comes before the tag is authenticated with it.
/// </summary>
internal static class KeySeal
{
    public const string Name = "keys.sealed";

    /// <summary>A passphrase is what stands between whoever has the backups and signing in the city's name.</summary>
    public const int PassphraseMin = 12;

    // libsodium's "moderate": 256 MiB, three passes; a second or so for the one who knows the passphrase.
    private const int MemoryKiB = 256 << 10, Passes = 3;
    // What a file may ask of the machine that reads it.
    private const int MemoryKiBMax = 1 << 20, PassesMax = 32;
    private const int SaltAt = 16, NonceAt = 32, HeadBytes = 44, TagBytes = 16;

    private static readonly byte[] Magic = Encoding.ASCII.GetBytes("GZKEYS2\n");

    public static byte[] Seal(IReadOnlyDictionary<string, byte[]> keys, string passphrase)
    {
        var plain = JsonSerializer.SerializeToUtf8Bytes(keys);
        var result = new byte[HeadBytes + TagBytes + plain.Length];
        Magic.CopyTo(result, 0);
        BinaryPrimitives.WriteInt32BigEndian(result.AsSpan(8), MemoryKiB);
        BinaryPrimitives.WriteInt32BigEndian(result.AsSpan(12), Passes);
        System.Security.Cryptography.RandomNumberGenerator.Fill(result.AsSpan(SaltAt, HeadBytes - SaltAt));
        using var aes = new AesGcm(Derive(passphrase, result.AsSpan(SaltAt, 16), MemoryKiB, Passes), TagBytes);
        aes.Encrypt(result.AsSpan(NonceAt, 12), plain, result.AsSpan(HeadBytes + TagBytes), result.AsSpan(HeadBytes, TagBytes), result.AsSpan(0, HeadBytes));
        CryptographicOperations.ZeroMemory(plain);
        return result;
    }

    /// <exception cref="InvalidDataException">Another passphrase, or the file was changed.</exception>
    public static IReadOnlyDictionary<string, byte[]> Open(byte[] content, string passphrase)
    {
        if (content.Length < HeadBytes + TagBytes || !content.AsSpan().StartsWith(Magic))
            throw new InvalidDataException("The keys' file is not one.");
        var (memory, passes) = (BinaryPrimitives.ReadInt32BigEndian(content.AsSpan(8)), BinaryPrimitives.ReadInt32BigEndian(content.AsSpan(12)));
        if (memory is < 8 or > MemoryKiBMax || passes is < 1 or > PassesMax)
            throw new InvalidDataException("The keys' file asks for more than this program gives.");
        var plain = new byte[content.Length - HeadBytes - TagBytes];
        try
        {
            using var aes = new AesGcm(Derive(passphrase, content.AsSpan(SaltAt, 16), memory, passes), TagBytes);
            aes.Decrypt(content.AsSpan(NonceAt, 12), content.AsSpan(HeadBytes + TagBytes), content.AsSpan(HeadBytes, TagBytes), plain, content.AsSpan(0, HeadBytes));
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

    private static byte[] Derive(string passphrase, ReadOnlySpan<byte> salt, int memory, int passes)
    {
        var hash = new Argon2id(new Argon2Parameters { DegreeOfParallelism = 1, MemorySize = memory, NumberOfPasses = passes });
        return hash.DeriveBytes(passphrase, salt, 32);
    }
}
