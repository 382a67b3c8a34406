using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Query;

/// <summary>
/// Turns a question and a permit into one SELECT in which the permit's rows and transforms are already applied. Filters, groups and
/// sorting are written over the transformed columns and nothing else, so that they cannot be used to guess what is hidden.
/// </summary>
public sealed class QueryCompiler
{
    /// <summary>Rows a group needs at least before an aggregate-only field may be summed, whatever smaller threshold the grant names.</summary>
    public const int LeastAggregateGroup = 5;

    private readonly QueryRequest _request;
    private readonly ReadPermit _permit;
    private readonly RecordSnapshot _snapshot;
    private readonly SqlParameters _parameters = new();
    private readonly Dictionary<string, FieldView> _views = new(StringComparer.Ordinal);
    private readonly FilterCompiler _filters;

    private QueryCompiler(
        QueryRequest request, ReadPermit permit, RecordSnapshot snapshot, Func<string, IReadOnlyList<PlaceRange>> placesWithin, Func<PlaceLevel, PlaceGroups>? placeGroups)
    {
        (_request, _permit, _snapshot) = (request, permit, snapshot);
        PlaceGroups = placeGroups ?? (static _ => Territory.PlaceGroups.None);
        PlacesWithin = placesWithin;
        _filters = new FilterCompiler(See, _parameters, placesWithin);
    }

    private Func<string, IReadOnlyList<PlaceRange>> PlacesWithin { get; }

    private Func<PlaceLevel, PlaceGroups> PlaceGroups { get; }

    /// <summary>Below this many rows a group is withheld.</summary>
    private int Threshold => _permit.MinimumGroup;

    /// <summary>
    /// Whether the grant shows some field otherwise than it is. Its rows then have no record id: it is the same under every grant, and would lay what two
    /// grants show beside each other.
    /// </summary>
    private bool Disguised => _permit.Fields.Values.Any(f => f.Kind != TransformKind.Plain);

    /// <summary>
    /// Whether the grant promises that nobody is followed from one grant to another (a pseudonym): its rows do not come in the order in which they are
    /// kept either, which two grants have in common just as well. Other disguises promise less, and are not sorted for it.
    /// </summary>
    private bool Shuffled => _permit.Fields.Values.Any(f => f.Kind == TransformKind.Pseudonym);

    private bool Paged => _request.Format == QueryFormat.Json;

    /// <param name="request">The question.</param>
    /// <param name="permit">What policy allows; for the same dataset and purpose.</param>
    /// <param name="snapshot">What is read; it must outlive the running of the query.</param>
    /// <param name="placesWithin">The codes at and below a place; none for a code that is not known.</param>
    /// <param name="cursorKey">The node's secret for cursors, at least 16 bytes; without it an answer has no next page.</param>
    /// <param name="placeGroups">How codes are grouped at a level; by their digits if left out.</param>
    public static Result<CompiledQuery> Compile(QueryRequest request, ReadPermit permit, RecordSnapshot snapshot,
        Func<string, IReadOnlyList<PlaceRange>> placesWithin, ReadOnlyMemory<byte> cursorKey = default, Func<PlaceLevel, PlaceGroups>? placeGroups = null)
    {
        if (permit.Dataset != snapshot.Dataset.Id || request.Dataset != permit.Dataset || request.Purpose != permit.Purpose)
            throw new ArgumentException("The permit is for another dataset or purpose than the question.", nameof(permit));
        var compiler = new QueryCompiler(request, permit, snapshot, placesWithin, placeGroups);
        return request.Grouped ? compiler.Groups(cursorKey) : compiler.Rows(cursorKey);
    }

