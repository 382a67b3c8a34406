using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// How a node leaves: from the moment it is told to stop, <c>/health/ready</c> says that it does and answers close their connections, so that a load balancer sends new requests elsewhere. For
/// <see cref="NodeOptions.DrainSeconds"/> it still takes what comes; then nothing new, and what it took is finished within <see cref="Finishing"/>; then it hands its seats over and leaves the cluster.
/// </summary>
internal sealed class Draining(IHostApplicationLifetime lifetime, ListenSockets sockets, NodeOptions options) : IHostedLifecycleService, IHealthCheck
{
    /// <summary>How long requests under way have after nothing new is taken, together with what follows; a contribution that takes longer is broken off, and repeated elsewhere under its key.</summary>
    public static readonly TimeSpan Finishing = TimeSpan.FromSeconds(30);

    public bool Begun => lifetime.ApplicationStopping.IsCancellationRequested;

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        // Whoever holds the host and stops it, instead of telling it to stop, has nobody to wait for.
        if (!Begun)
            return;
        await Task.Delay(TimeSpan.FromSeconds(options.DrainSeconds), TimeProvider.System, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await sockets.CloseAsync().ConfigureAwait(false);
    }

    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(Begun ? HealthCheckResult.Unhealthy("The node is stopping; ask another machine.") : HealthCheckResult.Healthy());

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

internal static class DrainingSetup
{
    public static void AddDraining(this WebApplicationBuilder builder, NodeOptions options)
    {
        var sockets = new ListenSockets();
        builder.WebHost.UseSockets(sockets.Use);
        builder.Services.AddSingleton(sockets);
        builder.Services.AddSingleton<Draining>();
        builder.Services.AddHostedService(services => services.GetRequiredService<Draining>());
        builder.Host.ConfigureHostOptions(o => o.ShutdownTimeout = Draining.Finishing + TimeSpan.FromSeconds(options.DrainSeconds));
    }

    /// <summary>Whoever keeps a connection would use it once more while the node closes it; HTTP/2 has a way of its own to say so.</summary>
    public static void UseDraining(this WebApplication app)
    {
        var draining = app.Services.GetRequiredService<Draining>();
        app.Use((http, next) =>
        {
            if (draining.Begun && !HttpProtocol.IsHttp2(http.Request.Protocol))
                http.Response.Headers.Connection = "close";
            return next(http);
        });
    }
}
