using System.Buffers;

namespace Gongzhi.SampleCity;

/// <summary>
/// A made-up city: places with shapes, units, residents, firms and histories, the same for the same seed on every machine. Nobody in it is
/// real. Parts are drawn when first asked for; instances may be shared between threads.
/// </summary>
public sealed class City
{
    /// <summary>The seed that the recorded figures and the documentation speak of.</summary>
    public const ulong DefaultSeed = 20260101;

    /// <summary>The day the data end on; ages and registers are as of then.</summary>
    public static DateOnly LastDay { get; } = new(2025, 12, 31);

    private readonly Dictionary<string, Place> byCode;
    private readonly Place[][] byLevel;
    private readonly Lazy<(List<Firm> Rows, PlantedTruth Truth)> firms;
    private readonly Lazy<(List<CommunityMonth> Rows, PlantedTruth Truth)> population;
    private readonly Lazy<(List<ServiceRequest> Rows, PlantedTruth[] Truths)> requests;
    private readonly Lazy<(List<AirReading> Rows, PlantedTruth[] Truths)> air;
    private readonly Lazy<(List<CardPayment> Rows, PlantedTruth[] Truths)> payments;
    private readonly Lazy<IReadOnlyList<PlantedTruth>> truths;

    private City(ulong seed)
    {
        Seed = seed;
        Places = TerritoryBuilder.Build(seed);
        byCode = Places.ToDictionary(place => place.Code, StringComparer.Ordinal);
        byLevel = [.. Enum.GetValues<PlaceLevel>().Select(level => Places.Where(place => place.Level == level).ToArray())];
        Units = UnitDirectory.Build(Places);
        firms = new(() => FirmDirectory.Build(seed, PlacesAt(PlaceLevel.Community)));
        population = new(() => PopulationHistory.Build(seed, PlacesAt(PlaceLevel.Community), Residents()));
        requests = new(() => ServiceRequestHistory.Build(seed, PlacesAt(PlaceLevel.Cell), PlacesAt(PlaceLevel.Street)));
        air = new(() => AirQualityHistory.Build(seed, PlacesAt(PlaceLevel.Community)));
        payments = new(() => CardPaymentHistory.Build(seed, Units, Firms));
        truths = new(() => [firms.Value.Truth, population.Value.Truth, .. requests.Value.Truths, .. air.Value.Truths, .. payments.Value.Truths]);
        Datasets = SampleDatasets.Of(this);
    }

    /// <summary>What everything is drawn from.</summary>
    public ulong Seed { get; }

    /// <summary>All places, parents before children; by code within a level.</summary>
    public IReadOnlyList<Place> Places { get; }
    public IReadOnlyList<Unit> Units { get; }

    /// <summary>9,000 firms in the order of registration.</summary>
    public IReadOnlyList<Firm> Firms => firms.Value.Rows;

    /// <summary>24 months by 200 communities.</summary>
    public IReadOnlyList<CommunityMonth> CommunityPopulation => population.Value.Rows;

    /// <summary>30,000 requests of 2025 in the order of time.</summary>
    public IReadOnlyList<ServiceRequest> ServiceRequests => requests.Value.Rows;

    /// <summary>Hourly readings of 60 days at 12 stations.</summary>
    public IReadOnlyList<AirReading> AirQuality => air.Value.Rows;

    /// <summary>20,000 payments of 2025 in the order of time.</summary>
    public IReadOnlyList<CardPayment> CardPayments => payments.Value.Rows;

    /// <summary>The datasets, with schema and CSV.</summary>
    public IReadOnlyList<SampleDataset> Datasets { get; }

    /// <summary>What was put into the data on purpose.</summary>
    public IReadOnlyList<PlantedTruth> PlantedTruths => truths.Value;

    /// <summary>Draws places and units (some tens of milliseconds); the rest waits until asked for.</summary>
    public static City Generate(ulong seed = DefaultSeed) => new(seed);

    /// <summary>About 200,000 residents, drawn one household at a time and not kept.</summary>
    public IEnumerable<Resident> Residents() => Population.Residents(Seed, PlacesAt(PlaceLevel.Cell));

    public IReadOnlyList<Place> PlacesAt(PlaceLevel level) => byLevel[(int)level];

    /// <exception cref="KeyNotFoundException">The city has no such place.</exception>
    public Place Place(string code) => byCode[code];

    /// <exception cref="KeyNotFoundException">The city has no such dataset.</exception>
    public SampleDataset Dataset(string id) =>
        Datasets.FirstOrDefault(dataset => dataset.Id == id) ?? throw new KeyNotFoundException($"No dataset '{id}'.");

    /// <summary>Writes the places of a level as a GeoJSON FeatureCollection; see <see cref="GeoJson"/>.</summary>
    public void WriteGeoJson(PlaceLevel level, IBufferWriter<byte> destination) => GeoJson.Write(destination, PlacesAt(level));

    internal static DateTimeOffset Local(int year, int month, int day) => new(year, month, day, 0, 0, 0, TimeSpan.FromHours(8));

    internal static DateTimeOffset Local(DateOnly day) => new(day.ToDateTime(TimeOnly.MinValue), TimeSpan.FromHours(8));

    internal static DateTimeOffset Local(DateTime local) => new(local, TimeSpan.FromHours(8));
}
