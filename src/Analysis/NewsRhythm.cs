namespace Gongzhi.Analysis;

/// <summary>
/// When news of a stream comes, and from when on its absence is unusual. Time is measured by how much news it would usually bring (the time-rescaling theorem: Brown and others, Neural Computation 14, 2002):
/// flat at first, by hour of the week once four weeks are known, so that a night or a weekend without news counts for little. From each day's longest wait, so measured, is learned how long a wait can be.
/// </summary>
public sealed class NewsRhythm
{
    /// <summary>Weeks after which hours of the week are told apart.</summary>
    public const int WeeksForHours = 4;

    /// <summary>Days with news whose longest waits are remembered, and how many must be known before silence is called unusual.</summary>
    public const int DaysMax = 60, DaysMin = 20;

    /// <summary>A shorter silence is never unusual: a restart, an upgrade.</summary>
    public static readonly TimeSpan SilenceMin = TimeSpan.FromMinutes(15);

    /// <summary>A longer silence is always unusual, once enough is known.</summary>
    public static readonly TimeSpan SilenceMax = TimeSpan.FromDays(366);

    // Old weeks count half after eight, so that the rhythm follows a lasting change.
    private const double WeekKept = 0.9170040432046712;

    // A share of the news that may come at any hour: no hour is impossible.
    private const double AnyHour = 0.05;

    private const int Hours = 168, Version = 1;
    private const long Second = 1_000_000, Hour = 3_600 * Second, Day = 24 * Hour, Week = 7 * Day;
    private readonly double[] _news = new double[Hours];
    private readonly List<(int Day, double Longest)> _waits = [];
    private double _weeks;
    private long _week;
    private long _first;
    private double[]? _rates;

    /// <summary>Microseconds UTC of the latest news; null before the first.</summary>
    public long? Last { get; private set; }

    /// <summary>Takes news up. A moment before the latest counts as the latest: the order of the log is not quite that of receipt.</summary>
    /// <param name="time">Microseconds UTC.</param>
    public void Add(long time)
    {
        if (Last is not { } last)
        {
            (_first, _week) = (time, Floor(time, Week));
        }
        else
        {
            time = Math.Max(time, last);
            Remember((int)Floor(time, Day), Measure(last, time));
            for (var week = Floor(time, Week); _week < week; _week++)
            {
                _weeks = (_weeks * WeekKept) + 1;
                for (var h = 0; h < Hours; h++)
                    _news[h] *= WeekKept;
                _rates = null;
                if (week - _week > 520)
                    _week = week - 520;
            }
        }
        _news[HourOf(time)]++;
        // Within an hour the rates are left as they were: thousands of contributions a second must not each reckon them anew.
        if (Last is not { } before || Floor(before, Hour) != Floor(time, Hour))
            _rates = null;
        Last = time;
    }

    /// <summary>From when on silence since <see cref="Last"/> is unusual, microseconds UTC; null while too little is known.</summary>
    public long? Due()
    {
        if (Last is not { } last || _waits.Count < DaysMin)
            return null;
        var waits = _waits.Select(w => w.Longest).Order().ToList();
        // The second longest, so that one outage does not hide the next; beyond it at least half again, and twice the way from an ordinary day's longest.
        var long2 = waits[^2];
        var limit = long2 + Math.Max(long2 / 2, 2 * (long2 - waits[waits.Count / 2]));
        var rates = Rates(last);
        var due = last;
        var whole = rates.Sum();
        if (whole * (SilenceMax.Ticks / 10) / Week < limit)
            return last + (SilenceMax.Ticks / 10);
        var weeks = Math.Floor(limit / whole);
        due += (long)weeks * Week;
        limit -= weeks * whole;
        while (true)
        {
            var next = (Floor(due, Hour) + 1) * Hour;
            var part = rates[HourOf(due)] * (next - due) / Hour;
            if (part >= limit)
            {
                due += (long)Math.Ceiling(limit / part * (next - due) / Second) * Second;
                break;
            }
            limit -= part;
            due = next;
        }
        return Math.Clamp(due, last + (SilenceMin.Ticks / 10), last + (SilenceMax.Ticks / 10));
    }

    /// <summary>Pieces of news taken up, those of earlier weeks by their weight.</summary>
    public double News => _news.Sum();

