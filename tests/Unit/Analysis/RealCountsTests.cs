using System.Globalization;
using Gongzhi.Analysis;

namespace Gongzhi.Tests.Unit.Analysis;

/// <summary>The mathematics on messages that residents of one city really sent: when they came, and how many a day.</summary>
public sealed class RealCountsTests(ITestOutputHelper output)
{
    [Fact]
    public void Residents_messages_are_mostly_usual()
    {
        var file = Path.Combine(Environment.GetEnvironmentVariable("GONGZHI_TESTDATA") ?? "", "opinion", "hotline", "messages_with_replies.csv");
        Assert.SkipUnless(File.Exists(file), "set GONGZHI_TESTDATA");
        var times = Times(file).Order().ToList();
        Assert.True(times.Count > 2_000);
        var (volume, rhythm) = (new DailyVolume(), new NewsRhythm());
        var (unusual, judged, silences) = (new List<UnusualDay>(), 0, new List<(DateTime From, TimeSpan Long)>());
        foreach (var time in times)
        {
            var day = DateOnly.FromDateTime(time).DayNumber;
            foreach (var (_, closed) in volume.Advance(day))
            {
                judged++;
                if (closed is not null)
                    unusual.Add(closed);
            }
            if (volume.Add(day, 1) is { } many && unusual.TrueForAll(u => u.Day != many.Day))
                unusual.Add(many);
            var moment = (time - DateTime.UnixEpoch).Ticks / 10;
            if (rhythm.Due() is { } due && due <= moment)
                silences.Add((DateTime.UnixEpoch.AddTicks(rhythm.Last!.Value * 10), TimeSpan.FromMicroseconds(moment - rhythm.Last.Value)));
            rhythm.Add(moment);
        }
        output.WriteLine($"{times.Count} messages, {times[0]:yyyy-MM-dd} to {times[^1]:yyyy-MM-dd}, {judged} days");
        foreach (var day in unusual)
            output.WriteLine($"{DateOnly.FromDayNumber(day.Day):yyyy-MM-dd}: {day.Rows} where {day.Usual.Expected:0.0} are usual");
        foreach (var (from, length) in silences)
            output.WriteLine($"silent from {from:yyyy-MM-dd HH:mm} for {length.TotalDays:0.0} days");
        // Two in a hundred days at most.
        Assert.True(unusual.Count <= judged / 50, $"{unusual.Count} of {judged} days");
        Assert.True(silences.Count <= 5, $"{silences.Count} silences");
    }

    /// <summary>The fourth field of each record that begins with a number; texts in quotes may hold commas, so the moment is known by its form.</summary>
    private static IEnumerable<DateTime> Times(string file)
    {
        foreach (var line in File.ReadLines(file))
        {
            foreach (var part in line.Split(','))
            {
                if (part.Length is > 12 and < 20 && DateTime.TryParseExact(part, ["yyyy/M/d H:mm:ss", "yyyy/M/d H:mm"], CultureInfo.InvariantCulture, DateTimeStyles.None, out var time))
                {
                    yield return time;
                    break;
                }
            }
        }
    }
}
