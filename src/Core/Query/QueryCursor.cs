using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Gongzhi.Core.Query;

/// <summary>
/// Opaque places in an answer: the sort keys of the last row seen, under an HMAC that binds them to the question, the grant and
/// the node's key. The keys are values the reader has been shown, so they are authenticated, not hidden.
/// </summary>
internal sealed class QueryCursor
{
    private const int TagBytes = 16;
    private readonly byte[] _key;
    private readonly byte[] _context;

    public QueryCursor(ReadOnlyMemory<byte> key, QueryRequest request, string grant)
    {
        if (key.Length < 16)
            throw new ArgumentException("The cursor key is at least 16 bytes.", nameof(key));
        _key = key.ToArray();
        _context = [.. "gongzhi/cursor/1\0"u8, .. request.Hash(), .. SHA256.HashData(Encoding.UTF8.GetBytes(grant))];
    }

    public string Make(IReadOnlyList<string?> keys)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(keys);
        return Base64Url.EncodeToString([.. Tag(body), .. body]);
    }

    public IReadOnlyList<string?>? Read(string token, int count)
    {
        try
        {
            var bytes = Base64Url.DecodeFromChars(token);
            if (bytes.Length <= TagBytes || !CryptographicOperations.FixedTimeEquals(bytes.AsSpan(0, TagBytes), Tag(bytes[TagBytes..])))
                return null;
            var keys = JsonSerializer.Deserialize<string?[]>(bytes.AsSpan(TagBytes));
            return keys?.Length == count ? keys : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    private byte[] Tag(byte[] body) => HMACSHA256.HashData(_key, (byte[])[.. _context, .. body])[..TagBytes];
}
