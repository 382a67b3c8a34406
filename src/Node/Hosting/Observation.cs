using System.Net;
using System.Security.Cryptography;
using System.Text;
using Gongzhi.Capabilities.Http;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Web;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Gongzhi.Node.Hosting;

/// <summary>How an operator watches the node: logs, health, metrics, traces. None of them holds query strings, bodies or names.</summary>
internal static class Observation
{
    public static void AddNodeObservation(this WebApplicationBuilder builder, NodeOptions options, Core.World world)
    {
        builder.Logging.ClearProviders();
        if (options.JsonLogs)
            builder.Logging.AddJsonConsole(o => o.UseUtcTimestamp = true);
        else
            builder.Logging.AddSimpleConsole(o => { o.SingleLine = true; o.TimestampFormat = "HH:mm:ss "; });
        // At Information these would write addresses with their query strings, SQL, and token requests.
        foreach (var category in new[] { "Microsoft.AspNetCore", "Microsoft.EntityFrameworkCore", "OpenIddict", "System.Net.Http" })
            builder.Logging.AddFilter(category, LogLevel.Warning);
        builder.Logging.AddFilter("Microsoft.Hosting.Lifetime", LogLevel.Warning);
        // A refused request is the caller's affair; its problem says so.
        builder.Logging.AddFilter("Gongzhi.Node.Tokens.KeptTokenHandler", LogLevel.Warning);
        // It warns that its keys are not enciphered at rest: they lie in a directory only the node's user opens, see configuration.md.
        builder.Logging.AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error);
        // It warns for each form that it made the page uncacheable, which is what we want, and for each forged one, which is a 400.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Antiforgery", LogLevel.Error);
        // Standard output belongs to what the program answers; the log goes to the other one.
        builder.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace);

        builder.Services.AddHostedService<NodeGauges>();
        // A drill and a test send nothing out, whatever their configuration says.
        var otlp = world.MayReachOut && options.OtlpEndpoint is { } endpoint ? new Uri(endpoint) : null;
        builder.Services.AddHealthChecks().AddCheck<StoreHealth>("store").AddCheck<SpaceHealth>("space").AddCheck<LedgerHealth>("ledger").AddCheck<Draining>("serving");
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(r => r.AddService("gongzhi", serviceInstanceId: world.Name))
            .WithMetrics(m =>
            {
                m.AddAspNetCoreInstrumentation().AddRuntimeInstrumentation().AddMeter(Core.Measures.MeterName, NodeGauges.MeterName).AddPrometheusExporter();
                if (otlp is not null)
                    m.AddOtlpExporter(o => o.Endpoint = otlp);
            });
        if (otlp is not null)
            telemetry.WithTracing(t => t.AddAspNetCoreInstrumentation().AddProcessor(new WithoutValues()).AddOtlpExporter(o => o.Endpoint = otlp));
    }

    public static void MapObservation(this WebApplication app, NodeOptions options)
    {
        app.MapHealthChecks("/health/live", new HealthCheckOptions { Predicate = _ => false, ResponseWriter = WriteHealth })
            .WithMetadata(new EndpointNameMetadata("health-live"), new AnswersAlone()).AllowAnonymous();
        app.MapHealthChecks("/health/ready", new HealthCheckOptions { ResponseWriter = WriteHealth })
            .WithMetadata(new EndpointNameMetadata("health-ready"), new AnswersAlone()).AllowAnonymous();
        app.MapPrometheusScrapingEndpoint("/metrics")
            .WithMetadata(new EndpointNameMetadata("metrics"), new AnswersAlone()).AllowAnonymous();
    }

    /// <summary>Keeps /metrics to this machine, or to whoever has the token.</summary>
    public static void UseMetricsGuard(this IApplicationBuilder app, NodeOptions options) => app.Use(async (http, next) =>
    {
        if (http.Request.Path.StartsWithSegments("/metrics") && !MayRead(http, options))
        {
            await ProblemWriting.WriteAsync(http, HostProblems.Unknown).ConfigureAwait(false);
            return;
        }
        await next(http).ConfigureAwait(false);
    });

    private static bool MayRead(HttpContext http, NodeOptions options)
    {
        if (options.MetricsToken is { } token)
            return CryptographicOperations.FixedTimeEquals(
                Encoding.UTF8.GetBytes(http.Request.Headers.Authorization.ToString()), Encoding.UTF8.GetBytes("Bearer " + token));
        // A proxy on this machine also comes from the loopback address, but says for whom.
        return http.Connection.RemoteIpAddress is { } address && IPAddress.IsLoopback(address)
            && !http.Request.Headers.ContainsKey("X-Forwarded-For") && !http.Request.Headers.ContainsKey("Forwarded");
    }

    private static Task WriteHealth(HttpContext http, HealthReport report) => http.Response.WriteAsJsonAsync(new
    {
        status = Word(report.Status),
        checks = report.Entries.ToDictionary(e => e.Key, e => Word(e.Value.Status)),
        why = report.Entries.Where(e => e.Value.Status != HealthStatus.Healthy).ToDictionary(e => e.Key, e => e.Value.Description),
    }, http.RequestAborted);

    private static string Word(HealthStatus status) => status switch
    {
        HealthStatus.Healthy => "ok",
        HealthStatus.Degraded => "degraded",
        _ => "unavailable",
    };
}

