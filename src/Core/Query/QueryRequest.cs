using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Policy;

namespace Gongzhi.Core.Query;

/// <summary>What the answer is written as.</summary>
public enum QueryFormat { Json, Ndjson, Csv, Arrow, Parquet, Xlsx }

/// <summary>One group key: a field, optionally made coarser by a unit (<c>year month day hour</c> or a place level).</summary>
public sealed record QueryGroup(string Field, string? Unit, string Name);

/// <summary>One measure over each group. <paramref name="Function"/>: count sum avg min max distinct; only count may lack a field.</summary>
public sealed record QueryMeasure(string Name, string Function, string? Field);

/// <summary>One sort key, naming an output column. Nulls come last in both directions.</summary>
public sealed record QueryOrder(string Column, bool Descending);

/// <summary>A question put to one dataset under one purpose. Made by <see cref="Parse(JsonElement, QueryFormat)"/>, so its limits are kept.</summary>
public sealed record QueryRequest
{
    public const int MaxFields = 200;
    public const int MaxGroups = 16;
    public const int MaxMeasures = 32;
    public const int MaxPage = 10_000;
    public const int DefaultPage = 1_000;
    public const int MaxStreamed = 1_000_000;

    /// <summary>Largest request body, in bytes. Room for 1,000 values of ordinary length.</summary>
    public const int MaxBytes = 1 << 20;

    public required string Dataset { get; init; }
    public required string Purpose { get; init; }

    /// <summary>The grant to use, when the caller has several; without one the widest that fits is taken.</summary>
    public string? Grant { get; init; }
    public QueryFormat Format { get; init; }

    /// <summary>Columns of a row query, empty for all permitted ones. A grouped query's columns are its groups and measures instead.</summary>
    public IReadOnlyList<string> Fields { get; init; } = [];
    public Filter? Filter { get; init; }
    public IReadOnlyList<QueryGroup> GroupBy { get; init; } = [];
    public IReadOnlyList<QueryMeasure> Measures { get; init; } = [];
    public IReadOnlyList<QueryOrder> OrderBy { get; init; } = [];

    /// <summary>Rows at most; null means <see cref="DefaultPage"/> for JSON and everything for the streamed formats.</summary>
    public int? Limit { get; init; }

    /// <summary>Where to go on, as an earlier answer's <c>next</c> said.</summary>
    public string? Cursor { get; init; }

    public bool Grouped => GroupBy.Count > 0 || Measures.Count > 0;

    /// <summary>Identifies the question, page and page size aside; a cursor is good for this question only.</summary>
    public byte[] Hash()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartArray();
            json.WriteStringValue(Dataset);
            json.WriteStringValue(Purpose);
            json.WriteStringValue(Grant);
            WriteStrings(json, Fields);
            FilterJson.Write(json, Filter);
            WriteStrings(json, GroupBy.SelectMany(g => new[] { g.Field, g.Unit, g.Name }));
            WriteStrings(json, Measures.SelectMany(m => new[] { m.Name, m.Function, m.Field }));
            WriteStrings(json, OrderBy.SelectMany(o => new[] { o.Column, o.Descending ? "desc" : "asc" }));
            json.WriteEndArray();
        }
        return SHA256.HashData(stream.GetBuffer().AsSpan(0, (int)stream.Length));
    }

    private static void WriteStrings(Utf8JsonWriter json, IEnumerable<string?> values)
    {
        json.WriteStartArray();
        foreach (var value in values)
            json.WriteStringValue(value);
        json.WriteEndArray();
    }

    /// <summary>Reads a request body of at most <see cref="MaxBytes"/>.</summary>
    public static async Task<Result<QueryRequest>> ParseAsync(Stream body, QueryFormat format, CancellationToken cancel)
    {
        var buffer = new byte[MaxBytes + 1];
        var length = await body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        if (length > MaxBytes)
            return new Problem("query.tooLarge", 413, $"A query is at most {MaxBytes} bytes.");
        try
        {
            using var document = JsonDocument.Parse(buffer.AsMemory(0, length), new JsonDocumentOptions { MaxDepth = 64, AllowDuplicateProperties = false });
            return Parse(document.RootElement, format);
        }
        catch (JsonException e)
        {
            return Problem.BadRequest("query.json", $"Not valid JSON at line {e.LineNumber + 1}.");
        }
    }

    /// <summary>Checks shape and limits; fields and values are checked against the permit by <see cref="QueryCompiler"/>.</summary>
    public static Result<QueryRequest> Parse(JsonElement json, QueryFormat format) => new QueryRequestReader(format).Read(json);
}

/// <summary>Turns JSON into a <see cref="QueryRequest"/>, keeping the first thing found wrong.</summary>
internal sealed class QueryRequestReader(QueryFormat format)
{
    private Problem? _problem;

