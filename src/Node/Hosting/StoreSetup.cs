using System.Data.Common;
using Gongzhi.Core;
using Gongzhi.Core.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace Gongzhi.Node.Hosting;

internal static class StoreSetup
{
    public static IServiceCollection AddNodeStore(this IServiceCollection services, World world)
    {
        services.AddSingleton(world);
        services.AddSingleton(TimeProvider.System);
        services.AddDbContextFactory<NodeDb>((provider, o) =>
        {
            NodeDatabase.Configure(o, world);
            o.AddInterceptors(provider.GetRequiredService<WriteGateInterceptor>());
            if (world.Database is null)
                o.AddInterceptors(LibraryStoreConnection.Instance);
        });
        services.AddSingleton<WriteGate>();
        services.AddSingleton<WriteGateInterceptor>();
        services.AddSingleton(provider => new NodeWriter(
            world,
            () => provider.GetRequiredService<IDbContextFactory<NodeDb>>().CreateDbContext(),
            provider.GetRequiredService<ILogger<NodeWriter>>())
        {
            Gate = provider.GetRequiredService<WriteGate>(),
        });
        return services;
    }
}

/// <summary>
/// The stores of Identity and OpenIddict save by themselves, beside the node's writer: the one exception to "save through the
/// writer". Their transactions are BEGIN IMMEDIATE (the provider's default), so they queue for SQLite's lock before they read
/// and can never deadlock on an upgrade; this gives their connections the same durability and patience as the writer's.
/// </summary>
internal sealed class LibraryStoreConnection : DbConnectionInterceptor
{
    public static readonly LibraryStoreConnection Instance = new();

    private const string Settings =
        "PRAGMA busy_timeout=30000; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;";

    public override void ConnectionOpened(DbConnection connection, ConnectionEndEventData eventData)
    {
        using var command = connection.CreateCommand();
        command.CommandText = Settings;
        command.ExecuteNonQuery();
    }

    public override async Task ConnectionOpenedAsync(
        DbConnection connection, ConnectionEndEventData eventData, CancellationToken cancellationToken = default)
    {
        var command = connection.CreateCommand();
        await using (command.ConfigureAwait(false))
        {
            command.CommandText = Settings;
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
