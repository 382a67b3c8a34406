using System.Text.Encodings.Web;
using System.Text.Unicode;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Gongzhi.Ui;

/// <summary>Registers what the shared components need.</summary>
public static class UiServices
{
    /// <summary>The languages the product speaks; the first is used when a browser asks for neither.</summary>
    public static IReadOnlyList<string> Cultures { get; } = ["zh-CN", "en"];

    /// <summary>
    /// Adds the sentences, the per-request <see cref="ShellState"/> (the host fills it) and the element ids.
    /// A host that has its own <see cref="TimeProvider"/> keeps it.
    /// </summary>
    public static IServiceCollection AddGongzhiUi(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddLocalization();
        services.TryAddSingleton(TimeProvider.System);
        // The default encoder writes every Chinese character as eight ASCII ones; markup characters stay escaped under this one.
        services.TryAddSingleton(HtmlEncoder.Create(UnicodeRanges.All));
        services.TryAddScoped<ShellState>();
        services.TryAddScoped<UiIds>();
        return services;
    }
}
