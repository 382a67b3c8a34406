using System.Globalization;

namespace Gongzhi.Core;

/// <summary>One plain sentence in each language the node speaks, with its values filled in; whoever writes it out picks the reader's.</summary>
public readonly record struct Sentence(string English, string Chinese)
{
    public string In(CultureInfo culture) => culture.TwoLetterISOLanguageName == "zh" ? Chinese : English;

    public override string ToString() => English;
}
