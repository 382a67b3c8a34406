using Gongzhi.Capabilities.Http;

namespace Gongzhi.Capabilities.Exchange;

/// <summary>Datasets, contributions, receipts, proofs, queries and the grants over them. Its stores are the core's own, so it registers no service.</summary>
public static class ExchangeModule
{
    public static void MapExchange(this IEndpointRouteBuilder app)
    {
        app.MapElements();
        app.MapDatasets();
        app.MapContribute(app.ServiceProvider.GetRequiredService<UploadLimits>());
        app.MapCorrections();
        app.MapErasures();
        app.MapReceipts();
        app.MapRowProof();
        app.MapQuery();
        app.MapGrants();
    }
}
