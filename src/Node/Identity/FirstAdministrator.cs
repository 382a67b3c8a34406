using System.Security.Cryptography;
using System.Text;

namespace Gongzhi.Node.Identity;

/// <summary>
/// The one-time link that creates the first administrator of an empty node. Lives in memory only: a restart makes the old link
/// worthless, and so does the first use or an hour.
/// </summary>
public sealed class FirstAdministrator(TimeProvider time)
{
    private static readonly TimeSpan Life = TimeSpan.FromHours(1);

    // Guards both fields below, so that one link makes one administrator however many requests race.
    private readonly Lock _gate = new();
    private byte[]? _hash;
    private DateTimeOffset _ends;

    /// <summary>Opens the door and answers the secret part of the link.</summary>
    public string Open()
    {
        var secret = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));
        lock (_gate)
        {
            _hash = SHA256.HashData(Encoding.ASCII.GetBytes(secret));
            _ends = time.GetUtcNow() + Life;
        }
        return secret;
    }

    public bool IsOpen(string? secret)
    {
        lock (_gate)
            return Matches(secret);
    }

    /// <summary>Takes the link; whoever gets true must call <see cref="GiveBack"/> if nothing was created after all.</summary>
    public bool Take(string? secret)
    {
        lock (_gate)
        {
            if (!Matches(secret))
                return false;
            _hash = null;
            return true;
        }
    }

    public void GiveBack(string secret)
    {
        lock (_gate)
            _hash = SHA256.HashData(Encoding.ASCII.GetBytes(secret));
    }

    private bool Matches(string? secret) =>
        _hash is not null && secret is { Length: 64 } && time.GetUtcNow() < _ends
        && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.ASCII.GetBytes(secret)), _hash);
}
