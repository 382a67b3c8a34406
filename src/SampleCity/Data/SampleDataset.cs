using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Gongzhi.SampleCity;

/// <summary>A dataset of the city: what it is, its table schema, and its rows as CSV.</summary>
public sealed class SampleDataset
{
    private static readonly JsonWriterOptions JsonOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Lower-case letters, digits and hyphens.</summary>
    public required string Id { get; init; }
    public required Bilingual Title { get; init; }
    public required Bilingual Description { get; init; }

    /// <summary>Id of the owning <see cref="Unit"/>.</summary>
    public required string Owner { get; init; }

    /// <summary><c>general</c>, <c>important</c> or <c>core</c>.</summary>
    public string Class { get; init; } = "general";
    public bool Personal { get; init; }

    /// <summary><c>unconditional</c>, <c>conditional</c> or <c>none</c>.</summary>
    public required string Sharing { get; init; }

    /// <summary><c>open</c>, <c>on-request</c> or <c>closed</c>.</summary>
    public required string Opening { get; init; }

    /// <summary>The field that gives the event time.</summary>
    public required string Time { get; init; }

    /// <summary>The field that gives the place.</summary>
    public required string Place { get; init; }

    /// <summary>The field that names the person concerned, or null.</summary>
    public string? Subject { get; init; }
    public required IReadOnlyList<SampleField> Fields { get; init; }
    public required IReadOnlyList<string> PrimaryKey { get; init; }
    internal Func<Stream, IEnumerable<string>, CancellationToken, Task>? Rows { get; init; }

    /// <summary>
    /// The body of <c>PUT /api/v1/datasets/{id}</c>: titles, class, sharing, opening and a Frictionless Table Schema. JSON without line breaks.
    /// </summary>
    public string TableSchemaJson => field ??= WriteSchema();

    /// <summary>
    /// Writes a header and all rows: UTF-8 without byte order mark, commas, line feeds; the same bytes for the same seed. Only asynchronous
    /// writes are made; the stream stays open and is not flushed.
    /// </summary>
    public Task WriteCsvAsync(Stream destination, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        return Rows is { } rows
            ? rows(destination, Fields.Select(field => field.Name), cancellation)
            : throw new InvalidOperationException($"The dataset '{Id}' is written by its own generator.");
    }

    private string WriteSchema()
    {
        var bytes = new ArrayBufferWriter<byte>(4096);
        using (var json = new Utf8JsonWriter(bytes, JsonOptions))
        {
            json.WriteStartObject();
            WriteBilingual(json, "title", Title);
            WriteBilingual(json, "description", Description);
            json.WriteString("owner", Owner);
            json.WriteString("class", Class);
            json.WriteBoolean("personal", Personal);
            json.WriteString("sharing", Sharing);
            json.WriteString("opening", Opening);
            json.WriteString("time", Time);
            json.WriteString("place", Place);
            json.WriteString("subject", Subject);
            json.WriteString("timeZone", "Asia/Shanghai");
            json.WriteStartObject("schema");
            json.WriteStartArray("fields");
            foreach (var field in Fields)
                WriteField(json, field);
            json.WriteEndArray();
            WriteStrings(json, "primaryKey", PrimaryKey);
            WriteStrings(json, "missingValues", [""]);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    private static void WriteField(Utf8JsonWriter json, SampleField field)
    {
        var element = SampleElements.Get(field.Element);
        json.WriteStartObject();
        json.WriteString("name", field.Name);
        json.WriteString("type", element.Type);
        if (field.Scale is { } scale)
            json.WriteNumber("scale", scale);
        WriteBilingual(json, "title", element.Name);
        json.WriteString("element", element.Id);
        if (element.ElementType is { } elementType)
            json.WriteString("elementType", elementType);
        json.WriteStartObject("constraints");
        json.WriteBoolean("required", field.Required);
        if (field.Unique)
            json.WriteBoolean("unique", true);
        if (field.Minimum is { } minimum)
            json.WriteNumber("minimum", minimum);
        if (field.Maximum is { } maximum)
            json.WriteNumber("maximum", maximum);
        if (field.MaxLength is { } maxLength)
            json.WriteNumber("maxLength", maxLength);
        if (field.Pattern is { } pattern)
            json.WriteString("pattern", pattern);
        if (element.CodeList is { } list)
            WriteStrings(json, "enum", SampleElements.GetCodeList(list).Codes.Select(code => code.Code));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteBilingual(Utf8JsonWriter json, string name, Bilingual text)
    {
        json.WriteStartObject(name);
        json.WriteString("en", text.En);
        json.WriteString("zh-CN", text.Zh);
        json.WriteEndObject();
    }

    private static void WriteStrings(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (var value in values)
            json.WriteStringValue(value);
        json.WriteEndArray();
    }
}
