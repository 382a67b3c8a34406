namespace Gongzhi.Capabilities.Administration;

/// <summary>Units, parties and roles under the separated administration (三员分立).</summary>
public static class AdministrationModule
{
    public static void MapAdministration(this IEndpointRouteBuilder app)
    {
        app.MapDirectory();
    }
}
