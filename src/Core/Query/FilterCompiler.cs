using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Query;

/// <summary>
/// A condition as SQL. Conditions on an absent value are unknown, as in SQL, and rows for which the whole is unknown are left out.
/// </summary>
/// <param name="resolve">How the field is seen, or the problem that it is not.</param>
/// <param name="parameters">Where values are bound.</param>
/// <param name="placesWithin">The codes at and below a place.</param>
internal sealed class FilterCompiler(Func<string, Result<FieldView>> resolve, SqlParameters parameters, Func<string, IReadOnlyList<PlaceRange>> placesWithin)
{
    public Result<string> Compile(Filter filter)
    {
        switch (filter)
        {
            case Filter.And and:
                return Join(and.Parts, " AND ", "true");
            case Filter.Or or:
                return Join(or.Parts, " OR ", "false");
            case Filter.Not not:
                var inner = Compile(not.Inner);
                return inner.Ok ? $"(NOT {inner.Value})" : inner;
            case Filter.Compare compare:
                var view = resolve(compare.Field);
                return view.Ok ? Compare(compare, view.Value) : view.Problem;
            default:
                throw new InvalidOperationException("unknown kind of filter");
        }
    }

    /// <summary>Whether the code lies in any of the ranges; false for none.</summary>
    public string Within(string sql, IReadOnlyList<PlaceRange> ranges) => ranges.Count == 0
        ? "false"
        : "(" + string.Join(" OR ", ranges.Select(r =>
            $"({sql} >= CAST({parameters.Add(r.From)} AS VARCHAR) AND {sql} < CAST({parameters.Add(r.To)} AS VARCHAR))")) + ")";

    private Result<string> Join(IReadOnlyList<Filter> parts, string word, string none)
    {
        var compiled = new List<string>(parts.Count);
        foreach (var part in parts)
        {
            var sql = Compile(part);
            if (!sql.Ok)
                return sql;
            compiled.Add(sql.Value);
        }
        return compiled.Count == 0 ? none : "(" + string.Join(word, compiled) + ")";
    }

    private Result<string> Compare(Filter.Compare compare, FieldView view)
    {
        var (op, value) = (compare.Op, compare.Value);
        if (view.Kind == TransformKind.Pseudonym && op is not ("eq" or "ne" or "in" or "isNull"))
            return Problem.Invalid("query.operator", "A pseudonym can only be compared by eq, ne, in and isNull.");
        if (op == "isNull")
        {
            return value.ValueKind switch
            {
                JsonValueKind.Undefined or JsonValueKind.True => $"({view.Alias} IS NULL)",
                JsonValueKind.False => $"({view.Alias} IS NOT NULL)",
                _ => Problem.Invalid("query.value", "isNull goes with true or false."),
            };
        }
        var sql = view.Shown;
        if (op is "contains" or "startsWith" or "within")
        {
            var fits = op == "within" ? view.Type == FieldType.Place : view.Type is FieldType.String or FieldType.Place;
            if (!fits)
                return Problem.Invalid("query.operator", $"{op} does not go with this field's type.");
            if (value.ValueKind != JsonValueKind.String)
                return Value(view);
            var text = value.GetString()!;
            return op switch
            {
                "within" => Within(sql, placesWithin(text)),
                "contains" => $"contains({sql}, CAST({parameters.Add(text)} AS VARCHAR))",
                _ => $"starts_with({sql}, CAST({parameters.Add(text)} AS VARCHAR))",
            };
        }
        if (op == "in")
        {
            var values = new List<string>();
            foreach (var e in value.EnumerateArray())
            {
                if (QueryValue.Bind(e, view.Type, view.Scale, parameters) is not { } bound)
                    return Value(view);
                values.Add(bound);
            }
            return $"({sql} IN ({string.Join(", ", values)}))";
        }
        if (view.Type == FieldType.Boolean && op is not ("eq" or "ne"))
            return Problem.Invalid("query.operator", $"{op} does not go with this field's type.");
        var sign = op switch { "eq" => "=", "ne" => "<>", "lt" => "<", "le" => "<=", "gt" => ">", _ => ">=" };
        return QueryValue.Bind(value, view.Type, view.Scale, parameters) is { } one ? $"({sql} {sign} {one})" : Value(view);
    }

    /// <summary>What is wrong is told by the field's shown type; the value is not repeated, since it may be anything.</summary>
    private static Problem Value(FieldView view) => Problem.Invalid("query.value", view.Type switch
    {
        FieldType.Decimal => $"A value to compare with is not a number with at most {view.Scale} digits after the point.",
        FieldType.DateTime => "A value to compare with is not a moment such as 2010-01-31T08:00:00Z.",
        FieldType.Date => "A value to compare with is not a day such as 2010-01-31.",
        FieldType.YearMonth => "A value to compare with is not a month such as 2010-01.",
        FieldType.Time => "A value to compare with is not a time of day such as 08:00:00.",
        FieldType.Boolean => "A value to compare with is not true or false.",
        FieldType.String or FieldType.Place => "A value to compare with is not a text.",
        _ => "A value to compare with is not a number of the field's type.",
    });
}
