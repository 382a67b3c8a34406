using System.Globalization;
using System.Numerics;
using Gongzhi.Core.Catalog;

namespace Gongzhi.Node.Pages;

/// <summary>A field's type and limits as a reader says them.</summary>
internal static class FieldWords
{
    /// <summary>Codes of a list that are written out; the rest is in the definition.</summary>
    public const int CodesShown = 15;

    public static string Type(Field field) => PageText.Of("Type." + field.Type);

    public static IEnumerable<string> Limits(Field field)
    {
        var limits = field.Constraints;
        if (limits.Required)
            yield return PageText.Of("Limit.Required");
        if (limits.Unique)
            yield return PageText.Of("Limit.Unique");
        foreach (var bound in Bounds(field))
            yield return bound;
        if (limits.Pattern is not null && field.Type != FieldType.Place)
            yield return PageText.Of("Limit.Pattern");
        if (field.ElementType is { } check)
            yield return PageText.Find("Limit." + check) ?? check;
    }

    /// <summary>Least and most, of the value or of its length.</summary>
    public static IEnumerable<string> Bounds(Field field)
    {
        var limits = field.Constraints;
        if (limits.MinimumInt64 is { } least && Number(field, least) is { } from)
            yield return PageText.Of("Limit.Min", from);
        if (limits.MaximumInt64 is { } most && Number(field, most) is { } to)
            yield return PageText.Of("Limit.Max", to);
        if (limits.MinimumDouble is { } low)
            yield return PageText.Of("Limit.Min", low);
        if (limits.MaximumDouble is { } high)
            yield return PageText.Of("Limit.Max", high);
        if (limits.MinLength is { } shortest)
            yield return PageText.Of("Limit.MinLength", shortest);
        if (limits.MaxLength is { } longest)
            yield return PageText.Of("Limit.MaxLength", longest);
    }

    /// <summary>A limit as a reader writes it; null for types whose integers say nothing to a reader.</summary>
    private static string? Number(Field field, long value) => field.Type switch
    {
        FieldType.Year => value.ToString(CultureInfo.CurrentCulture),
        FieldType.Integer => value.ToString("N0", CultureInfo.CurrentCulture),
        FieldType.Decimal => ((decimal)value / (decimal)BigInteger.Pow(10, field.Scale)).ToString("#,0.############", CultureInfo.CurrentCulture),
        FieldType.Date => value is > -700_000 and < 2_900_000 ? DateOnly.FromDateTime(DateTime.UnixEpoch).AddDays((int)value).ToString("d", CultureInfo.CurrentCulture) : null,
        _ => null,
    };
}
