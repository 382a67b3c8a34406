using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Signals;

/// <summary>How much a signal asks of whoever reads it: to know, to look into it, to act.</summary>
public enum SignalSeverity { Notice = 1, Warning = 2, Alarm = 3 }

/// <summary>One figure of a signal's evidence: a number or a moment. Never a text, so that no name of anybody can stand in it.</summary>
public readonly record struct Figure(double? Number, DateTimeOffset? Time)
{
    public static implicit operator Figure(double number) => new(double.IsFinite(number) ? number : throw new ArgumentException("A figure is finite.", nameof(number)), null);

    public static implicit operator Figure(DateTimeOffset time) => new(null, time);

    /// <summary>The number as it is written in JSON, or microseconds UTC.</summary>
    internal JsonNode Json() => Time is { } time ? new JsonObject { ["time"] = Microseconds.From(time) } : JsonValue.Create(Number!.Value);

    internal static Figure Read(JsonElement json) => json.ValueKind == JsonValueKind.Object ? Microseconds.ToTime(json.GetProperty("time").GetInt64()) : json.GetDouble();
}

/// <summary>Something that an analysis noticed. It speaks of a dataset, a unit, a place: never of a person.</summary>
/// <param name="Id">A UUIDv7 made of the moment and of what is noticed where, so that the same is noticed under the same id again.</param>
/// <param name="Kind">Stable, dotted: <c>freshness.silent</c>. Says, with the figures, the sentence.</param>
/// <param name="Dataset">The dataset's number.</param>
/// <param name="Unit">Id of the unit it is about, or null.</param>
/// <param name="Place">Stripped division code, or null.</param>
/// <param name="Key">Of "the same thing again" within the partition: while one is open, no other of its key is raised.</param>
/// <param name="FirstIndex">First ledger index that bears it out.</param>
/// <param name="LastIndex">Last one; everything from there on is not in it.</param>
/// <param name="Raised">The moment it speaks of, by the log, not by when the program came to it.</param>
/// <param name="Ended">When it was over, or null while it lasts.</param>
public sealed record Signal(
    Guid Id, string Analysis, string Partition, string Kind, SignalSeverity Severity, long Dataset, string? Unit, string? Place, string Key, long FirstIndex, long LastIndex,
    DateTimeOffset Raised, DateTimeOffset? Ended, IReadOnlyDictionary<string, Figure> Figures)
{
    /// <summary>Figures of one signal.</summary>
    public const int FiguresMax = 32;

    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The id that this analysis gives to what it notices in a partition, under a key, at a ledger index.</summary>
    internal static Guid IdOf(string analysis, string partition, string kind, string key, long index, DateTimeOffset moment)
    {
        Span<byte> bytes = stackalloc byte[32];
        SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"gongzhi/signal\0{analysis}\0{partition}\0{kind}\0{key}\0{index}\0{Microseconds.From(moment)}")), bytes);
        var id = bytes[..16];
        Span<byte> time = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(time, moment.ToUnixTimeMilliseconds());
        time[2..].CopyTo(id);
        (id[6], id[8]) = ((byte)(0x70 | (id[6] & 0x0F)), (byte)(0x80 | (id[8] & 0x3F)));
        return new Guid(id, bigEndian: true);
    }

    /// <summary>What the ledger entry of the signal commits to: canonical JSON, keys in ordinal order.</summary>
    internal string Content() => new JsonObject
    {
        ["analysis"] = Analysis,
        ["dataset"] = Dataset,
        ["figures"] = FiguresJson(),
        ["firstIndex"] = FirstIndex,
        ["key"] = Key,
        ["kind"] = Kind,
        ["lastIndex"] = LastIndex,
        ["partition"] = Partition,
        ["place"] = Place,
        ["raised"] = Microseconds.From(Raised),
        ["severity"] = (int)Severity,
        ["signal"] = Id.ToString(),
        ["unit"] = Unit,
    }.ToJsonString(Plain);

    /// <summary>What the entry of its end commits to.</summary>
    internal static string EndContent(Guid signal, DateTimeOffset ended, long index) =>
        new JsonObject { ["ended"] = Microseconds.From(ended), ["index"] = index, ["signal"] = signal.ToString() }.ToJsonString(Plain);

    private JsonObject FiguresJson() => new(Figures.OrderBy(f => f.Key, StringComparer.Ordinal).Select(f => KeyValuePair.Create<string, JsonNode?>(f.Key, f.Value.Json())));

    internal static Dictionary<string, Figure> ReadFigures(JsonElement content) =>
        content.GetProperty("figures").EnumerateObject().ToDictionary(f => f.Name, f => Figure.Read(f.Value), StringComparer.Ordinal);
}
