using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Gongzhi.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Trace;

namespace Gongzhi.Tests.Http.Journeys;

/// <summary>What an operator sees holds no value of anybody, tells what goes on, and leaves the node only where it may.</summary>
[Collection("Journeys")]
public sealed class ObservationTests
{
    private const string Marker = "qiehua-7f3a91";

    [Fact]
    public async Task No_log_and_no_trace_holds_what_a_caller_sent_whatever_becomes_of_it()
    {
        var (logs, traces) = (new Lines(), new Traces());
        // A real world, since no other has traces at all; nobody listens at the port.
        await using (var journey = await Journey.StartAsync(
            o => o with { Kind = WorldKind.Real, OtlpEndpoint = "http://127.0.0.1:9", SignInsPerMinute = 0, JsonLogs = true },
            b =>
            {
                b.Logging.AddProvider(logs);
                b.Services.ConfigureOpenTelemetryTracerProvider(t => t.AddProcessor(traces));
            }))
        {
            using var http = journey.Http;
            http.DefaultRequestHeaders.Add("X-Name", Marker);
            http.DefaultRequestHeaders.UserAgent.ParseAdd(Marker);
            await journey.DefineAsync("d", Samples.Definition);
            await SendAsync(http, HttpStatusCode.UnprocessableEntity, "/api/v1/datasets/d/records?note=" + Marker, "text/csv", $"name,amount,day\n{Marker},{Marker},2010-01-01\n");
            await SendAsync(http, HttpStatusCode.UnprocessableEntity, "/api/v1/datasets/d/records", "text/csv", $"name,{Marker}\nx,1\n");
            await SendAsync(http, HttpStatusCode.UnprocessableEntity, "/api/v1/datasets/d/records", "application/x-ndjson", $"{{\"name\":\"{Marker}\n");
            await SendAsync(http, HttpStatusCode.UnprocessableEntity, "/api/v1/query?q=" + Marker, "application/json", $"{{\"dataset\":\"d\",\"purpose\":\"check\",\"fields\":[\"{Marker}\"]}}");
            await SendAsync(http, HttpStatusCode.BadRequest, "/api/v1/query", "application/json", $"{{\"dataset\":\"{Marker}");
            await SendAsync(http, HttpStatusCode.NotFound, $"/api/v1/accounts/{Marker}/invitation", "application/json", "{}");
            foreach (var (kind, status) in new[] { ("bug", HttpStatusCode.InternalServerError), ("store", HttpStatusCode.ServiceUnavailable), ("writer", HttpStatusCode.ServiceUnavailable) })
            {
                using var failed = await http.GetAsync($"/api/test/fails/{kind}?name={Marker}");
                Assert.Equal(status, failed.StatusCode);
            }
            using (var unknown = await http.GetAsync($"/{Marker}/{Marker}"))
                Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
            using (var made = await journey.Http.PostAsync("/api/v1/accounts", new StringContent($"{{\"name\":\"{Marker}\",\"displayName\":\"{Marker}\"}}", Encoding.UTF8, "application/json")))
                Assert.Equal(HttpStatusCode.Created, made.StatusCode);
            using var person = journey.Node.NewClient();
            using (var wrong = await person.SignInAsync(Marker, Marker))
                Assert.NotEqual("/", wrong.Headers.Location?.ToString());
            Assert.Equal(HttpStatusCode.Unauthorized, (await person.FormAsync("/connect/token", ("grant_type", "client_credentials"), ("client_id", Marker), ("client_secret", Marker))).Status);
            await SendAsync(http, HttpStatusCode.Created, "/api/v1/datasets/d/records", "text/csv", $"name,amount,day\n{Marker},1.00,2010-01-01\n");
        }
        Assert.True(logs.All.Any(l => l.Contains("secret detail", StringComparison.Ordinal)), "The log that is looked at is not the node's.");
        Assert.True(traces.All.Any(t => t.Contains("api/v1/accounts/{name}/invitation", StringComparison.Ordinal)), "The traces that are looked at are not the node's.");
        Assert.DoesNotContain(logs.All, l => l.Contains(Marker, StringComparison.OrdinalIgnoreCase));
        Assert.DoesNotContain(traces.All, t => t.Contains(Marker, StringComparison.OrdinalIgnoreCase));

        static async Task SendAsync(HttpClient http, HttpStatusCode status, string path, string type, string body)
        {
            using var response = await http.PostAsync(path, new StringContent(body, Encoding.UTF8, type));
            Assert.True(response.StatusCode == status, $"{path}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");
        }
    }

