using System.Globalization;
using System.Text;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Query;

namespace Gongzhi.Core.Records;

/// <summary>The shape of a tail's table in DuckDB, and rows in it. Its columns are those of <see cref="RecordSnapshot"/> and <c>_seq</c>.</summary>
internal static class TailRows
{
    public static void Write(TableAppender appender, Dataset dataset, RowColumns rows, long sequence)
    {
        for (var r = 0; r < rows.Rows; r++)
        {
            var row = appender.Rows.CreateRow();
            row.AppendValue(RecordId.Bytes(rows.BatchOf(r)));
            row.AppendValue((int)rows.OrdinalOf(r));
            row.AppendValue(sequence);
            row.AppendValue(Time(rows.Times[r]));
            row.AppendValue(rows.PlaceIndex < 0 || rows.Fields[rows.PlaceIndex].Nulls[r] ? null : Text(rows, rows.Fields[rows.PlaceIndex], r));
            for (var f = 0; f < dataset.Fields.Count; f++)
            {
                // A row of an older version lacks the fields added since.
                if (f >= rows.Fields.Length || rows.Fields[f].Nulls[r])
                {
                    row.AppendNullValue();
                    continue;
                }
                var column = rows.Fields[f];
                switch (column.Field.Type)
                {
                    case FieldType.String or FieldType.Place:
                        row.AppendValue(Text(rows, column, r));
                        break;
                    case FieldType.Decimal:
                        row.AppendValue(DecimalText.Exact(column.Values[r], column.Field.Scale));
                        break;
                    case FieldType.Double:
                        row.AppendValue(column.Double(r));
                        break;
                    case FieldType.Boolean:
                        row.AppendValue(column.Values[r] != 0);
                        break;
                    case FieldType.Date:
                        row.AppendValue(DateOnly.FromDayNumber((int)column.Values[r] + UnixDay));
                        break;
                    case FieldType.DateTime:
                        row.AppendValue(Time(column.Values[r]));
                        break;
                    case FieldType.Time:
                        row.AppendValue(TimeOnly.FromTimeSpan(TimeSpan.FromMicroseconds(column.Values[r])));
                        break;
                    default:
                        row.AppendValue(column.Values[r]);
                        break;
                }
            }
            row.EndRow();
        }
    }

    private static readonly int UnixDay = new DateOnly(1970, 1, 1).DayNumber;

    private static DateTime Time(long microseconds) => DateTime.UnixEpoch.AddTicks(microseconds * TimeSpan.TicksPerMicrosecond);

    private static string Text(RowColumns rows, FieldColumn column, int r) => Encoding.UTF8.GetString(rows.TextOf(column, r));

    public static string CreateTable(string name, Dataset dataset)
    {
        var sql = new StringBuilder($"CREATE TABLE {name} (_batch BLOB, _ordinal INTEGER, _seq BIGINT, _time TIMESTAMP, _place VARCHAR");
        foreach (var field in dataset.Fields)
        {
            sql.Append(CultureInfo.InvariantCulture, $", \"{field.Name.Replace("\"", "\"\"", StringComparison.Ordinal)}\" {SqlType(field)}");
        }
        return sql.Append(')').ToString();
    }

    private static string SqlType(Field field) => field.Type switch
    {
        FieldType.String or FieldType.Place => "VARCHAR",
        FieldType.Decimal => string.Create(CultureInfo.InvariantCulture, $"DECIMAL(18,{field.Scale})"),
        FieldType.Double => "DOUBLE",
        FieldType.Boolean => "BOOLEAN",
        FieldType.Date => "DATE",
        FieldType.DateTime => "TIMESTAMP",
        FieldType.Time => "TIME",
        _ => "BIGINT",
    };
}
