using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Gongzhi.Core.Query;

/// <summary>
/// Opaque places in an answer: the sort keys of the last row seen, enciphered under the node's key and bound to the question and the grant. Hidden, since the last of
/// them tell which record it was, and that is not shown under every grant.
/// </summary>
internal sealed class QueryCursor
{
    private const int NonceBytes = 12, TagBytes = 16;
    private readonly byte[] _key;
    private readonly byte[] _context;

    public QueryCursor(ReadOnlyMemory<byte> key, QueryRequest request, string grant)
    {
        if (key.Length < 16)
            throw new ArgumentException("The cursor key is at least 16 bytes.", nameof(key));
        _key = HMACSHA256.HashData(key.Span, "gongzhi/cursor/key"u8);
        _context = [.. "gongzhi/cursor/2\0"u8, .. request.Hash(), .. SHA256.HashData(Encoding.UTF8.GetBytes(grant))];
    }

    public string Make(IReadOnlyList<string?> keys)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(keys);
        var bytes = new byte[NonceBytes + TagBytes + body.Length];
        RandomNumberGenerator.Fill(bytes.AsSpan(0, NonceBytes));
        using var cipher = new AesGcm(_key, TagBytes);
        cipher.Encrypt(bytes.AsSpan(0, NonceBytes), body, bytes.AsSpan(NonceBytes + TagBytes), bytes.AsSpan(NonceBytes, TagBytes), _context);
        return Base64Url.EncodeToString(bytes);
    }

    public IReadOnlyList<string?>? Read(string token, int count)
    {
        try
        {
            var bytes = Base64Url.DecodeFromChars(token);
            if (bytes.Length <= NonceBytes + TagBytes)
                return null;
            var body = new byte[bytes.Length - NonceBytes - TagBytes];
            using var cipher = new AesGcm(_key, TagBytes);
            cipher.Decrypt(bytes.AsSpan(0, NonceBytes), bytes.AsSpan(NonceBytes + TagBytes), bytes.AsSpan(NonceBytes, TagBytes), body, _context);
            var keys = JsonSerializer.Deserialize<string?[]>(body);
            return keys?.Length == count ? keys : null;
        }
        catch (Exception e) when (e is FormatException or AuthenticationTagMismatchException)
        {
            return null;
        }
    }
}
