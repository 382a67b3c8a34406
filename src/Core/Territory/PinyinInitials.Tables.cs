using System.Collections.Frozen;

namespace Gongzhi.Core.Territory;

public static partial class PinyinInitials
{
    // Characters beyond level 1 that occur in the names of divisions, under the first letter of their reading there.
    private static readonly (char Letter, string Characters)[] Supplement =
    [
        ('a', "埃"),
    ];

    // Second readings that place names use, beside the one the tables give. Both letters find the place.
    private static readonly FrozenDictionary<char, string> OtherReadings = new Dictionary<char, string>
    {
        ['重'] = "c", ['厦'] = "x", ['六'] = "l", ['长'] = "cz",
    }.ToFrozenDictionary();
}
