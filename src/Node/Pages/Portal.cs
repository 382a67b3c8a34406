using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Territory;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Gongzhi.Ui;
using Gongzhi.Ui.Views;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Http.HttpResults;

namespace Gongzhi.Node.Pages;

/// <summary>Puts a view of the UI library into the site's frame. Static rendering: nothing on a page needs a script.</summary>
internal static class Portal
{
    /// <summary>A page of the site in the reader's language; shown to each reader alone, so no shared cache may keep it.</summary>
    public static IResult Page<TView>(HttpContext http, object model, int status = StatusCodes.Status200OK)
        where TView : IComponent
    {
        Frame(http);
        http.Response.Headers.CacheControl = "no-store";
        http.Response.Headers.ContentLanguage = System.Globalization.CultureInfo.CurrentUICulture.Name;
        return new RazorComponentResult<PortalPage>(new Dictionary<string, object?>
        {
            [nameof(PortalPage.View)] = typeof(TView),
            [nameof(PortalPage.Model)] = model,
        })
        {
            StatusCode = status,
            PreventStreamingRendering = true,
        };
    }

    /// <summary>Whether the caller may send in data at all; which datasets, the dataset's sharing decides.</summary>
    public static bool MayContribute(Caller? caller) => caller is not null && (caller.Has(Roles.Contributor) || caller.Has(Roles.Steward));

    private static void Frame(HttpContext http)
    {
        var services = http.RequestServices;
        var shell = services.GetRequiredService<ShellState>();
        var caller = services.GetRequiredService<CallerAccessor>().Current;
        shell.UserName = caller is null ? null : NameOf(services.GetRequiredService<PartyDirectory>(), caller);
        List<NavItem> nav = [new("/", PageText.Of("Nav.Home"), Exact: true), new("/data", PageText.Of("Nav.Data"))];
        if (MayContribute(caller))
            nav.Add(new("/upload", PageText.Of("Nav.Upload")));
        nav.Add(new("/ledger", PageText.Of("Nav.Ledger")));
        // The interface for programs is in the footer: few who come here are looking for it.
        shell.Nav = nav;
        shell.SignInHref = "/account/sign-in";
        shell.SignOutAction = "/account/sign-out";
        shell.ApiHref = "/docs/api";
        var now = services.GetRequiredService<TimeProvider>().GetUtcNow();
        if (services.GetRequiredService<Postures>().Standing(now).MaxBy(s => s.Level) is { Level: not Core.Posture.PostureLevel.Ordinary } state)
        {
            // The gravest of the node's areas colours every page; the band says where it holds.
            shell.Posture = (Ui.PostureLevel)(int)state.Level;
            shell.PostureArea = PlaceName(services.GetRequiredService<TerritoryStore>(), state.Area);
        }
        shell.Drill = services.GetRequiredService<World>().Kind == WorldKind.Drill;
    }

    public static string PlaceName(TerritoryStore territory, string? place) =>
        string.IsNullOrEmpty(place) ? PageText.Of("Place.All")
        : PlaceCode.TryParse(place, out var code) && territory.Index.TryGet(code, out var known)
            ? (PageText.Chinese ? known.Name : known.NameEn ?? known.Name) : place;

    public static string NameOf(PartyDirectory parties, Caller caller) => parties.Party(caller.Party)?.DisplayName ?? caller.Party;
}

/// <summary>What a person sees in place of a problem document.</summary>
internal sealed partial class ErrorPages(IServiceScopeFactory scopes, ILogger<ErrorPages> log)
{
    /// <summary>Writes the page; false when it could not be made and nothing was written.</summary>
    public async Task<bool> WriteAsync(HttpContext http, Problem problem, string detail, string reference)
    {
        // A scope of its own: the request's may hold a renderer that failed half way.
        var before = http.RequestServices;
        var scope = scopes.CreateAsyncScope();
        try
        {
            http.RequestServices = scope.ServiceProvider;
            var retry = int.TryParse(http.Response.Headers.RetryAfter, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var seconds) ? seconds : (int?)null;
            var model = new ErrorModel(problem.Status, detail, problem.Code, problem.Status >= 500 ? reference : null, problem.Status is 503 or 429 ? retry : null);
            await Portal.Page<ErrorView>(http, model, problem.Status).ExecuteAsync(http).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (!http.Response.HasStarted)
        {
            Failed(e);
            return false;
        }
        finally
        {
            http.RequestServices = before;
            await scope.DisposeAsync().ConfigureAwait(false);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The error page could not be made; the problem is answered as JSON")]
    private partial void Failed(Exception e);
}
