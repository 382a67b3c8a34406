namespace Gongzhi.SampleCity;

/// <summary>A made-up firm.</summary>
/// <param name="CreditCode">Eighteen characters with right check characters (GB 32100), in a made-up area 9901xx.</param>
/// <param name="Industry">A code of the list <c>industry</c>.</param>
/// <param name="Place">Code of the community of registration.</param>
/// <param name="Name">Unique in the city.</param>
/// <param name="StaffCount">Persons.</param>
/// <param name="Registered">The day of registration.</param>
public sealed record Firm(string CreditCode, string Name, string Industry, int StaffCount, string Place, DateOnly Registered);

/// <summary>Draws the firms, and among them a cluster of shells.</summary>
internal static class FirmDirectory
{
    public const string Dataset = "firms";
    public const int Count = 9_000;
    public const int ShellCount = 15;
    private static readonly DateOnly ShellDay = new(2025, 5, 19);

    private const string FirstCharacters = "云澜禾沐栖晴鹭荻棠芸砚枫竹松梅兰霁萤菱檀茗橘舟岚汐汀麓泽朗恒景盛信诚瑞和嘉启博远";
    private const string SecondCharacters = "川禾原野舟帆桥屿石林泉雨星月山田木谷风光达通源丰泰祥兴安宁悦康美佳创智联汇辰宇";

    private static readonly (string Industry, int Share, string[] Trades)[] Trades =
    [
        ("F", 330, ["商贸", "百货", "食品", "建材", "文具"]), ("H", 120, ["餐饮", "酒店管理", "茶业"]), ("L", 110, ["商务服务", "咨询", "会务服务"]),
        ("C", 90, ["机械", "家具", "食品制造", "印刷"]), ("O", 70, ["家政服务", "汽车维修", "洗染"]), ("I", 65, ["信息技术", "软件"]),
        ("E", 55, ["建筑工程", "装饰工程"]), ("M", 45, ["检测技术", "设计"]), ("G", 45, ["物流", "运输"]), ("K", 25, ["物业管理", "房产经纪"]),
        ("R", 20, ["文化传播", "体育"]), ("P", 15, ["教育培训"]), ("Q", 10, ["健康管理"]), ("A", 10, ["农业", "园艺"]), ("D", 3, ["能源"]),
    ];

    /// <summary>In the order of registration; names and codes are unique.</summary>
    public static (List<Firm> Firms, PlantedTruth Shells) Build(ulong seed, IReadOnlyList<Place> communities)
    {
        var random = new SampleRandom(seed, RandomStream.Firms);
        var shares = Trades.Select(trade => trade.Share).ToArray();
        var names = new HashSet<string>(StringComparer.Ordinal);
        var shellPlace = random.Pick(communities).Code;
        var drafts = new List<(string Name, string Industry, int Staff, string Place, DateOnly Registered)>(Count);
        while (drafts.Count < Count)
        {
            var shell = drafts.Count < ShellCount;
            var (industry, _, words) = Trades[shell ? 2 : random.Weighted(shares)];
            var name = $"澜和{FirstCharacters[random.Below(FirstCharacters.Length)]}{SecondCharacters[random.Below(SecondCharacters.Length)]}{random.Pick(words)}有限公司";
            if (!names.Add(name))
                continue;
            if (shell)
                drafts.Add((name, industry, 0, shellPlace, ShellDay));
            else
                drafts.Add((name, industry, (int)random.TenDoublings() / 2 + 1, random.Pick(communities).Code, RegisteredDay(random)));
        }
        var firms = drafts.OrderBy(draft => draft.Registered).ThenBy(draft => draft.Name, StringComparer.Ordinal)
            .Select((draft, i) => new Firm(CreditCode(draft.Place[..6], i), draft.Name, draft.Industry, draft.Staff, draft.Place, draft.Registered))
            .ToList();
        var shells = new PlantedTruth(
            "shell-firms", Dataset, new($"{ShellCount} firms without staff, registered on one day in one community", $"{ShellCount}家无从业人员的企业同日登记于同一社区"),
            [shellPlace], City.Local(ShellDay), City.Local(ShellDay.AddDays(1)), [.. firms.Where(IsShell).Select(firm => firm.CreditCode)], []);
        return (firms, shells);
    }

    public static bool IsShell(Firm firm) => firm.StaffCount == 0;

    private static DateOnly RegisteredDay(SampleRandom random)
    {
        // The later of two draws: there are more young firms than old ones. Never the shells' day, so that they stand alone in it.
        var day = new DateOnly(2004, 1, 1).AddDays(Math.Max(random.Below(8_000), random.Below(8_000)));
        return day == ShellDay ? day.AddDays(1) : day;
    }

    private static string CreditCode(string area, int number)
    {
        Span<char> code = stackalloc char[18];
        "91".CopyTo(code);
        area.CopyTo(code[2..]);
        "MA".CopyTo(code[8..]);

        // A prime step through 31^6 numbers: different for every firm, not in the order of registration.
        var rest = (number + 1) * 48_611_647L % 887_503_681;
        for (var i = 15; i >= 10; i--)
        {
            code[i] = CheckDigits.CreditCodeAlphabet[(int)(rest % 31)];
            rest /= 31;
        }
        code[16] = CheckDigits.OrganisationCode(code[8..16]);
        code[17] = CheckDigits.CreditCode(code[..17]);
        return new(code);
    }
}
