using Gongzhi.SampleCity;
using Xunit;

namespace Gongzhi.Tests.Unit.SampleCity;

public class PlantedTruthTests
{
    private static readonly City City = City.Generate();

    private static PlantedTruth Truth(string id) => City.PlantedTruths.Single(truth => truth.Id == id);

    [Fact]
    public void Every_truth_is_about_a_dataset_and_places_of_the_city()
    {
        Assert.Equal(10, City.PlantedTruths.Select(truth => truth.Id).Distinct().Count());
        Assert.All(City.PlantedTruths, truth =>
        {
            Assert.NotNull(City.Dataset(truth.Dataset));
            Assert.NotEmpty(truth.Rows);
            Assert.Equal(truth.Rows.Count, truth.Rows.Distinct().Count());
            Assert.All(truth.Places, code => Assert.NotNull(City.Place(code)));
            Assert.True(truth.From < truth.Until);
        });
    }

    [Fact]
    public void The_burst_main_stands_out_of_the_weeks_around_it()
    {
        var truth = Truth("burst-main");
        var water = City.ServiceRequests.Where(row => row.Category == "water-supply" && row.Place.StartsWith(truth.Places[0], StringComparison.Ordinal)).ToList();
        Assert.Equal(240, truth.Rows.Count);
        Assert.Superset(truth.Rows.ToHashSet(), water.Where(row => row.OpenedAt >= truth.From.DateTime && row.OpenedAt < truth.Until.DateTime).Select(row => row.Id).ToHashSet());
        Assert.True(water.Count - 240 < 240, "an ordinary year has fewer than the one week");
    }

    [Fact]
    public void The_noisy_month_is_at_night_in_one_community()
    {
        var truth = Truth("night-noise");
        Assert.Equal(60, truth.Rows.Count);
        var rows = City.ServiceRequests.Where(row => truth.Rows.Contains(row.Id)).ToList();
        Assert.All(rows, row =>
        {
            Assert.Equal("noise", row.Category);
            Assert.True(row.OpenedAt.Hour is >= 22 or < 2);
            Assert.StartsWith(truth.Places[0], row.Place);
            Assert.InRange(row.OpenedAt, truth.From.DateTime, truth.Until.DateTime);
        });
    }

    [Fact]
    public void Only_the_slow_office_takes_more_than_twenty_days()
    {
        var slow = City.ServiceRequests.Where(row => row.ClosedAt - row.OpenedAt >= TimeSpan.FromDays(20)).Select(row => row.Id);
        Assert.Equal(Truth("slow-office").Rows, slow);
        Assert.True(Truth("slow-office").Rows.Count > 30);
    }

    [Fact]
    public void The_air_truths_are_in_the_readings()
    {
        var stuck = Truth("stuck-sensor");
        var stuckRows = City.AirQuality.Where(row => stuck.Rows.Contains(Key(row))).ToList();
        Assert.Equal(36, stuckRows.Count);
        Assert.Single(stuckRows.Select(row => (row.Station, row.Pm25E1)).Distinct());

        var silent = Truth("silent-station");
        Assert.Equal(24, silent.Rows.Count);
        Assert.DoesNotContain(City.AirQuality, row => silent.Rows.Contains(Key(row)));

        var bad = Truth("bad-air");
        var badKeys = bad.Rows.ToHashSet();
        Assert.Equal(72 * 12, bad.Rows.Count);
        var (badRows, others) = (City.AirQuality.Where(row => badKeys.Contains(Key(row))), City.AirQuality.Where(row => !badKeys.Contains(Key(row))));
        Assert.True(badRows.Average(row => row.Pm25E1) > others.Average(row => row.Pm25E1) + 800);
    }

    [Fact]
    public void The_split_payments_are_exactly_those_that_a_count_finds()
    {
        var groups = City.CardPayments.GroupBy(row => (row.Card, row.MerchantCode, row.PaidAt.Date)).Where(group => group.Count() > 1).ToList();
        var split = groups.Where(group => group.Count() >= 3 && group.All(row => row.AmountFen is >= 460_000 and < 500_000) && group.Sum(row => row.AmountFen) > 500_000)
            .SelectMany(group => group.Select(row => row.Id)).ToHashSet();
        var doubled = groups.Where(group => group.Count() == 2 && group.Select(row => row.AmountFen).Distinct().Count() == 1)
            .SelectMany(group => group.Select(row => row.Id)).ToHashSet();
        Assert.Equal(Truth("split-payments").Rows.ToHashSet(), split);
        Assert.Equal(14, Truth("split-payments").Groups.Count);
        Assert.Equal(Truth("doubled-payments").Rows.ToHashSet(), doubled);
        Assert.Equal(10, Truth("doubled-payments").Groups.Count);
        Assert.Equal(24, groups.Count);
    }

    [Fact]
    public void The_shells_are_the_only_firms_of_their_day_and_have_no_staff()
    {
        var truth = Truth("shell-firms");
        var day = DateOnly.FromDateTime(truth.From.DateTime);
        Assert.Equal(15, truth.Rows.Count);
        Assert.Equal(truth.Rows, City.Firms.Where(firm => firm.Registered == day).Select(firm => firm.CreditCode));
        Assert.Equal(truth.Rows, City.Firms.Where(firm => firm.StaffCount == 0 && firm.Place == truth.Places[0]).Select(firm => firm.CreditCode));
    }

    [Fact]
    public void Population_agrees_with_the_register_and_with_the_month_before()
    {
        var residents = City.Residents().GroupBy(person => person.Community).ToDictionary(group => group.Key, group => group.Count());
        foreach (var community in City.CommunityPopulation.GroupBy(row => row.Community))
        {
            var months = community.ToList();
            Assert.Equal(24, months.Count);
            Assert.Equal(residents[community.Key], months[^1].Population);
            for (var i = 1; i < 24; i++)
            {
                var row = months[i];
                Assert.Equal(months[i - 1].Population + row.Births - row.Deaths + row.MovedIn - row.MovedOut, row.Population);
                Assert.True(row.Population > 0 && row.Households <= row.Population);
            }
        }
        var estate = City.CommunityPopulation.MaxBy(row => row.MovedIn)!;
        Assert.Equal(Truth("new-estate").Rows.Single(), $"{estate.Community}|{estate.Year}-{estate.Month:00}");
    }

    private static string Key(AirReading row) => $"{row.Station}|{row.ObservedAt:yyyy-MM-ddTHH:mm:ss}+08:00";
}
