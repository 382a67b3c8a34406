namespace Gongzhi.Capabilities.Signals;

/// <summary>What the analyses noticed, and how far they are.</summary>
public static class SignalsModule
{
    public static void MapSignals(this IEndpointRouteBuilder app) => app.MapSignalRoutes();
}
