using System.Globalization;

namespace Gongzhi.SampleCity;

/// <summary>A request to the public hotline.</summary>
/// <param name="Category">A code of the list <c>request-category</c>.</param>
/// <param name="Channel">A code of the list <c>request-channel</c>.</param>
/// <param name="Place">Code of the cell.</param>
/// <param name="OpenedAt">Local time of the city, +08:00.</param>
/// <param name="ClosedAt">The same; null while open at the end of 2025.</param>
/// <param name="Id">SR-2025- and six digits, in the order of time.</param>
/// <param name="Summary">A short sentence in Chinese.</param>
public sealed record ServiceRequest(
    string Id, string Category, string Channel, string Place, string Summary, DateTime OpenedAt, DateTime? ClosedAt);

/// <summary>The requests of 2025, with a burst main, a noisy month and a slow office among them.</summary>
internal static class ServiceRequestHistory
{
    public const string Dataset = "service-requests";
    public const int Count = 30_000;
    private const int BurstCount = 240;
    private const int NoiseCount = 60;

    // Ordinary requests close within this; the slow office's take longer than SlowDays.
    private const int OrdinaryMinutesMax = 12 * 1440;
    private const int SlowDays = 20;

    private static readonly DateTime Burst = new(2025, 7, 14);
    private static readonly DateTime Noise = new(2025, 9, 1);
    private static readonly DateTime Slow = new(2025, 9, 1);
    private static readonly DateTime SlowEnd = new(2025, 11, 1);
    private static readonly DateTime End = new(2026, 1, 1);

    private static readonly (string Category, int Share, string[] Summaries)[] Categories =
    [
        ("water-supply", 80, ["自来水水压不足", "家中停水", "水管漏水", "水质发黄"]), ("drainage", 60, ["下水道堵塞", "井盖缺失", "路面积水"]),
        ("power", 50, ["家中停电", "电表读数有误", "电线裸露"]), ("roads", 90, ["路面破损", "人行道地砖松动", "施工围挡占道"]),
        ("street-lighting", 60, ["路灯不亮", "路灯白天长亮"]), ("noise", 130, ["夜间施工噪声", "广场音响声音过大", "楼上装修扰民"]),
        ("waste", 120, ["垃圾未及时清运", "垃圾桶破损", "建筑垃圾堆放"]), ("parking", 140, ["车辆占用消防通道", "车位不足", "共享单车乱停放"]),
        ("property", 120, ["电梯故障", "物业费有疑问", "楼道照明不亮"]), ("greenery", 50, ["树枝遮挡窗户", "草坪枯死"]),
        ("transport", 50, ["公交候车时间长", "站牌信息有误"]), ("benefits", 50, ["咨询医保报销", "咨询养老金领取", "咨询住房补贴"]),
    ];

    private static readonly string[] Channels = ["hotline", "app", "web", "visit", "worker"];

    // Share of each hour of the day, per mille.
    private static readonly int[] Hours = [6, 4, 3, 3, 4, 10, 25, 50, 80, 90, 85, 70, 50, 50, 70, 75, 70, 60, 50, 50, 40, 30, 15, 10];

    private readonly record struct Draft(int Category, Place Cell, DateTime OpenedAt, int Plant);

    /// <summary>In the order of time.</summary>
    public static (List<ServiceRequest> Rows, PlantedTruth[] Truths) Build(ulong seed, IReadOnlyList<Place> cells, IReadOnlyList<Place> streets)
    {
        var random = new SampleRandom(seed, RandomStream.ServiceRequests);
        var burstStreet = random.Pick(streets).Code;
        var noisyCommunity = random.Pick(cells).Parent!;
        var slowStreet = random.Pick(streets).Code;
        var shares = Categories.Select(category => category.Share).ToArray();
        Place[] burstCells = [.. cells.Where(cell => cell.Code.StartsWith(burstStreet, StringComparison.Ordinal))];
        Place[] noisyCells = [.. cells.Where(cell => cell.Parent == noisyCommunity)];

        var drafts = new List<Draft>(Count);
        for (var i = 0; i < BurstCount; i++)
            drafts.Add(new(0, random.Pick(burstCells), Burst.AddDays(random.Below(7)).Add(TimeOfDay(random)), 0));
        for (var i = 0; i < NoiseCount; i++)
            drafts.Add(new(5, random.Pick(noisyCells), Noise.AddDays(random.Below(29)).AddMinutes(22 * 60 + random.Below(240)), 1));
        while (drafts.Count < Count)
            drafts.Add(new(random.Weighted(shares), random.Pick(cells), new DateTime(2025, 1, 1).AddDays(random.Below(365)).Add(TimeOfDay(random)), -1));

        var keys = new List<string>[] { [], [], [] };
        var rows = new List<ServiceRequest>(Count);
        foreach (var draft in drafts.OrderBy(draft => draft.OpenedAt))
        {
            var id = "SR-2025-" + (rows.Count + 1).ToString("000000", CultureInfo.InvariantCulture);
            var (category, _, summaries) = Categories[draft.Category];
            var slow = category is "waste" or "property" && draft.OpenedAt >= Slow && draft.OpenedAt < SlowEnd
                && draft.Cell.Code.StartsWith(slowStreet, StringComparison.Ordinal);
            var minutes = slow ? SlowDays * 1440 + random.Below(15 * 1440) : Math.Min((int)(random.TenDoublings() * 40) + 5, OrdinaryMinutesMax);
            var closed = draft.OpenedAt.AddMinutes(minutes).AddSeconds(random.Below(60));
            var summary = draft.Cell.NameZh[..draft.Cell.NameZh.IndexOf('第', StringComparison.Ordinal)] + random.Pick(summaries);
            rows.Add(new(id, category, Channels[random.Weighted([520, 220, 80, 40, 140])], draft.Cell.Code, summary, draft.OpenedAt, closed < End ? closed : null));
            if (slow)
                keys[2].Add(id);
            if (draft.Plant >= 0)
                keys[draft.Plant].Add(id);
        }
        return (rows,
        [
            Truth("burst-main", "A burst main: water complaints in one street in one week", "供水干管爆裂：一个街道一周内供水诉求激增", burstStreet, Burst, Burst.AddDays(7), keys[0]),
            Truth("night-noise", "Night noise in one community for a month", "夜间噪声：一个社区一个月内的夜间噪声诉求", noisyCommunity, Noise, Noise.AddMonths(1), keys[1]),
            Truth("slow-office", $"One street closes no waste or property request of two months within {SlowDays} days", $"一个街道两个月内的垃圾、物业诉求均超过{SlowDays}天才办结", slowStreet, Slow, SlowEnd, keys[2]),
        ]);
    }

    private static TimeSpan TimeOfDay(SampleRandom random) =>
        new(random.Weighted(Hours), random.Below(60), random.Below(60));

    private static PlantedTruth Truth(string id, string en, string zh, string place, DateTime from, DateTime until, List<string> keys) =>
        new(id, Dataset, new(en, zh), [place], City.Local(from), City.Local(until), keys, []);
}