    /// <summary>Usual time between two pieces of news, over the whole week; null before there are two.</summary>
    public TimeSpan? Usual => Last is { } last && last > _first ? TimeSpan.FromMicroseconds(Week / Rates(last).Sum()) : null;

    /// <summary>How much news this time usually brings.</summary>
    private double Measure(long from, long to)
    {
        var rates = Rates(from);
        if (Floor(from, Hour) == Floor(to, Hour))
            return rates[HourOf(from)] * (to - from) / Hour;
        var weeks = (to - from) / Week;
        var sum = weeks * rates.Sum();
        from += weeks * Week;
        while (from < to)
        {
            var next = Math.Min(to, (Floor(from, Hour) + 1) * Hour);
            sum += rates[HourOf(from)] * (next - from) / Hour;
            from = next;
        }
        return sum;
    }

    /// <summary>Pieces of news in each hour of the week, beginning with Thursday 00:00 UTC as the count of microseconds does.</summary>
    private double[] Rates(long now)
    {
        if (_rates is not null)
            return _rates;
        var rates = new double[Hours];
        var all = _news.Sum();
        var passed = Math.Max(_weeks + ((double)(now - (_week * Week)) / Week) - (_weeks == 0 ? (double)(_first - (_week * Week)) / Week : 0), 1.0 / Hours);
        var flat = all / passed / Hours;
        for (var h = 0; h < Hours; h++)
        {
            // The week in which it began was not whole, which four weeks later is little.
            var own = ((_news[h] / 2) + (_news[(h + 1) % Hours] / 4) + (_news[(h + Hours - 1) % Hours] / 4)) / passed;
            rates[h] = _weeks < WeeksKnown ? flat : ((1 - AnyHour) * own) + (AnyHour * flat);
        }
        return _rates = rates;
    }

    // The sum of four weeks as they are counted, the oldest least.
    private static readonly double WeeksKnown = Enumerable.Range(0, WeeksForHours).Aggregate(0.0, (sum, _) => (sum * WeekKept) + 1);

    private void Remember(int day, double wait)
    {
        if (_waits.Count > 0 && _waits[^1].Day == day)
        {
            if (wait > _waits[^1].Longest)
                _waits[^1] = (day, wait);
            return;
        }
        _waits.Add((day, wait));
        if (_waits.Count > DaysMax)
            _waits.RemoveAt(0);
    }

    private static int HourOf(long time) => (int)(Floor(time, Hour) - (Floor(time, Week) * Hours));

    private static long Floor(long value, long unit) => value >= 0 ? value / unit : -((-value + unit - 1) / unit);

    /// <summary>Writes all that is known, so that <see cref="Read"/> goes on from there to the last bit.</summary>
    public void Write(BinaryWriter to)
    {
        to.Write((byte)Version);
        to.Write(Last is not null);
        to.Write(Last ?? 0);
        to.Write(_first);
        to.Write(_week);
        to.Write(_weeks);
        foreach (var news in _news)
            to.Write(news);
        to.Write(_waits.Count);
        foreach (var (day, longest) in _waits)
        {
            to.Write(day);
            to.Write(longest);
        }
        // Rates stand for an hour once reckoned, so they are part of what is known.
        to.Write(_rates is not null);
        foreach (var rate in _rates ?? [])
            to.Write(rate);
    }

    /// <exception cref="InvalidDataException">These are not the bytes of one.</exception>
    public static NewsRhythm Read(BinaryReader from)
    {
        if (from.ReadByte() != Version)
            throw new InvalidDataException("The snapshot is of another form.");
        var rhythm = new NewsRhythm();
        var any = from.ReadBoolean();
        var last = from.ReadInt64();
        rhythm.Last = any ? last : null;
        (rhythm._first, rhythm._week, rhythm._weeks) = (from.ReadInt64(), from.ReadInt64(), from.ReadDouble());
        for (var h = 0; h < Hours; h++)
            rhythm._news[h] = from.ReadDouble();
        var count = from.ReadInt32();
        if (count is < 0 or > DaysMax)
            throw new InvalidDataException("The snapshot has too many days.");
        for (var i = 0; i < count; i++)
            rhythm._waits.Add((from.ReadInt32(), from.ReadDouble()));
        if (from.ReadBoolean())
        {
            rhythm._rates = new double[Hours];
            for (var h = 0; h < Hours; h++)
                rhythm._rates[h] = from.ReadDouble();
        }
        return rhythm;
    }
}
