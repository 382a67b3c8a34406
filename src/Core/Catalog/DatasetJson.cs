using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Catalog;

/// <summary>
/// A dataset's definition as JSON: a Frictionless Table Schema with our extensions (docs/contracts/http.md). Reading is strict about what
/// we rely on and silent about properties of other tools, which are dropped.
/// </summary>
public static partial class DatasetJson
{
    public const int FieldsMax = 1_000;

    /// <summary>Points of one row; a journey has two.</summary>
    public const int PointsMax = 16;

    /// <summary>Digits after the point that hold a metre.</summary>
    public const int PointScaleMin = 5;

    private static readonly JsonSerializerOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Reads a definition. <paramref name="owner"/> is used when the definition names none.</summary>
    public static Result<Dataset> Parse(JsonElement json, string id, string? owner, int version = 1, long number = 0)
    {
        if (!IdPattern().IsMatch(id))
            return Invalid("id", "A dataset id has 1 to 64 characters: a lower-case letter, then lower-case letters, digits or hyphens.", "数据集编号为 1 至 64 个字符：以小写字母开头，后接小写字母、数字或连字符。");
        // A bare Table Schema is a definition with nothing said beside it.
        if (json.ValueKind != JsonValueKind.Object || !(json.TryGetProperty("schema", out var schema) || (json.TryGetProperty("fields", out _) && (schema = json) is var _))
            || schema.ValueKind != JsonValueKind.Object || !schema.TryGetProperty("fields", out var fieldsJson) || fieldsJson.ValueKind != JsonValueKind.Array)
            return Invalid("schema.fields", "A definition needs a schema with a list of fields.", "定义须有 schema，其中须有字段列表。");
        if (fieldsJson.GetArrayLength() is 0 or > FieldsMax)
            return Invalid("schema.fields", $"A dataset has 1 to {FieldsMax} fields.", $"数据集有 1 至 {FieldsMax} 个字段。");
        try
        {
            var missing = Texts(schema, "missingValues") ?? [""];
            var zone = Text(json, "timeZone") ?? "Asia/Shanghai";
            if (!TimeZoneInfo.TryFindSystemTimeZoneById(zone, out _))
                return Invalid("timeZone", "The time zone is not known; use a name such as Asia/Shanghai.", "时区未知；请使用如 Asia/Shanghai 的名称。");
            var fields = new List<Field>();
            foreach (var f in fieldsJson.EnumerateArray())
                fields.Add(ParseField(f, zone));
            var dataset = new Dataset
            {
                Id = id,
                Version = version,
                Number = number,
                Owner = Text(json, "owner") ?? owner ?? throw new Refusal("owner", "The dataset needs an owner: name a unit.", "数据集须有所属单位。"),
                Title = Localised(json, "title"),
                Description = Localised(json, "description"),
                Class = Choice(json, "class", DataClass.General, ("general", DataClass.General), ("important", DataClass.Important), ("core", DataClass.Core)),
                Personal = json.TryGetProperty("personal", out var personal) && Boolean(personal, "personal"),
                Sharing = Choice(json, "sharing", SharingMode.Conditional, ("none", SharingMode.None), ("conditional", SharingMode.Conditional), ("unconditional", SharingMode.Unconditional)),
                Opening = Choice(json, "opening", OpeningMode.Closed, ("closed", OpeningMode.Closed), ("on-request", OpeningMode.OnRequest), ("open", OpeningMode.Open)),
                TimeField = Text(json, "time"),
                PlaceField = Text(json, "place"),
                SubjectField = Text(json, "subject"),
                TimeZone = zone,
                ExpectedEvery = ExpectedEvery(json),
                Fields = fields,
                PrimaryKey = PrimaryKey(schema),
                Points = Points(schema),
                MissingValues = missing,
            };
            return Check(dataset) is { } problem ? problem : dataset;
        }
        catch (Refusal refusal)
        {
            return Invalid(refusal.Path, refusal.Message, refusal.Chinese);
        }
    }

