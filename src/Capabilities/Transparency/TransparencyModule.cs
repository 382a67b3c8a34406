namespace Gongzhi.Capabilities.Transparency;

/// <summary>The public log and what proves it.</summary>
public static class TransparencyModule
{
    public static void MapTransparency(this IEndpointRouteBuilder app)
    {
        app.MapLedger();
        app.MapWitness();
        app.MapAccesses();
    }
}
