using System.Globalization;

namespace Gongzhi.SampleCity;

/// <summary>A payment by an office card.</summary>
/// <param name="Card">Masked: six digits, six stars, four digits. 9901 is no card scheme's number.</param>
/// <param name="Unit">Id of the paying unit.</param>
/// <param name="Merchant">Name of the firm paid.</param>
/// <param name="MerchantCode">Credit code of the firm paid.</param>
/// <param name="Category">A code of the list <c>payment-category</c>.</param>
/// <param name="AmountFen">Hundredths of a yuan.</param>
/// <param name="PaidAt">Local time of the city, +08:00.</param>
/// <param name="Place">Code of the firm's community.</param>
/// <param name="Id">CP- and six digits, in the order of time.</param>
public sealed record CardPayment(
    string Id, string Card, string Unit, string Merchant, string MerchantCode, string Category, long AmountFen, DateTime PaidAt, string Place);

/// <summary>A year of card payments, with payments split to stay below the limit, and doubled ones.</summary>
internal static class CardPaymentHistory
{
    public const string Dataset = "card-payments";
    public const int Count = 20_000;

    /// <summary>A single payment of this many fen or more needs an approval.</summary>
    public const long ApprovalLimitFen = 500_000;

    private const int CardCount = 300;
    private const int MerchantCount = 700;
    private const int SplitGroups = 14;
    private const int DoubledPairs = 10;

    private static readonly Dictionary<string, string[]> CategoriesOf = new(StringComparer.Ordinal)
    {
        ["F"] = ["office-supplies"], ["H"] = ["meals", "lodging"], ["G"] = ["transport"], ["L"] = ["services"], ["P"] = ["training"], ["O"] = ["repair"],
        ["R"] = ["culture"],
    };

    private readonly record struct Draft(int Card, Firm Merchant, long AmountFen, DateTime PaidAt, int Group);

    /// <summary>In the order of time. Apart from what is planted, no card pays the same merchant twice on a day.</summary>
    public static (List<CardPayment> Rows, PlantedTruth[] Truths) Build(ulong seed, IReadOnlyList<Unit> units, IReadOnlyList<Firm> firms)
    {
        var random = new SampleRandom(seed, RandomStream.CardPayments);
        Unit[] holders = [.. units.Where(unit => unit.Kind == UnitKind.Government)];
        var cards = Enumerable.Range(0, CardCount).Select(i => (Number: CardNumber(i), Holder: random.Pick(holders).Id)).ToArray();
        var merchants = firms.Where(firm => !FirmDirectory.IsShell(firm) && CategoriesOf.ContainsKey(firm.Industry)).ToArray();
        random.Shuffle(merchants);
        Firm[] shells = [.. firms.Where(FirmDirectory.IsShell)];

        var taken = new HashSet<(int Card, string Merchant, int Day)>();
        var drafts = new List<Draft>(Count);
        PlantSplits(random, shells, taken, drafts);
        PlantDoubles(random, merchants, taken, drafts);
        while (drafts.Count < Count)
        {
            var merchant = merchants[Math.Min(random.Below(MerchantCount), random.Below(MerchantCount))];
            var (card, at) = (random.Below(CardCount), OfficeTime(random));
            if (taken.Add((card, merchant.CreditCode, at.DayOfYear)))
                drafts.Add(new(card, merchant, (long)(random.TenDoublings() * 1000) + random.Below(10), at, -1));
        }

        var groups = new List<string>[SplitGroups + DoubledPairs];
        for (var i = 0; i < groups.Length; i++)
            groups[i] = [];
        var rows = new List<CardPayment>(Count);
        foreach (var draft in drafts.OrderBy(draft => draft.PaidAt))
        {
            var id = "CP-" + (rows.Count + 1).ToString("000000", CultureInfo.InvariantCulture);
            var (number, holder) = cards[draft.Card];
            var categories = CategoriesOf[draft.Merchant.Industry];
            var category = categories[draft.Merchant.Name.Contains("酒店", StringComparison.Ordinal) ? categories.Length - 1 : 0];
            rows.Add(new(id, number, holder, draft.Merchant.Name, draft.Merchant.CreditCode, category, draft.AmountFen, draft.PaidAt, draft.Merchant.Place));
            if (draft.Group >= 0)
                groups[draft.Group].Add(id);
        }
        return (rows,
        [
            Truth("split-payments", "Payments split to stay below the approval limit: one card, one merchant, one day", "拆分支付：同卡同商户同日多笔，均略低于审批限额", groups[..SplitGroups]),
            Truth("doubled-payments", "The same amount paid twice to one merchant within ten minutes", "重复支付：十分钟内向同一商户支付相同金额两次", groups[SplitGroups..]),
        ]);
    }

    private static void PlantSplits(SampleRandom random, Firm[] shells, HashSet<(int, string, int)> taken, List<Draft> drafts)
    {
        for (var group = 0; group < SplitGroups;)
        {
            var (card, merchant, at) = (random.Below(CardCount), shells[random.Below(5)], OfficeTime(random));
            if (at.Month < 6 || !taken.Add((card, merchant.CreditCode, at.DayOfYear)))
                continue;
            var parts = random.Between(3, 5);
            for (var part = 0; part < parts; part++)
                drafts.Add(new(card, merchant, ApprovalLimitFen - random.Between(100, 39_900), at.Date.AddMinutes(600 + part * 75 + random.Below(60)), group));
            group++;
        }
    }

    private static void PlantDoubles(SampleRandom random, Firm[] merchants, HashSet<(int, string, int)> taken, List<Draft> drafts)
    {
        for (var pair = 0; pair < DoubledPairs;)
        {
            var (card, merchant, at) = (random.Below(CardCount), merchants[random.Below(MerchantCount)], OfficeTime(random));
            if (!taken.Add((card, merchant.CreditCode, at.DayOfYear)))
                continue;
            var amount = random.Between(20_000, 300_000);
            drafts.Add(new(card, merchant, amount, at, SplitGroups + pair));
            drafts.Add(new(card, merchant, amount, at.AddSeconds(random.Between(40, 590)), SplitGroups + pair));
            pair++;
        }
    }

    private static PlantedTruth Truth(string id, string en, string zh, List<string>[] groups) =>
        new(id, Dataset, new(en, zh), [], City.Local(2025, 1, 1), City.Local(2026, 1, 1), [.. groups.SelectMany(group => group)], groups);

    /// <summary>2025, mostly on working days, 08:00 to 21:59.</summary>
    private static DateTime OfficeTime(SampleRandom random)
    {
        var day = new DateTime(2025, 1, 1).AddDays(random.Below(365));
        while (day.DayOfWeek is DayOfWeek.Saturday or DayOfWeek.Sunday && random.Chance(850))
            day = new DateTime(2025, 1, 1).AddDays(random.Below(365));
        return day.AddSeconds(28_800 + random.Below(50_400));
    }

    private static string CardNumber(int index) =>
        "990101******" + (index * 7_919 % 10_000).ToString("0000", CultureInfo.InvariantCulture);
}
