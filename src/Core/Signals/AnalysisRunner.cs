using System.Collections.Concurrent;
using System.Threading.Channels;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Signals;

/// <summary>How far an analysis is in one shard.</summary>
/// <param name="Next">Ledger index of the first entry that is not in its states.</param>
/// <param name="Parked">Why it goes on no more, or null.</param>
public sealed record AnalysisProgress(string Analysis, int Shard, int Version, long Next, string? Parked);

/// <summary>Runs the analyses of this node, a shard of their partitions at a time: whoever holds a shard's seat calls <see cref="RunAsync"/>.</summary>
public sealed class AnalysisRunner : IDisposable
{
    /// <summary>Into how many shards partitions are divided, by a hash of their name; each is worked on by one machine at a time. Kept with the states, so it does not change.</summary>
    public const int Shards = 4;

    /// <summary>Bytes of one partition's state.</summary>
    public const int StateBytesMax = 256 * 1024;

    /// <summary>Between two steps while there is news, and between two looks while there is none.</summary>
    public static readonly TimeSpan StepInterval = TimeSpan.FromSeconds(1), IdleInterval = TimeSpan.FromSeconds(5);

    private readonly IReadOnlyList<IAnalysis> _analyses;
    private readonly PartyDirectory _parties;
    private readonly ConcurrentDictionary<long, string> _names = new();
    private readonly ConcurrentDictionary<string, (int Version, IReadOnlyList<DatedDefinition> All)> _definitions = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<AnalysisWork, bool> _working = new();

    public AnalysisRunner(
        World world, NodeWriter writer, Catalog.Catalog catalog, RecordStore records, PartyDirectory parties, Sequencer sequencer, IEnumerable<IAnalysis> analyses, TimeProvider clock, ILogger<AnalysisRunner> log)
    {
        (World, Writer, Catalog, Sequencer, Clock, Log, _parties) = (world, writer, catalog, sequencer, clock, log, parties);
        Rows = new BatchRows(records);
        _analyses = [.. analyses.OrderBy(a => a.Name, StringComparer.Ordinal)];
        if (_analyses.Select(a => a.Name).Distinct(StringComparer.Ordinal).Count() != _analyses.Count)
            throw new ArgumentException("Two analyses have one name.", nameof(analyses));
        catalog.Changed += Reconsider;
    }

    internal World World { get; }
    internal NodeWriter Writer { get; }
    internal Catalog.Catalog Catalog { get; }
    internal Sequencer Sequencer { get; }
    internal TimeProvider Clock { get; }
    internal ILogger<AnalysisRunner> Log { get; }
    internal BatchRows Rows { get; }

    /// <summary>The analyses of one shard from where they stand, ready to step.</summary>
    public AnalysisShard Open(int shard)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(shard);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(shard, Shards);
        return new AnalysisShard([.. _analyses.Select(a => new AnalysisWork(this, a, shard))], _working);
    }

    /// <summary>Works on a shard until it is told to stop. Any number may: those too many lose their steps.</summary>
    public async Task RunAsync(int shard, CancellationToken cancel)
    {
        var wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        void Wake() => wake.Writer.TryWrite(true);
        using var work = Open(shard);
        Writer.Committed += Wake;
        try
        {
            while (!cancel.IsCancellationRequested)
            {
                if (await work.StepAsync(cancel).ConfigureAwait(false))
                    continue;
                await Task.Delay(StepInterval, TimeProvider.System, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                using var idle = CancellationTokenSource.CreateLinkedTokenSource(cancel);
                await Task.WhenAny(wake.Reader.ReadAsync(idle.Token).AsTask(), Task.Delay(IdleInterval, TimeProvider.System, idle.Token)).ConfigureAwait(false);
                await idle.CancelAsync().ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
        }
        finally
        {
            Writer.Committed -= Wake;
        }
    }

    /// <summary>How far all analyses are, by what is kept; the same on every machine.</summary>
    public IReadOnlyList<AnalysisProgress> Progress()
    {
        using var connection = NodeDatabase.OpenReader(World);
        using var command = connection.Command("SELECT analysis, shard, version, next_index, parked FROM analysis_position ORDER BY analysis, shard");
        var found = new List<AnalysisProgress>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
            found.Add(new(reader.GetString(0), (int)reader.GetInt64(1), (int)reader.GetInt64(2), reader.GetInt64(3), reader.IsDBNull(4) ? null : reader.GetString(4)));
        return found;
    }

    public void Dispose() => Catalog.Changed -= Reconsider;

    private void Reconsider(Dataset dataset)
    {
        foreach (var work in _working.Keys)
            work.Reconsider();
    }

    internal Dataset? Definition(long number, int version)
    {
        if (!_names.TryGetValue(number, out var id))
        {
            foreach (var dataset in Catalog.All)
                _names[dataset.Number] = dataset.Id;
            if (!_names.TryGetValue(number, out id))
                return null;
        }
        return Catalog.Find(id, version);
    }

    /// <summary>The versions of a definition with the moments they were made, the oldest first.</summary>
    internal IReadOnlyList<DatedDefinition> Definitions(string dataset)
    {
        if (Catalog.Find(dataset) is not { } current)
            return [];
        if (_definitions.TryGetValue(dataset, out var known) && known.Version == current.Version)
            return known.All;
        var all = new List<DatedDefinition>();
        using var connection = NodeDatabase.OpenReader(World);
        using var command = connection.Command("SELECT version, created FROM dataset_version WHERE dataset = @dataset ORDER BY version").Set("@dataset", dataset);
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            if (Catalog.Find(dataset, Convert.ToInt32(reader.GetValue(0), System.Globalization.CultureInfo.InvariantCulture)) is { } definition)
                all.Add(new(Microseconds.ToTime(reader.GetInt64(1)), definition));
        }
        _definitions[dataset] = (current.Version, all);
        return all;
    }

    /// <summary>The unit a contribution was made for: the dataset's own where the party held a role there at that moment, else the only one it could have contributed for; null where that is not one.</summary>
    internal string? UnitOf(string party, DateTimeOffset moment, Dataset dataset)
    {
        var units = _parties.HeldAt(party, moment).Where(h => h.Role is Roles.Contributor or Roles.Steward).Select(h => h.Unit).Distinct().ToList();
        return units.Contains(dataset.Owner) ? dataset.Owner : units is [var only] ? only : null;
    }
}

/// <summary>The analyses of one shard, while somebody works on them.</summary>
public sealed class AnalysisShard : IDisposable
{
    private readonly AnalysisWork[] _works;
    private readonly ConcurrentDictionary<AnalysisWork, bool> _working;

    internal AnalysisShard(AnalysisWork[] works, ConcurrentDictionary<AnalysisWork, bool> working)
    {
        (_works, _working) = (works, working);
        foreach (var work in works)
            working[work] = true;
    }

    /// <summary>One step of each; what fails does not hold up the others.</summary>
    /// <returns>Whether there is more to do at once.</returns>
    public async Task<bool> StepAsync(CancellationToken cancel)
    {
        var more = await Task.WhenAll(_works.Select(w => w.StepAsync(cancel))).ConfigureAwait(false);
        return more.Contains(true);
    }

    public void Dispose()
    {
        foreach (var work in _works)
            _working.TryRemove(work, out _);
    }
}
