using Gongzhi.Core.Storage;
using OpenIddict.Abstractions;

namespace Gongzhi.Node.Tokens;

/// <summary>Every token issued leaves a row; those long past their end are swept away once an hour.</summary>
internal sealed class TokenPruning(IServiceScopeFactory scopes, WriteGate gate, TimeProvider time, ILogger<TokenPruning> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    /// <summary>Longer than any refresh token may live (SessionHours is at most a week).</summary>
    private static readonly TimeSpan Keep = TimeSpan.FromDays(8);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false) && gate.Shut is null)
                await PruneAsync(stoppingToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The node is stopping.
        }
    }

    private async Task PruneAsync(CancellationToken cancel)
    {
        try
        {
            var scope = scopes.CreateAsyncScope();
            await using (scope.ConfigureAwait(false))
            {
                var before = time.GetUtcNow() - Keep;
                await scope.ServiceProvider.GetRequiredService<IOpenIddictTokenManager>().PruneAsync(before, cancel).ConfigureAwait(false);
                await scope.ServiceProvider.GetRequiredService<IOpenIddictAuthorizationManager>().PruneAsync(before, cancel).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Nothing depends on it; the next hour tries again.
            log.LogWarning(e, "Old tokens could not be swept away");
        }
    }
}