    private Result<CompiledQuery> Rows(ReadOnlyMemory<byte> cursorKey)
    {
        if (Threshold > 1)
            return Problem.Denied("query.aggregateOnly", $"Under this grant only groups of at least {Threshold} rows may be read, by groupBy or measures.");
        var names = _request.Fields.Count > 0 ? _request.Fields : Permitted();
        var columns = new List<(ResultColumn Column, string Sql)>();
        var inner = new List<string>();
        foreach (var name in names)
        {
            var view = See(name);
            if (!view.Ok)
                return view.Problem;
            inner.Add(view.Value.Alias);
            columns.Add((new(name, view.Value.Type, view.Value.Scale), Finish(view.Value.Shown, view.Value.Type)));
        }
        if (columns.Count == 0)
            return Problem.Denied("query.aggregateOnly", "Under this grant no field may be read row by row.");
        if (Shuffled && _permit.PseudonymKey.Length != 32)
            return Problem.Denied("query.grant", "The grant has no key to disguise its rows with; whoever granted must give it anew.");
        var tail = new List<string>();
        var hidden = "";
        if (Paged)
        {
            hidden = Shuffled ? ", CAST(_tie AS VARCHAR) AS k0" : ", lower(hex(_batch)) AS k0, _ordinal AS k1";
            tail.AddRange(Shuffled ? ["_tie"] : ["_batch", "_ordinal"]);
        }
        var where = Where();
        if (!where.Ok)
            return where.Problem;
        var keys = Keys(columns.ConvertAll(c => c.Column));
        if (!keys.Ok)
            return keys.Problem;
        var sort = keys.Value.Select(k => new SortKey(columns[k.Index].Sql, columns[k.Index].Column, k.Descending, k.Index)).ToList();
        if (Shuffled)
        {
            sort.Add(new("_tie", new("", FieldType.String), false, columns.Count) { Form = "CAST(CAST({0} AS VARCHAR) AS HUGEINT)" });
        }
        else if (Paged)
        {
            sort.Add(new("_batch", new("", FieldType.String), false, columns.Count) { Form = "unhex(CAST({0} AS VARCHAR))" });
            sort.Add(new("_ordinal", new("", FieldType.Integer), false, columns.Count + 1));
        }
        var cursor = Cursor(cursorKey);
        var after = After(cursor, sort);
        if (!after.Ok)
            return after.Problem;
        var sql = new StringBuilder("SELECT ");
        sql.AppendJoin(", ", columns.Select((c, i) => $"{c.Sql} AS o{i}")).Append(hidden);
        // The transforms that no condition needs are applied out here, after the limit.
        sql.Append(" FROM (SELECT ").AppendJoin(", ", inner.Concat(tail).Distinct()).Append(" FROM ").Append(View());
        sql.Append(" WHERE ").Append(where.Value).Append(after.Value.Length > 0 ? " AND " + after.Value : "");
        Ending(sql, sort);
        sql.Append(')');
        return Done(sql, columns.ConvertAll(c => c.Column), cursor, sort);
    }

    private Result<CompiledQuery> Groups(ReadOnlyMemory<byte> cursorKey)
    {
        var (columns, inner, outer, groups) = (new List<ResultColumn>(), new List<string>(), new List<string>(), new List<string>());
        var least = Threshold;
        foreach (var group in _request.GroupBy)
        {
            var seen = See(group.Field);
            if (!seen.Ok)
                return seen.Problem;
            var view = seen.Value;
            if (group.Field == "_id")
                return Problem.Invalid("query.group", "Records are not grouped by their id.");
            // A pseudonym is as distinct as its value, so the value is grouped by and only the groups are hashed.
            var (key, type) = (view.Alias, view.Type);
            if (group.Unit is not null)
            {
                if (view.Kind == TransformKind.Pseudonym || Transforms.Unit(view.Alias, view.Type, group.Unit, _snapshot.Dataset.TimeZone, PlaceGroups) is not { } coarse)
                    return Problem.Invalid("query.group", "The unit does not fit the field's type.");
                (key, type) = coarse;
            }
            groups.Add($"g{columns.Count}");
            inner.Add($"{key} AS g{columns.Count}");
            var shown = view.Kind == TransformKind.Pseudonym ? Transforms.Pseudonym($"g{columns.Count}", _permit.PseudonymKey, _parameters) : $"g{columns.Count}";
            outer.Add(Finish(shown, type));
            columns.Add(new(group.Name, type, view.Scale));
        }
        foreach (var measure in _request.Measures)
        {
            var made = Measure(measure, ref least);
            if (!made.Ok)
                return made.Problem;
            inner.Add($"{made.Value.Sql} AS g{columns.Count}");
            outer.Add(Finish($"g{columns.Count}", made.Value.Type));
            columns.Add(new(measure.Name, made.Value.Type, made.Value.Scale));
        }
        var where = Where();
        if (!where.Ok)
            return where.Problem;
        var keys = Keys(columns);
        if (!keys.Ok)
            return keys.Problem;
        var sort = keys.Value.Select(k => new SortKey($"o{k.Index}", columns[k.Index], k.Descending, k.Index)).ToList();
        // Groups of pseudonyms are made from the values themselves, in an order that other grants would share: told by what is shown instead.
        if (Paged || Shuffled)
        {
            for (var i = 0; i < groups.Count; i++)
            {
                if (!sort.Exists(s => s.Index == i))
                    sort.Add(new($"o{i}", columns[i], false, i));
            }
        }
        var cursor = groups.Count > 0 ? Cursor(cursorKey) : null;
        var after = After(cursor, sort);
        if (!after.Ok)
            return after.Problem;
        var sql = new StringBuilder("SELECT * FROM (SELECT ");
        sql.AppendJoin(", ", outer.Select((o, i) => $"{o} AS o{i}"));
        sql.Append(" FROM (SELECT ").AppendJoin(", ", inner).Append(" FROM ").Append(View()).Append(" WHERE ").Append(where.Value);
        if (groups.Count > 0)
            sql.Append(" GROUP BY ").AppendJoin(", ", groups.Select((_, i) => i + 1));
        if (least > 1)
            sql.Append(" HAVING count(*) >= ").Append(least);
        sql.Append("))");
        if (after.Value.Length > 0)
            sql.Append(" WHERE ").Append(after.Value);
        Ending(sql, sort);
        return Done(sql, columns, cursor, sort);
    }

