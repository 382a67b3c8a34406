namespace Gongzhi.Analysis;

/// <summary>What a day of a source usually brings.</summary>
/// <param name="Expected">Rows.</param>
/// <param name="Dispersion">Variance beyond Poisson's, as a share of the mean squared; with the uncertainty of the mean.</param>
/// <param name="Regular">Whether the source comes on nearly each such weekday, so that a day without it means something.</param>
/// <param name="Days">Days of the same weekday that this rests on.</param>
/// <param name="Largest">The largest count of any remembered day.</param>
public sealed record DayExpectation(double Expected, double Dispersion, bool Regular, int Days, long Largest)
{
    internal CountModel Model => new(Expected, Dispersion);
}

/// <summary>A day that is not like the others.</summary>
/// <param name="Day">Days since 0001-01-01, as <see cref="DateOnly.DayNumber"/>.</param>
/// <param name="Probability">Of so few or more extreme (or so many), were all as before; 0 where it was judged against the largest day.</param>
/// <param name="LikeRestDay">So few, and yet what a day of rest of this source brings: a public holiday is the first thing to think of.</param>
public sealed record UnusualDay(int Day, long Rows, DayExpectation Usual, bool TooMany, double Probability, bool LikeRestDay);

/// <summary>
/// Rows of one source by day, and which days are unusual. A day is compared with those of the same weekday (robust: the mean of the middle half), under a negative binomial whose
/// dispersion is learned from all remembered days (their median absolute deviation, which a fourth of wild days does not move).
/// </summary>
public sealed class DailyVolume
{
    /// <summary>Days remembered: twelve weeks. A lasting change becomes usual in about half of them.</summary>
    public const int HistoryDays = 84;

    /// <summary>Days of the same weekday below which nothing is called unusual.</summary>
    public const int SameWeekdayMin = 6;

    /// <summary>
    /// Probability at which a day is unusual, each way. A thousand sources give 365,000 days a year, so about one false alarm a year were the model exact; measured figures are in docs/decisions/0022.
    /// </summary>
    public const double Unusual = 1e-6;

    /// <summary>A source that comes irregularly is called out only at so many times its largest day, and only once so many days with rows are known.</summary>
    public const int LargestTimes = 4, RowDaysMin = 8;

    /// <summary>Silence after which what was learned is forgotten.</summary>
    public const int SilenceDaysMax = 60;

    private const int Version = 1;
    private readonly List<long> _history = [];
    private long _rows;
    private bool _partial = true;
    private DayExpectation? _today;
    private int _lastRows;

    /// <summary>The day that is counted now; null before the first row.</summary>
    public int? Today { get; private set; }

    /// <summary>Rows of <see cref="Today"/> so far.</summary>
    public long Rows => _rows;

    /// <summary>Closes the days before <paramref name="day"/> in order, and says of each what it was: null for a usual one.</summary>
    public IEnumerable<(int Day, UnusualDay? Unusual)> Advance(int day)
    {
        while (Today is { } today && today < day)
        {
            if (day - _lastRows > SilenceDaysMax)
            {
                // Nothing is said of a source that was away so long: it begins anew when it comes back.
                (Today, _rows, _partial) = (null, 0, true);
                _history.Clear();
                _today = null;
                yield return (today, null);
                yield break;
            }
            var unusual = _partial ? null : Judge(today, closed: true);
            if (!_partial)
                _history.Add(_rows);
            if (_history.Count > HistoryDays)
                _history.RemoveAt(0);
            (Today, _rows, _partial, _today) = (today + 1, 0, false, null);
            yield return (today, unusual);
        }
    }

    /// <summary>Adds rows of a day, which is not before <see cref="Today"/>: call <see cref="Advance"/> first. Answers at once when there are too many.</summary>
    public UnusualDay? Add(int day, long rows)
    {
        if (Today is null)
            (Today, _lastRows) = (day, day);
        if (day != Today)
            throw new ArgumentOutOfRangeException(nameof(day), "The days before were not closed, or the day is closed.");
        _rows += rows;
        if (rows > 0)
            _lastRows = day;
        return _partial ? null : Judge(day, closed: false);
    }

