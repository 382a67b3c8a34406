namespace Gongzhi.Core.Intake;

/// <summary>
/// Turns local times of one zone into UTC, remembering the offset of each day that has only one: almost all days do, and
/// asking the zone for every row would cost more than parsing it. Not for use by several threads at once.
/// </summary>
internal sealed class LocalClock(TimeZoneInfo zone)
{
    private const long Changing = long.MinValue;
    private readonly Dictionary<long, long> _offsets = [];
    private long _lastDay = long.MinValue;
    private long _lastOffset;

    public bool ToUtc(long day, long localMicroseconds, out long utc)
    {
        if (day != _lastDay)
        {
            if (!_offsets.TryGetValue(day, out _lastOffset))
            {
                _lastOffset = OffsetOfDay(day);
                _offsets[day] = _lastOffset;
            }
            _lastDay = day;
        }
        if (_lastOffset != Changing)
        {
            utc = localMicroseconds - _lastOffset;
            return true;
        }
        var local = new System.DateTime(System.DateTime.UnixEpoch.Ticks + localMicroseconds * TimeSpan.TicksPerMicrosecond, DateTimeKind.Unspecified);
        if (zone.IsInvalidTime(local))
        {
            utc = 0;
            return false;
        }
        // Of two possible readings the zone's standard time is taken; the guide says so.
        utc = localMicroseconds - zone.GetUtcOffset(local).Ticks / TimeSpan.TicksPerMicrosecond;
        return true;
    }

    private long OffsetOfDay(long day)
    {
        var start = System.DateTime.UnixEpoch.AddDays(day);
        var first = zone.GetUtcOffset(new System.DateTime(start.Ticks, DateTimeKind.Unspecified));
        for (var hour = 1; hour <= 24; hour++)
        {
            var at = new System.DateTime(start.Ticks + hour * TimeSpan.TicksPerHour, DateTimeKind.Unspecified);
            if (zone.IsInvalidTime(at) || zone.IsAmbiguousTime(at) || zone.GetUtcOffset(at) != first)
                return Changing;
        }
        return zone.IsInvalidTime(new System.DateTime(start.Ticks, DateTimeKind.Unspecified)) ? Changing : first.Ticks / TimeSpan.TicksPerMicrosecond;
    }
}
