using Gongzhi.Core;
using Gongzhi.Core.Storage;
using Gongzhi.Node.Cluster;
using Gongzhi.Node.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Gongzhi.Tests.Cluster;

/// <summary>The node's silo in a host with nothing else in it.</summary>
internal sealed class TestSilo : IAsyncDisposable
{
    public const string Origin = "gongzhi.invalid/cluster-test";

    private readonly IHost _host;
    private readonly TaskCompletionSource<string> _lost;
    private bool _stopped;

    private TestSilo(IHost host, TaskCompletionSource<string> lost) => (_host, _lost) = (host, lost);

    public IServiceProvider Services => _host.Services;

    /// <summary>The sentence with which it would have ended the process.</summary>
    public Task<string> Lost => _lost.Task;

    public string Address => Services.GetRequiredService<ILocalSiloDetails>().SiloAddress.ToParsableString();

    public static NodeOptions Options(string database) => new() { Cluster = database, LedgerOrigin = Origin };

    public static World World(NodeOptions options) => new()
    {
        Name = options.World, Kind = WorldKind.Test, DataDirectory = Path.GetTempPath(), LedgerOrigin = options.LedgerOrigin ?? Origin,
    };

    /// <summary>The services of a silo, without a host's.</summary>
    public static HostApplicationBuilder Builder(NodeOptions options, params ISeatWork[] works)
    {
        var builder = new HostApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Logging.AddSimpleConsole(o => o.SingleLine = true);
        builder.Services.Configure<Microsoft.Extensions.Logging.Console.ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.AddSingleton<WriteGate>();
        builder.Services.AddNodeSilo(options, World(options));
        foreach (var work in works)
            builder.Services.AddSingleton(work);
        return builder;
    }

    public static async Task<TestSilo> StartAsync(NodeOptions options, ISeatWork[]? works = null)
    {
        var lost = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var builder = Builder(options, works ?? []);
        builder.Services.AddSingleton<SiloLost>(sentence => lost.TrySetResult(sentence));
        var host = builder.Build();
        await host.StartAsync();
        return new TestSilo(host, lost);
    }

    /// <summary>Which silo holds the seat, asked through this one.</summary>
    public Task<string> HolderAsync(string kind) => Services.GetRequiredService<IGrainFactory>().GetGrain<ISeatGrain>(kind).KeepAsync();

    /// <summary>Waits until this silo sees exactly so many active ones; answers their addresses.</summary>
    public async Task<IReadOnlyList<string>> SeesAsync(int count, TimeSpan limit)
    {
        using var end = new CancellationTokenSource(limit);
        var seen = "";
        try
        {
            await foreach (var snapshot in Services.GetRequiredService<IClusterMembershipService>().MembershipUpdates.WithCancellation(end.Token))
            {
                seen = snapshot.ToString();
                if (snapshot.Members.Values.Where(m => m.Status == SiloStatus.Active).ToList() is { } active && active.Count == count)
                    return [.. active.Select(m => m.SiloAddress.ToParsableString())];
            }
        }
        catch (OperationCanceledException)
        {
        }
        throw new Xunit.Sdk.XunitException($"It did not see {count} active silos within {limit.TotalSeconds} s, but {seen}.");
    }

    public async Task StopAsync()
    {
        _stopped = true;
        await _host.StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_stopped)
            await _host.StopAsync();
        _host.Dispose();
    }
}
