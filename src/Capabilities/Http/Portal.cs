using System.Globalization;
using Gongzhi.Core;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Posture;
using Gongzhi.Core.Territory;
using Gongzhi.Ui;
using Gongzhi.Ui.Views;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Capabilities.Http;

/// <summary>A place in the site's navigation; each capability registers its own as a singleton.</summary>
/// <param name="Order">Smaller stands first.</param>
/// <param name="Text">In the language of the request.</param>
/// <param name="For">Whether this caller (null: nobody signed in) sees it; absent: everybody.</param>
public sealed record NavEntry(int Order, string Href, Func<string> Text, Func<Caller?, bool>? For = null, bool Exact = false);

/// <summary>Puts a view of the UI library into the site's frame. Static rendering: nothing on a page needs a script.</summary>
public static class Portal
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

    private static void Frame(HttpContext http)
    {
        var services = http.RequestServices;
        var shell = services.GetRequiredService<ShellState>();
        var caller = services.GetRequiredService<CallerAccessor>().Current;
        shell.UserName = caller is null ? null : NameOf(services.GetRequiredService<PartyDirectory>(), caller);
        shell.Nav =
        [
            .. services.GetServices<NavEntry>().Where(n => n.For?.Invoke(caller) != false)
                .OrderBy(n => n.Order).ThenBy(n => n.Href, StringComparer.Ordinal).Select(n => new NavItem(n.Href, n.Text(), n.Exact)),
        ];
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
        shell.ReadOnly = services.GetRequiredService<Core.Storage.WriteGate>().Shut is not null;
        shell.Drill = services.GetRequiredService<World>().Kind == WorldKind.Drill;
    }

    /// <summary>A place's name in the reader's language; its code when no such place is known.</summary>
    public static string PlaceName(TerritoryStore territory, string place) =>
        PlaceCode.TryParse(place, out var code) && territory.Index.TryGet(code, out var known)
            ? (CultureInfo.CurrentUICulture.TwoLetterISOLanguageName == "zh" ? known.Name : known.NameEn ?? known.Name) : place;

    public static string NameOf(PartyDirectory parties, Caller caller) => parties.Party(caller.Party)?.DisplayName ?? caller.Party;
}

/// <summary>What a person sees in place of a problem document.</summary>
public sealed partial class ErrorPages(IServiceScopeFactory scopes, ILogger<ErrorPages> log)
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
