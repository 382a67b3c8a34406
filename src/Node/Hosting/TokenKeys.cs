using System.Security.Cryptography;
using Gongzhi.Core;
using Microsoft.IdentityModel.Tokens;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// The keys tokens are signed and enciphered with, made at the world's first start and kept in its key directory (mode 0600).
/// RSA because OpenID Connect asks every client to know RS256; 3,072 bits after NIST SP 800-57 (beyond 2030).
/// </summary>
internal static class TokenKeys
{
    public static RsaSecurityKey Signing(World world)
    {
        var path = Path.Combine(world.KeyDirectory, "token-signing.pem");
        var rsa = RSA.Create();
        if (File.Exists(path))
        {
            rsa.ImportFromPem(File.ReadAllText(path));
        }
        else
        {
            rsa.Dispose();
            rsa = RSA.Create(3_072);
            PrivateFile.Write(path, System.Text.Encoding.ASCII.GetBytes(rsa.ExportPkcs8PrivateKeyPem()));
        }
        var key = new RsaSecurityKey(rsa);
        key.KeyId = Base64UrlEncoder.Encode(key.ComputeJwkThumbprint());
        return key;
    }

    /// <summary>256 bits, for codes and refresh tokens; only this node ever reads those.</summary>
    public static SymmetricSecurityKey Encryption(World world)
    {
        var path = Path.Combine(world.KeyDirectory, "token-encryption.key");
        if (!File.Exists(path))
            PrivateFile.Write(path, RandomNumberGenerator.GetBytes(32));
        var bytes = File.ReadAllBytes(path);
        if (bytes.Length != 32)
            throw new StartRefusedException($"{path} is damaged: it must hold exactly 32 bytes.");
        return new SymmetricSecurityKey(bytes);
    }
}
