using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Gongzhi.Core.Catalog;

namespace Gongzhi.Core.Signals;

/// <summary>
/// Freshness: a dataset that has a rhythm, and from which nothing comes. It learns the gaps between batches and raises <c>no-news</c> when the present one is longer than any of the last
/// <see cref="GapsKept"/> by half, and than four usual ones; it ends when something comes.
/// </summary>
/// <remarks>
/// If gaps come from one distribution, whatever it is, the next one is longer than all of the last n with a chance of 1 in n + 1; asking for half as much again makes that rarer by as much as long gaps are rare. A dataset
/// that rests at night or at the week's end shows these rests among its gaps after a day or a week, and until then has not enough of them.
/// </remarks>
public sealed class Freshness : IAnalysis
{
    /// <summary>Gaps from which it learns, and fewest that it needs.</summary>
    public const int GapsKept = 64, GapsMin = 12;

    private static readonly TimeSpan ShortestLimit = TimeSpan.FromHours(1);

    public string Name => "freshness";

    public int Version => 1;

    public bool Watches(Dataset dataset) => true;

    public string Partition(BatchHeader batch) => batch.Dataset.Id;

    public byte[] Take(byte[]? state, BatchHeader batch, ISignals signals)
    {
        var (last, open, gaps) = Read(state);
        var now = Microseconds.From(batch.Received);
        if (last > 0)
        {
            if (open)
                signals.End("no-news", Key(last));
            gaps.Add(Math.Max(0, now - last));
            if (gaps.Count > GapsKept)
                gaps.RemoveAt(0);
        }
        return Write(Math.Max(now, last), false, gaps);
    }

    public byte[]? Tick(string partition, byte[] state, DateTimeOffset now, ISignals signals)
    {
        var (last, open, gaps) = Read(state);
        if (open || gaps.Count < GapsMin || Limit(gaps) is var limit && Microseconds.From(now) - last <= limit)
            return null;
        signals.Raise(new Noticed("no-news", Key(last), Severity.Watch, partition, null, new Dictionary<string, JsonNode?>
        {
            ["last"] = Microseconds.ToTime(last).ToString("O", System.Globalization.CultureInfo.InvariantCulture),
            ["usualSeconds"] = Counts.Median(gaps) / 1_000_000,
            ["limitSeconds"] = limit / 1_000_000,
        }));
        return Write(last, true, gaps);
    }

    /// <summary>The longest gap, in microseconds, that is no news in itself.</summary>
    internal static long Limit(IReadOnlyList<long> gaps) => Math.Max((long)ShortestLimit.TotalMicroseconds, Math.Max(4 * Counts.Median(gaps), gaps.Max() / 2 * 3));

    private static string Key(long last) => last.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static (long Last, bool Open, List<long> Gaps) Read(byte[]? state)
    {
        var gaps = new List<long>();
        if (state is null)
            return (0, false, gaps);
        for (var at = 9; at < state.Length; at += 8)
            gaps.Add(BinaryPrimitives.ReadInt64BigEndian(state.AsSpan(at)));
        return (BinaryPrimitives.ReadInt64BigEndian(state), state[8] != 0, gaps);
    }

    private static byte[] Write(long last, bool open, List<long> gaps)
    {
        var state = new byte[9 + 8 * gaps.Count];
        BinaryPrimitives.WriteInt64BigEndian(state, last);
        state[8] = open ? (byte)1 : (byte)0;
        for (var i = 0; i < gaps.Count; i++)
            BinaryPrimitives.WriteInt64BigEndian(state.AsSpan(9 + 8 * i), gaps[i]);
        return state;
    }
}

/// <summary>
/// Volume: the rows that a unit brings to a dataset on a day, against what it brings on such days. It compares with the same weekday of the last weeks, or with all days while these are few, and raises
/// <c>volume-low</c> or <c>volume-high</c> for a day that is over.
/// </summary>
/// <remarks>
/// The expectation is the median and the spread the median deviation, so that one odd day among eight moves neither; to the spread comes what counting by chance brings (the root of the expectation) and one row, so that
/// small and steady counts raise nothing. Days without a batch count as zero once there is history.
/// </remarks>
/// <param name="zone">Whose midnight ends a day.</param>
public sealed class Volume(TimeZoneInfo zone) : IAnalysis
{
    /// <summary>Days kept, fewest before anything is raised, and fewest of the same weekday to compare with these alone.</summary>
    public const int DaysKept = 63, DaysMin = 14, WeekdaysMin = 5;

