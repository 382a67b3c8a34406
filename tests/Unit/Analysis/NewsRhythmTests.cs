using Gongzhi.Analysis;

namespace Gongzhi.Tests.Unit.Analysis;

public sealed class NewsRhythmTests(ITestOutputHelper output)
{
    private const long Second = 1_000_000, Hour = 3_600 * Second, Day = 24 * Hour;

    /// <summary>A Monday, 00:00 UTC.</summary>
    private static readonly long Start = (new DateTimeOffset(2026, 1, 5, 0, 0, 0, TimeSpan.Zero) - DateTimeOffset.UnixEpoch).Ticks / 10;

    [Fact]
    public void Usual_streams_ring_rarely()
    {
        foreach (var (name, next) in Streams())
        {
            var (alarms, years) = (0, 0.0);
            for (var seed = 0; seed < 20; seed++)
            {
                var random = new Random(seed);
                var rhythm = new NewsRhythm();
                foreach (var time in next(random).TakeWhile(t => t < Start + (365 * Day)))
                {
                    if (rhythm.Due() is { } due && due <= time)
                        alarms++;
                    rhythm.Add(time);
                }
                years += 1;
            }
            output.WriteLine($"{name}: {alarms / years:0.00} false alarms a dataset a year");
            Assert.True(alarms / years <= 0.5, $"{name}: {alarms} in {years} years");
        }
    }

    [Theory]
    // Hours after the last news at which silence is called out, at the latest: two days missed, a working day, ten usual waits.
    [InlineData(0, 49, "Daily at eight")]
    [InlineData(1, 49, "Daily at eight, workdays")]
    [InlineData(2, 30, "Every hour or so in working hours")]
    [InlineData(3, 3, "About every five minutes")]
    public void Silence_is_called_out(int stream, double hours, string name)
    {
        var rhythm = new NewsRhythm();
        // Ends on a Tuesday, in the afternoon.
        foreach (var time in Streams().ElementAt(stream).Next(new Random(1)).TakeWhile(t => t < Start + (141 * Day) + (15 * Hour)))
            rhythm.Add(time);
        var late = (rhythm.Due()!.Value - rhythm.Last!.Value) / (double)Hour;
        output.WriteLine($"{name}: called out {late:0.0} h after the last news");
        Assert.InRange(late, 0.25, hours);
    }

    [Fact]
    public void Nothing_is_called_out_before_twenty_days_with_news()
    {
        var rhythm = new NewsRhythm();
        Assert.Null(rhythm.Due());
        for (var day = 0; day < 20; day++)
        {
            rhythm.Add(Start + (day * Day));
            Assert.Null(rhythm.Due());
        }
        rhythm.Add(Start + (20 * Day));
        Assert.NotNull(rhythm.Due());
    }

    [Fact]
    public void An_outage_does_not_hide_the_next()
    {
        var rhythm = new NewsRhythm();
        for (var day = 0; day < 60; day++)
            rhythm.Add(Start + (day * Day));
        var usual = rhythm.Due()!.Value - rhythm.Last!.Value;
        rhythm.Add(Start + (80 * Day));
        rhythm.Add(Start + (81 * Day));
        Assert.InRange(rhythm.Due()!.Value - rhythm.Last!.Value, usual / 2, usual * 2);
    }

    [Fact]
    public void Thousands_at_once_and_moments_out_of_order_are_taken()
    {
        var rhythm = new NewsRhythm();
        for (var day = 0; day < 40; day++)
        {
            for (var i = 0; i < 1_000; i++)
                rhythm.Add(Start + (day * Day) + (8 * Hour) + ((i ^ 5) * 1_000));
        }
        Assert.InRange(rhythm.Due()!.Value - rhythm.Last!.Value, Day, 3 * Day);
        rhythm.Add(Start + (2_000 * Day));
        Assert.True(rhythm.Due() > rhythm.Last);
    }

    [Fact]
    public void A_snapshot_goes_on_to_the_same_moments()
    {
        foreach (var (_, next) in Streams())
        {
            var (one, other) = (new NewsRhythm(), new NewsRhythm());
            foreach (var time in next(new Random(2)).Take(3_000))
            {
                one.Add(time);
                other.Add(time);
                using var stream = new MemoryStream();
                using (var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true))
                    other.Write(writer);
                stream.Position = 0;
                using var reader = new BinaryReader(stream);
                other = NewsRhythm.Read(reader);
            }
            Assert.Equal(one.Due(), other.Due());
        }
    }

    private static IEnumerable<(string Name, Func<Random, IEnumerable<long>> Next)> Streams()
    {
        yield return ("Daily at eight, give or take ten minutes", random => Days().Select(d => d + (8 * Hour) + (long)(DailyVolumeTests.Normal(random) * 600 * Second)));
        yield return ("Daily at eight, workdays only", random => Days().Where(d => (d - Start) / Day % 7 < 5).Select(d => d + (8 * Hour) + (long)(DailyVolumeTests.Normal(random) * 600 * Second)));
        yield return ("By chance about every hour, workdays from eight to six", random => ByChance(random, Hour).Where(t => (t - Start) / Day % 7 < 5 && (t - Start) % Day is >= 8 * Hour and < 18 * Hour));
        yield return ("By chance about every five minutes", random => ByChance(random, 300 * Second));
        yield return ("By chance about twice a day", random => ByChance(random, 12 * Hour));
    }

    private static IEnumerable<long> Days() => Enumerable.Range(0, 4_000).Select(d => Start + (d * Day));

    private static IEnumerable<long> ByChance(Random random, long mean)
    {
        for (var time = Start; ; time += (long)(-Math.Log(1 - random.NextDouble()) * mean))
            yield return time;
    }
}
