using System.Text.Json;
using System.Text.Json.Serialization;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Cluster;
using Gongzhi.Node.Identity;
using Gongzhi.Node.Identity.External;
using Gongzhi.Node.Tokens;
using Gongzhi.Node.Web;
using Gongzhi.Node.Witnessing;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.EntityFrameworkCore;
using Scalar.AspNetCore;

namespace Gongzhi.Node.Hosting;

/// <summary>
/// The node as one web application: store, identity, tokens, and the rules every route lives under. Modules add their services in
/// <see cref="AddModules"/> and their routes in <see cref="MapModules"/>.
/// </summary>
public static partial class NodeHost
{
    /// <summary>Builds the node; opens and prepares its data directory. The caller runs and disposes it.</summary>
    /// <param name="options">Checked here once more, since tests make them without <see cref="NodeConfiguration"/>.</param>
    /// <param name="configuration">Further settings (modules, logging levels), as read by <see cref="NodeConfiguration"/>.</param>
    /// <param name="extend">Changes to the services after everything else was added: a clock in tests, for instance.</param>
    /// <param name="map">Further routes, mapped after the node's own.</param>
    /// <param name="cancel">Gives up the preparation.</param>
    /// <exception cref="StartRefusedException">The settings, the data directory or the bootstrap client do not allow a start.</exception>
    public static async Task<WebApplication> BuildAsync(
        NodeOptions options, IConfiguration? configuration = null, Action<WebApplicationBuilder>? extend = null,
        Action<WebApplication>? map = null, CancellationToken cancel = default)
    {
        NodeConfiguration.Validate(options);
        if (!options.AllowPlainHttp && !NodeAddresses.AllLoopback(options.Urls) && options.TrustedProxies is null
            && options.Urls.Split(';').Any(u => u.Trim().StartsWith("http:", StringComparison.OrdinalIgnoreCase)))
            throw new StartRefusedException(
                "Plain HTTP would be open to other machines. Listen on https, put a proxy in front (TrustedProxies), or set AllowPlainHttp.");
        if (configuration?.GetSection("Kestrel:Endpoints").Exists() == true)
            throw new StartRefusedException("Kestrel:Endpoints would open addresses unseen by these checks; use Gongzhi:Urls.");
        var directory = WorldDirectory.Open(options);
        WebApplication? app = null;
        try
        {
            app = Compose(options, directory, configuration, extend);
            // Resolved first, so disposed last: the lock is held until the writer has closed its files.
            app.Services.GetRequiredService<WorldDirectory>();
            Pipeline(app, options);
            Map(app, options);
            map?.Invoke(app);
            await PrepareAsync(app, options, cancel).ConfigureAwait(false);
            return app;
        }
        catch
        {
            if (app is not null)
                await app.DisposeAsync().ConfigureAwait(false);
            directory.Dispose();
            throw;
        }
    }

    /// <summary>The secret part of the first administrator's link, or null when there is one already or none was asked for.</summary>
    public static string? FirstAdministratorSecret(WebApplication app, NodeOptions options)
    {
        using var scope = app.Services.CreateScope();
        var any = scope.ServiceProvider.GetRequiredService<NodeDb>().Set<Account>().Any();
        return options.Empty && !any ? app.Services.GetRequiredService<FirstAdministrator>().Open() : null;
    }

