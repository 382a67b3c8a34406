using System.Globalization;
using System.Text.Json;
using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Policy;

/// <summary>
/// Transforms as they stand in grants: <c>"plain"</c>, <c>"mask"</c>, <c>"pseudonym"</c>, <c>{"mask":"name"}</c>, <c>{"generalise":"month"}</c>,
/// <c>{"aggregate":{"k":10}}</c>.
/// </summary>
public static class TransformJson
{
    /// <summary>Largest group threshold that makes sense to ask for.</summary>
    public const int GroupMax = 1_000_000;

    private static readonly HashSet<string> Masks = ["name", "phone", "identity-number", "card", "all"];

    /// <summary>The transform, or null when the JSON is none. A mask without a name hides all.</summary>
    public static FieldTransform? Read(JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.String)
        {
            return json.GetString() switch
            {
                "plain" => FieldTransform.Plain,
                "mask" => new(TransformKind.Mask, "all"),
                "pseudonym" => new(TransformKind.Pseudonym),
                _ => null,
            };
        }
        if (json.ValueKind != JsonValueKind.Object || json.EnumerateObject().Count() != 1)
            return null;
        var only = json.EnumerateObject().First();
        return only.Name switch
        {
            "mask" when only.Value.ValueKind == JsonValueKind.String && Masks.Contains(only.Value.GetString()!) => new(TransformKind.Mask, only.Value.GetString()),
            "generalise" when only.Value.ValueKind == JsonValueKind.String => new(TransformKind.Generalise, only.Value.GetString()),
            "generalise" when only.Value.ValueKind == JsonValueKind.Number => new(TransformKind.Generalise, only.Value.GetRawText()),
            "aggregate" when only.Value.ValueKind == JsonValueKind.Object && only.Value.EnumerateObject().Count() == 1
                && only.Value.TryGetProperty("k", out var k) && k.ValueKind == JsonValueKind.Number && k.TryGetInt32(out var least) && least is >= 2 and <= GroupMax
                => new(TransformKind.AggregateOnly, least.ToString(CultureInfo.InvariantCulture)),
            _ => null,
        };
    }

    /// <summary>Whether the transform makes sense for a field of this type; the semantics are in docs/guide/permissions.md.</summary>
    public static bool Fits(FieldTransform transform, Field field) => transform.Kind switch
    {
        TransformKind.Plain or TransformKind.AggregateOnly => true,
        TransformKind.Mask => field.Type == FieldType.String,
        TransformKind.Pseudonym => field.Type is FieldType.String or FieldType.Place or FieldType.Integer,
        TransformKind.Generalise => field.Type switch
        {
            FieldType.Date or FieldType.DateTime => transform.Argument is "month" or "year",
            FieldType.YearMonth => transform.Argument == "year",
            FieldType.Place => transform.Argument is "2" or "4" or "6" or "9" or "12",
            FieldType.Integer => Step(transform.Argument, 0),
            FieldType.Decimal => Step(transform.Argument, field.Scale),
            FieldType.Double => Step(transform.Argument, 6),
            _ => false,
        },
        _ => false,
    };

    /// <summary>A plain positive decimal with at most so many digits after the point.</summary>
    private static bool Step(string? text, int scale) =>
        text is { Length: > 0 and <= 18 } && decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var step)
        && step > 0 && decimal.Round(step, scale) == step && step <= 1_000_000_000_000m;
}