    /// <summary>What is usual on this day; null while too little is known. Days remembered end with yesterday.</summary>
    public DayExpectation? Expect(int day)
    {
        if (Today is not { } today)
            return null;
        var same = Same(day, today);
        if (same.Count < SameWeekdayMin)
            return null;
        var mean = Middle(same);
        // The mean is an estimate too: a gamma posterior over it adds this to the dispersion. The middle half knows about as much as five sixths of the days.
        var learned = (mean * same.Count / 1.2) + 0.5;
        var regular = same.Count(r => r > 0) * 4 >= same.Count * 3;
        return new(Math.Max(mean, 0.5 / same.Count), Dispersion(today) + (1 / learned), regular, same.Count, _history.Max());
    }

    private UnusualDay? Judge(int day, bool closed)
    {
        if ((_today ??= Expect(day)) is not { } usual)
            return null;
        if (!usual.Regular)
        {
            return _rows > usual.Largest * LargestTimes && _history.Count(r => r > 0) >= RowDaysMin ? new(day, _rows, usual, TooMany: true, 0, LikeRestDay: false) : null;
        }
        if (_rows > usual.Expected)
            return usual.Model.AtLeast(_rows) is var many && many < Unusual ? new(day, _rows, usual, TooMany: true, many, LikeRestDay: false) : null;
        if (!closed || usual.Model.AtMost(_rows) is not (< Unusual and var few))
            return null;
        // The calmest weekday of this source, whichever that is.
        var rest = Enumerable.Range(1, 6).Select(d => Expect(day - d)).OfType<DayExpectation>().MinBy(e => e.Expected);
        return new(day, _rows, usual, TooMany: false, few, rest is not null && rest.Expected < usual.Expected / 2 && rest.Model.AtMost(_rows) > 0.001);
    }

    private List<long> Same(int day, int today)
    {
        var same = new List<long>(HistoryDays / 7);
        for (var i = 0; i < _history.Count; i++)
        {
            if ((today - _history.Count + i - day) % 7 == 0)
                same.Add(_history[i]);
        }
        return same;
    }

    private static double Middle(List<long> values)
    {
        var sorted = values.Order().ToList();
        var cut = sorted.Count / 4;
        return sorted.Skip(cut).Take(sorted.Count - (2 * cut)).Average();
    }

    /// <summary>The dispersion at which half of the remembered days lie within 0.6745 standard deviations of their weekday's mean.</summary>
    private double Dispersion(int today)
    {
        var days = new List<(double Off, double Mean)>();
        for (var weekday = 0; weekday < 7; weekday++)
        {
            var same = Same(today + weekday, today);
            if (same.Count < 2 || Middle(same) is not (> 0 and var mean))
                continue;
            // The mean was fitted to these very days.
            var fitted = Math.Sqrt(same.Count / (same.Count - 1.0));
            days.AddRange(same.Select(r => (Math.Abs(r - mean) * fitted, mean)));
        }
        if (days.Count == 0)
            return 0;
        double Middle2(double dispersion) => days.Select(d => d.Off / Math.Sqrt(d.Mean + (dispersion * d.Mean * d.Mean))).Order().ElementAt(days.Count / 2);
        if (Middle2(0) <= 0.6745)
            return 0;
        var (low, high) = (0.0, 100.0);
        for (var i = 0; i < 40; i++)
        {
            var middle = (low + high) / 2;
            (low, high) = Middle2(middle) > 0.6745 ? (middle, high) : (low, middle);
        }
        return high;
    }

    /// <summary>Writes all that is known, so that <see cref="Read"/> goes on from there.</summary>
    public void Write(BinaryWriter to)
    {
        to.Write((byte)Version);
        to.Write(Today ?? -1);
        to.Write(_rows);
        to.Write(_partial);
        to.Write(_lastRows);
        to.Write(_history.Count);
        foreach (var rows in _history)
            to.Write(rows);
    }

    /// <exception cref="InvalidDataException">These are not the bytes of one.</exception>
    public static DailyVolume Read(BinaryReader from)
    {
        if (from.ReadByte() != Version)
            throw new InvalidDataException("The snapshot is of another form.");
        var today = from.ReadInt32();
        var volume = new DailyVolume { Today = today < 0 ? null : today, _rows = from.ReadInt64(), _partial = from.ReadBoolean(), _lastRows = from.ReadInt32() };
        var count = from.ReadInt32();
        if (count is < 0 or > HistoryDays)
            throw new InvalidDataException("The snapshot has too many days.");
        for (var i = 0; i < count; i++)
            volume._history.Add(from.ReadInt64());
        return volume;
    }
}