    [Fact]
    public async Task What_goes_on_is_counted()
    {
        await using var journey = await Journey.StartAsync(extend: b => b.Services.Configure<PrometheusAspNetCoreOptions>(o => o.ScrapeResponseCacheDurationMilliseconds = 0));
        await journey.DefineAsync("d", Samples.Definition);
        // Counters belong to the process, in which other nodes may run.
        var before = await ReadAsync(journey);
        await journey.ContributeAsync("d", Samples.Csv(20), 20);
        // With its proof, so that its entry is in the log when that is measured.
        using (var partial = await journey.Http.PostAsync("/api/v1/datasets/d/records?mode=partial&wait=proof", new StringContent("name,amount,day\nx,1.00,2010-01-01\ny,nothing,2010-01-01\n", Encoding.UTF8, "text/csv")))
            Assert.Equal(HttpStatusCode.Created, partial.StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await Journey.QueryAsync(journey.Http, new { dataset = "d", purpose = "check" })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await Journey.QueryAsync(journey.Node.NewClient(), new { dataset = "d", purpose = "check" })).Status);
        var after = await ReadAsync(journey);
        foreach (var (name, least) in new[]
                 {
                     ("gongzhi_contributions_total|accepted", 2), ("gongzhi_rows_total|accepted", 21), ("gongzhi_rows_total|rejected", 1), ("gongzhi_queries_total|answered", 1),
                     ("gongzhi_queries_total|refused", 1), ("gongzhi_accesses_total|", 1), ("gongzhi_decisions_refused_total|", 1),
                 })
            Assert.True(after.GetValueOrDefault(name) - before.GetValueOrDefault(name) >= least, name + " before: " + string.Join(", ", before) + " after: " + string.Join(", ", after));
        Assert.True(after["gongzhi_ledger_size|"] > 1);
        foreach (var gauge in new[] { "gongzhi_ledger_waiting|", "gongzhi_ledger_lag_seconds|", "gongzhi_writer_queue|" })
            Assert.True(after[gauge] >= 0, gauge);
    }

    [Theory]
    [InlineData(WorldKind.Test, false)]
    [InlineData(WorldKind.Drill, false)]
    [InlineData(WorldKind.Real, true)]
    public async Task Only_the_real_world_sends_telemetry_out(WorldKind kind, bool sends)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        await using (var node = await TestNode.StartAsync(o => o with { Kind = kind, OtlpEndpoint = $"http://127.0.0.1:{port}" }, b => b.Services.Configure<OtlpExporterOptions>(o => o.TimeoutMilliseconds = 200)))
        {
            using var http = node.NewClient();
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync("/health/live")).StatusCode);
        }
        // What was gathered is sent when a node stops, at the latest.
        Assert.Equal(sends, listener.Pending());
    }

    private static async Task<Dictionary<string, double>> ReadAsync(Journey journey)
    {
        using var http = journey.Node.NewClient();
        var found = new Dictionary<string, double>();
        foreach (var line in (await http.GetStringAsync("/metrics")).Split('\n').Where(l => l.StartsWith("gongzhi_", StringComparison.Ordinal)))
        {
            var parts = line.Split(' ');
            var brace = parts[0].IndexOf('{', StringComparison.Ordinal);
            var outcome = parts[0].Split("outcome=\"") is [_, var rest] ? rest[..rest.IndexOf('"', StringComparison.Ordinal)] : "";
            // Gauges of other nodes in the process stand beside ours.
            var name = (brace < 0 ? parts[0] : parts[0][..brace]) + "|" + outcome;
            found[name] = Math.Max(found.GetValueOrDefault(name, double.MinValue), double.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture));
        }
        return found;
    }

    /// <summary>Every line of the log with its exception and its values, as a provider of the node's own logging gets it.</summary>
    private sealed class Lines : ILoggerProvider
    {
        public ConcurrentQueue<string> All { get; } = new();

        public ILogger CreateLogger(string categoryName) => new Line(this, categoryName);

        public void Dispose() { }

        private sealed class Line(Lines lines, string category) : ILogger
        {
            // The node's consoles print no scopes.
            public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

            public bool IsEnabled(LogLevel logLevel) => true;

            public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
                lines.All.Enqueue($"{category} {formatter(state, exception)} {exception} " + (state is IEnumerable<KeyValuePair<string, object?>> values ? string.Join(' ', values) : ""));
        }
    }

    /// <summary>Every trace as the exporter behind it gets it.</summary>
    private sealed class Traces : BaseProcessor<Activity>
    {
        public ConcurrentQueue<string> All { get; } = new();

        public override void OnEnd(Activity data) =>
            All.Enqueue($"{data.DisplayName} {data.StatusDescription} {string.Join(' ', data.TagObjects)} {string.Join(' ', data.Baggage)} {string.Join(' ', data.Events.SelectMany(e => e.Tags.Select(t => $"{e.Name} {t}")))}");
    }
}
