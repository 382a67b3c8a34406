using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Unicode;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Identity;
using Gongzhi.Node.Web;
using Gongzhi.Ui;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.WebEncoders;

namespace Gongzhi.Node.Pages;

/// <summary>The pages people see. All are rendered on the server and work without scripts.</summary>
internal static class PortalEndpoints
{
    public static void AddPortal(this IServiceCollection services)
    {
        services.AddRazorComponents();
        services.AddGongzhiUi();
        // Authentication registers the encoder first, with the default that writes each Chinese character as eight ASCII ones.
        services.Configure<WebEncoderOptions>(o => o.TextEncoderSettings = new TextEncoderSettings(UnicodeRanges.All));
        services.AddSingleton<ErrorPages>();
        services.AddSingleton<ProblemPage>(provider => provider.GetRequiredService<ErrorPages>().WriteAsync);
        services.AddSingleton(new NavEntry(0, "/", () => PageText.Of("Nav.Home"), Exact: true));
        services.AddSingleton(new NavEntry(100, "/data", () => PageText.Of("Nav.Data")));
        services.AddSingleton(new NavEntry(200, "/upload", () => PageText.Of("Nav.Upload"), WorkPages.MayContribute));
        services.AddSingleton(new NavEntry(800, "/ledger", () => PageText.Of("Nav.Ledger")));
        // The interface for programs is in the footer: few who come here are looking for it.
        services.AddSingleton<ReceivedBatches>();
        services.AddSingleton<LiveUploads>();
    }

    public static void MapPortal(this WebApplication app, NodeOptions options)
    {
        // Only what the build listed is served: the development handler would add a catch-all route that looks for files.
        app.Configuration["ReloadStaticAssetsAtRuntime"] = "false";
        // One asset has several routes (plain, compressed, with its fingerprint), so the path alone is no name.
        var assets = 0;
        app.MapStaticAssets().Add(route =>
        {
            route.Metadata.Add(new AllowAnonymousAttribute());
            route.Metadata.Add(new AnswersAlone());
            route.Metadata.Add(new EndpointNameMetadata(string.Create(CultureInfo.InvariantCulture, $"asset {assets++} {((RouteEndpointBuilder)route).RoutePattern.RawText}")));
        });
        var pages = app.MapGroup("").ExcludeFromDescription();
        pages.MapCataloguePages();
        pages.MapLedgerPages();
        pages.MapWorkPages(options);
        pages.MapGet("/culture", SetLanguage).WithName("page-language").AllowAnonymous();
    }

    private static IResult SetLanguage(string? culture, string? returnUrl, HttpContext http, World world)
    {
        if (UiServices.Cultures.Contains(culture))
        {
            http.Response.Cookies.Append(ReaderLanguage.CookieName(world), culture!, new CookieOptions
            {
                HttpOnly = true,
                SameSite = SameSiteMode.Lax,
                Secure = http.Request.IsHttps,
                MaxAge = TimeSpan.FromDays(365),
                Path = "/",
                IsEssential = true,
            });
        }
        http.Response.Headers.CacheControl = "no-store";
        return Results.LocalRedirect(AccountEndpoints.Local(returnUrl));
    }
}
