namespace Gongzhi.SampleCity;

/// <summary>What the datasets of the city are and how their rows are written.</summary>
internal static class SampleDatasets
{
    private const string PlacePattern = "^9901[0-9]{2,11}$";

    public static IReadOnlyList<SampleDataset> Of(City city) =>
        [Residents(city), Firms(city), CommunityPopulation(city), ServiceRequests(city), AirQuality(city), CardPayments(city)];

    private static SampleDataset Residents(City city) => new()
    {
        Id = "residents",
        Title = new("Residents", "常住人口"),
        Description = new("The register of residents of the sample city; synthetic, nobody is real.", "示例城市的常住人口登记；全部为合成数据，不含真实个人。"),
        Owner = "city-public-security",
        Class = "important",
        Personal = true,
        Sharing = "conditional",
        Opening = "closed",
        Time = "updated",
        Place = "community",
        Subject = "resident_id",
        PrimaryKey = ["resident_id"],
        Fields =
        [
            new("resident_id", "identity-number") { Unique = true, MaxLength = 18, Pattern = "^9901[0-9]{13}[0-9X]$" },
            new("name", "person-name") { MaxLength = 20 }, new("sex", "sex"), new("birth_date", "birth-date"), PlaceField("community", "community"),
            new("household", "household") { Pattern = "^H[0-9]{7}$" }, new("occupation", "occupation"), new("updated", "updated-date"),
        ],
        Rows = (stream, header, cancellation) => Csv.WriteAsync(stream, header, city.Residents(), static (csv, row) => csv
            .Text(row.Id).Text(row.Name).Text(row.Sex).Day(row.BirthDate).Text(row.Community).Text(row.Household).Text(row.Occupation).Day(row.Updated),
            cancellation),
    };

    private static SampleDataset Firms(City city) => new()
    {
        Id = FirmDirectory.Dataset,
        Title = new("Firms", "市场主体"),
        Description = new("The register of firms of the sample city; synthetic.", "示例城市的市场主体登记；合成数据。"),
        Owner = "city-market-regulation",
        Sharing = "unconditional",
        Opening = "on-request",
        Time = "registered",
        Place = "place",
        PrimaryKey = ["credit_code"],
        Fields =
        [
            new("credit_code", "unified-credit-code") { Unique = true, MaxLength = 18 }, new("name", "firm-name") { MaxLength = 60 },
            new("industry", "industry"), new("staff", "staff-count") { Minimum = 0, Maximum = 100_000 }, PlaceField("place", "community"),
            new("registered", "registered-date"),
        ],
        Rows = (stream, header, cancellation) => Csv.WriteAsync(stream, header, city.Firms, static (csv, row) => csv
            .Text(row.CreditCode).Text(row.Name).Text(row.Industry).Integer(row.StaffCount).Text(row.Place).Day(row.Registered), cancellation),
    };

    private static SampleDataset CommunityPopulation(City city) => new()
    {
        Id = PopulationHistory.Dataset,
        Title = new("Population by community", "社区人口"),
        Description = new("Persons and households by community and month, with births, deaths and moves.", "各社区各月人口数、户数及出生、死亡、迁入、迁出人数。"),
        Owner = "city-statistics",
        Sharing = "unconditional",
        Opening = "open",
        Time = "month",
        Place = "community",
        PrimaryKey = ["community", "month"],
        Fields =
        [
            PlaceField("community", "community"), new("month", "month"), Count("population"), Count("households"), Count("births"), Count("deaths"),
            new("moved_in", "moved-in") { Minimum = 0 }, new("moved_out", "moved-out") { Minimum = 0 },
        ],
        Rows = (stream, header, cancellation) => Csv.WriteAsync(stream, header, city.CommunityPopulation, static (csv, row) => csv
            .Text(row.Community).Month(row.Year, row.Month).Integer(row.Population).Integer(row.Households).Integer(row.Births).Integer(row.Deaths)
            .Integer(row.MovedIn).Integer(row.MovedOut), cancellation),
    };

