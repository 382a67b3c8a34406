using System.Text.Json;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Territory;

namespace Gongzhi.Core.Query;

/// <summary>The rows a query reads before any reader's condition: segments that may matter, the tail, without what was replaced.</summary>
internal sealed class QuerySource(RecordSnapshot snapshot, ReadPermit permit, Filter? filter, SqlParameters parameters, Func<string, IReadOnlyList<PlaceRange>> placesWithin)
{
    /// <summary>The farthest a zone's midnight lies from UTC's is 14 hours; a day covers it.</summary>
    private const long DayMicros = 86_400_000_000;

    public IReadOnlyList<Segment> Survivors { get; } = Prune(snapshot, permit, filter, placesWithin);

    /// <summary>The grant's own conditions, on raw values.</summary>
    public string Scope()
    {
        var parts = new List<string>();
        var rows = permit.Rows;
        var filters = new FilterCompiler(Raw, parameters, placesWithin);
        if (rows.Places is { } places)
            parts.Add(filters.Within("_place", places));
        if (rows.TimeFrom is { } from)
            parts.Add($"_time >= {QueryValue.Moment(from, parameters)}");
        if (rows.TimeTo is { } to)
            parts.Add($"_time < {QueryValue.Moment(to, parameters)}");
        if (rows.Filter is { } own)
        {
            // A grant whose condition no longer fits the dataset admits nothing. Tried apart first: a condition given up halfway
            // would leave parameters that nothing uses.
            var fits = new FilterCompiler(Raw, new SqlParameters(), placesWithin).Compile(own).Ok;
            parts.Add(fits ? filters.Compile(own).Value! : "false");
        }
        return parts.Count == 0 ? "true" : string.Join(" AND ", parts);
    }

    public string From()
    {
        var branches = new List<string>();
        var current = snapshot.Dataset.Version;
        // Columns that no branch has must still exist, with their type.
        if (Survivors.Any(s => s.SchemaVersion != current) || (Survivors.Count == 0 && snapshot.TailTable is null))
            branches.Add($"SELECT {Typed()} WHERE false");
        Add(Survivors.Where(s => !s.HasReplaced || snapshot.ReplacedTable is null), replaced: false);
        Add(Survivors.Where(s => s.HasReplaced && snapshot.ReplacedTable is not null), replaced: true);
        if (snapshot.TailTable is { } tail)
            branches.Add($"SELECT * FROM {(snapshot.Sequence is { } now ? $"(SELECT * EXCLUDE (_seq) FROM {SqlName.Quote(tail)} WHERE _seq <= {now})" : SqlName.Quote(tail))}{Without(snapshot.ReplacedTable is not null)}");
        return branches.Count == 1 ? $"({branches[0]}) r" : "(" + string.Join(" UNION ALL BY NAME ", branches) + ") r";

        void Add(IEnumerable<Segment> segments, bool replaced)
        {
            var list = segments.ToList();
            if (list.Count == 0)
                return;
            var union = list.Select(s => s.SchemaVersion).Distinct().Count() > 1 ? ", union_by_name = true" : "";
            var paths = string.Join(", ", list.Select(s => "'" + s.Path.Replace("'", "''", StringComparison.Ordinal) + "'"));
            branches.Add($"SELECT * FROM read_parquet([{paths}]{union}, hive_partitioning = false){Without(replaced)}");
        }
    }

    private string Without(bool replaced)
    {
        if (!replaced)
            return "";
        var table = SqlName.Quote(snapshot.ReplacedTable!);
        return $" ANTI JOIN {(snapshot.Sequence is { } now ? $"(SELECT _batch, _ordinal FROM {table} WHERE _seq <= {now})" : table)} USING (_batch, _ordinal)";
    }

    private string Typed()
    {
        var fields = snapshot.Dataset.Fields.Select(f => $"CAST(NULL AS {SqlType(f)}) AS {SqlName.Quote(f.Name)}");
        return string.Join(", ", fields.Prepend("CAST(NULL AS BLOB) AS _batch, CAST(NULL AS INTEGER) AS _ordinal, CAST(NULL AS TIMESTAMP) AS _time, CAST(NULL AS VARCHAR) AS _place"));
    }

