using System.Security.Cryptography;
using System.Text;

namespace Gongzhi.Privacy;

/// <summary>
/// Keyed pseudonyms: the first 16 bytes of SHA-256(key ‖ UTF-8 of the value) in lower-case hex, 32 characters. The key is 32 random bytes, so the
/// boundary between key and value is fixed; half of the digest is withheld, so the hash cannot be extended. SQL engines that have only a plain
/// SHA-256 compute the same. Two values meet by chance with probability n²/2¹²⁹.
/// </summary>
public static class Pseudonym
{
    /// <summary>Bytes of a key.</summary>
    public const int KeyBytes = 32;

    /// <summary>The pseudonym of a value's canonical text (integers in decimal), or null for no value.</summary>
    /// <exception cref="ArgumentException">The key is not 32 bytes.</exception>
    public static string? Of(ReadOnlySpan<byte> key, string? value)
    {
        if (key.Length != KeyBytes)
            throw new ArgumentException("A pseudonym key is 32 bytes.", nameof(key));
        if (value is null)
            return null;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(key);
        hash.AppendData(Encoding.UTF8.GetBytes(value));
        return Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 16));
    }
}