    private Result<(string Sql, FieldType Type, int Scale)> Measure(QueryMeasure measure, ref int least)
    {
        if (measure.Field is null)
            return ("count(*)", FieldType.Integer, 0);
        var seen = See(measure.Field, aggregate: true);
        if (!seen.Ok)
            return seen.Problem;
        var view = seen.Value;
        var number = view.Type is FieldType.Integer or FieldType.Decimal or FieldType.Double;
        if ((measure.Function is "sum" or "avg" && !number) || (measure.Function is "min" or "max" && view.Kind == TransformKind.Pseudonym))
            return Problem.Invalid("query.measure", $"{measure.Function} does not go with this field.");
        if (view.Kind == TransformKind.AggregateOnly && measure.Function is not ("sum" or "avg" or "count"))
            return Problem.Denied("query.aggregateOnly", $"{measure.Function} would show single values of a field that may only be summed up.");
        var f = view.Alias;
        (string Sql, FieldType Type, int Scale) made = (measure.Function, view.Type) switch
        {
            ("count", _) => ($"count({f})", FieldType.Integer, 0),
            ("distinct", _) => ($"count(DISTINCT {f})", FieldType.Integer, 0),
            ("sum", FieldType.Double) => (Digits($"fsum({f})"), FieldType.Double, 0),
            ("sum", FieldType.Decimal) => ($"sum({f})", FieldType.Decimal, view.Scale),
            // A HUGEINT in DuckDB; as a decimal it stays exact in every format.
            ("sum", _) => ($"TRY_CAST(sum({f}) AS DECIMAL(38,0))", FieldType.Integer, 0),
            ("avg", FieldType.Double) => (Digits($"favg({f})"), FieldType.Double, 0),
            ("avg", _) => (Digits($"avg({f})"), FieldType.Double, 0),
            (var function, _) => ($"{function}({f})", view.Type, view.Scale),
        };
        if (view.Kind != TransformKind.AggregateOnly)
            return made;
        // Rows without a value do not hide those with one, so the values themselves must be many.
        least = Math.Max(least, LeastAggregateGroup);
        return ($"CASE WHEN count({f}) >= {least} THEN {made.Sql} END", made.Type, made.Scale);
    }

    /// <summary>Fifteen digits: the sum's last one or two depend on the order in which threads met the rows.</summary>
    private static string Digits(string sql) => $"TRY_CAST(format('{{:.15g}}', {sql}) AS DOUBLE)";

    /// <summary>How the reader sees a field; a field outside the permit is answered exactly as one that does not exist.</summary>
    private Result<FieldView> See(string name) => See(name, aggregate: false);

