namespace Gongzhi.SampleCity;

/// <summary>
/// Names of places, made up for this city. The names of province, city, districts and streets were compared with the published list of
/// provinces, cities, areas and streets and none is in it; community names join two characters and leave out pairs found there.
/// </summary>
internal static class PlaceNames
{
    public static readonly Bilingual Province = new("Yunchuan Province", "云川省");
    public static readonly Bilingual City = new("Lanhe City", "澜和市");

    public static readonly Bilingual[] Districts =
        [new("Yinglan District", "映澜区"), new("Songdu District", "松渡区"), new("Qiyun District", "栖云区"), new("Dipu District", "荻浦区")];

    public static readonly Bilingual[] Streets =
    [
        Street("Tinglan", "听澜"), Street("Wanglu", "望鹭"), Street("Shijian", "石笺"), Street("Zhenxi", "枕溪"), Street("Zhuyun", "竹筠"),
        Street("Tongyin", "桐阴"), Street("Heting", "鹤汀"), Street("Yunchuang", "芸窗"), Street("Lingge", "菱歌"), Street("Qinglan", "晴岚"),
        Street("Yanzhu", "烟渚"), Street("Tanqiao", "檀桥"), Street("Liuxi", "柳汐"), Street("Jiyue", "霁月"), Street("Xuedi", "雪堤"),
        Street("Qingli", "青笠"), Street("Mingxiang", "茗香"), Street("Tangli", "棠梨"), Street("Meiwu", "梅坞"), Street("Yuge", "渔歌"),
        Street("Yinghu", "萤湖"), Street("Xiaodu", "晓渡"), Street("Danyu", "丹榆"), Street("Juzhou", "橘洲"),
    ];

    private static readonly Bilingual[] First =
    [
        new("Qing", "晴"), new("Ji", "霁"), new("Qi", "栖"), new("Ting", "听"), new("Wang", "望"), new("Zhen", "枕"), new("He", "鹤"),
        new("Lu", "鹭"), new("Ying", "萤"), new("Tang", "棠"), new("Yun", "芸"), new("Yan", "砚"), new("Ruo", "箬"), new("Di", "荻"),
        new("Ling", "菱"), new("Ou", "藕"), new("Tan", "檀"), new("Ming", "茗"), new("Wei", "苇"), new("Ju", "橘"),
    ];

    private static readonly Bilingual[] Second =
    [
        new("xi", "溪"), new("wan", "湾"), new("ping", "坪"), new("qiao", "桥"), new("xiang", "巷"), new("li", "里"), new("tang", "塘"),
        new("du", "渡"), new("ling", "岭"), new("quan", "泉"), new("ting", "亭"), new("tai", "台"), new("yuan", "园"), new("jing", "井"),
        new("men", "门"), new("pan", "畔"), new("fang", "坊"), new("zhou", "洲"), new("tan", "滩"), new("ying", "影"),
    ];

    private static readonly HashSet<string> Taken =
        ["望溪", "望里", "望亭", "望台", "鹤溪", "鹤塘", "鹤岭", "棠溪", "砚溪", "砚台", "藕塘", "檀溪", "枕溪", "檀桥", "橘洲"];

    /// <summary>Different names without the word for community, in random order.</summary>
    public static Bilingual[] Communities(int count, SampleRandom random)
    {
        var names =
            (from first in First
             from second in Second
             where !Taken.Contains(first.Zh + second.Zh)
             select new Bilingual(first.En + second.En, first.Zh + second.Zh)).ToArray();
        random.Shuffle(names);
        return names[..count];
    }

    private static Bilingual Street(string en, string zh) => new(en + " Subdistrict", zh + "街道");
}
