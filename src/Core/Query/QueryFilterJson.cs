using System.Text;
using System.Text.Json;
using Gongzhi.Core.Policy;

namespace Gongzhi.Core.Query;

/// <summary>Reads and writes a <see cref="Filter"/>: <c>{"and":[…]}</c>, <c>{"or":[…]}</c>, <c>{"not":…}</c>, <c>{"field":…,"op":…,"value":…}</c>.</summary>
internal static class QueryFilterJson
{
    public const int MaxDepth = 16;
    public const int MaxNodes = 256;
    public const int MaxValues = 1_000;

    /// <summary>Longest text to compare with, in UTF-8 bytes.</summary>
    public const int MaxText = 10 * 1024;

    public static Result<Filter> Parse(JsonElement json)
    {
        var nodes = 0;
        return Parse(json, 1, ref nodes);
    }

    private static Result<Filter> Parse(JsonElement json, int depth, ref int nodes)
    {
        if (depth > MaxDepth || ++nodes > MaxNodes)
            return Problem.BadRequest("query.filter", $"A filter is at most {MaxDepth} deep and has at most {MaxNodes} conditions.");
        if (json.ValueKind != JsonValueKind.Object)
            return Wrong("a condition is an object");
        var count = json.EnumerateObject().Count();
        if (json.TryGetProperty("and", out var list) || json.TryGetProperty("or", out list))
        {
            if (count != 1 || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0)
                return Wrong("and, or stand alone and hold a list of at least one condition");
            var parts = new List<Filter>();
            foreach (var e in list.EnumerateArray())
            {
                var part = Parse(e, depth + 1, ref nodes);
                if (!part.Ok)
                    return part;
                parts.Add(part.Value);
            }
            return json.TryGetProperty("and", out _) ? new Filter.And(parts) : new Filter.Or(parts);
        }
        if (json.TryGetProperty("not", out var inner))
        {
            if (count != 1)
                return Wrong("not stands alone");
            var part = Parse(inner, depth + 1, ref nodes);
            return part.Ok ? new Filter.Not(part.Value) : part;
        }
        if (!json.TryGetProperty("field", out var field) || !TryText(field, out var name) || !json.TryGetProperty("op", out var op) || !TryText(op, out var word))
            return Wrong("a comparison has field, op and value");
        var hasValue = json.TryGetProperty("value", out var value);
        if (count != (hasValue ? 3 : 2))
            return Wrong("a comparison has field, op and value, nothing else");
        if (word is not ("eq" or "ne" or "lt" or "le" or "gt" or "ge" or "in" or "within" or "contains" or "startsWith" or "isNull"))
            return Wrong("op is one of eq ne lt le gt ge in within contains startsWith isNull");
        if (!hasValue && word != "isNull")
            return Wrong("a comparison has a value");
        if (value.ValueKind == JsonValueKind.Array != (word == "in"))
            return Wrong("in goes with a list, the others with one value");
        if (word == "in" && value.GetArrayLength() is 0 or > MaxValues)
            return Wrong($"in has 1 to {MaxValues} values");
        foreach (var e in word == "in" ? value.EnumerateArray().ToArray() : hasValue ? [value] : [])
        {
            if (e.ValueKind is JsonValueKind.Object or JsonValueKind.Array || (e.ValueKind == JsonValueKind.String && !TryText(e, out _)))
                return Problem.BadRequest("query.value", $"A value is a text of at most {MaxText} bytes without U+0000, a number, true or false.");
        }
        return new Filter.Compare(name, word, hasValue ? value.Clone() : default);
    }

    public static void Write(Utf8JsonWriter json, Filter? filter)
    {
        switch (filter)
        {
            case null:
                json.WriteNullValue();
                break;
            case Filter.And and:
                WriteList(json, "and", and.Parts);
                break;
            case Filter.Or or:
                WriteList(json, "or", or.Parts);
                break;
            case Filter.Not not:
                json.WriteStartObject();
                json.WritePropertyName("not");
                Write(json, not.Inner);
                json.WriteEndObject();
                break;
            case Filter.Compare compare:
                json.WriteStartObject();
                json.WriteString("field", compare.Field);
                json.WriteString("op", compare.Op);
                if (compare.Value.ValueKind != JsonValueKind.Undefined)
                {
                    json.WritePropertyName("value");
                    compare.Value.WriteTo(json);
                }
                json.WriteEndObject();
                break;
        }
    }

    private static void WriteList(Utf8JsonWriter json, string name, IReadOnlyList<Filter> parts)
    {
        json.WriteStartObject();
        json.WriteStartArray(name);
        foreach (var part in parts)
            Write(json, part);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>A JSON string that is whole text: within the limit, no U+0000, no lone surrogate.</summary>
    public static bool TryText(JsonElement json, out string text)
    {
        text = "";
        if (json.ValueKind != JsonValueKind.String)
            return false;
        try
        {
            text = json.GetString()!;
            return !text.Contains('\0') && new UTF8Encoding(false, true).GetByteCount(text) <= MaxText;
        }
        catch (Exception e) when (e is InvalidOperationException or EncoderFallbackException)
        {
            return false; // a lone surrogate
        }
    }

    private static Problem Wrong(string what) => Problem.BadRequest("query.filter", char.ToUpperInvariant(what[0]) + what[1..] + ".");
}