    /// <summary>The definition as JSON, in a fixed order, so that equal definitions are equal texts.</summary>
    public static JsonObject ToJson(Dataset dataset)
    {
        var fields = new JsonArray();
        foreach (var field in dataset.Fields)
            fields.Add(FieldJson(field));
        var schema = new JsonObject
        {
            ["fields"] = fields,
            ["primaryKey"] = new JsonArray([.. dataset.PrimaryKey.Select(k => JsonValue.Create(k))]),
            ["missingValues"] = new JsonArray([.. dataset.MissingValues.Select(k => JsonValue.Create(k))]),
        };
        if (dataset.Points.Count > 0)
            schema["points"] = PointsJson(dataset);
        var definition = new JsonObject
        {
            ["id"] = dataset.Id,
            ["version"] = dataset.Version,
            ["title"] = Localised(dataset.Title),
            ["description"] = Localised(dataset.Description),
            ["owner"] = dataset.Owner,
            ["class"] = dataset.Class switch { DataClass.General => "general", DataClass.Important => "important", _ => "core" },
            ["personal"] = dataset.Personal,
            ["sharing"] = dataset.Sharing switch { SharingMode.None => "none", SharingMode.Conditional => "conditional", _ => "unconditional" },
            ["opening"] = dataset.Opening switch { OpeningMode.Closed => "closed", OpeningMode.OnRequest => "on-request", _ => "open" },
            ["time"] = dataset.TimeField,
            ["place"] = dataset.PlaceField,
            ["subject"] = dataset.SubjectField,
            ["timeZone"] = dataset.TimeZone,
            ["schema"] = schema,
        };
        // Absent where it is not said: definitions of before stay the texts they are.
        if (dataset.ExpectedEvery is { } every)
            definition["expectedEvery"] = System.Xml.XmlConvert.ToString(every);
        return definition;
    }

    public static string ToText(Dataset dataset) => ToJson(dataset).ToJsonString(Writing);

    internal static JsonArray PointsJson(Dataset dataset) => new([.. dataset.Points.Select(p => (JsonNode)new JsonObject
    {
        ["lon"] = p.Lon, ["lat"] = p.Lat, ["crs"] = CrsNames.Of(p.Crs), ["kept"] = CrsNames.Of(CoordinateSystem.Wgs84),
    })]);

    private static JsonObject FieldJson(Field field)
    {
        var json = new JsonObject
        {
            ["name"] = field.Name,
            ["type"] = TypeName(field.Type),
        };
        if (field.Type == FieldType.Decimal)
            json["scale"] = field.Scale;
        if (field.Title.Count > 0)
            json["title"] = Localised(field.Title);
        if (field.Description.Count > 0)
            json["description"] = Localised(field.Description);
        if (field.Element is not null)
            json["element"] = field.Element;
        if (field.ElementType is not null)
            json["elementType"] = field.ElementType;
        json["constraints"] = ConstraintsJson(field);
        return json;
    }

    internal static JsonObject ConstraintsJson(Field field)
    {
        var c = field.Constraints;
        var constraints = new JsonObject();
        if (c.Required)
            constraints["required"] = true;
        if (c.Unique)
            constraints["unique"] = true;
        if (c.MinimumInt64 is { } min)
            constraints["minimum"] = LimitJson(field, min);
        if (c.MaximumInt64 is { } max)
            constraints["maximum"] = LimitJson(field, max);
        if (c.MinimumDouble is { } minDouble)
            constraints["minimum"] = minDouble;
        if (c.MaximumDouble is { } maxDouble)
            constraints["maximum"] = maxDouble;
        if (c.MinLength is { } minLength)
            constraints["minLength"] = minLength;
        if (c.MaxLength is { } maxLength)
            constraints["maxLength"] = maxLength;
        if (c.Pattern is not null)
            constraints["pattern"] = c.Pattern;
        if (c.Enum is not null)
            constraints["enum"] = new JsonArray([.. c.Enum.Select(v => JsonValue.Create(v))]);
        return constraints;
    }

