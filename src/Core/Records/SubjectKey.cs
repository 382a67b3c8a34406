using System.Security.Cryptography;
using System.Text;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Records;

/// <summary>
/// The node's secret under which it remembers whom something was about without keeping the name: erasures by subject, subjects an access covered.
/// Without the key the hashes tell nothing, even of a name that can be guessed. One per world, made at the first use.
/// </summary>
public sealed class SubjectKey
{
    private readonly byte[] _key;

    public SubjectKey(World world)
    {
        var text = Encoding.ASCII.GetString(WorldKeys.GetOrMake(world, "subjects.key", () => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32))))).Trim();
        _key = text.Length == 64 ? Convert.FromHexString(text) : throw new InvalidDataException("The key subjects.key cannot be read. Restore it from a backup.");
    }

    /// <summary>32 bytes that stand for a subject within one use; two uses cannot be matched with each other.</summary>
    public byte[] Hash(string use, ReadOnlySpan<byte> subject) => HMACSHA256.HashData(_key, (byte[])[.. Encoding.UTF8.GetBytes(use), 0, .. subject]);
}
