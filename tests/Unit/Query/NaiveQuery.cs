using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gongzhi.Core.Policy;

namespace Gongzhi.Tests.Unit.Query;

/// <summary>What a query should answer, worked out one row at a time without SQL. Shares no code with the compiler.</summary>
internal static class NaiveQuery
{
    public static object? Raw(Person p, string field) => field switch
    {
        "name" => p.Name, "phone" => p.Phone, "place" => p.Place, "day" => p.Day, "at" => p.At, "amount" => p.Amount, "n" => p.N, "x" => p.X, "ok" => p.Ok,
        _ => p.Month is { } m ? $"{m / 12:D4}-{(m % 12) + 1:D2}" : null,
    };

    public static object? Seen(Person p, string field, FieldTransform how)
    {
        var raw = Raw(p, field);
        if (raw is null)
            return null;
        switch (how.Kind, how.Argument)
        {
            case (TransformKind.Mask, "phone"):
                var phone = (string)raw;
                return phone.Length >= 11 ? phone[..3] + "****" + phone[^4..] : "***";
            case (TransformKind.Mask, _):
                return "***";
            case (TransformKind.Pseudonym, _):
                return Pseudonym(raw is DateOnly d ? d.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture) : Convert.ToString(raw, CultureInfo.InvariantCulture)!);
            case (TransformKind.Generalise, _) when raw is DateOnly day:
                return how.Argument == "year" ? new DateOnly(day.Year, 1, 1) : new DateOnly(day.Year, day.Month, 1);
            case (TransformKind.Generalise, _) when raw is string place:
                var digits = how.Argument == "county" ? 6 : 4;
                return place.Length > digits ? place[..digits] : place;
            case (TransformKind.Generalise, _) when raw is long n:
                var step = long.Parse(how.Argument!, CultureInfo.InvariantCulture);
                return (long)Math.Floor((double)n / step) * step;
            case (TransformKind.Generalise, _) when raw is decimal a:
                var part = decimal.Parse(how.Argument!, CultureInfo.InvariantCulture);
                return Math.Floor(a / part) * part;
            default:
                return raw;
        }
    }

    private static string Pseudonym(string value) =>
        Convert.ToHexStringLower(SHA256.HashData([.. QueryWorld.PseudonymKey, .. Encoding.UTF8.GetBytes(value)]))[..32];

    /// <summary>True, false or null for unknown.</summary>
    public static bool? Holds(JsonElement f, Func<string, object?> see)
    {
        if (f.TryGetProperty("and", out var list))
        {
            var parts = list.EnumerateArray().Select(e => Holds(e, see)).ToList();
            return parts.Contains(false) ? false : parts.Contains(null) ? null : true;
        }
        if (f.TryGetProperty("or", out list))
        {
            var parts = list.EnumerateArray().Select(e => Holds(e, see)).ToList();
            return parts.Contains(true) ? true : parts.Contains(null) ? null : false;
        }
        if (f.TryGetProperty("not", out var inner))
            return !Holds(inner, see);
        var value = see(f.GetProperty("field").GetString()!);
        var op = f.GetProperty("op").GetString()!;
        if (op == "isNull")
            return value is null;
        if (value is null)
            return null;
        var other = f.GetProperty("value");
        return op switch
        {
            "in" => other.EnumerateArray().Any(e => Order(value, e) == 0),
            "within" or "startsWith" => ((string)value).StartsWith(other.GetString()!, StringComparison.Ordinal),
            "contains" => ((string)value).Contains(other.GetString()!, StringComparison.Ordinal),
            "eq" => Order(value, other) == 0,
            "ne" => Order(value, other) != 0,
            "lt" => Order(value, other) < 0,
            "le" => Order(value, other) <= 0,
            "gt" => Order(value, other) > 0,
            _ => Order(value, other) >= 0,
        };
    }

    private static int Order(object value, JsonElement other) => value switch
    {
        string s => Encoding.UTF8.GetBytes(s).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(other.GetString()!)),
        long n => n.CompareTo(other.GetInt64()),
        decimal a => a.CompareTo(other.GetDecimal()),
        double x => x.CompareTo(other.GetDouble()),
        bool b => b.CompareTo(other.GetBoolean()),
        DateOnly d => d.CompareTo(DateOnly.ParseExact(other.GetString()!, "yyyy-MM-dd", CultureInfo.InvariantCulture)),
        DateTime t => t.CompareTo(other.GetDateTimeOffset().UtcDateTime),
        _ => throw new InvalidOperationException(),
    };

    public static string Json(object? value) => value switch
    {
        null => "null",
        string s => JsonSerializer.Serialize(s, Relaxed),
        decimal a => a.ToString("0.00", CultureInfo.InvariantCulture),
        bool b => b ? "true" : "false",
        double x => x.ToString("R", CultureInfo.InvariantCulture),
        DateOnly d => $"\"{d:yyyy-MM-dd}\"",
        DateTime t => $"\"{t:yyyy-MM-ddTHH:mm:ss}{(t.Ticks % 10_000_000 == 0 ? "" : t.ToString(".ffffff", CultureInfo.InvariantCulture))}Z\"",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
