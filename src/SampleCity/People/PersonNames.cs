namespace Gongzhi.SampleCity;

/// <summary>Names of residents, put together at random from common surnames and given-name characters; nobody in particular.</summary>
internal static class PersonNames
{
    private const string Surnames =
        "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石";

    private const string Given =
        "安柏辰晨澄初川丹冬帆方芳枫格涵禾恒虹华怀嘉简江锦静景隽凯可岚兰乐黎林临灵路鹭曼茂梅孟明墨沐南宁诺佩平齐启晴秋然蓉若森" +
        "珊尚深诗书舒朔思松素棠桃恬庭桐宛微文雯希溪夏弦祥晓心欣星修秀轩雪雅言彦燕扬瑶野怡以艺意吟颖悠友雨玉原远月云泽知芷舟竹卓梓";

    public static string Surname(SampleRandom random)
    {
        // The smaller of two draws: names at the front of the list are the more common ones.
        var index = Math.Min(random.Below(Surnames.Length), random.Below(Surnames.Length));
        return Surnames.Substring(index, 1);
    }

    public static string Full(string surname, SampleRandom random)
    {
        var first = Given[random.Below(Given.Length)];
        return random.Chance(220) ? surname + first : $"{surname}{first}{Given[random.Below(Given.Length)]}";
    }
}
