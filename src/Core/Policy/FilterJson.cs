using System.Text;
using System.Text.Json;
using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Policy;

/// <summary>
/// Conditions as JSON, in queries and grants alike: <c>{"and":[…]}</c>, <c>{"or":[…]}</c>, <c>{"not":{…}}</c>, <c>{"field","op","value"}</c>.
/// </summary>
public static class FilterJson
{
    /// <summary>Nesting of and, or, not.</summary>
    public const int DepthMax = 16;

    /// <summary>Conditions in one filter, of every shape.</summary>
    public const int NodesMax = 256;

    /// <summary>Values of one <c>in</c>.</summary>
    public const int ValuesMax = 1_000;

    /// <summary>Longest text to compare with, in UTF-8 bytes.</summary>
    public const int TextMax = 10 * 1_024;

    private static readonly HashSet<string> Ops = ["eq", "ne", "lt", "le", "gt", "ge", "in", "within", "contains", "startsWith", "isNull"];

    /// <summary>Reads the shape; fields and types are checked by <see cref="Check(Filter, Dataset)"/> against a dataset. The filter outlives the JSON document.</summary>
    public static Result<Filter> Parse(JsonElement json)
    {
        var nodes = 0;
        try
        {
            return Parse(json, 1, ref nodes);
        }
        catch (InvalidOperationException)
        {
            // A name or text with an escaped lone surrogate: valid JSON, but no text.
            return Bad("A name or text is not Unicode.");
        }
    }

    private static Result<Filter> Parse(JsonElement json, int depth, ref int nodes)
    {
        if (depth > DepthMax || ++nodes > NodesMax)
            return Bad($"A filter has at most {NodesMax} conditions, nested at most {DepthMax} deep.");
        if (json.ValueKind != JsonValueKind.Object)
            return Bad("A condition is an object.");
        var properties = new List<JsonProperty>(3);
        foreach (var property in json.EnumerateObject())
        {
            if (properties.Count == 3 || properties.Any(p => p.Name == property.Name))
                return Bad("A condition has too many members, or one twice.");
            properties.Add(property);
        }
        if (properties.Count == 1 && properties[0].Name is "and" or "or" or "not")
        {
            var (name, value) = (properties[0].Name, properties[0].Value);
            if (name == "not")
            {
                var inner = Parse(value, depth + 1, ref nodes);
                return inner.Ok ? new Filter.Not(inner.Value) : inner.Problem;
            }
            if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
                return Bad($"\"{name}\" takes a list of at least one condition.");
            var parts = new List<Filter>();
            foreach (var item in value.EnumerateArray())
            {
                var part = Parse(item, depth + 1, ref nodes);
                if (!part.Ok)
                    return part.Problem;
                parts.Add(part.Value);
            }
            return name == "and" ? new Filter.And(parts) : new Filter.Or(parts);
        }
        return Comparison(properties);
    }

    private static Result<Filter> Comparison(List<JsonProperty> properties)
    {
        string? field = null, op = null;
        JsonElement value = default;
        foreach (var property in properties)
        {
            switch (property.Name)
            {
                case "field" when property.Value.ValueKind == JsonValueKind.String: field = property.Value.GetString(); break;
                case "op" when property.Value.ValueKind == JsonValueKind.String: op = property.Value.GetString(); break;
                case "value": value = property.Value.Clone(); break;
                default: return Bad("A condition is and, or, not, or a comparison with field, op and value.");
            }
        }
        if (field is not { Length: > 0 and <= 64 } || op is null || !Ops.Contains(op))
            return Bad("A comparison needs a field and one of: " + string.Join(", ", Ops) + ".");
        if (value.ValueKind == JsonValueKind.Undefined && op != "isNull")
            return Bad($"The comparison of \"{field}\" has no value; \"isNull\" asks for empty values.");
        if (value.ValueKind == JsonValueKind.Array != (op == "in") || (op == "in" && value.GetArrayLength() is 0 or > ValuesMax))
            return Bad($"\"in\" goes with a list of 1 to {ValuesMax} values, everything else with one value.");
        var fits = op switch
        {
            "isNull" => value.ValueKind is JsonValueKind.Undefined or JsonValueKind.True or JsonValueKind.False,
            "in" => value.EnumerateArray().All(Scalar),
            "within" or "contains" or "startsWith" => TryText(value, out _),
            _ => Scalar(value),
        };
        return fits ? new Filter.Compare(field, op, value)
            : Problem.Invalid("query.value", $"A value is a text of at most {TextMax} bytes without U+0000, a number, true or false; isNull goes with true or false, within, contains and startsWith with a text.");
    }

    /// <summary>What is wrong with the filter for this dataset, or null.</summary>
    public static string? Check(Filter filter, Dataset dataset) => filter switch
    {
        Filter.And and => and.Parts.Select(p => Check(p, dataset)).FirstOrDefault(e => e is not null),
        Filter.Or or => or.Parts.Select(p => Check(p, dataset)).FirstOrDefault(e => e is not null),
        Filter.Not not => Check(not.Inner, dataset),
        Filter.Compare compare => Check(compare, dataset),
        _ => "The condition is of an unknown kind.",
    };

    private static string? Check(Filter.Compare compare, Dataset dataset)
    {
        var index = dataset.IndexOf(compare.Field);
        FieldType? type = compare.Field switch { "_time" => FieldType.DateTime, "_place" => FieldType.Place, _ => index < 0 ? null : dataset.Fields[index].Type };
        if (type is null)
            return $"The dataset has no field \"{compare.Field}\".";
        if (compare.Op == "isNull")
            return null;
        if (compare.Op == "within" && type != FieldType.Place)
            return $"\"within\" needs a place, \"{compare.Field}\" is none.";
        if (compare.Op is "contains" or "startsWith" && type is not (FieldType.String or FieldType.Place))
            return $"\"{compare.Op}\" needs text, \"{compare.Field}\" is none.";
        if (type == FieldType.Boolean && compare.Op is not ("eq" or "ne" or "in"))
            return $"\"{compare.Field}\" is true or false and has no order.";
        var values = compare.Op == "in" ? compare.Value.EnumerateArray().ToArray() : [compare.Value];
        var fits = values.All(v => type switch
        {
            FieldType.String or FieldType.Place or FieldType.Date or FieldType.DateTime or FieldType.Time => v.ValueKind == JsonValueKind.String,
            FieldType.Boolean => v.ValueKind is JsonValueKind.True or JsonValueKind.False,
            FieldType.Year or FieldType.YearMonth => v.ValueKind is JsonValueKind.Number or JsonValueKind.String,
            _ => v.ValueKind == JsonValueKind.Number,
        });
        return fits ? null : $"A value compared with \"{compare.Field}\" does not fit its type.";
    }

    private static bool Scalar(JsonElement value) =>
        value.ValueKind is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False || TryText(value, out _);

    /// <summary>The filter as JSON again.</summary>
    internal static void Write(Utf8JsonWriter json, Filter? filter)
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
    internal static bool TryText(JsonElement json, out string text)
    {
        text = "";
        if (json.ValueKind != JsonValueKind.String)
            return false;
        try
        {
            text = json.GetString()!;
            return !text.Contains('\0') && new UTF8Encoding(false, true).GetByteCount(text) <= TextMax;
        }
        catch (Exception e) when (e is InvalidOperationException or EncoderFallbackException)
        {
            return false; // a lone surrogate
        }
    }

    private static Problem Bad(string detail) => Problem.BadRequest("query.filter", detail);
}
