using System.Globalization;
using System.Reflection;
using System.Resources;

namespace Gongzhi.Capabilities.Http;

/// <summary>Sentences of one capability, from its own pair of resource files; always in the language of the request.</summary>
/// <param name="baseName">Full name of the resource, for instance <c>Gongzhi.Capabilities.Exchange.Texts</c>.</param>
/// <param name="assembly">Where it is.</param>
public sealed class Texts(string baseName, Assembly assembly)
{
    private readonly ResourceManager _texts = new(baseName, assembly);

    /// <summary>Whether the reader reads Chinese.</summary>
    public static bool Chinese => CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "zh";

    /// <summary>The sentence with its values filled in; its name when there is none, so that a test sees it.</summary>
    public string Of(string name, params object[] values) => Find(name) is { } text ? string.Format(CultureInfo.CurrentCulture, text, values) : name;

    /// <summary>The sentence, or null when there is none under this name.</summary>
    public string? Find(string name) => _texts.GetString(name, CultureInfo.CurrentUICulture);

    /// <summary>A text given in several languages: the reader's if it is there, else whichever is, else <paramref name="otherwise"/>.</summary>
    public static string Pick(IReadOnlyDictionary<string, string> texts, string otherwise)
    {
        var language = CultureInfo.CurrentUICulture.TwoLetterISOLanguageName;
        return texts.FirstOrDefault(t => t.Key.StartsWith(language, StringComparison.OrdinalIgnoreCase) && t.Value.Length > 0).Value
            ?? texts.OrderBy(t => t.Key, StringComparer.Ordinal).FirstOrDefault(t => t.Value.Length > 0).Value
            ?? otherwise;
    }
}