    /// <summary>How many spreads a day must be away: with normal counts once in some million days, and real ones have longer tails.</summary>
    public const double SpreadsMin = 6;

    private const char Between = '\n';

    public string Name => "volume";

    public int Version => 1;

    public bool Watches(Dataset dataset) => true;

    public string Partition(BatchHeader batch) => batch.Dataset.Id + Between + batch.Source;

    public byte[] Take(byte[]? state, BatchHeader batch, ISignals signals)
    {
        var (day, days) = Read(state);
        var today = Day(batch.Received);
        if (state is null)
            return Write(today, [batch.Rows]);
        Advance(Partition(batch), ref day, days, today, signals);
        // What comes late to the log belongs to a day that was judged already; it counts for the present one.
        days[^1] += batch.Rows;
        return Write(day, days);
    }

    public byte[]? Tick(string partition, byte[] state, DateTimeOffset now, ISignals signals)
    {
        var (day, days) = Read(state);
        var before = day;
        Advance(partition, ref day, days, Day(now), signals);
        return day == before ? null : Write(day, days);
    }

    private void Advance(string partition, ref int day, List<long> days, int today, ISignals signals)
    {
        // A source that has been silent for as long as it is remembered has stopped; freshness tells of that.
        for (var steps = 0; day < today && steps <= DaysKept; steps++)
        {
            Judge(partition, day, days, signals);
            days.Add(0);
            if (days.Count > DaysKept)
                days.RemoveAt(0);
            day++;
        }
        day = Math.Max(day, today);
    }

    private static void Judge(string partition, int day, List<long> days, ISignals signals)
    {
        var history = days.Take(days.Count - 1).ToList();
        if (history.Count < DaysMin || history.TakeLast(DaysMin).All(n => n == 0))
            return;
        var same = history.Where((_, i) => (history.Count - i) % 7 == 0).ToList();
        var (expected, spread) = Counts.Expect(same.Count >= WeekdaysMin ? same : history);
        var away = (days[^1] - expected) / spread;
        if (Math.Abs(away) < SpreadsMin)
            return;
        var at = partition.IndexOf(Between, StringComparison.Ordinal);
        var date = DateOnly.FromDayNumber(day).ToString("O", System.Globalization.CultureInfo.InvariantCulture);
        signals.Raise(new Noticed(away < 0 ? "volume-low" : "volume-high", date, Math.Abs(away) >= 3 * SpreadsMin ? Severity.Alert : Severity.Watch, partition[..at], partition[(at + 1)..],
            new Dictionary<string, JsonNode?> { ["day"] = date, ["rows"] = days[^1], ["expected"] = Math.Round(expected, 1), ["spread"] = Math.Round(spread, 1) }));
    }

    private int Day(DateTimeOffset moment) => DateOnly.FromDateTime(TimeZoneInfo.ConvertTime(moment, zone).DateTime).DayNumber;

    private static (int Day, List<long> Days) Read(byte[]? state)
    {
        var days = new List<long>();
        for (var at = 4; at < state?.Length; at += 8)
            days.Add(BinaryPrimitives.ReadInt64BigEndian(state.AsSpan(at)));
        return (state is null ? 0 : BinaryPrimitives.ReadInt32BigEndian(state), days);
    }

    private static byte[] Write(int day, List<long> days)
    {
        var state = new byte[4 + 8 * days.Count];
        BinaryPrimitives.WriteInt32BigEndian(state, day);
        for (var i = 0; i < days.Count; i++)
            BinaryPrimitives.WriteInt64BigEndian(state.AsSpan(4 + 8 * i), days[i]);
        return state;
    }
}

/// <summary>Robust expectations of counts.</summary>
internal static class Counts
{
    public static long Median(IReadOnlyList<long> values)
    {
        var sorted = values.Order().ToList();
        return sorted.Count % 2 == 1 ? sorted[sorted.Count / 2] : (sorted[sorted.Count / 2 - 1] + sorted[sorted.Count / 2]) / 2;
    }

    /// <summary>What is usual, and how far from it is: never less than chance and one row.</summary>
    public static (double Expected, double Spread) Expect(IReadOnlyList<long> counts)
    {
        var median = Median(counts);
        // 1.4826: of a normal distribution the median deviation is that much smaller than the standard one.
        var deviation = 1.4826 * Median([.. counts.Select(n => Math.Abs(n - median))]);
        return (median, Math.Sqrt(deviation * deviation + median) + 1);
    }
}
