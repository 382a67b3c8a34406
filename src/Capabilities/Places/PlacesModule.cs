namespace Gongzhi.Capabilities.Places;

/// <summary>The territory: finding places, and importing the division list.</summary>
public static class PlacesModule
{
    public static void MapPlaces(this IEndpointRouteBuilder app)
    {
        app.MapPlaceRoutes();
    }
}