    private static WebApplication Compose(
        NodeOptions options, WorldDirectory directory, IConfiguration? configuration, Action<WebApplicationBuilder>? extend)
    {
        var world = directory.World;
        var builder = WebApplication.CreateBuilder(new WebApplicationOptions
        {
            ApplicationName = typeof(NodeHost).Assembly.GetName().Name,
            ContentRootPath = AppContext.BaseDirectory,
            EnvironmentName = Environments.Production,
        });
        // Only what NodeConfiguration read and checked counts; files lying about in the working directory do not.
        builder.Configuration.Sources.Clear();
        builder.Configuration.AddInMemoryCollection();
        if (configuration is not null)
            builder.Configuration.AddConfiguration(configuration);
        builder.WebHost.UseUrls(options.Urls).UseStaticWebAssets();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.RequestBytesMax;
            kestrel.Limits.MaxRequestHeadersTotalSize = 32 * 1_024;
            kestrel.Limits.MaxRequestHeaderCount = 100;
            kestrel.Limits.MaxRequestLineSize = 16 * 1_024;
            kestrel.Limits.MaxConcurrentConnections = options.ConnectionsMax;
            kestrel.Limits.MaxConcurrentUpgradedConnections = options.ConnectionsMax;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
        });
        builder.AddDraining(options);

        var services = builder.Services;
        services.AddSingleton(options);
        services.AddSingleton(new UploadLimits(options.UploadBytesMax));
        services.AddSingleton(_ => directory);
        services.AddNodeStore(world);
        services.AddNodeIdentity(options, world);
        services.AddNodeTokens(options, world);
        services.AddAuthorizationBuilder();
        services.AddLocalization();
        services.Configure<RequestLocalizationOptions>(o => ReaderLanguage.Configure(o, world));
        services.AddRateLimiter(_ => { });
        services.AddRequestTimeouts(o =>
        {
            o.DefaultPolicy = Timeout(TimeSpan.FromSeconds(options.RequestSecondsMax));
            o.AddPolicy(EndpointRules.UploadTimeout, Timeout(TimeSpan.FromMinutes(options.UploadMinutesMax)));
        });
        services.ConfigureHttpJsonOptions(o =>
        {
            o.SerializerOptions.PropertyNamingPolicy = JsonNamingPolicy.CamelCase;
            o.SerializerOptions.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.CamelCase));
            o.SerializerOptions.MaxDepth = 32;
            // A number is a number: a text would also make every number of the description "integer or text" to generated clients.
            o.SerializerOptions.NumberHandling = JsonNumberHandling.Strict;
            o.SerializerOptions.RespectNullableAnnotations = true;
        });
        services.AddOpenApi("v1", o => ApiDescription.Configure(o, world));
        if (options.TrustedProxies is { } proxies)
        {
            services.Configure<ForwardedHeadersOptions>(o =>
            {
                o.ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto;
                o.KnownProxies.Clear();
                o.KnownIPNetworks.Clear();
                foreach (var network in NodeAddresses.Networks(proxies))
                    o.KnownIPNetworks.Add(network);
            });
        }
        builder.AddNodeObservation(options, world);
        AddModules(builder, options, world);
        services.AddNodeSilo(options, world);
        extend?.Invoke(builder);
        return builder.Build();
    }

    /// <summary>Makes the schema of a database that nobody serves yet, or its guards anew, and nothing else: no key, no row, no entry.</summary>
    internal static async Task MakeSchemaAsync(NodeOptions options, WorldDirectory directory, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        var app = Compose(options with { Urls = "http://localhost:0" }, directory, null, builder => builder.Logging.SetMinimumLevel(LogLevel.Warning));
        await using (app.ConfigureAwait(false))
        {
            var scope = app.Services.CreateAsyncScope();
            await using (scope.ConfigureAwait(false))
                NodeDatabase.Prepare(directory.World, scope.ServiceProvider.GetRequiredService<NodeDb>(), app.Services.GetServices<IHotSchema>());
        }
    }

    private static RequestTimeoutPolicy Timeout(TimeSpan limit) => new()
    {
        Timeout = limit,
        TimeoutStatusCode = StatusCodes.Status503ServiceUnavailable,
        WriteTimeoutResponse = http => ProblemWriting.WriteAsync(http, HostProblems.Timeout),
    };

    /// <summary>The order matters: what refuses cheaply comes first, and nothing answers before the headers and problems are in place.</summary>
    private static void Pipeline(WebApplication app, NodeOptions options)
    {
        if (options.TrustedProxies is not null)
            app.UseForwardedHeaders();
        app.UseDraining();
        app.UseSecurityHeaders();
        app.UseRequestLocalization();
        app.UseMiddleware<ProblemMiddleware>();
        app.UseMetricsGuard(options);
        app.UseRateLimiter(RateLimits.ForSecrets(options));
        app.UseRouting();
        app.UseRequestTimeouts();
        app.UseSlowBodies();
        app.UseSameOrigin();
        app.UseCurrentState();
        app.UseAuthentication();
        app.UseRateLimiter(RateLimits.ForCallers(options));
        app.UseAuthorization();
        app.UseAntiforgery();
    }

    private static void Map(WebApplication app, NodeOptions options)
    {
        app.MapObservation(options);
        app.MapTokenEndpoints();
        app.MapAccountEndpoints();
        app.MapPasskeyEndpoints();
        app.MapExternalSignIn();
        app.MapAccountAdministration();
        app.MapIdentityAdministration();
        app.MapClientAdministration();
        app.MapOpenApi("/openapi/{documentName}.json").WithMetadata(new EndpointNameMetadata("openapi")).AllowAnonymous();
        // Everything of the page comes from the package's own assembly; the security headers would stop anything else.
        app.MapScalarApiReference("/docs/api", (o, http) =>
        {
            o.Title = "Gongzhi API";
            o.OpenApiRoutePattern = "/openapi/{documentName}.json";
            o.DefaultFonts = false;
            o.Telemetry = false;
            o.Nonce = SecurityHeaders.Nonce(http);
            o.DisableAgent();
        }).AllowAnonymous().Add(route => route.Metadata.Add(new EndpointNameMetadata("docs " + ((RouteEndpointBuilder)route).RoutePattern.RawText)));
        MapModules(app, options);
    }

    private static async Task PrepareAsync(WebApplication app, NodeOptions options, CancellationToken cancel)
    {
        // Machines that start at once would each make what an empty database lacks.
        using var alone = await NodeDatabase.AloneAsync(app.Services.GetRequiredService<World>(), OnlyOne.Starts, cancel).ConfigureAwait(false);
        var scope = app.Services.CreateAsyncScope();
        await using (scope.ConfigureAwait(false))
        {
            var services = scope.ServiceProvider;
            try
            {
                NodeDatabase.Prepare(services.GetRequiredService<World>(), services.GetRequiredService<NodeDb>(), services.GetServices<IHotSchema>());
            }
            catch (SchemaException e)
            {
                throw new StartRefusedException(e.Message);
            }
            // Two machines that start at once on an empty database must not each begin with a key of its own.
            if (services.GetRequiredService<World>() is { Secret: not null } world)
            {
                WorldKeys.OneAtATime(world, () =>
                {
                    new SharedKeyRing(world).TakeOver();
                    services.GetRequiredService<Microsoft.AspNetCore.DataProtection.IDataProtectionProvider>().CreateProtector("start").Protect([0]);
                });
            }
            await SiloSetup.PrepareAsync(services, cancel).ConfigureAwait(false);
            // Before anything is changed or swept: is this the state that the log was signed for?
            await app.Services.GetRequiredService<Sequencer>().OpenAsync(cancel).ConfigureAwait(false);
            await app.Services.GetRequiredService<Witnesses>().AskAsync(cancel).ConfigureAwait(false);
            if (app.Services.GetRequiredService<WriteGate>().Shut is null)
                await BootstrapClient.PrepareAsync(services, options, cancel).ConfigureAwait(false);
        }
        await OpenRecordsAsync(app.Services, cancel).ConfigureAwait(false);
    }

    /// <summary>Services of the modules.</summary>
    static partial void AddModules(WebApplicationBuilder builder, NodeOptions options, World world);

    /// <summary>Routes of the modules.</summary>
    static partial void MapModules(WebApplication app, NodeOptions options);
}
