using System.Security.Cryptography;
using Gongzhi.Core;
using Gongzhi.Core.Storage;
using Microsoft.IdentityModel.Tokens;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// The keys tokens are signed and enciphered with, made at the world's first start and kept with its other keys (<see cref="WorldKeys"/>).
/// RSA because OpenID Connect asks every client to know RS256; 3,072 bits after NIST SP 800-57 (beyond 2030).
/// </summary>
internal static class TokenKeys
{
    public static RsaSecurityKey Signing(World world)
    {
        var rsa = RSA.Create();
        rsa.ImportFromPem(System.Text.Encoding.ASCII.GetString(WorldKeys.GetOrMake(world, "token-signing.pem", () =>
        {
            using var made = RSA.Create(3_072);
            return System.Text.Encoding.ASCII.GetBytes(made.ExportPkcs8PrivateKeyPem());
        })));
        var key = new RsaSecurityKey(rsa);
        key.KeyId = Base64UrlEncoder.Encode(key.ComputeJwkThumbprint());
        return key;
    }

    /// <summary>256 bits, for codes and refresh tokens; only this world ever reads those.</summary>
    public static SymmetricSecurityKey Encryption(World world)
    {
        var bytes = WorldKeys.GetOrMake(world, "token-encryption.key", () => RandomNumberGenerator.GetBytes(32));
        if (bytes.Length != 32)
            throw new StartRefusedException("token-encryption.key is damaged: it must hold exactly 32 bytes.");
        return new SymmetricSecurityKey(bytes);
    }
}