    /// <summary>The type's name in a Table Schema; <c>place</c> is ours.</summary>
    public static string TypeName(FieldType type) => type switch
    {
        FieldType.Decimal or FieldType.Double => "number",
        FieldType.DateTime => "datetime",
        FieldType.YearMonth => "yearmonth",
        _ => type.ToString().ToLowerInvariant(),
    };

    private static Field ParseField(JsonElement json, string zone)
    {
        if (json.ValueKind != JsonValueKind.Object || Text(json, "name") is not { } name)
            throw new Refusal("schema.fields", "Each field needs a name.", "每个字段都须有名称。");
        if (name.Length > 64 || name.Length == 0 || name[0] == '_' || name.Any(char.IsControl) || name != name.Trim())
            throw new Refusal($"schema.fields.{name}", "A field name has 1 to 64 characters, no control characters, and does not begin with an underscore.", "字段名为 1 至 64 个字符，不含控制字符，不以下划线开头。");
        var typeName = Text(json, TableSchema.OwnType) ?? Text(json, "type") ?? "string";
        var hasScale = json.TryGetProperty("scale", out var scaleJson) && scaleJson.ValueKind != JsonValueKind.Null;
        var type = typeName switch
        {
            "string" => FieldType.String,
            "integer" => FieldType.Integer,
            "number" => hasScale ? FieldType.Decimal : FieldType.Double,
            "boolean" => FieldType.Boolean,
            "date" => FieldType.Date,
            "datetime" => FieldType.DateTime,
            "time" => FieldType.Time,
            "year" => FieldType.Year,
            "yearmonth" => FieldType.YearMonth,
            "place" => FieldType.Place,
            _ => throw new Refusal($"schema.fields.{name}.type", $"The type {typeName} is not supported; use string, integer, number, boolean, date, datetime, time, year, yearmonth or place.", $"不支持类型 {typeName}；可用 string、integer、number、boolean、date、datetime、time、year、yearmonth、place。"),
        };
        var scale = 0;
        if (hasScale && (!scaleJson.TryGetInt32(out scale) || scale is < 0 or > 12))
            throw new Refusal($"schema.fields.{name}.scale", "A scale is a whole number from 0 to 12.", "小数位数为 0 至 12 的整数。");
        if (hasScale && typeName != "number")
            throw new Refusal($"schema.fields.{name}.scale", "Only numbers have a scale.", "只有数值有小数位数。");
        var field = new Field
        {
            Name = name,
            Type = type,
            Scale = scale,
            Element = Text(json, "element"),
            ElementType = Text(json, "elementType"),
            Title = Localised(json, json.TryGetProperty(TableSchema.Titles, out _) ? TableSchema.Titles : "title"),
            Description = Localised(json, json.TryGetProperty(TableSchema.Descriptions, out _) ? TableSchema.Descriptions : "description"),
        };
        return json.TryGetProperty("constraints", out var constraints) && constraints.ValueKind == JsonValueKind.Object
            ? field with { Constraints = ParseConstraints(field, constraints, zone) }
            : field;
    }

    private static FieldConstraints ParseConstraints(Field field, JsonElement json, string zone)
    {
        var path = $"schema.fields.{field.Name}.constraints";
        var pattern = Text(json, "pattern");
        if (pattern is not null)
        {
            if (field.Storage != FieldStorage.Text)
                throw new Refusal(path, "Only texts have a pattern.", "只有文本可以有模式。");
            try
            {
                _ = new Regex(pattern, RegexOptions.NonBacktracking);
            }
            catch (Exception e) when (e is ArgumentException or NotSupportedException)
            {
                throw new Refusal(path, "The pattern is not a regular expression that can be matched in linear time.", "该模式不是可在线性时间内匹配的正则表达式。");
            }
        }
        return new FieldConstraints
        {
            Required = json.TryGetProperty("required", out var required) && Boolean(required, path),
            Unique = json.TryGetProperty("unique", out var unique) && Boolean(unique, path),
            MinimumInt64 = Limit(field, json, "minimum", path, zone),
            MaximumInt64 = Limit(field, json, "maximum", path, zone),
            MinimumDouble = LimitDouble(field, json, "minimum", path),
            MaximumDouble = LimitDouble(field, json, "maximum", path),
            MinLength = Length(field, json, "minLength", path),
            MaxLength = Length(field, json, "maxLength", path),
            Pattern = pattern,
            Enum = json.TryGetProperty("enum", out var list) ? EnumTexts(list, path) : null,
        };
    }

