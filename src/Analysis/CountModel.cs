namespace Gongzhi.Analysis;

/// <summary>Counts as a negative binomial: variance <c>mean + dispersion · mean²</c>; dispersion 0 is Poisson. Source: Cameron and Trivedi, Regression Analysis of Count Data, "NB2".</summary>
/// <param name="Mean">Above 0.</param>
/// <param name="Dispersion">0 or more.</param>
public readonly record struct CountModel(double Mean, double Dispersion)
{
    /// <summary>Above this mean, counts are taken in larger units, so that no tail needs more terms than it has digits: noise below 1 % of the mean is then taken for 1 %.</summary>
    public const double MeanExact = 10_000;

    // A tail's terms fall geometrically from where it begins; this many are never needed under MeanExact.
    private const int TermsMax = 1_000_000;

    // Below this the gamma functions of 1/dispersion lose the difference.
    private const double PoissonBelow = 1e-7;

    /// <summary>Probability of <paramref name="count"/> or more.</summary>
    public double AtLeast(long count)
    {
        if (count <= 0)
            return 1;
        if (Mean > MeanExact)
            return Coarse(out var unit).AtLeast((long)Math.Ceiling(count / unit));
        return count <= Mean ? 1 - Sum(count - 1, up: false) : Sum(count, up: true);
    }

    /// <summary>Probability of <paramref name="count"/> or fewer.</summary>
    public double AtMost(long count)
    {
        if (count < 0)
            return 0;
        if (Mean > MeanExact)
            return Coarse(out var unit).AtMost((long)Math.Floor(count / unit));
        return count < Mean ? Sum(count, up: false) : 1 - Sum(count + 1, up: true);
    }

    private CountModel Coarse(out double unit)
    {
        unit = Mean / MeanExact;
        var variance = (Mean + (Dispersion * Mean * Mean)) / (unit * unit);
        return new(MeanExact, Math.Max(0, (variance - MeanExact) / (MeanExact * MeanExact)));
    }

    private double Sum(long from, bool up)
    {
        var poisson = Dispersion < PoissonBelow;
        var (r, odds) = poisson ? (0, Mean) : (1 / Dispersion, Dispersion * Mean / (1 + (Dispersion * Mean)));
        var term = Math.Exp(LogMass(from));
        var sum = term;
        for (long i = from, n = 0; n < TermsMax; n++)
        {
            if (up)
            {
                term *= poisson ? odds / (i + 1) : (r + i) / (i + 1) * odds;
                i++;
            }
            else
            {
                if (i == 0)
                    break;
                term *= poisson ? i / odds : i / (r + i - 1) / odds;
                i--;
            }
            sum += term;
            if (term < sum * 1e-13)
                break;
        }
        return Math.Min(1, sum);
    }

    private double LogMass(long x)
    {
        if (Dispersion < PoissonBelow)
            return (x * Math.Log(Mean)) - Mean - LogGamma(x + 1.0);
        var r = 1 / Dispersion;
        var spread = Dispersion * Mean;
        return LogGamma(x + r) - LogGamma(r) - LogGamma(x + 1.0) - (r * Math.Log(1 + spread)) + (x * Math.Log(spread / (1 + spread)));
    }

    /// <summary>Natural logarithm of Γ(x) for x above 0, to about 1e-10 (Stirling's series after a shift; NIST DLMF 5.11.1).</summary>
    public static double LogGamma(double x)
    {
        var shift = 0.0;
        while (x < 10)
        {
            shift += Math.Log(x);
            x++;
        }
        var inverse = 1 / (x * x);
        return ((x - 0.5) * Math.Log(x)) - x + (0.5 * Math.Log(2 * Math.PI)) + ((1.0 / 12 - (inverse * (1.0 / 360 - (inverse * (1.0 / 1260 - (inverse / 1680)))))) / x) - shift;
    }
}