    /// <summary>The column type of a field, as <see cref="RecordSnapshot"/> lays down.</summary>
    public static string SqlType(Field field) => field.Type switch
    {
        FieldType.String or FieldType.Place => "VARCHAR",
        FieldType.Integer or FieldType.Year or FieldType.YearMonth => "BIGINT",
        FieldType.Decimal => $"DECIMAL(18,{field.Scale})",
        FieldType.Double => "DOUBLE",
        FieldType.Boolean => "BOOLEAN",
        FieldType.Date => "DATE",
        FieldType.DateTime => "TIMESTAMP",
        _ => "TIME",
    };

    private Result<FieldView> Raw(string name)
    {
        var (column, field) = name switch
        {
            "_time" => ("_time", new Field { Name = name, Type = FieldType.DateTime }),
            "_place" => ("_place", new Field { Name = name, Type = FieldType.Place }),
            _ => (SqlName.Quote(name), snapshot.Dataset.IndexOf(name) is >= 0 and var i ? snapshot.Dataset.Fields[i] : null),
        };
        return field is null
            ? Problem.Invalid("query.unknownField", "no such field")
            : new FieldView(field, TransformKind.Plain, column, field.Type, column);
    }

    /// <summary>Leaves out the segments whose bounds show that no row of theirs can be in the answer.</summary>
    private static List<Segment> Prune(RecordSnapshot snapshot, ReadPermit permit, Filter? filter, Func<string, IReadOnlyList<PlaceRange>> placesWithin)
    {
        var (from, to) = (permit.Rows.TimeFrom ?? long.MinValue, permit.Rows.TimeTo is { } end ? end - 1 : long.MaxValue);
        var places = new List<IReadOnlyList<PlaceRange>>();
        if (permit.Rows.Places is { } scope)
            places.Add(scope);
        Walk(permit.Rows.Filter, granted: true);
        Walk(filter, granted: false);
        return [.. snapshot.Segments.Where(s => s.TimeMax >= from && s.TimeMin <= to && places.TrueForAll(ranges => Overlaps(s, ranges)))];

        // Only what every row must fulfil counts: the top-level conjunction.
        void Walk(Filter? part, bool granted)
        {
            if (part is Filter.And and)
            {
                foreach (var inner in and.Parts)
                    Walk(inner, granted);
            }
            else if (part is Filter.Compare { Value.ValueKind: JsonValueKind.String } compare && (granted || Plain(compare.Field)))
            {
                var text = compare.Value.GetString()!;
                if (compare.Field == "_place" || compare.Field == snapshot.Dataset.PlaceField)
                {
                    if (compare.Op is "within")
                        places.Add(placesWithin(text));
                    else if (compare.Op is "eq")
                        places.Add([new(text, text + "\0")]);
                }
                else if (compare.Field == "_time" || compare.Field == snapshot.Dataset.TimeField)
                {
                    Time(compare.Op, text);
                }
            }
        }

        void Time(string op, string text)
        {
            var slack = 0L;
            if (!QueryValue.TryMoment(text, out var micros))
            {
                // A day begins at midnight of the dataset's zone.
                if (!DateOnly.TryParseExact(text, "yyyy-MM-dd", out var day))
                    return;
                micros = (day.ToDateTime(TimeOnly.MinValue).Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond;
                slack = DayMicros;
            }
            if (op is "eq" or "ge" or "gt")
                from = Math.Max(from, micros - slack);
            if (op is "eq" or "le" or "lt")
                to = Math.Min(to, micros + slack);
        }

        bool Plain(string field)
        {
            var name = field switch { "_time" => snapshot.Dataset.TimeField, "_place" => snapshot.Dataset.PlaceField, _ => field };
            return name is null || (permit.Fields.TryGetValue(name, out var t) && t.Kind == TransformKind.Plain);
        }

        static bool Overlaps(Segment s, IReadOnlyList<PlaceRange> ranges) => s.PlaceMin is null || s.PlaceMax is null
            || ranges.Any(r => string.CompareOrdinal(r.From, s.PlaceMax) <= 0 && string.CompareOrdinal(r.To, s.PlaceMin) > 0);
    }
}
