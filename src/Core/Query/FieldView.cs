using System.Globalization;
using System.Security.Cryptography;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Query;

/// <summary>A field as one permit lets it be seen.</summary>
/// <param name="Field">The dataset's field, or one made up for <c>_time</c>, <c>_place</c>, <c>_id</c>.</param>
/// <param name="Kind">The grant's transform.</param>
/// <param name="Alias">Column of the inner view: already transformed, save that a pseudonym's column is still raw (see <see cref="Shown"/>).</param>
/// <param name="Type">Type after the transform.</param>
/// <param name="Source">SQL of the alias over raw columns.</param>
/// <param name="Disguise">Makes the pseudonym's SQL, when it is needed: a parameter bound and then not used would upset the numbering.</param>
internal sealed record FieldView(Field Field, TransformKind Kind, string Alias, FieldType Type, string Source, Func<string>? Disguise = null)
{
    /// <summary>SQL over the alias that may be shown, filtered and sorted.</summary>
    public string Shown => Disguise is null ? Alias : Disguise();

    public int Scale => Type == FieldType.Decimal ? Field.Scale : 0;
}

/// <summary>The SQL of each transform. Every expression is total: no row can make it fail, or failure would tell of hidden rows.</summary>
internal static class Transforms
{
    private static readonly string[] PlaceLevels = ["province", "prefecture", "county", "street", "community"];

    /// <summary>Digits of a division code that name each level (GB/T 2260 and the 12-digit statistical code).</summary>
    private static readonly int[] PlaceDigits = [2, 4, 6, 9, 12];

    /// <summary>Hex digits kept of a pseudonym: 128 bits.</summary>
    public const int PseudonymDigits = 32;

    /// <summary>
    /// SQL of the unit over a date, moment or place, and its type; null when the unit does not fit the type. A moment's year, quarter, month and day are
    /// those of the dataset's zone, and dates.
    /// </summary>
    /// <param name="groups">Which codes of a level belong to another group than their digits say.</param>
    public static (string Sql, FieldType Type)? Unit(string sql, FieldType type, string unit, string zone, Func<PlaceLevel, PlaceGroups> groups)
    {
        if (unit is "year" or "quarter" or "month" or "day" && (type is FieldType.Date or FieldType.DateTime))
            return ($"CAST(date_trunc('{unit}', {(type == FieldType.Date ? sql : ZoneSql.Of(zone).Local(sql))}) AS DATE)", FieldType.Date);
        if (type == FieldType.DateTime && unit == "hour")
        {
            var clock = ZoneSql.Of(zone);
            return ($"make_timestamp(epoch_us(date_trunc('hour', {clock.Local(sql)})) - {clock.Offset(sql)})", FieldType.DateTime);
        }
        var level = Array.IndexOf(PlaceLevels, unit);
        return type == FieldType.Place && level >= 0 ? (Group(sql, PlaceDigits[level], groups(PlaceLevel.Province + level)), type) : null;
    }

    /// <summary>
    /// The first digits, but for codes that belong elsewhere today. One lookup tells whether a code is concerned at all, so that the others cost no
    /// more than that however many exceptions there are. Codes are digits alone, so they stand in the text.
    /// </summary>
    private static string Group(string sql, int digits, PlaceGroups groups)
    {
        var regular = $"left({sql}, {digits})";
        if (groups.Prefixes.Count == 0 && groups.Whole.Count == 0)
            return regular;
        var concerned = groups.Prefixes.Select(p => p.Code.ToString()[..digits]).Concat(groups.Whole.Select(w => w.Code.ToString())).Distinct(StringComparer.Ordinal);
        var cases = groups.Prefixes.Select(p => $"WHEN starts_with({sql}, '{p.Code}') THEN '{p.Group}'").Concat(groups.Whole.Select(w => $"WHEN {sql} = '{w.Code}' THEN '{w.Group}'"));
        return $"CASE WHEN {regular} IN ({string.Join(", ", concerned.Select(c => $"'{c}'"))}) THEN CASE {string.Join(' ', cases)} ELSE {regular} END ELSE {regular} END";
    }