    public Result<QueryRequest> Read(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object)
            return Problem.BadRequest("query.shape", "A query is a JSON object.");
        foreach (var property in json.EnumerateObject())
        {
            if (property.Name is not ("dataset" or "purpose" or "grant" or "fields" or "filter" or "groupBy" or "measures" or "orderBy" or "limit" or "cursor"))
                return Problem.BadRequest("query.shape", "The query has a property that is not known; see the guide for those that are.");
        }
        var filter = Property(json, "filter") is { } f ? FilterJson.Parse(f) : default;
        if (filter.Problem is { } wrong)
            return wrong;
        var request = new QueryRequest
        {
            Dataset = Text(Property(json, "dataset"), "dataset", 64) ?? Fail<string>("dataset is missing") ?? "",
            Purpose = Text(Property(json, "purpose"), "purpose", 64) ?? Fail<string>("purpose is missing") ?? "",
            Grant = Text(Property(json, "grant"), "grant", 64),
            Format = format,
            Fields = List(json, "fields", QueryRequest.MaxFields, e => Text(e, "fields", 64)!),
            Filter = filter.Value,
            GroupBy = List(json, "groupBy", QueryRequest.MaxGroups, Group),
            Measures = List(json, "measures", QueryRequest.MaxMeasures, Measure),
            OrderBy = List(json, "orderBy", QueryRequest.MaxGroups + QueryRequest.MaxMeasures, Order),
            Limit = Limit(Property(json, "limit")),
            Cursor = Text(Property(json, "cursor"), "cursor", FilterJson.TextMax),
        };
        if (_problem is null)
        {
            var names = request.Grouped ? request.GroupBy.Select(g => g.Name).Concat(request.Measures.Select(m => m.Name)) : request.Fields;
            if (names.GroupBy(n => n, StringComparer.Ordinal).Any(g => g.Count() > 1))
                Fail<string>("two output columns have the same name");
            if (request.OrderBy.Select(o => o.Column).Distinct(StringComparer.Ordinal).Count() != request.OrderBy.Count)
                Fail<string>("orderBy names a column twice");
            if (request.Cursor is not null && format != QueryFormat.Json)
                Fail<string>("a cursor goes with JSON pages only");
        }
        return _problem is { } problem ? problem : request;
    }

    private QueryGroup Group(JsonElement e)
    {
        if (e.ValueKind == JsonValueKind.String)
        {
            var name = Text(e, "groupBy", 64)!;
            return new(name, null, name);
        }
        var field = Text(Property(e, "field"), "groupBy.field", 64) ?? Fail<string>("groupBy.field is missing") ?? "";
        return new(field, Text(Property(e, "unit"), "groupBy.unit", 16), Name(Text(Property(e, "name"), "groupBy.name", 64) ?? field, field));
    }

    private QueryMeasure Measure(JsonElement e)
    {
        var function = Text(Property(e, "function"), "measures.function", 16) ?? "";
        var field = Text(Property(e, "field"), "measures.field", 64);
        var name = Text(Property(e, "name"), "measures.name", 64) ?? (field is null ? function : $"{function}_{field}");
        if (function is not ("count" or "sum" or "avg" or "min" or "max" or "distinct"))
            Fail<string>("measures.function is one of count, sum, avg, min, max, distinct");
        if (field is null && function != "count")
            Fail<string>("measures.field is missing");
        return new(Name(name, null), function, field);
    }

    private QueryOrder Order(JsonElement e)
    {
        if (e.ValueKind == JsonValueKind.String)
            return new(Text(e, "orderBy", 130)!, false);
        var descending = Property(e, "desc");
        if (descending is { ValueKind: not (JsonValueKind.True or JsonValueKind.False) })
            Fail<string>("orderBy.desc is true or false");
        return new(Text(Property(e, "field"), "orderBy.field", 130) ?? Fail<string>("orderBy.field is missing") ?? "", descending?.ValueKind == JsonValueKind.True);
    }

    private int? Limit(JsonElement? e)
    {
        if (e is null)
            return null;
        var max = format == QueryFormat.Json ? QueryRequest.MaxPage : QueryRequest.MaxStreamed;
        if (e.Value.ValueKind == JsonValueKind.Number && e.Value.TryGetInt32(out var limit) && limit >= 1 && limit <= max)
            return limit;
        _problem ??= Problem.BadRequest("query.limit", $"limit is a whole number from 1 to {max}.");
        return null;
    }

    /// <summary>A column name the reader chose: it may not look like one of ours, unless it is the field's own.</summary>
    private string Name(string name, string? own)
    {
        if (name.Length == 0 || name.Any(char.IsControl) || (name[0] == '_' && name != own))
            Fail<string>("a column name has 1–64 characters, no control characters, and does not start with an underscore");
        return name;
    }

    private List<T> List<T>(JsonElement json, string name, int max, Func<JsonElement, T> read)
    {
        if (Property(json, name) is not { } list)
            return [];
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() > max)
        {
            Fail<string>($"{name} is a list of at most {max}");
            return [];
        }
        var result = new List<T>(list.GetArrayLength());
        foreach (var e in list.EnumerateArray())
        {
            if (e.ValueKind is not (JsonValueKind.String or JsonValueKind.Object) || (name == "fields" && e.ValueKind != JsonValueKind.String)
                || (name == "measures" && e.ValueKind != JsonValueKind.Object))
            {
                Fail<string>($"{name} holds something else than it should");
                return [];
            }
            result.Add(read(e));
        }
        return result;
    }

    private string? Text(JsonElement? e, string name, int max)
    {
        if (e is null)
            return null;
        if (e.Value.ValueKind == JsonValueKind.String && FilterJson.TryText(e.Value, out var text) && text.Length <= max)
            return text;
        return Fail<string>($"{name} is a text of at most {max} characters") ?? "";
    }

    /// <summary>Null for a property that is absent or null.</summary>
    private static JsonElement? Property(JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private T? Fail<T>(string what) where T : class
    {
        _problem ??= Problem.BadRequest("query.shape", char.ToUpperInvariant(what[0]) + what[1..] + ".");
        return null;
    }
}
