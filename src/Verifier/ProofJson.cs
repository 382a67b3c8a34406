using System.Text.Json;
using System.Text.Json.Serialization;

namespace Gongzhi.Verifier;

/// <summary>The files a node hands out, as JSON.</summary>
internal sealed record RowProofJson(RowJson Row, long Index, long Count, IReadOnlyList<byte[]> Path, byte[] Root, byte[] Entry, string TlogProof);

internal sealed record RowJson(int Format, byte[] Bytes, byte[]? Salt);

internal sealed record ReceiptJson(string Receipt, string Dataset, string Batch, long Accepted, long Rejected, byte[] Root, ReceiptEntryJson? Entry = null);

internal sealed record ReceiptEntryJson(long Index, string? Checkpoint = null, byte[]? Entry = null, string? TlogProof = null);

/// <summary>An entry with its proof, and its content where the node opened it.</summary>
internal sealed record EntryProofJson(long? Index = null, byte[]? Entry = null, string? TlogProof = null, string? Content = null, byte[]? Salt = null);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, AllowDuplicateProperties = false, MaxDepth = 16,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(RowProofJson))]
[JsonSerializable(typeof(ReceiptJson))]
[JsonSerializable(typeof(EntryProofJson))]
internal sealed partial class ProofJsonContext : JsonSerializerContext
{
    /// <summary>The longest proof or receipt read, in bytes: a row of a few MiB in base64 and the longest tlog-proof.</summary>
    public const int BytesMax = 16 * 1024 * 1024;

    public static T? Read<T>(ReadOnlySpan<byte> json, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) where T : class
    {
        try
        {
            return json.Length > BytesMax ? null : JsonSerializer.Deserialize(json, type);
        }
        catch (Exception broken) when (broken is JsonException or FormatException)
        {
            return null;
        }
    }
}
