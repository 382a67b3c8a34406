using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Catalog;

/// <summary>Classification of data after GB/T 43697.</summary>
public enum DataClass { General, Important, Core }

/// <summary>Sharing between units (共享).</summary>
public enum SharingMode { None, Conditional, Unconditional }

/// <summary>Opening to the public (开放): a separate attribute from sharing.</summary>
public enum OpeningMode { Closed, OnRequest, Open }

/// <summary>The types a field may have. Each has one canonical value, see docs/contracts/canonical.md.</summary>
public enum FieldType
{
    /// <summary>Text as it came; no normalisation.</summary>
    String,

    /// <summary>A 64-bit signed integer.</summary>
    Integer,

    /// <summary>An exact decimal: a 64-bit integer at the field's scale.</summary>
    Decimal,

    /// <summary>An IEEE 754 double; only values that a double holds without loss are accepted.</summary>
    Double,

    /// <summary>True or false.</summary>
    Boolean,

    /// <summary>A calendar day: days since 1970-01-01.</summary>
    Date,

    /// <summary>A moment: microseconds since 1970-01-01T00:00:00Z.</summary>
    DateTime,

    /// <summary>A time of day: microseconds since midnight.</summary>
    Time,

    /// <summary>A year.</summary>
    Year,

    /// <summary>A month: year * 12 + month − 1.</summary>
    YearMonth,

    /// <summary>A division code in stripped form.</summary>
    Place,
}

/// <summary>How a type is held in columns and canonical bytes.</summary>
public enum FieldStorage { Text, Int64, Double, Boolean }

/// <summary>Limits that the values of a field must keep; null means no limit.</summary>
public sealed record FieldConstraints
{
    public bool Required { get; init; }
    public bool Unique { get; init; }

    /// <summary>In the field's canonical integer form (scaled, days, microseconds) for integer storage.</summary>
    public long? MinimumInt64 { get; init; }
    public long? MaximumInt64 { get; init; }
    public double? MinimumDouble { get; init; }
    public double? MaximumDouble { get; init; }

    /// <summary>In Unicode scalar values.</summary>
    public int? MinLength { get; init; }
    public int? MaxLength { get; init; }

    /// <summary>A regular expression that the whole text must match; compiled without backtracking.</summary>
    public string? Pattern { get; init; }

    /// <summary>Permitted texts, or null for any.</summary>
    public IReadOnlyList<string>? Enum { get; init; }
}

/// <summary>One field of a dataset: a column bound to an element.</summary>
public sealed record Field
{
    /// <summary>Unique in the dataset; case-sensitive; 1–64 characters, no control characters, not starting with an underscore.</summary>
    public required string Name { get; init; }
    public required FieldType Type { get; init; }

    /// <summary>Digits after the decimal point for <see cref="FieldType.Decimal"/>; 0–12.</summary>
    public int Scale { get; init; }

    /// <summary>Id of the element this field is bound to, or null.</summary>
    public string? Element { get; init; }

    /// <summary>A check beyond the type: <c>identity-number</c>, <c>unified-credit-code</c>, or null.</summary>
    public string? ElementType { get; init; }

    public IReadOnlyDictionary<string, string> Title { get; init; } = new Dictionary<string, string>();
    public IReadOnlyDictionary<string, string> Description { get; init; } = new Dictionary<string, string>();
    public FieldConstraints Constraints { get; init; } = new();

    public FieldStorage Storage => Type switch
    {
        FieldType.String or FieldType.Place => FieldStorage.Text,
        FieldType.Double => FieldStorage.Double,
        FieldType.Boolean => FieldStorage.Boolean,
        _ => FieldStorage.Int64,
    };
}

/// <summary>Two number fields that are one point on the ground, and the coordinate system in which they are contributed; kept in WGS-84.</summary>
/// <param name="Lon">Name of the field with the degrees east.</param>
/// <param name="Lat">Name of the field with the degrees north.</param>
public sealed record PointFields(string Lon, string Lat, CoordinateSystem Crs);

/// <summary>One version of a dataset's definition. Immutable; a change makes the next version.</summary>
public sealed record Dataset
{
    /// <summary>1–64 characters: a lower-case letter, then lower-case letters, digits, hyphens.</summary>
    public required string Id { get; init; }

    /// <summary>The schema version, from 1; part of every row's canonical bytes.</summary>
    public required int Version { get; init; }

    /// <summary>Stable small number used in file names and SQL on hot paths.</summary>
    public required long Number { get; init; }

    /// <summary>The owning unit's id.</summary>
    public required string Owner { get; init; }

    public IReadOnlyDictionary<string, string> Title { get; init; } = new Dictionary<string, string>();
    public IReadOnlyDictionary<string, string> Description { get; init; } = new Dictionary<string, string>();
    public DataClass Class { get; init; }
    public bool Personal { get; init; }
    public SharingMode Sharing { get; init; } = SharingMode.Conditional;
    public OpeningMode Opening { get; init; } = OpeningMode.Closed;

    /// <summary>Name of the field that gives the event time, or null: the event time is then the time of receipt.</summary>
    public string? TimeField { get; init; }

    /// <summary>Name of the field that gives the place, or null.</summary>
    public string? PlaceField { get; init; }

    /// <summary>Name of the field that names the subject (a party), or null.</summary>
    public string? SubjectField { get; init; }

    /// <summary>IANA id of the zone in which times without an offset are read.</summary>
    public string TimeZone { get; init; } = "Asia/Shanghai";

    /// <summary>How often news is to come at the latest, from a minute to 366 days; null: not said.</summary>
    public TimeSpan? ExpectedEvery { get; init; }

    public required IReadOnlyList<Field> Fields { get; init; }
    public IReadOnlyList<string> PrimaryKey { get; init; } = [];

    /// <summary>Fields that are points; each field belongs to one at most.</summary>
    public IReadOnlyList<PointFields> Points { get; init; } = [];

    /// <summary>Texts that stand for "no value".</summary>
    public IReadOnlyList<string> MissingValues { get; init; } = [""];

    /// <summary>Whether each row's commitment is salted: whenever the content must not be guessable from the public log.</summary>
    public bool Salted => Personal || Class != DataClass.General;

    public int IndexOf(string field)
    {
        for (var i = 0; i < Fields.Count; i++)
        {
            if (Fields[i].Name == field)
                return i;
        }
        return -1;
    }
}