    private static SampleDataset ServiceRequests(City city) => new()
    {
        Id = ServiceRequestHistory.Dataset,
        Title = new("Service requests", "市民诉求"),
        Description = new("Requests to the public hotline in 2025.", "2025年政务热线受理的市民诉求。"),
        Owner = "city-hotline",
        Sharing = "unconditional",
        Opening = "on-request",
        Time = "opened_at",
        Place = "cell",
        PrimaryKey = ["id"],
        Fields =
        [
            new("id", "request-number") { Unique = true, MaxLength = 20 }, new("category", "request-category"), new("channel", "request-channel"),
            PlaceField("cell", "cell"), new("summary", "request-summary") { MaxLength = 200 }, new("opened_at", "opened-time"),
            new("closed_at", "closed-time") { Required = false },
        ],
        Rows = (stream, header, cancellation) => Csv.WriteAsync(stream, header, city.ServiceRequests, static (csv, row) =>
        {
            csv.Text(row.Id).Text(row.Category).Text(row.Channel).Text(row.Place).Text(row.Summary).Moment(row.OpenedAt);
            _ = row.ClosedAt is { } closed ? csv.Moment(closed) : csv.Missing();
        }, cancellation),
    };

    private static SampleDataset AirQuality(City city) => new()
    {
        Id = AirQualityHistory.Dataset,
        Title = new("Air quality", "空气质量"),
        Description = new("Hourly readings at twelve stations over sixty days.", "十二个监测站六十天的小时观测值。"),
        Owner = "city-environment",
        Sharing = "unconditional",
        Opening = "open",
        Time = "observed_at",
        Place = "place",
        PrimaryKey = ["station", "observed_at"],
        Fields =
        [
            new("station", "station") { MaxLength = 10 }, PlaceField("place", "community"), new("observed_at", "observed-time"), Reading("pm25"),
            Reading("pm10"), Reading("no2"), Reading("o3"),
        ],
        Rows = (stream, header, cancellation) => Csv.WriteAsync(stream, header, city.AirQuality, static (csv, row) => csv
            .Text(row.Station).Text(row.Place).Moment(row.ObservedAt).Decimal(row.Pm25E1, 1).Decimal(row.Pm10E1, 1).Decimal(row.No2E1, 1)
            .Decimal(row.O3E1, 1), cancellation),
    };

    private static SampleDataset CardPayments(City city) => new()
    {
        Id = CardPaymentHistory.Dataset,
        Title = new("Card payments", "公务卡支付"),
        Description = new("Payments by the office cards of government units in 2025.", "2025年各政府单位公务卡支付记录。"),
        Owner = "city-finance",
        Sharing = "conditional",
        Opening = "on-request",
        Time = "paid_at",
        Place = "place",
        PrimaryKey = ["id"],
        Fields =
        [
            new("id", "payment-number") { Unique = true, MaxLength = 20 }, new("card", "card-number") { Pattern = "^[0-9]{6}\\*{6}[0-9]{4}$" },
            new("unit", "paying-unit") { MaxLength = 64 }, new("merchant", "merchant") { MaxLength = 60 }, new("merchant_code", "unified-credit-code"),
            new("category", "payment-category"), new("amount", "payment-amount") { Scale = 2, Minimum = 0 }, new("paid_at", "paid-time"),
            PlaceField("place", "community"),
        ],
        Rows = (stream, header, cancellation) => Csv.WriteAsync(stream, header, city.CardPayments, static (csv, row) => csv
            .Text(row.Id).Text(row.Card).Text(row.Unit).Text(row.Merchant).Text(row.MerchantCode).Text(row.Category).Decimal(row.AmountFen, 2)
            .Moment(row.PaidAt).Text(row.Place), cancellation),
    };

    private static SampleField PlaceField(string name, string element) => new(name, element) { Pattern = PlacePattern };

    private static SampleField Count(string name) => new(name, name) { Minimum = 0 };

    private static SampleField Reading(string name) => new(name, name) { Scale = 1, Minimum = 0, Maximum = 10_000 };
}