    private static long? Limit(Field field, JsonElement json, string name, string path, string zone)
    {
        if (!json.TryGetProperty(name, out var value) || field.Type == FieldType.Double)
            return null;
        var text = System.Text.Encoding.UTF8.GetBytes(value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText());
        long limit = 0;
        var fault = field.Type switch
        {
            FieldType.Integer => ValueParser.Integer(text, out limit, exponents: true),
            FieldType.Decimal => ValueParser.Decimal(text, field.Scale, out limit, exponents: true),
            FieldType.Date => ValueParser.Date(text, out limit),
            FieldType.DateTime => ValueParser.DateTime(text, new LocalClock(TimeZoneInfo.FindSystemTimeZoneById(zone)), out limit),
            FieldType.Time => ValueParser.Time(text, out limit),
            FieldType.Year => ValueParser.Year(text, out limit),
            FieldType.YearMonth => ValueParser.YearMonth(text, out limit),
            _ => new ValueParser.Fault("type", "This type has no limits.", "该类型没有上下限。"),
        };
        return fault is { } found ? throw new Refusal($"{path}.{name}", found.Why.English, found.Why.Chinese) : limit;
    }

    private static double? LimitDouble(Field field, JsonElement json, string name, string path)
    {
        if (field.Type != FieldType.Double || !json.TryGetProperty(name, out var value))
            return null;
        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var limit) && double.IsFinite(limit)
            ? limit
            : throw new Refusal($"{path}.{name}", "This is not a number.", "这不是数值。");
    }

    private static JsonValue LimitJson(Field field, long value)
    {
        var invariant = CultureInfo.InvariantCulture;
        return field.Type switch
        {
            FieldType.Decimal => JsonValue.Create(DecimalText.Exact(value, field.Scale)),
            FieldType.Date => JsonValue.Create(DateOnly.FromDayNumber((int)value + DateOnly.FromDateTime(DateTime.UnixEpoch).DayNumber).ToString("O", invariant)),
            FieldType.DateTime => JsonValue.Create(DateTime.UnixEpoch.AddMicroseconds(value).ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFF'Z'", invariant)),
            FieldType.Time => JsonValue.Create(TimeOnly.FromTimeSpan(TimeSpan.FromMicroseconds(value)).ToString("HH:mm:ss.FFFFFF", invariant)),
            FieldType.YearMonth => JsonValue.Create(string.Create(invariant, $"{value / 12:D4}-{value % 12 + 1:D2}")),
            _ => JsonValue.Create(value),
        };
    }

    private static int? Length(Field field, JsonElement json, string name, string path)
    {
        if (!json.TryGetProperty(name, out var value))
            return null;
        return field.Storage == FieldStorage.Text && value.TryGetInt32(out var length) && length >= 0
            ? length
            : throw new Refusal($"{path}.{name}", "A length is a whole number of characters, for texts alone.", "长度为整数个字符，且仅用于文本。");
    }

    private static List<string> EnumTexts(JsonElement list, string path)
    {
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() is 0 or > 10_000)
            throw new Refusal($"{path}.enum", "A code list has 1 to 10,000 values.", "代码表有 1 至 10,000 个值。");
        return [.. list.EnumerateArray().Select(v => v.ValueKind == JsonValueKind.String ? v.GetString()! : v.GetRawText())];
    }

    private static List<string> PrimaryKey(JsonElement schema)
    {
        if (!schema.TryGetProperty("primaryKey", out var key) || key.ValueKind == JsonValueKind.Null)
            return [];
        if (key.ValueKind == JsonValueKind.String)
            return [key.GetString()!];
        return Texts(schema, "primaryKey") ?? throw new Refusal("schema.primaryKey", "A primary key is a list of field names.", "主键为字段名列表。");
    }

    private static List<PointFields> Points(JsonElement schema)
    {
        if (!schema.TryGetProperty("points", out var list) || list.ValueKind == JsonValueKind.Null)
            return [];
        if (list.ValueKind != JsonValueKind.Array || list.GetArrayLength() > PointsMax)
            throw new Refusal("schema.points", $"Points are a list of at most {PointsMax}.", $"坐标点列表至多 {PointsMax} 项。");
        return [.. list.EnumerateArray().Select(p => p.ValueKind == JsonValueKind.Object && Text(p, "lon") is { } lon && Text(p, "lat") is { } lat
                && Text(p, "crs") is { } crs && CrsNames.Read(crs) is { } system ? new PointFields(lon, lat, system)
            : throw new Refusal("schema.points", "A point names its fields lon and lat, and its crs: WGS-84, CGCS2000, GCJ-02 or BD-09.", "坐标点须写明字段 lon、lat 及坐标系 crs：WGS-84、CGCS2000、GCJ-02 或 BD-09。"))];
    }

    private static Problem? Check(Dataset dataset)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var field in dataset.Fields)
        {
            // DuckDB compares names without regard to case, so two that differ only in case would be one column there.
            if (!names.Add(field.Name.ToUpperInvariant()))
                return Invalid($"schema.fields.{field.Name}", "Two fields have this name.", "有两个字段同名。");
        }
        foreach (var (role, name) in new[] { ("time", dataset.TimeField), ("place", dataset.PlaceField), ("subject", dataset.SubjectField) })
        {
            if (name is null)
                continue;
            var index = dataset.IndexOf(name);
            if (index < 0)
                return Invalid(role, $"The {role} field {name} is not among the fields.", $"{role} 所指的字段 {name} 不存在。");
            var type = dataset.Fields[index].Type;
            var fits = role switch
            {
                "time" => type is FieldType.Date or FieldType.DateTime or FieldType.Year or FieldType.YearMonth,
                "place" => type == FieldType.Place,
                _ => type == FieldType.String,
            };
            if (!fits)
                return Invalid(role, $"The {role} field {name} has a type that cannot serve as {role}.", $"字段 {name} 的类型不能用作 {role}。");
        }
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, crs) in dataset.Points.SelectMany(p => new[] { (p.Lon, p.Crs), (p.Lat, p.Crs) }))
        {
            var field = dataset.IndexOf(name) is >= 0 and var i ? dataset.Fields[i] : null;
            if (field is null || field.Type is not (FieldType.Double or FieldType.Decimal) || !used.Add(name))
                return Invalid("schema.points", $"A point's field is a number among the fields and belongs to one point; {name} is not.", $"坐标点的字段须为字段列表中的数字，且只属于一个坐标点；{name} 不是。");
            if (crs is CoordinateSystem.Gcj02 or CoordinateSystem.Bd09 && field is { Type: FieldType.Decimal, Scale: < PointScaleMin })
                return Invalid("schema.points", $"The field {name} needs a scale of at least {PointScaleMin}: its coordinates are converted, and fewer digits would move them by metres.", $"字段 {name} 的小数位数至少为 {PointScaleMin}：其坐标需要换算，位数过少会产生数米偏差。");
        }
        foreach (var key in dataset.PrimaryKey)
        {
            if (dataset.IndexOf(key) < 0)
                return Invalid("schema.primaryKey", $"The key field {key} is not among the fields.", $"主键字段 {key} 不存在。");
        }
        return null;
    }

    private static Problem Invalid(string path, string message, string chinese) => Problem.Invalid("dataset.invalid", message, chinese) with
    {
        Extensions = new Dictionary<string, object?> { ["path"] = path },
    };

    private static string? Text(JsonElement json, string name)
    {
        if (!json.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null)
            return null;
        return value.ValueKind == JsonValueKind.String ? value.GetString() : throw new Refusal(name, "This must be text.", "此处须为文本。");
    }

    private static List<string>? Texts(JsonElement json, string name)
    {
        if (!json.TryGetProperty(name, out var value) || value.ValueKind != JsonValueKind.Array)
            return null;
        return [.. value.EnumerateArray().Select(v => v.ValueKind == JsonValueKind.String ? v.GetString()! : throw new Refusal(name, "This must be a list of texts.", "此处须为文本列表。"))];
    }

    /// <summary>An ISO 8601 duration of days and smaller units: months and years have no length of their own.</summary>
    private static TimeSpan? ExpectedEvery(JsonElement json)
    {
        if (Text(json, "expectedEvery") is not { } text)
            return null;
        if (DurationPattern().IsMatch(text))
        {
            try
            {
                var every = System.Xml.XmlConvert.ToTimeSpan(text);
                if (every >= TimeSpan.FromMinutes(1) && every <= TimeSpan.FromDays(366))
                    return every;
            }
            catch (Exception e) when (e is FormatException or OverflowException)
            {
                // Said below.
            }
        }
        throw new Refusal("expectedEvery", "This is an ISO 8601 duration in days, hours and minutes, such as P1D or PT6H, from one minute to 366 days.", "此处须为 ISO 8601 时长（天、小时、分钟），如 P1D、PT6H，从 1 分钟至 366 天。");
    }

    [GeneratedRegex("^P([0-9]{1,4}D)?(T([0-9]{1,6}H)?([0-9]{1,8}M)?([0-9]{1,9}S)?)?$")]
    private static partial Regex DurationPattern();

    private static bool Boolean(JsonElement json, string path) => json.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw new Refusal(path, "This must be true or false.", "此处须为 true 或 false。"),
    };

    private static T Choice<T>(JsonElement json, string name, T otherwise, params (string Name, T Value)[] choices)
    {
        if (Text(json, name) is not { } text)
            return otherwise;
        foreach (var (choice, value) in choices)
        {
            if (choice == text)
                return value;
        }
        throw new Refusal(name, $"This must be one of {string.Join(", ", choices.Select(c => c.Name))}.", $"此处须为以下之一：{string.Join("、", choices.Select(c => c.Name))}。");
    }

    private static Dictionary<string, string> Localised(JsonElement json, string name)
    {
        if (!json.TryGetProperty(name, out var value))
            return [];
        return value.ValueKind switch
        {
            JsonValueKind.String => new() { ["zh-CN"] = Limited(value.GetString()!, name) },
            JsonValueKind.Object => value.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.String).Take(16)
                .ToDictionary(p => p.Name, p => Limited(p.Value.GetString()!, name)),
            JsonValueKind.Null => [],
            _ => throw new Refusal(name, "This must be text, or text by language.", "此处须为文本，或按语言给出的文本。"),
        };
    }

    private static string Limited(string text, string name) =>
        text.Length <= 4_000 ? text : throw new Refusal(name, "This text is longer than 4,000 characters.", "此文本超过 4,000 个字符。");

    internal static JsonObject Localised(IReadOnlyDictionary<string, string> texts) =>
        new(texts.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => KeyValuePair.Create<string, JsonNode?>(t.Key, t.Value)));

    [GeneratedRegex("^[a-z][a-z0-9-]{0,63}$")]
    private static partial Regex IdPattern();

    private sealed class Refusal(string path, string message, string chinese) : Exception(message)
    {
        public string Path { get; } = path;
        public string Chinese { get; } = chinese;
    }
}

/// <summary>Exact decimals as text.</summary>
public static class DecimalText
{
    /// <summary>Value ÷ 10^scale, exactly: System.Decimal holds any 64-bit integer at any scale up to 12.</summary>
    public static decimal Exact(long value, int scale)
    {
        var magnitude = value < 0 ? unchecked((ulong)-value) : (ulong)value;
        return new decimal(unchecked((int)magnitude), unchecked((int)(magnitude >> 32)), 0, value < 0, (byte)scale);
    }
}