    /// <summary>SQL of the generalisation; null when the grant's argument does not fit, which refuses the query.</summary>
    public static string? Generalise(string sql, Field field, string? argument, string zone, SqlParameters parameters)
    {
        // By the digits alone, whatever became of the place: what a grant hides must not move with a reform.
        if (field.Type == FieldType.Place)
            return PlaceDigits.Where((d, i) => argument == d.ToString(CultureInfo.InvariantCulture) || argument == PlaceLevels[i]).FirstOrDefault() is var digits and > 0 ? $"left({sql}, {digits})" : null;
        if (field.Type is FieldType.Date or FieldType.DateTime)
            return argument is null ? null : Unit(sql, field.Type, argument, zone, static _ => PlaceGroups.None)?.Sql;
        if (field.Type == FieldType.YearMonth)
            return argument == "year" ? $"({sql} - {sql} % 12)" : null;
        if (argument is null || !decimal.TryParse(argument, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var step) || step <= 0)
            return null;
        // Widened first, so that a value near the end of its range cannot overflow; one that leaves the range becomes null.
        switch (field.Type)
        {
            case FieldType.Integer or FieldType.Year when decimal.Truncate(step) == step && step <= long.MaxValue:
                var whole = $"CAST({parameters.Add((long)step)} AS HUGEINT)";
                return $"TRY_CAST(CAST({sql} AS HUGEINT) - ((CAST({sql} AS HUGEINT) % {whole}) + {whole}) % {whole} AS BIGINT)";
            case FieldType.Decimal when decimal.Round(step, field.Scale) == step && step < 100_000:
                var type = $"DECIMAL(38,{field.Scale})";
                var exact = $"CAST({parameters.Add(step.ToString(CultureInfo.InvariantCulture))} AS {type})";
                return $"TRY_CAST(CAST({sql} AS {type}) - ((CAST({sql} AS {type}) % {exact}) + {exact}) % {exact} AS DECIMAL(18,{field.Scale}))";
            case FieldType.Double:
                var real = $"CAST({parameters.Add((double)step)} AS DOUBLE)";
                return $"floor({sql} / {real}) * {real}";
            default:
                return null;
        }
    }

    /// <summary>SQL of a mask. A name that is not known hides everything.</summary>
    public static string Mask(string sql, Field field, string? name)
    {
        var text = field.Storage == FieldStorage.Text ? sql : $"CAST({sql} AS VARCHAR)";
        return name switch
        {
            "name" => $"{TransformFunctions.MaskName}({text})",
            "phone" => $"{TransformFunctions.MaskPhone}({text})",
            "identity-number" => $"{TransformFunctions.MaskIdentityNumber}({text})",
            "card" => $"{TransformFunctions.MaskCard}({text})",
            _ => $"CASE WHEN {sql} IS NOT NULL THEN '***' END",
        };
    }

    /// <summary>SQL of an order of rows that is the grant's own: as good as random, and the same at each reading. Its key is made from the grant's, so that it is no pseudonym of anything.</summary>
    public static string Tie(ReadOnlyMemory<byte> key, SqlParameters parameters) =>
        $"{TransformFunctions.Order}(CAST({parameters.Add(HMACSHA256.HashData(key.Span, "gongzhi/order"u8))} AS BLOB), _batch, _ordinal)";

    /// <summary>
    /// SQL of the keyed pseudonym as docs/guide/permissions.md defines it and <see cref="Privacy.Pseudonym"/> makes it: the key has one
    /// length and half of the digest is withheld, so that no pseudonym can be extended into another's.
    /// </summary>
    public static string Pseudonym(string sql, ReadOnlyMemory<byte> key, SqlParameters parameters) =>
        $"{TransformFunctions.Pseudonym}(CAST({parameters.Add(key.ToArray())} AS BLOB), CAST({sql} AS VARCHAR))";
}
