using System.Collections.Concurrent;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// How a node leaves: from the moment it is told to stop, <c>/health/ready</c> says that it does and answers close their connections, so that a load balancer sends new requests elsewhere. For
/// <see cref="NodeOptions.DrainSeconds"/> it still takes what comes; then nothing new, and what it took is finished within <see cref="Finishing"/>; then it hands its seats over and leaves the cluster.
/// </summary>
internal sealed class Draining(IHostApplicationLifetime lifetime, ListenSockets sockets, NodeOptions options) : IHostedLifecycleService, IHealthCheck
{
    /// <summary>How long requests under way have after nothing new is taken; a contribution that takes longer is broken off, nothing of it is kept, and it is repeated elsewhere.</summary>
    public static readonly TimeSpan Finishing = TimeSpan.FromSeconds(30);

    /// <summary>What comes after the last request, at most: seats handed over, the cluster left, files closed.</summary>
    public static readonly TimeSpan HandingOver = TimeSpan.FromSeconds(30);

    /// <summary>How long a stop may take.</summary>
    public static TimeSpan Longest(NodeOptions options) => TimeSpan.FromSeconds(options.DrainSeconds) + Finishing + HandingOver;

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    private readonly ConcurrentDictionary<HttpContext, bool> _underWay = [];

    public bool Begun => lifetime.ApplicationStopping.IsCancellationRequested;

    /// <summary>Carries a request out, known as under way until it has ended.</summary>
    public async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        // Whoever keeps a connection would use it once more while the node closes it; HTTP/2 has a way of its own to say so.
        if (Begun && !HttpProtocol.IsHttp2(http.Request.Protocol))
            http.Response.Headers.Connection = "close";
        _underWay[http] = true;
        try
        {
            await next(http).ConfigureAwait(false);
        }
        finally
        {
            _underWay.TryRemove(http, out _);
        }
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        // Whoever holds the host and stops it, instead of telling it to stop, has nobody to wait for.
        if (!Begun)
            return;
        var clock = TimeProvider.System;
        await Task.Delay(TimeSpan.FromSeconds(options.DrainSeconds), clock, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await sockets.CloseAsync().ConfigureAwait(false);
        for (var closed = clock.GetTimestamp(); !_underWay.IsEmpty && clock.GetElapsedTime(closed) < Finishing && !cancellationToken.IsCancellationRequested;)
            await Task.Delay(Look, clock, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        // The server would wait for these as long as the host may, and leave no time for what comes after it.
        foreach (var http in _underWay.Keys)
            http.Abort();
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
        builder.Host.ConfigureHostOptions(o => o.ShutdownTimeout = Draining.Longest(options));
    }

    public static void UseDraining(this WebApplication app)
    {
        var draining = app.Services.GetRequiredService<Draining>();
        app.Use(next => http => draining.InvokeAsync(http, next));
    }
}
