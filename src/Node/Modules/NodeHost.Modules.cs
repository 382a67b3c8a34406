using Gongzhi.Core;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Intake;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Territory;
using Gongzhi.Node.Modules;

namespace Gongzhi.Node.Hosting;

public static partial class NodeHost
{
    static partial void AddModules(WebApplicationBuilder builder, NodeOptions options, World world)
    {
        var services = builder.Services;
        services.AddSingleton<IHotSchema, RecordSchema>();
        services.AddSingleton<IHotSchema, PendingEntriesSchema>();
        services.AddSingleton<IHotSchema, LogStateSchema>();
        services.AddSingleton<IHotSchema, PlaceSchema>();
        services.AddSingleton<IModelPart, CatalogModel>();
        services.AddSingleton<TerritoryStore>();
        services.AddSingleton<Catalog>();
        services.AddSingleton<RecordStore>();
        services.AddSingleton<Sequencer>();
        services.AddSingleton<ProofService>();
        services.AddSingleton(provider => new IntakeRules
        {
            Places = provider.GetRequiredService<TerritoryStore>().TryRead,
            ElementTypes = ElementChecks.Find,
        });
        services.AddSingleton<IntakeService>();
        services.AddHostedService<RecordsStartup>();
    }

    static partial void MapModules(WebApplication app, NodeOptions options)
    {
        app.MapDatasets();
        app.MapRecords(options);
        app.MapPlaces(options);
        app.MapLedger();
    }

    /// <summary>Opens what is kept, in order, before the first request; a ledger that is not what was signed stops the start.</summary>
    private sealed class RecordsStartup(TerritoryStore territory, Catalog catalog, RecordStore records, Sequencer sequencer) : IHostedService
    {
        public async Task StartAsync(CancellationToken cancellationToken)
        {
            territory.Open();
            catalog.Open();
            records.Open();
            await sequencer.OpenAsync(cancellationToken).ConfigureAwait(false);
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
