using System.Security.Cryptography;
using System.Text;

namespace Gongzhi.Tests.Shared;

/// <summary>The key that tokens are signed with, made once for a whole run: an RSA key takes a second to find, and the tests start hundreds of nodes. What is about keys themselves starts its nodes without it.</summary>
public static class TestKeys
{
    private static readonly Lazy<byte[]> Signing = new(() =>
    {
        using var made = RSA.Create(3_072);
        return Encoding.ASCII.GetBytes(made.ExportPkcs8PrivateKeyPem());
    });

    /// <summary>Gives it to a directory that no node has run on yet.</summary>
    public static void Give(string data)
    {
        var keys = Path.Combine(data, "keys");
        if (Directory.Exists(keys) || OperatingSystem.IsWindows())
            return;
        Directory.CreateDirectory(data);
        Directory.CreateDirectory(keys, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var file = new FileStream(Path.Combine(keys, "token-signing.pem"), new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        file.Write(Signing.Value);
    }
}
