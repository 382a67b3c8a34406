using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Parties;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Microsoft.Extensions.Logging;

namespace Gongzhi.Core.Signals;

/// <summary>
/// Gives analyses what has come into the ledger since they last looked. Entries are taken by their index, below the published head, where no gap can be. A step ends in one transaction that keeps signals,
/// states and the new position if the position is still the old one: of two machines at once one counts, and the other begins again from what is kept.
/// </summary>
public sealed class AnalysisRunner(
    World world, NodeWriter writer, Catalog.Catalog catalog, PartyDirectory directory, Sequencer sequencer, IEnumerable<IAnalysis> analyses, TimeProvider clock, ILogger<AnalysisRunner> log)
{
    /// <summary>Entries taken in one step.</summary>
    public const int StepEntriesMax = 2_000;

    /// <summary>Bytes of one partition's state.</summary>
    public const int StateBytesMax = 65_536;

    /// <summary>Between two steps while there is news, and between two ticks.</summary>
    private static readonly TimeSpan StepEvery = TimeSpan.FromSeconds(1), TickEvery = TimeSpan.FromSeconds(30), PauseMax = TimeSpan.FromMinutes(5);

    public IReadOnlyList<IAnalysis> Analyses { get; } = [.. analyses];

    /// <summary>Runs one analysis until told to stop. What fails is tried again, after a pause that grows; nothing is skipped.</summary>
    public async Task RunAsync(IAnalysis analysis, CancellationToken cancel)
    {
        var (pause, ticked) = (StepEvery, clock.GetTimestamp());
        while (!cancel.IsCancellationRequested)
        {
            try
            {
                while (await StepAsync(analysis, cancel).ConfigureAwait(false) == StepEntriesMax)
                {
                }
                if (clock.GetElapsedTime(ticked) >= TickEvery)
                {
                    await TickAsync(analysis, cancel).ConfigureAwait(false);
                    ticked = clock.GetTimestamp();
                }
                pause = StepEvery;
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                log.LogError(e, "The analysis {Analysis} failed; it is tried again in {Pause}", analysis.Name, pause);
                pause = pause * 2 < PauseMax ? pause * 2 : PauseMax;
            }
            await Task.Delay(pause, clock, cancel).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Takes what came since the last step; answers how many entries it went over, also when another machine was faster.</summary>
    public async Task<int> StepAsync(IAnalysis analysis, CancellationToken cancel)
    {
        var at = Position(analysis);
        var head = sequencer.Log.Head.Size;
        if (at.Next >= head)
            return 0;
        var (batches, count) = Read(analysis, at.Next, head);
        var work = new Work(analysis.Name);
        var states = States(analysis.Name, [.. batches.Select(analysis.Partition).Distinct()], at.Fresh);
        foreach (var batch in batches)
        {
            cancel.ThrowIfCancellationRequested();
            var partition = analysis.Partition(batch);
            if (partition.Length is 0 or > 200)
                throw new InvalidOperationException($"The analysis {analysis.Name} gives a partition a key of {partition.Length} characters.");
            work.At(partition, batch.Index);
            states[partition] = work.Changed[partition] = Sized(analysis, analysis.Take(states.GetValueOrDefault(partition), batch, work));
        }
        await KeepAsync(analysis, at, at.Next + count, work, cancel).ConfigureAwait(false);
        return count;
    }

    /// <summary>Lets every partition see what time it is.</summary>
    public async Task TickAsync(IAnalysis analysis, CancellationToken cancel)
    {
        var at = Position(analysis);
        if (at.Fresh)
            return;
        var (work, now) = (new Work(analysis.Name), clock.GetUtcNow());
        foreach (var (partition, state) in States(analysis.Name, null, fresh: false))
        {
            cancel.ThrowIfCancellationRequested();
            work.At(partition, at.Next);
            if (analysis.Tick(partition, state, now, work) is { } changed)
                work.Changed[partition] = Sized(analysis, changed);
        }
        if (work.Changed.Count > 0 || work.Raised.Count > 0 || work.Ended.Count > 0)
            await KeepAsync(analysis, at, at.Next, work, cancel).ConfigureAwait(false);
    }

    private static byte[] Sized(IAnalysis analysis, byte[] state) => state.Length <= StateBytesMax ? state
        : throw new InvalidOperationException($"The analysis {analysis.Name} keeps {state.Length} bytes for one partition; {StateBytesMax} are allowed.");

    private readonly record struct At(long Next, long Ticks, bool Fresh);

    private At Position(IAnalysis analysis)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("SELECT next_index, ticks, version FROM analysis_offset WHERE analysis = @analysis").Set("@analysis", analysis.Name);
        using var reader = command.ExecuteReader();
        if (!reader.Read())
            return new(0, -1, Fresh: true);
        return reader.GetInt64(2) == analysis.Version ? new(reader.GetInt64(0), reader.GetInt64(1), Fresh: false) : new(0, reader.GetInt64(1), Fresh: true);
    }

    /// <summary>The batches among the next entries, and how many entries that was.</summary>
    private (List<BatchHeader> Batches, int Entries) Read(IAnalysis analysis, long from, long head)
    {
        using var connection = NodeDatabase.OpenReader(world);
        var ids = new List<(long Index, Guid Batch)>();
        var count = 0;
        using (var entries = connection.Command("SELECT log_index, entry FROM ledger_pending WHERE log_index >= @from AND log_index < @head ORDER BY log_index LIMIT @max"))
        {
            entries.Set("@from", from).Set("@head", head).Set("@max", StepEntriesMax);
            using var reader = entries.ExecuteReader();
            while (reader.Read())
            {
                if (reader.GetInt64(0) != from + count++)
                    throw new InvalidDataException($"The ledger entry {from + count - 1} is not in the database.");
                if (EntryBytes.BatchOf((byte[])reader[1]) is { } batch)
                    ids.Add((reader.GetInt64(0), batch));
            }
        }
        var batches = new List<BatchHeader>();
        using var find = connection.Command("SELECT d.id, b.contributor, b.received, b.rows, b.rejected FROM batch b JOIN dataset d ON d.number = b.dataset WHERE b.id = @id");
        foreach (var (index, id) in ids)
        {
            find.Set("@id", RecordId.Bytes(id));
            using var reader = find.ExecuteReader();
            if (!reader.Read() || catalog.Find(reader.GetString(0)) is not { } dataset || !analysis.Watches(dataset))
                continue;
            var received = Microseconds.ToTime(reader.GetInt64(2));
            batches.Add(new(index, id, dataset, Source(reader.GetString(1), received), received, reader.GetInt64(3), reader.GetInt64(4)));
        }
        return (batches, count);
    }

    /// <summary>The unit for which a party acted: signals speak of units, never of who works there.</summary>
    private string Source(string party, DateTimeOffset moment)
    {
        var held = directory.HeldAt(party, moment);
        return (held.FirstOrDefault(h => h.Role == Roles.Contributor) ?? (held.Count > 0 ? held[0] : null))?.Unit ?? "?";
    }

    private Dictionary<string, byte[]> States(string analysis, IReadOnlyCollection<string>? partitions, bool fresh)
    {
        var states = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        if (fresh)
            return states;
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("SELECT partition_key, state FROM analysis_state WHERE analysis = @analysis" + (partitions is null ? "" : " AND " + SqlStore.Of(world).IsOneOf("partition_key", "@partitions")));
        command.Set("@analysis", analysis);
        if (partitions is not null)
            command.Set("@partitions", System.Text.Json.JsonSerializer.Serialize(partitions));
        using var reader = command.ExecuteReader();
        while (reader.Read())
            states[reader.GetString(0)] = (byte[])reader[1];
        return states;
    }

    /// <summary>All of a step or, when another machine was there before, nothing.</summary>
    private Task KeepAsync(IAnalysis analysis, At at, long next, Work work, CancellationToken cancel) => writer.RunAsync(scope =>
    {
        using (var advance = scope.Command(at.Ticks < 0
            ? "INSERT INTO analysis_offset(analysis, version, next_index, ticks) VALUES (@analysis, @version, @next, 0) ON CONFLICT DO NOTHING"
            : "UPDATE analysis_offset SET version = @version, next_index = @next, ticks = ticks + 1 WHERE analysis = @analysis AND ticks = @ticks"))
        {
            advance.Set("@analysis", analysis.Name).Set("@version", analysis.Version).Set("@next", next);
            if (at.Ticks >= 0)
                advance.Set("@ticks", at.Ticks);
            if (advance.ExecuteNonQuery() != 1)
                return;
        }
        if (at is { Fresh: true, Ticks: >= 0 })
        {
            using var clear = scope.Command("DELETE FROM analysis_state WHERE analysis = @analysis").Set("@analysis", analysis.Name);
            clear.ExecuteNonQuery();
        }
        using (var keep = scope.Command("INSERT INTO analysis_state(analysis, partition_key, state) VALUES (@analysis, @partition, @state) ON CONFLICT(analysis, partition_key) DO UPDATE SET state = excluded.state"))
        {
            keep.Set("@analysis", analysis.Name);
            foreach (var (partition, state) in work.Changed)
                keep.Set("@partition", partition).Set("@state", state).ExecuteNonQuery();
        }
        var now = clock.GetUtcNow();
        foreach (var (partition, index, noticed) in work.Raised)
            SignalRows.Raise(scope, analysis.Name, partition, noticed, index, now);
        foreach (var (partition, kind, key) in work.Ended)
            SignalRows.End(scope, analysis.Name, partition, kind, key, now);
    }, cancel);

    /// <summary>What a step has done so far.</summary>
    private sealed class Work(string analysis) : ISignals
    {
        private string _partition = "";
        private long _index;

        public Dictionary<string, byte[]> Changed { get; } = new(StringComparer.Ordinal);

        public List<(string Partition, long Index, Noticed Noticed)> Raised { get; } = [];

        public List<(string Partition, string Kind, string Key)> Ended { get; } = [];

        public void At(string partition, long index) => (_partition, _index) = (partition, index);

        public void Raise(Noticed noticed)
        {
            if (noticed.Source?.StartsWith("person:", StringComparison.Ordinal) == true)
                throw new InvalidOperationException($"The analysis {analysis} names a person; signals speak of units.");
            Raised.Add((_partition, _index, noticed));
        }

        public void End(string kind, string key)
        {
            // Raised in the same step and over already: it was there all the same, so both are kept, in this order.
            Ended.Add((_partition, kind, key));
        }
    }
}
