using System.Text.Json;

namespace Gongzhi.Capabilities.Exchange;

// What bodies look like that are read as JSON, member by member, so that each wrong one gets a sentence of its own. These say it to generated clients;
// docs/contracts/http.md says it to people.

/// <summary>A dataset's definition: Frictionless Table Schema with our extensions. Only the schema's fields are required.</summary>
/// <param name="Title">Text, or texts by language.</param>
/// <param name="Description">Text, or texts by language.</param>
/// <param name="Owner">A unit; by default the caller's first.</param>
/// <param name="Class">general, important or core.</param>
/// <param name="Sharing">Between units: none, conditional or unconditional.</param>
/// <param name="Opening">To the public: closed, on-request or open.</param>
/// <param name="Time">The field that is the event time.</param>
/// <param name="Place">The field that is the place.</param>
/// <param name="Subject">The field that names whom the record is about.</param>
/// <param name="TimeZone">An IANA name, for times without an offset.</param>
internal sealed record DatasetDefinition(
    TableSchema Schema, JsonElement? Title = null, JsonElement? Description = null, string? Owner = null, string? Class = null, bool? Personal = null, string? Sharing = null,
    string? Opening = null, string? Time = null, string? Place = null, string? Subject = null, string? TimeZone = null);

internal sealed record TableSchema(IReadOnlyList<FieldDefinition> Fields, IReadOnlyList<string>? PrimaryKey = null, IReadOnlyList<string>? MissingValues = null);

/// <param name="Type">string, integer, number, boolean, date, datetime, time, year, yearmonth or place.</param>
/// <param name="Element">An element's id.</param>
/// <param name="ElementType">identity-number or unified-credit-code: a check of the value.</param>
/// <param name="Scale">Digits after the point, 0 to 12; numbers only.</param>
internal sealed record FieldDefinition(
    string Name, string? Type = null, JsonElement? Title = null, JsonElement? Description = null, string? Element = null, string? ElementType = null, int? Scale = null,
    FieldLimits? Constraints = null);

internal sealed record FieldLimits(
    bool? Required = null, bool? Unique = null, JsonElement? Minimum = null, JsonElement? Maximum = null, int? MinLength = null, int? MaxLength = null, string? Pattern = null,
    IReadOnlyList<JsonElement>? Enum = null);

/// <summary>A dataset as it is shown.</summary>
/// <param name="Records">How many there are.</param>
internal sealed record DatasetAnswer(
    string Id, int Version, IReadOnlyDictionary<string, string> Title, IReadOnlyDictionary<string, string> Description, string Owner, string Class, bool Personal, string Sharing,
    string Opening, string? Time, string? Place, string? Subject, string TimeZone, TableSchema Schema, long Records);

internal sealed record DatasetList(IReadOnlyList<DatasetAnswer> Datasets, string? Next);

/// <summary>Who may read what, for which purposes, how fine, or who may contribute (docs/guide/permissions.md).</summary>
/// <param name="Action">read (default) or contribute.</param>
/// <param name="Fields">By field: "plain", "mask", "pseudonym", {"mask":…}, {"generalise":…} or {"aggregate":{"k":…}}.</param>
internal sealed record GrantBody(
    string Dataset, GranteeBody Grantee, string? Action = null, IReadOnlyList<string>? Purposes = null, IReadOnlyDictionary<string, JsonElement>? Fields = null, GrantRows? Rows = null,
    string? Posture = null, DateTimeOffset? ValidFrom = null, DateTimeOffset? ValidUntil = null, int? MinimumGroup = null);

internal sealed record GranteeBody(string? Unit = null, string? Role = null, string? Party = null);

internal sealed record GrantRows(string? PlaceWithin = null, string? TimeFrom = null, string? TimeTo = null, JsonElement? Filter = null);

/// <summary>A question (docs/guide/query.md).</summary>
/// <param name="Filter">{"field","op","value"}, or {"and":[…]}, {"or":[…]}, {"not":…}.</param>
internal sealed record QueryBody(
    string Dataset, string Purpose, string? Grant = null, IReadOnlyList<string>? Fields = null, JsonElement? Filter = null, IReadOnlyList<JsonElement>? GroupBy = null,
    IReadOnlyList<MeasureBody>? Measures = null, IReadOnlyList<OrderBody>? OrderBy = null, int? Limit = null, string? Cursor = null);

/// <param name="Function">count, sum, avg, min, max or distinct; only count may lack a field.</param>
internal sealed record MeasureBody(string Function, string? Name = null, string? Field = null);

internal sealed record OrderBody(string Field, bool? Desc = null);

/// <param name="Rows">Values in the order of the columns.</param>
/// <param name="Next">The cursor of the next page.</param>
internal sealed record QueryAnswer(
    IReadOnlyList<QueryColumn> Columns, IReadOnlyList<IReadOnlyList<JsonElement>> Rows, string? Next, Guid Access, string Grant);

internal sealed record QueryColumn(string Name, string Type);
