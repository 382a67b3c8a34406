using System.Globalization;
using Gongzhi.Ui;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Forms;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gongzhi.Tests.Ui;

/// <summary>Renders a component to text with the framework's own static renderer.</summary>
internal static class Rendered
{
    internal static DateTimeOffset Now { get; } = new(2026, 3, 5, 6, 0, 0, TimeSpan.Zero);

    internal static async Task<string> As<T>(string culture, object? parameters = null, Action<ShellState>? shell = null, string path = "/data?q=a%26b")
        where T : IComponent
    {
        var before = (CultureInfo.CurrentCulture, CultureInfo.CurrentUICulture);
        CultureInfo.CurrentCulture = CultureInfo.CurrentUICulture = CultureInfo.GetCultureInfo(culture);
        try
        {
            var services = new ServiceCollection();
            services.AddLogging();
            services.AddSingleton<TimeProvider>(new Fixed());
            services.AddSingleton<NavigationManager>(new Address(path));
            services.AddSingleton<AntiforgeryStateProvider, Token>();
            services.AddGongzhiUi();
            await using var provider = services.BuildServiceProvider();
            await using var scope = provider.CreateAsyncScope();
            shell?.Invoke(scope.ServiceProvider.GetRequiredService<ShellState>());
            await using var renderer = new HtmlRenderer(scope.ServiceProvider, NullLoggerFactory.Instance);
            var values = ParameterView.FromDictionary(parameters?.GetType().GetProperties().ToDictionary(x => x.Name, x => x.GetValue(parameters)) ?? []);
            return await renderer.Dispatcher.InvokeAsync(async () => (await renderer.RenderComponentAsync<T>(values)).ToHtmlString());
        }
        finally
        {
            (CultureInfo.CurrentCulture, CultureInfo.CurrentUICulture) = before;
        }
    }

    private sealed class Fixed : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => Now;
    }

    private sealed class Address : NavigationManager
    {
        internal Address(string path) => Initialize("https://city.example/", "https://city.example" + path);
    }

    private sealed class Token : AntiforgeryStateProvider
    {
        public override AntiforgeryRequestToken? GetAntiforgeryToken() => new("token", "__RequestVerificationToken");
    }
}
