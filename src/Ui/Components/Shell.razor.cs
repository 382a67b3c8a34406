using System.Globalization;

namespace Gongzhi.Ui.Components;

/// <summary>The frame of every page: use it as the layout.</summary>
public partial class Shell
{
    private string Here => new Uri(Navigation.Uri).PathAndQuery;

    // On the sign-in page itself the address to return to is already in the form; adding it again would nest it without end.
    private string SignInHref => Here.StartsWith(State.SignInHref, StringComparison.OrdinalIgnoreCase)
        ? State.SignInHref
        : State.SignInHref + "?returnUrl=" + Uri.EscapeDataString(Here);

    private static string Named(string culture) => culture == "en" ? "English" : "中文";

    // By language, so that en-GB or zh-Hans still mark the one shown.
    private static bool Speaks(string culture) =>
        CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == culture[..2];

    private string CultureHref(string culture) =>
        State.CulturePath + "?culture=" + culture + "&returnUrl=" + Uri.EscapeDataString(Here);

    private string? Current(NavItem item)
    {
        var path = new Uri(Navigation.Uri).AbsolutePath;
        if (path.Equals(item.Href, StringComparison.OrdinalIgnoreCase))
            return "page";
        return !item.Exact && path.StartsWith(item.Href.TrimEnd('/') + "/", StringComparison.OrdinalIgnoreCase) ? "true" : null;
    }
}