/// <summary>
/// Leaves in a trace only what the program says about itself. A path names accounts and records, and queries and headers hold what callers choose; the route's template stays.
/// </summary>
internal sealed class WithoutValues : BaseProcessor<System.Diagnostics.Activity>
{
    /// <summary>What is kept; everything else that a request's instrumentation notes comes from the caller.</summary>
    private static readonly HashSet<string> Kept =
        ["http.request.method", "http.response.status_code", "http.route", "network.protocol.version", "url.scheme", "server.port", "error.type", "otel.status_code"];

    public override void OnEnd(System.Diagnostics.Activity data)
    {
        foreach (var (name, _) in data.TagObjects.ToList())
        {
            if (!Kept.Contains(name))
                data.SetTag(name, null);
        }
    }
}

/// <summary>The writer takes changes and the database opens.</summary>
internal sealed class StoreHealth(NodeWriter writer, IDbContextFactory<NodeDb> databases) : IHealthCheck
{
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        if (writer.Broken is not null || writer.Feed.Lost is not null)
            return HealthCheckResult.Unhealthy("The writer has stopped.");
        var db = await databases.CreateDbContextAsync(cancellationToken).ConfigureAwait(false);
        await using (db.ConfigureAwait(false))
        {
            return await db.Database.CanConnectAsync(cancellationToken).ConfigureAwait(false)
                ? HealthCheckResult.Healthy()
                : HealthCheckResult.Unhealthy("The database does not open.");
        }
    }
}

/// <summary>Whether the ledger goes on. Without it the node still answers, so it stays in service and says what it refuses.</summary>
internal sealed class LedgerHealth(WriteGate gate, Core.Records.Sequencer sequencer) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(
            gate.Shut is { } shut ? HealthCheckResult.Degraded($"Read-only: {shut.Reason}")
            : sequencer.IsOpen && sequencer.Log.Corrupt is { } corrupt ? HealthCheckResult.Degraded($"The ledger is not what was signed: {corrupt.Message}")
            : HealthCheckResult.Healthy());
}

/// <summary>Room on the disk: without it the node still answers, so it stays in service and says what it refuses.</summary>
internal sealed class SpaceHealth(Core.World world, NodeWriter writer) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(
            StorageFull.Is(writer.Refusing) && (world.FreeBytesMin == 0 || StorageFull.Reached(world)) ? HealthCheckResult.Degraded("The disk is full: no change can be kept and no data read until there is room.")
            : StorageFull.Reached(world) ? HealthCheckResult.Degraded("The disk is nearly full: contributions are refused until there is room.")
            : HealthCheckResult.Healthy());
}