    private Result<FieldView> See(string name, bool aggregate)
    {
        if (_views.TryGetValue(name, out var known))
            return known.Kind == TransformKind.AggregateOnly && !aggregate ? OnlyAggregates() : known;
        var unknown = Problem.Invalid("query.unknownField", "The dataset has no such field, or the grant does not include it.");
        if (name is "_id" or "_time" or "_place")
        {
            var bound = name switch { "_time" => _snapshot.Dataset.TimeField, "_place" => _snapshot.Dataset.PlaceField, _ => null };
            // A time of no field is the moment of receipt, which tells records apart under every grant as well as their ids do.
            if (bound is null && Disguised)
                return unknown;
            if ((bound is not null && !(_permit.Fields.TryGetValue(bound, out var t) && t.Kind == TransformKind.Plain)) || (name == "_id" && Threshold > 1))
                return unknown;
            var type = name switch { "_time" => FieldType.DateTime, "_place" => FieldType.Place, _ => FieldType.String };
            const string Id = "substr(lower(hex(_batch)), 1, 8) || '-' || substr(lower(hex(_batch)), 9, 4) || '-' || substr(lower(hex(_batch)), 13, 4) || '-' || "
                + "substr(lower(hex(_batch)), 17, 4) || '-' || substr(lower(hex(_batch)), 21, 4) || printf('%08x', _ordinal + 1)";
            var alias = "s" + name;
            return _views[name] = new(new Field { Name = name, Type = type }, TransformKind.Plain, alias, type, name == "_id" ? Id : name);
        }
        var index = _snapshot.Dataset.IndexOf(name);
        if (index < 0 || !_permit.Fields.TryGetValue(name, out var transform))
            return unknown;
        var field = _snapshot.Dataset.Fields[index];
        var made = Make(field, index, transform);
        if (!made.Ok)
            return made;
        _views[name] = made.Value;
        return transform.Kind == TransformKind.AggregateOnly && !aggregate ? OnlyAggregates() : made;
    }

    private Result<FieldView> Make(Field field, int index, FieldTransform transform)
    {
        var (raw, alias) = (SqlName.Quote(field.Name), $"f{index}");
        switch (transform.Kind)
        {
            case TransformKind.Plain or TransformKind.AggregateOnly:
                return new FieldView(field, transform.Kind, alias, field.Type, raw);
            case TransformKind.Mask:
                return new FieldView(field, transform.Kind, alias, FieldType.String, Transforms.Mask(raw, field, transform.Argument));
            case TransformKind.Pseudonym when _permit.PseudonymKey.Length == 32:
                return new FieldView(field, transform.Kind, alias, FieldType.String, raw, () => Transforms.Pseudonym(alias, _permit.PseudonymKey, _parameters));
            case TransformKind.Generalise when Transforms.Generalise(raw, field, transform.Argument, _snapshot.Dataset.TimeZone, _parameters) is { } sql:
                return new FieldView(field, transform.Kind, alias, field.Type == FieldType.DateTime ? FieldType.Date : field.Type, sql);
            default:
                return Problem.Denied("query.grant", "The grant shows a field in a way that does not fit it; whoever granted must correct it.");
        }
    }

    private static Problem OnlyAggregates() =>
        Problem.Denied("query.aggregateOnly", "This field may only be summed, averaged or counted over groups.");

    private IReadOnlyList<string> Permitted() => [.. _snapshot.Dataset.Fields
        .Where(f => _permit.Fields.TryGetValue(f.Name, out var t) && t.Kind != TransformKind.AggregateOnly).Select(f => f.Name)];

    private Result<string> Where() => _request.Filter is { } filter ? _filters.Compile(filter) : "true";

    /// <summary>The rows in scope, each field in use already transformed.</summary>
    private string View()
    {
        var source = new QuerySource(_snapshot, _permit, _request.Filter, _parameters, PlacesWithin);
        var scope = source.Scope();
        _segments = source.Survivors;
        var columns = _views.Values.Select(v => $"{v.Source} AS {v.Alias}").ToList();
        if (Shuffled && !_request.Grouped)
            columns.Add(Transforms.Tie(_permit.PseudonymKey, _parameters) + " AS _tie");
        else
            columns.AddRange(["_batch", "_ordinal"]);
        return $"(SELECT {string.Join(", ", columns)} FROM {source.From()} WHERE {scope}) v";
    }

    private IReadOnlyList<Segment> _segments = [];

