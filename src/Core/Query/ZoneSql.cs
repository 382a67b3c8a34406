using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Gongzhi.Core.Query;

/// <summary>
/// What the clocks of a time zone show at a moment, in SQL: a month or a day begins where people's calendars say so. The rules are those of the
/// machine's zone data, as intake has them too; DuckDB would need another copy of them. Beyond the years 1900 and 2199 the nearest rule goes on.
/// </summary>
internal sealed class ZoneSql
{
    private static readonly ConcurrentDictionary<string, ZoneSql> Known = new(StringComparer.Ordinal);
    private static readonly DateTime First = new(1900, 1, 1, 0, 0, 0, DateTimeKind.Utc), Last = new(2200, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    /// <summary>From when on (microseconds UTC) which offset holds (microseconds); the first from ever.</summary>
    private readonly List<(long From, long Offset)> _spans = [];

    private ZoneSql(TimeZoneInfo zone)
    {
        var offset = zone.GetUtcOffset(First);
        _spans.Add((long.MinValue, Micros(offset)));
        for (var day = First; day < Last; day = day.AddDays(1))
        {
            var next = zone.GetUtcOffset(day.AddDays(1));
            if (next == offset)
                continue;
            var (before, after) = (day.Ticks, day.AddDays(1).Ticks);
            while (after - before > TimeSpan.TicksPerSecond)
            {
                var middle = before + ((after - before) / 2 / TimeSpan.TicksPerSecond * TimeSpan.TicksPerSecond);
                if (zone.GetUtcOffset(new DateTime(middle, DateTimeKind.Utc)) == offset)
                    before = middle;
                else
                    after = middle;
            }
            offset = next;
            _spans.Add(((after - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond, Micros(offset)));
        }
    }

    /// <param name="zone">An IANA name that the machine knows, as a dataset's does.</param>
    public static ZoneSql Of(string zone) => Known.GetOrAdd(zone, static name => new(TimeZoneInfo.FindSystemTimeZoneById(name)));

    /// <summary>SQL of a timestamp that reads as the zone's clocks do at the moment <paramref name="sql"/> (a timestamp in UTC).</summary>
    public string Local(string sql) => $"make_timestamp(epoch_us({sql}) + {Offset(sql)})";

    /// <summary>SQL of the zone's offset at the moment, in microseconds.</summary>
    public string Offset(string sql)
    {
        var (text, last) = (new StringBuilder(), _spans.Count - 1);
        if (last == 0)
            return Number(_spans[0].Offset);
        // Most moments are after a zone's last change, or else a few comparisons away.
        text.Append("CASE WHEN ").Append(sql).Append(" >= ").Append(Moment(_spans[last].From)).Append(" THEN ").Append(Number(_spans[last].Offset)).Append(" ELSE ");
        Between(0, last);
        return text.Append(" END").ToString();

        void Between(int from, int to)
        {
            if (to - from == 1)
            {
                text.Append(Number(_spans[from].Offset));
                return;
            }
            var middle = (from + to) / 2;
            text.Append("CASE WHEN ").Append(sql).Append(" >= ").Append(Moment(_spans[middle].From)).Append(" THEN ");
            Between(middle, to);
            text.Append(" ELSE ");
            Between(from, middle);
            text.Append(" END");
        }
    }

    private static long Micros(TimeSpan offset) => offset.Ticks / TimeSpan.TicksPerMicrosecond;

    private static string Number(long micros) => string.Create(CultureInfo.InvariantCulture, $"CAST({micros} AS BIGINT)");

    private static string Moment(long micros) => string.Create(CultureInfo.InvariantCulture, $"make_timestamp(CAST({micros} AS BIGINT))");
}
