using System.Globalization;
using System.Text.Json;
using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Query;

/// <summary>Values a reader compares with, read by the type of the column they meet.</summary>
internal static class QueryValue
{
    /// <summary>SQL of the bound value, or null when the JSON does not fit the type.</summary>
    public static string? Bind(JsonElement json, FieldType type, int scale, SqlParameters parameters)
    {
        switch (type)
        {
            case FieldType.Boolean:
                return json.ValueKind is JsonValueKind.True or JsonValueKind.False ? Bind(json.GetBoolean() ? "true" : "false", type, scale, parameters) : null;
            case FieldType.Integer or FieldType.Year or FieldType.Decimal or FieldType.Double:
                var number = json.ValueKind switch
                {
                    JsonValueKind.Number => json.GetRawText(),
                    JsonValueKind.String => json.GetString()!, // exact decimals may come as text
                    _ => null,
                };
                return number is null ? null : Bind(number, type, scale, parameters);
            default:
                return json.ValueKind == JsonValueKind.String ? Bind(json.GetString()!, type, scale, parameters) : null;
        }
    }

    /// <summary>As above from text, as cursors hold it.</summary>
    public static string? Bind(string text, FieldType type, int scale, SqlParameters parameters)
    {
        var culture = CultureInfo.InvariantCulture;
        switch (type)
        {
            case FieldType.String or FieldType.Place:
                return $"CAST({parameters.Add(text)} AS VARCHAR)";
            case FieldType.Boolean:
                return text is "true" or "false" ? $"CAST({parameters.Add(text == "true")} AS BOOLEAN)" : null;
            case FieldType.Integer or FieldType.Year:
                return long.TryParse(text, NumberStyles.AllowLeadingSign, culture, out var whole) ? $"CAST({parameters.Add(whole)} AS BIGINT)" : null;
            case FieldType.YearMonth:
                return text.Length == 7 && DateOnly.TryParseExact(text + "-01", "yyyy-MM-dd", culture, DateTimeStyles.None, out var month)
                    ? $"CAST({parameters.Add((month.Year * 12L) + month.Month - 1)} AS BIGINT)" : null;
            case FieldType.Decimal:
                return text.Length <= 64 && decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, culture, out var exact)
                    && decimal.Round(exact, scale) == exact && Math.Abs(exact) < Limit(scale)
                    ? $"CAST({parameters.Add(exact.ToString(culture))} AS DECIMAL(18,{scale}))" : null;
            case FieldType.Double:
                return double.TryParse(text, NumberStyles.Float, culture, out var real) && double.IsFinite(real) ? $"CAST({parameters.Add(real)} AS DOUBLE)" : null;
            case FieldType.Date:
                return DateOnly.TryParseExact(text, "yyyy-MM-dd", culture, DateTimeStyles.None, out _) ? $"CAST({parameters.Add(text)} AS DATE)" : null;
            case FieldType.DateTime:
                return TryMoment(text, out var moment) ? Moment(moment, parameters) : null;
            case FieldType.Time:
                return TimeOnly.TryParseExact(text, ["HH:mm", "HH:mm:ss", "HH:mm:ss.FFFFFF"], culture, DateTimeStyles.None, out var time)
                    ? $"CAST({parameters.Add(time.ToString("HH:mm:ss.ffffff", culture))} AS TIME)" : null;
            default:
                return null;
        }
    }

    /// <summary>SQL of a moment given in microseconds UTC.</summary>
    public static string Moment(long micros, SqlParameters parameters) => $"make_timestamp(CAST({parameters.Add(micros)} AS BIGINT))";

    /// <summary>RFC 3339 with an offset, no finer than a microsecond: otherwise which moment is meant would be a guess.</summary>
    public static bool TryMoment(string text, out long micros)
    {
        micros = 0;
        string[] formats = ["yyyy-MM-dd'T'HH:mm:ss.FFFFFFK", "yyyy-MM-dd'T'HH:mmK"];
        if (!(text.EndsWith('Z') || (text.Length > 6 && text[^6] is '+' or '-' && text[^3] == ':'))
            || !DateTimeOffset.TryParseExact(text, formats, CultureInfo.InvariantCulture, DateTimeStyles.None, out var moment))
        {
            return false;
        }
        micros = (moment.UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
        return true;
    }

    private static decimal Limit(int scale)
    {
        var limit = 1m;
        for (var i = 0; i < 18 - scale; i++)
            limit *= 10;
        return limit;
    }
}
