using Gongzhi.Core;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// A data directory worked on by its own program while nobody is served: the same services, checks and writer as a running node, with no
/// address opened. The directory's lock is held, so it cannot be done beside a running node.
/// </summary>
internal static class StoppedNode
{
    /// <summary>Settings for a directory that exists already are those it was made with; an absent or empty one becomes the world <paramref name="world"/>.</summary>
    public static NodeOptions Options(string data, string? world = null)
    {
        var settings = new Dictionary<string, string?> { [nameof(NodeOptions.Data)] = data };
        if (WorldDirectory.Made(data) is var (name, kind))
        {
            settings[nameof(NodeOptions.World)] = name;
            settings[nameof(NodeOptions.Kind)] = kind;
        }
        if (world is not null)
            settings[nameof(NodeOptions.World)] = world;
        // No client is made here, whatever the environment of a node says.
        settings[nameof(NodeOptions.BootstrapClient)] = null;
        var options = NodeConfiguration.Read(null, settings).Options;
        // Alone on what a cluster has: refused while one of its machines runs.
        return options with { BootstrapClient = null, Database = options.Database ?? options.Cluster, Cluster = null };
    }

    /// <summary>The options of a directory that a node was started on before.</summary>
    /// <exception cref="StartRefusedException">There is no node in it.</exception>
    public static NodeOptions Existing(string data) =>
        WorldDirectory.Made(data) is null ? throw new StartRefusedException($"{data} is not the data directory of a node.") : Options(data);

    /// <exception cref="StartRefusedException">The directory cannot be used, or a node is running on it.</exception>
    public static async Task<T> RunAsync<T>(NodeOptions options, Func<IServiceProvider, Task<T>> work, CancellationToken cancel)
    {
        var app = await NodeHost.BuildAsync(options with { Urls = "http://localhost:0" }, extend: builder =>
        {
            builder.Services.RemoveAll<IServer>();
            builder.Services.AddSingleton<IServer, NoDoor>();
            builder.Logging.SetMinimumLevel(LogLevel.Warning);
        }, cancel: cancel).ConfigureAwait(false);
        await using (app.ConfigureAwait(false))
        {
            await app.StartAsync(cancel).ConfigureAwait(false);
            try
            {
                return await work(app.Services).ConfigureAwait(false);
            }
            finally
            {
                await app.StopAsync(CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    /// <summary>The web server of a node that serves nobody: it opens no address.</summary>
    private sealed class NoDoor : IServer
    {
        public IFeatureCollection Features { get; } = new FeatureCollection();

        public Task StartAsync<TContext>(IHttpApplication<TContext> application, CancellationToken cancellationToken) where TContext : notnull => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public void Dispose() { }
    }
}
