using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Storage;

namespace Gongzhi.Core.Policy;

/// <summary>One thing wrong in a request, where, and why in both languages.</summary>
public sealed record RequestError(string Path, string Code, string Message, string MessageZh);

/// <summary>The body of <c>POST /api/v1/grants</c>, read and checked against the dataset. Everything wrong is told at once.</summary>
internal sealed partial class GrantRequest
{
    public const int PurposesMax = 16;

    /// <summary>A grant without an end ends after a year; none lasts longer than ten.</summary>
    private const int ValidityDefaultDays = 365, ValidityMaxDays = 3_653;

    private readonly List<RequestError> _errors = [];

    public GrantAction Action;
    public string? Unit, Role, Party, PlaceWithin;
    public List<string> Purposes = [];
    public JsonElement Fields;
    public int MinimumGroup;
    public long? TimeFrom, TimeTo;
    public JsonElement? Filter;
    public PostureLevel? Posture;
    public DateTimeOffset ValidFrom, ValidUntil;

    public IReadOnlyList<RequestError> Errors => _errors;

    public static GrantRequest Parse(JsonElement body, Dataset dataset, PartyDirectory directory, Func<string, bool> placeKnown, DateTimeOffset now)
    {
        var request = new GrantRequest { ValidFrom = now, ValidUntil = now.AddDays(ValidityDefaultDays) };
        var seen = new HashSet<string>();
        // First, since what else may stand there depends on it.
        if (body.TryGetProperty("action", out var action))
            request.ReadAction(action);
        foreach (var member in body.EnumerateObject())
        {
            if (request.Action == GrantAction.Contribute && member.Name is "purposes" or "fields" or "rows" or "posture" or "minimumGroup")
            {
                request.Wrong(member.Name, "unfit", "It belongs to a grant to read; a grant to contribute has none.", "此项仅用于查询授权；报送授权不含此项。");
                continue;
            }
            if (!seen.Add(member.Name))
                request.Wrong(member.Name, "twice", "It stands twice.", "重复出现。");
            var value = member.Value;
            switch (member.Name)
            {
                case "dataset" or "action": break;
                case "grantee": request.ReadGrantee(value, dataset, directory); break;
                case "purposes": request.ReadPurposes(value); break;
                case "fields": request.ReadFields(value, dataset); break;
                case "rows": request.ReadRows(value, dataset, placeKnown); break;
                case "posture" when value.ValueKind == JsonValueKind.Null: break;
                case "posture": request.ReadPosture(value, dataset); break;
                case "validFrom" when value.ValueKind == JsonValueKind.Null: break;
                case "validFrom": request.ValidFrom = request.Moment("validFrom", value, dataset) ?? now; break;
                case "validUntil" when value.ValueKind == JsonValueKind.Null: break;
                case "validUntil": request.ValidUntil = request.Moment("validUntil", value, dataset) ?? DateTimeOffset.MaxValue; break;
                case "minimumGroup" when value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var k) && k is >= 0 and <= TransformJson.GroupMax:
                    request.MinimumGroup = Math.Max(request.MinimumGroup, k);
                    break;
                default: request.Wrong(Clip(member.Name), "unknown", "It is unknown or of the wrong kind.", "名称未知或类型不符。"); break;
            }
        }
        foreach (var needed in request.Action == GrantAction.Contribute ? ["grantee"] : (string[])["grantee", "purposes", "fields"])
        {
            if (!seen.Contains(needed))
                request.Wrong(needed, "required", "It is required.", "此项必填。");
        }
        if (request._errors.Count == 0 && (request.ValidUntil <= now || request.ValidUntil <= request.ValidFrom || request.ValidUntil > now.AddDays(ValidityMaxDays)))
            request.Wrong("validUntil", "range", "It must lie in the future, after validFrom and within ten years.", "须晚于当前时间与生效时间，且不超过十年。");
        return request;
    }

    private void ReadAction(JsonElement value)
    {
        switch (String(value))
        {
            case "read": break;
            case "contribute": Action = GrantAction.Contribute; break;
            default: Wrong("action", "unknown", "It is read or contribute.", "应为 read 或 contribute。"); break;
        }
    }

    private void ReadGrantee(JsonElement value, Dataset dataset, PartyDirectory directory)
    {
        if (value.ValueKind != JsonValueKind.Object || !value.EnumerateObject().Any())
        {
            Wrong("grantee", "type", "It is an object with a unit, a role, a party, or several of them.", "应为含 unit、role 或 party 的对象。");
            return;
        }
        foreach (var member in value.EnumerateObject())
        {
            var text = String(member.Value);
            switch (member.Name)
            {
                case "unit" when text is not null && directory.Unit(text) is not null: Unit = text; break;
                case "role" when text is not null && Separation.IsWork(text): Role = text; break;
                case "party" when text is not null && directory.Party(text) is not null: Party = text; break;
                case "role": Wrong("grantee.role", "administrator", "It is not a role that works with data; administrators never do.", "该角色不可处理业务数据；管理员角色一律不可。"); break;
                default: Wrong("grantee." + Clip(member.Name), "unknown", "Nobody of this id is known.", "未找到该对象。"); break;
            }
        }
        // Sharing is about what goes out; data may come in from others all the same.
        if (Action == GrantAction.Read && dataset.Sharing == SharingMode.None && Unit != dataset.Owner)
            Wrong("grantee", "sharing", "The dataset is not shared with other units.", "该数据集不予共享。");
    }

    private void ReadPurposes(JsonElement value)
    {
        if (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() is > 0 and <= PurposesMax)
            Purposes = [.. value.EnumerateArray().Select(String).OfType<string>().Where(p => Purpose().IsMatch(p)).Distinct(StringComparer.Ordinal)];
        if (value.ValueKind != JsonValueKind.Array || Purposes.Count == 0 || Purposes.Count != value.GetArrayLength())
            Wrong("purposes", "form", "It is a list of 1 to 16 different purposes: lower-case letters, digits, hyphens.", "应为 1 至 16 个互不相同的用途（小写字母、数字、连字符）。");
    }

    private void ReadFields(JsonElement value, Dataset dataset)
    {
        if (value.ValueKind != JsonValueKind.Object || !value.EnumerateObject().Any())
        {
            Wrong("fields", "type", "It is an object from field to transform, with at least one.", "应为字段到变换的对象，且至少一项。");
            return;
        }
        var seen = new HashSet<string>();
        foreach (var member in value.EnumerateObject())
        {
            var path = "fields." + Clip(member.Name);
            var index = dataset.IndexOf(member.Name);
            var transform = TransformJson.Read(member.Value);
            if (index < 0)
                Wrong(path, "unknown", "The dataset has no such field.", "数据集没有此字段。");
            else if (!seen.Add(member.Name))
                Wrong(path, "twice", "It stands twice.", "重复出现。");
            else if (transform is null)
                Wrong(path, "transform", "It is not a known transform.", "变换未知。");
            else if (!TransformJson.Fits(transform, dataset.Fields[index]))
                Wrong(path, "unfit", $"The transform does not fit a field of type {dataset.Fields[index].Type}.", $"该变换不适用于 {dataset.Fields[index].Type} 类型的字段。");
            else if (transform.Kind == TransformKind.AggregateOnly)
                MinimumGroup = Math.Max(MinimumGroup, int.Parse(transform.Argument!, CultureInfo.InvariantCulture));
        }
        Fields = value.Clone();
    }

    private void ReadRows(JsonElement value, Dataset dataset, Func<string, bool> placeKnown)
    {
        if (value.ValueKind == JsonValueKind.Null)
            return;
        if (value.ValueKind != JsonValueKind.Object)
        {
            Wrong("rows", "type", "It is an object or null.", "应为对象或 null。");
            return;
        }
        foreach (var member in value.EnumerateObject())
        {
            if (member.Value.ValueKind == JsonValueKind.Null && member.Name is "placeWithin" or "timeFrom" or "timeTo" or "filter")
                continue;
            switch (member.Name)
            {
                case "placeWithin" when dataset.PlaceField is null:
                    Wrong("rows.placeWithin", "place", "The dataset has no place.", "数据集没有地点字段。");
                    break;
                case "placeWithin" when String(member.Value) is { Length: > 0 and <= 32 } place && placeKnown(place): PlaceWithin = place; break;
                case "placeWithin": Wrong("rows.placeWithin", "unknown", "The place is unknown.", "未知的行政区划代码。"); break;
                case "timeFrom": TimeFrom = Moment("rows.timeFrom", member.Value, dataset) is { } from ? Microseconds.From(from) : null; break;
                case "timeTo": TimeTo = Moment("rows.timeTo", member.Value, dataset) is { } to ? Microseconds.From(to) : null; break;
                case "filter":
                    var filter = FilterJson.Parse(member.Value);
                    if ((filter.Ok ? FilterJson.Check(filter.Value, dataset) : filter.Problem.Detail) is { } wrong)
                        Wrong("rows.filter", "filter", wrong, "行筛选条件无效：" + wrong);
                    else
                        Filter = member.Value.Clone();
                    break;
                default: Wrong("rows." + Clip(member.Name), "unknown", "It is unknown.", "名称未知。"); break;
            }
        }
        if (TimeFrom >= TimeTo)
            Wrong("rows.timeTo", "range", "It must lie after timeFrom.", "须晚于 timeFrom。");
    }

    private void ReadPosture(JsonElement value, Dataset dataset)
    {
        Posture = Postures.Parse(String(value));
        if (Posture is null or PostureLevel.Ordinary)
            Wrong("posture", "unknown", "It is watch or emergency-IV to emergency-I, or null.", "应为 watch、emergency-IV 至 emergency-I，或 null。");
        else if (dataset.PlaceField is null)
            Wrong("posture", "place", "A posture is the state of an area, and the dataset has no place.", "态势以区域为单位，而数据集没有地点字段。");
    }

    /// <summary>A day (its first moment in the dataset's zone), or a moment with its offset from UTC.</summary>
    private DateTimeOffset? Moment(string path, JsonElement value, Dataset dataset)
    {
        var text = String(value) ?? "";
        if (DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out var day) && day.Year is >= 1900 and <= 2100)
        {
            var start = day.ToDateTime(TimeOnly.MinValue);
            return new DateTimeOffset(start, TimeZoneInfo.FindSystemTimeZoneById(dataset.TimeZone).GetUtcOffset(start));
        }
        if (WithOffset().IsMatch(text) && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.None, out var time) && time.Year is >= 1900 and <= 2100)
            return time.ToUniversalTime();
        Wrong(path, "time", "It is neither a day nor a moment with its offset (2026-01-31, 2026-01-31T08:00:00Z).", "应为日期，或带时区偏移的时刻。");
        return null;
    }

    private void Wrong(string path, string code, string message, string messageZh)
    {
        // A hostile body could hold thousands of wrong fields; the first hundred say enough.
        if (_errors.Count < 100)
            _errors.Add(new(path, code, message, messageZh));
    }

    private static string Clip(string name) => name.Length <= 64 ? name : name[..64];

    internal static string? String(JsonElement value)
    {
        try
        {
            return value.ValueKind == JsonValueKind.String ? value.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    [GeneratedRegex(@"^[a-z][a-z0-9-]{0,63}\z", RegexOptions.CultureInvariant)]
    internal static partial Regex Purpose();

    [GeneratedRegex(@"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})\z", RegexOptions.CultureInvariant)]
    private static partial Regex WithOffset();
}
