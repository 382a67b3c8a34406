using CsCheck;
using Gongzhi.Analysis;

namespace Gongzhi.Tests.Unit.Analysis;

public sealed class CountModelTests
{
    [Theory]
    // Poisson and negative binomial tails, reckoned apart by direct summation with 50 digits.
    [InlineData(3.0, 0.0, 10, 0.0011024881301154797, 0.9997076630493527)]
    [InlineData(3.0, 0.5, 10, 0.030233088, 0.980408958976)]
    public void Tails_are_those_of_the_distribution(double mean, double dispersion, long count, double atLeast, double atMost)
    {
        var model = new CountModel(mean, dispersion);
        Assert.Equal(atLeast, model.AtLeast(count), 1e-9);
        Assert.Equal(atMost, model.AtMost(count), 1e-9);
    }

    [Fact]
    public void Both_tails_make_one_and_fall_with_distance() =>
        Gen.Select(Gen.Double[0.01, 9_000], Gen.Double[0, 3], Gen.Long[0, 20_000]).Sample((mean, dispersion, count) =>
        {
            var model = new CountModel(mean, dispersion);
            Assert.Equal(1, model.AtLeast(count + 1) + model.AtMost(count), 1e-6);
            Assert.True(model.AtLeast(count + 1) <= model.AtLeast(count) + 1e-9);
        }, iter: 2_000);

    [Fact]
    public void Large_counts_go_on_from_small_ones()
    {
        // Three standard deviations are three standard deviations, below and above where units change.
        foreach (var dispersion in (double[])[0.01, 0.1, 1])
        {
            var (below, above) = (new CountModel(9_990, dispersion), new CountModel(10_010, dispersion));
            Assert.Equal(1, above.AtLeast((long)(10_010 * (1 + (3 * Math.Sqrt(dispersion))))) / below.AtLeast((long)(9_990 * (1 + (3 * Math.Sqrt(dispersion))))), 0.05);
        }
        Assert.InRange(new CountModel(1e9, 0.04).AtLeast(2_000_000_000), 1e-7, 1e-3);
    }

    [Fact]
    public void The_logarithm_of_gamma_is_that_of_factorials()
    {
        var sum = 0.0;
        for (var n = 1; n < 1_000; n++)
        {
            Assert.Equal(sum, CountModel.LogGamma(n), 1e-8 * Math.Max(1, sum));
            sum += Math.Log(n);
        }
    }
}
