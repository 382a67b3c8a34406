using System.Globalization;
using System.Resources;

namespace Gongzhi.Node.Pages;

/// <summary>The sentences that only the node's own pages need; everything else is in the UI library.</summary>
internal static class PageText
{
    private static readonly ResourceManager Texts = new("Gongzhi.Node.Pages.PageText", typeof(PageText).Assembly);

    public static bool Chinese => CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "zh";

    public static string Of(string name, params object[] values) =>
        Texts.GetString(name, CultureInfo.CurrentUICulture) is { } text ? string.Format(CultureInfo.CurrentCulture, text, values) : name;

    /// <summary>The sentence, or null when there is none under this name.</summary>
    public static string? Find(string name) => Texts.GetString(name, CultureInfo.CurrentUICulture);

    /// <summary>A text given in several languages: the reader's if it is there, else whichever is, else <paramref name="otherwise"/>.</summary>
    public static string Pick(IReadOnlyDictionary<string, string> texts, string otherwise)
    {
        var language = CultureInfo.CurrentUICulture.TwoLetterISOLanguageName;
        return texts.FirstOrDefault(t => t.Key.StartsWith(language, StringComparison.OrdinalIgnoreCase) && t.Value.Length > 0).Value
            ?? texts.OrderBy(t => t.Key, StringComparer.Ordinal).FirstOrDefault(t => t.Value.Length > 0).Value
            ?? otherwise;
    }
}