    private Result<List<(int Index, bool Descending)>> Keys(List<ResultColumn> columns)
    {
        var keys = new List<(int, bool)>();
        foreach (var order in _request.OrderBy)
        {
            var index = columns.FindIndex(c => c.Name == order.Column);
            if (index < 0)
                return Problem.Invalid("query.order", "orderBy names a column that the answer does not have.");
            keys.Add((index, order.Descending));
        }
        return keys;
    }

    private QueryCursor? Cursor(ReadOnlyMemory<byte> key) => Paged && !key.IsEmpty ? new(key, _request, _permit.Grant) : null;

    /// <summary>Rows after the cursor's in the order of <paramref name="sort"/>, nulls last; empty without a cursor.</summary>
    private Result<string> After(QueryCursor? cursor, List<SortKey> sort)
    {
        if (_request.Cursor is null)
            return "";
        if (cursor?.Read(_request.Cursor, sort.Count) is not { } values)
            return Problem.BadRequest("query.cursor", "The cursor belongs to another question, grant or node.");
        var (same, ways) = (new List<string>(), new List<string>());
        for (var i = 0; i < sort.Count; i++)
        {
            var key = sort[i];
            var bound = values[i] is null ? "NULL" : key.Bind(values[i]!, _parameters);
            if (bound is null)
                return Problem.BadRequest("query.cursor", "The cursor does not fit the question.");
            if (values[i] is not null)
                ways.Add("(" + string.Join(" AND ", same.Append($"({key.Sql} {(key.Descending ? "<" : ">")} {bound} OR {key.Sql} IS NULL)")) + ")");
            same.Add($"{key.Sql} IS NOT DISTINCT FROM {bound}");
        }
        return ways.Count == 0 ? "false" : "(" + string.Join(" OR ", ways) + ")";
    }

    private void Ending(StringBuilder sql, List<SortKey> sort)
    {
        if (sort.Count > 0)
            sql.Append(" ORDER BY ").AppendJoin(", ", sort.Select(s => $"{s.Sql} {(s.Descending ? "DESC" : "ASC")} NULLS LAST"));
        if (PageSize > 0)
            sql.Append(" LIMIT ").Append(PageSize + 1);
        else if (_request.Limit is { } limit)
            sql.Append(" LIMIT ").Append(limit);
    }

    private int PageSize => Paged ? _request.Limit ?? QueryRequest.DefaultPage : 0;

    /// <summary>A month is an integer inside and text outside; the text sorts as the integer does.</summary>
    private static string Finish(string sql, FieldType type) => type == FieldType.YearMonth ? $"printf('%04d-%02d', {sql} // 12, {sql} % 12 + 1)" : sql;

    private CompiledQuery Done(StringBuilder sql, List<ResultColumn> columns, QueryCursor? cursor, List<SortKey> sort) => new()
    {
        Sql = sql.ToString(),
        Parameters = _parameters.Values,
        Columns = columns,
        Grant = _permit.Grant,
        Dataset = _permit.Dataset,
        Purpose = _permit.Purpose,
        Epoch = _permit.Epoch,
        LedgerIndex = _snapshot.LedgerIndex,
        PageSize = PageSize,
        Cursor = cursor,
        KeyColumns = [.. sort.Select(s => s.Index)],
        Segments = _segments,
    };

    private sealed record SortKey(string Sql, ResultColumn Column, bool Descending, int Index)
    {
        /// <summary>SQL of a value from a cursor where its type does not tell; <c>{0}</c> stands for the parameter.</summary>
        public string? Form { get; init; }

        public string? Bind(string text, SqlParameters parameters) => Column.Type switch
        {
            _ when Form is not null => Form.Replace("{0}", parameters.Add(text), StringComparison.Ordinal),
            FieldType.YearMonth => $"CAST({parameters.Add(text)} AS VARCHAR)",
            // Sums leave the range of their field's type.
            FieldType.Integer or FieldType.Decimal => decimal.TryParse(text, out _) || text.Length <= 40
                ? $"TRY_CAST(CAST({parameters.Add(text)} AS VARCHAR) AS DECIMAL(38,{Column.Scale}))" : null,
            _ => QueryValue.Bind(text, Column.Type, Column.Scale, parameters),
        };
    }
}
