using System.Text.Json.Nodes;

namespace Gongzhi.Core.Catalog;

/// <summary>
/// A dataset's schema as Frictionless Table Schema has it, valid for other people's tools: one text a title, no type of ours. What that cannot say stands
/// beside it in properties that those tools pass over, and reading it back gives the same definition.
/// </summary>
public static class TableSchema
{
    /// <summary>The media type of the standard's documents.</summary>
    public const string MediaType = "application/vnd.frictionless.tableschema+json";

    /// <summary>Our type where the standard has none that says as much.</summary>
    public const string OwnType = "gongzhi:type";

    /// <summary>Titles and descriptions of a field by language.</summary>
    public const string Titles = "titles", Descriptions = "descriptions";

    /// <param name="language">The reader's: the title is taken in it, else in Chinese, else in any.</param>
    public static JsonObject Render(Dataset dataset, string language)
    {
        var schema = new JsonObject
        {
            ["$schema"] = "https://specs.frictionlessdata.io/schemas/table-schema.json",
            ["fields"] = new JsonArray([.. dataset.Fields.Select(f => (JsonNode)FieldJson(f, language))]),
            ["missingValues"] = new JsonArray([.. dataset.MissingValues.Select(v => JsonValue.Create(v))]),
        };
        // The standard wants one field at least where there is a key.
        if (dataset.PrimaryKey.Count > 0)
            schema["primaryKey"] = new JsonArray([.. dataset.PrimaryKey.Select(k => JsonValue.Create(k))]);
        if (dataset.Points.Count > 0)
            schema["points"] = DatasetJson.PointsJson(dataset);
        return schema;
    }

    private static JsonObject FieldJson(Field field, string language)
    {
        var json = new JsonObject { ["name"] = field.Name, ["type"] = field.Type == FieldType.Place ? "string" : DatasetJson.TypeName(field.Type) };
        if (field.Type == FieldType.Place)
            json[OwnType] = DatasetJson.TypeName(field.Type);
        if (field.Type == FieldType.Decimal)
            json["scale"] = field.Scale;
        Localise(json, "title", Titles, field.Title, language);
        Localise(json, "description", Descriptions, field.Description, language);
        if (field.Element is not null)
            json["element"] = field.Element;
        if (field.ElementType is not null)
            json["elementType"] = field.ElementType;
        json["constraints"] = DatasetJson.ConstraintsJson(field);
        return json;
    }

    private static void Localise(JsonObject json, string one, string all, IReadOnlyDictionary<string, string> texts, string language)
    {
        if (texts.Count == 0)
            return;
        var nearest = texts.OrderBy(t => t.Key, StringComparer.Ordinal)
            .MinBy(t => t.Key == language ? 0 : t.Key.Split('-')[0] == language.Split('-')[0] ? 1 : t.Key.StartsWith("zh", StringComparison.Ordinal) ? 2 : 3);
        json[one] = nearest.Value;
        json[all] = DatasetJson.Localised(texts);
    }
}
