namespace Gongzhi.Perf.Figures;

/// <summary>A question as a reader puts it, the grant it is put under, and what the peers are asked instead.</summary>
/// <param name="Purpose">Names the grant as well: each has one purpose of its own.</param>
/// <param name="Question">Members of the query beside dataset and purpose.</param>
/// <param name="Raw">The same SELECT without policy; <c>{0}</c> stands for the rows.</param>
/// <param name="Goal">Least share of the raw speed.</param>
internal sealed record P2Question(string Id, string What, string Purpose, string Question, string Raw, double Goal, string? Postgres = null);

/// <summary>The readings of P2. The row filter is one of the city's districts, about a quarter of the rows.</summary>
internal static class P2Questions
{
    public const string District = "990101";
    private const string Scope = "place >= '990101' AND place < '990102'";

    /// <summary>Grants of the reading party, by purpose.</summary>
    public static readonly (string Purpose, string Members)[] Grants =
    [
        ("masked", """ "fields":{"paid_at":"plain","place":"plain","category":"plain","amount":"plain","merchant":{"mask":"name"},"card":{"mask":"card"}},"rows":{"placeWithin":"990101"} """),
        ("pseudonym", """ "fields":{"card":"pseudonym","amount":"plain","paid_at":"plain"},"rows":{"placeWithin":"990101"} """),
        ("few", """ "fields":{"card":"plain","amount":"plain","paid_at":"plain","category":"plain"},"minimumGroup":10 """),
    ];

    public static readonly P2Question Scan = new("P2a", "scan, two masked and four plain fields, row filter", "masked",
        """ "fields":["paid_at","place","category","amount","merchant","card"] """,
        $"SELECT paid_at, place, category, amount, merchant, card FROM {{0}} WHERE {Scope}", 0.8,
        "SELECT paid_at, place, category, amount, merchant, card FROM masked");

    public static readonly P2Question Grouped = new("P2b", "grouped by category and month, row filter", "masked",
        """ "groupBy":["category",{"field":"paid_at","unit":"month","name":"month"}],"measures":[{"name":"n","function":"count"},{"name":"total","function":"sum","field":"amount"}] """,
        $"SELECT category, date_trunc('month', paid_at + INTERVAL 8 HOUR), count(*), sum(amount) FROM {{0}} WHERE {Scope} GROUP BY 1, 2", 0.8,
        "SELECT category, date_trunc('month', paid_at AT TIME ZONE 'Asia/Shanghai'), count(*), sum(amount) FROM masked GROUP BY 1, 2");

    public static readonly P2Question PseudonymGrouped = new("P2d", "grouped by a pseudonym of the card (100,000 groups), row filter", "pseudonym",
        """ "groupBy":["card"],"measures":[{"name":"n","function":"count"},{"name":"total","function":"sum","field":"amount"}] """,
        $"SELECT card, count(*), sum(amount) FROM {{0}} WHERE {Scope} GROUP BY 1", 0.8);

    public static readonly P2Question PseudonymScan = new("P2d", "scan with a pseudonym of the card, row filter", "pseudonym",
        """ "fields":["card","amount","paid_at"] """, $"SELECT card, amount, paid_at FROM {{0}} WHERE {Scope}", 0.3);

    public static readonly P2Question Few = new("P2e", "grouped by card and month (1.2 million groups), groups below k = 10 withheld", "few",
        """ "groupBy":["card",{"field":"paid_at","unit":"month","name":"month"}],"measures":[{"name":"n","function":"count"},{"name":"total","function":"sum","field":"amount"}] """,
        "SELECT card, date_trunc('month', paid_at + INTERVAL 8 HOUR), count(*), sum(amount) FROM {0} GROUP BY 1, 2", 0.15);

    public static readonly P2Question[] All = [Scan, Grouped, PseudonymGrouped, PseudonymScan, Few];
}
