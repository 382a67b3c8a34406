using System.Globalization;
using Gongzhi.Core;
using Microsoft.AspNetCore.Localization;
using Microsoft.Extensions.Primitives;

namespace Gongzhi.Node.Web;

/// <summary>
/// The reader's language, one of two: <c>?lang=</c>, then the language cookie, then Accept-Language, then English. Every kind of
/// Chinese is answered in zh-CN, since a reader of any of them would rather have that than English.
/// </summary>
public static class ReaderLanguage
{
    public static readonly CultureInfo English = CultureInfo.GetCultureInfo("en");
    public static readonly CultureInfo Chinese = CultureInfo.GetCultureInfo("zh-CN");

    internal static void Configure(RequestLocalizationOptions options, World world)
    {
        options.DefaultRequestCulture = new RequestCulture(English);
        options.SupportedCultures = [English, Chinese];
        options.SupportedUICultures = [English, Chinese];
        options.RequestCultureProviders =
        [
            new CustomRequestCultureProvider(http =>
                Task.FromResult(Of(http.Request, world) is { } name ? new ProviderCultureResult(name) : null)),
        ];
    }

    /// <summary>The name of the cookie that keeps a reader's choice.</summary>
    public static string CookieName(World world) => world.CookieName("language");

    private static StringSegment? Of(HttpRequest request, World world)
    {
        if (Known(request.Query["lang"]) is { } asked)
            return asked;
        if (Known(request.Cookies[CookieName(world)]) is { } kept)
            return kept;
        return request.GetTypedHeaders().AcceptLanguage
            .Where(l => l.Quality is null or > 0)
            .OrderByDescending(l => l.Quality ?? 1)
            .Take(16)
            .Select(l => Known(l.Value.Value))
            .FirstOrDefault(name => name is not null);
    }

    private static string? Known(string? tag) =>
        tag is null ? null
        : tag.StartsWith("zh", StringComparison.OrdinalIgnoreCase) ? "zh-CN"
        : tag.StartsWith("en", StringComparison.OrdinalIgnoreCase) ? "en"
        : null;
}
